"""Files that are not checkpoints of a supported family, and how to recognise them, for precise error
messages."""

from __future__ import annotations

from dataclasses import dataclass

from lib_merge.architectures.families.lora import LORA_FORMATS, LoraFormat
from lib_merge.architectures.family import Fingerprint
from lib_merge.architectures.keys import UNET_PREFIX
from lib_merge.architectures.part_topology import Tensors

BASE_CHECKPOINT = "choose a checkpoint (a model of 2 GB and more)"
LIST_SUPPORTED_FAMILIES = ""  # the hint of such an error lists the families of FAMILIES


@dataclass(frozen=True)
class ForeignFile:
    """A kind of file that cannot be merged as a model. A file is of this kind where one of the conditions is
    met.

    description   the kind, as in "this is ..."
    hint          what to try instead
    prefixes, suffixes, substrings  of keys that only this kind has
    exact_keys    keys that only this kind has
    module_keys   keys that only this kind has, under any prefix; only where the `absent_keys` do not exist
                  under the same prefix, and the tensor's axes have the `sizes` (axis, size)
    fingerprints  all of these match
    """

    description: str
    hint: str = BASE_CHECKPOINT
    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    substrings: tuple[str, ...] = ()
    exact_keys: frozenset[str] = frozenset()
    module_keys: tuple[str, ...] = ()
    absent_keys: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()

    def matching_key(self, tensors: Tensors) -> str | None:
        """The first key that proves the kind; None where the file is of another kind."""
        if self.fingerprints and all(entry.matches(tensors) for entry in self.fingerprints):
            return next(entry.key for entry in self.fingerprints if not entry.absent)
        matching = (key for key in tensors if self._matches_module(key, tensors) or self._matches_name(key))
        return next(matching, None)

    def _matches_module(self, key: str, tensors: Tensors) -> bool:
        for name in self.module_keys:
            if key == name or key.endswith("." + name):
                prefix, shape = key.removesuffix(name), tensors[key].shape
                sizes_match = all(len(shape) > axis and shape[axis] == size for axis, size in self.sizes)
                if sizes_match and not any(prefix + other in tensors for other in self.absent_keys):
                    return True
        return False

    def _matches_name(self, key: str) -> bool:
        return (
            key in self.exact_keys
            or key.startswith(self.prefixes)
            or key.endswith(self.suffixes)
            or any(part in key for part in self.substrings)
        )


def _unsupported(
    name: str, *module: str, without: tuple[str, ...] = (), sizes: tuple[tuple[int, int], ...] = ()
) -> ForeignFile:
    return ForeignFile(
        f"{name}, which is not supported",
        LIST_SUPPORTED_FAMILIES,
        module_keys=module,
        absent_keys=without,
        sizes=sizes,
    )


def _lora(format: LoraFormat) -> ForeignFile:
    return ForeignFile(
        f"a LoRA ({format.name}), not a checkpoint",
        "choose a checkpoint, and add the LoRA as a LoRA",
        prefixes=format.prefixes,
        suffixes=format.suffixes,
        substrings=format.substrings,
    )


DEEP_BLOCKS = f"{UNET_PREFIX}input_blocks.8.1.transformer_blocks"
FLUX_KEY = "double_blocks.0.img_attn.norm.key_norm.scale"

# Unsupported models whose networks have the keys of a supported family, and would be mistaken for it.
# Source of order and keys: ComfyUI comfy/model_detection.py and Forge Neo's huggingface_guess; see also
# `FLUX`.
LOOKALIKES = (
    ForeignFile(
        "a video model, which is not supported",
        LIST_SUPPORTED_FAMILIES,
        substrings=(".time_stack.", ".time_mixer."),
    ),
    _unsupported("a Flux.2 model", "double_stream_modulation_img.lin.weight"),
    _unsupported(
        "a Chroma model",
        "distilled_guidance_layer.in_proj.weight",
        "distilled_guidance_layer.norms.0.scale",
        "distilled_guidance_layer.norms.0.weight",
        "distilled_guidance_layer.0.norms.weight",
    ),
    _unsupported("a HunyuanVideo model", "txt_in.individual_token_refiner.blocks.0.norm1.weight"),
    _unsupported("an Ovis-Image model", "double_blocks.0.img_mlp.gate_proj.weight"),
    ForeignFile(
        "a LongCat-Image model, which is not supported",
        LIST_SUPPORTED_FAMILIES,
        fingerprints=(
            Fingerprint(UNET_PREFIX + FLUX_KEY),
            Fingerprint(f"{UNET_PREFIX}txt_in.weight", axis=1, size=3584),
            Fingerprint(f"{UNET_PREFIX}vector_in.in_layer.weight", absent=True),
        ),
    ),
    ForeignFile(
        "a Mugen model (SDXL's network with 32 latent channels), which is not supported",
        LIST_SUPPORTED_FAMILIES,
        fingerprints=(
            Fingerprint(f"{UNET_PREFIX}label_emb.0.0.weight"),
            Fingerprint(f"{UNET_PREFIX}out.2.weight", size=32),
        ),
    ),
    ForeignFile(
        "a Kolors model (SDXL's network with another text encoder), which is not supported",
        LIST_SUPPORTED_FAMILIES,
        fingerprints=(Fingerprint(f"{UNET_PREFIX}label_emb.0.0.weight", axis=1, size=5632),),
    ),
    ForeignFile(
        "an SSD-1B model (a shortened SDXL), which is not supported",
        LIST_SUPPORTED_FAMILIES,
        fingerprints=(
            Fingerprint(f"{UNET_PREFIX}label_emb.0.0.weight"),
            Fingerprint(f"{DEEP_BLOCKS}.3.norm1.weight"),
            Fingerprint(f"{DEEP_BLOCKS}.4.norm1.weight", absent=True),
            Fingerprint(f"{UNET_PREFIX}input_blocks.11.0.in_layers.0.weight", absent=True),
        ),
    ),
    ForeignFile(
        "a Segmind Vega model (a shortened SDXL), which is not supported",
        LIST_SUPPORTED_FAMILIES,
        fingerprints=(
            Fingerprint(f"{UNET_PREFIX}label_emb.0.0.weight"),
            Fingerprint(f"{DEEP_BLOCKS}.1.norm1.weight"),
            Fingerprint(f"{DEEP_BLOCKS}.2.norm1.weight", absent=True),
            Fingerprint(f"{UNET_PREFIX}input_blocks.11.0.in_layers.0.weight", absent=True),
        ),
    ),
)

# Files of other transformers, by the keys and in the order of ComfyUI (comfy/model_detection.py), under any
# prefix: `model.diffusion_model.`, `net.`, `model.`, `transformer.` or none.
OTHER_TRANSFORMERS = (
    _unsupported(
        "a Stable Cascade model",
        "clip_txt_mapper.weight",
        "clip_txt_pooled_mapper.weight",
        "clip_mapper.weight",
    ),
    _unsupported("an AuraFlow model (Pony V7 is one)", "double_layers.0.attn.w1q.weight"),
    _unsupported("an AuraFlow model (Pony V7 is one)", "joint_transformer_blocks.0.attn.to_q.weight"),
    _unsupported("a HunyuanDiT model", "mlp_t5.0.weight"),
    _unsupported(
        "a LongCat-Image, Ovis-Image or another model with the keys of Flux",
        FLUX_KEY,
        without=("vector_in.in_layer.weight",),
    ),
    _unsupported(
        "an LTX-Video model",
        "adaln_single.emb.timestep_embedder.linear_1.bias",
        "patchify_proj.weight",
        without=("pos_embed.proj.bias",),
    ),
    _unsupported("a PixArt model", "t_block.1.weight"),
    _unsupported("a Z-Image model", "cap_embedder.1.weight", sizes=((0, 3840),)),
    _unsupported("a Lumina 2 model", "cap_embedder.1.weight", "noise_refiner.0.attention.k_norm.weight"),
    _unsupported("a CogVideoX model", "blocks.0.norm1.linear.weight"),
    _unsupported("a Wan model", "head.modulation"),
    _unsupported("a HiDream model", "caption_projection.0.linear.weight"),
    _unsupported("an Anima model", "llm_adapter.blocks.0.cross_attn.q_proj.weight"),
    _unsupported("a Cosmos-Predict2 model", "blocks.0.mlp.layer1.weight"),
    _unsupported("a Qwen-Image model", "txt_norm.weight", sizes=((0, 3584),)),
    _unsupported("a Mage-Flow model", "txt_norm.weight", sizes=((0, 2560),)),
    _unsupported("a Qwen-Image model or a variant of it", "txt_norm.weight"),
    _unsupported("a Lens model", "transformer_blocks.0.img_mlp.w1.weight"),
    _unsupported("a Krea 2 model", "txtfusion.projector.weight"),
)

# The first kind that matches applies, so specific kinds precede general ones.
FOREIGN_FILES = (
    ForeignFile(
        "a ControlNet LoRA, not a checkpoint",
        exact_keys=frozenset({"lora_controlnet"}),
    ),
    *(_lora(lora_format) for lora_format in LORA_FORMATS),
    ForeignFile(
        "a textual inversion embedding, not a checkpoint",
        exact_keys=frozenset({"emb_params", "string_to_param", "string_to_token", "clip_l", "clip_g", "<*>"}),
        prefixes=("string_to_param.",),
    ),
    ForeignFile(
        "a ControlNet, not a checkpoint",
        prefixes=(
            "control_model.",
            "zero_convs.",
            "input_hint_block.",
            "controlnet_cond_embedding.",
            "controlnet_blocks.",
            "control_add_embedding.",
            "lllite_",
        ),
    ),
    ForeignFile("an IP-Adapter, not a checkpoint", prefixes=("ip_adapter.", "image_proj.")),
    ForeignFile(
        "a T2I adapter, not a checkpoint", prefixes=("adapter.body.", "body.0.block1.", "body.0.resnets.")
    ),
    ForeignFile("a motion module, not a checkpoint", substrings=("motion_modules.",)),
    *OTHER_TRANSFORMERS,
    ForeignFile(
        "an upscaler, not a checkpoint",
        prefixes=("RRDB_trunk.", "model.1.sub.", "params_ema.", "conv_first.", "body.0.rdb1.", "upsampler."),
    ),
    ForeignFile(
        "a tiny approximate VAE, not a checkpoint",
        prefixes=("decoder.layers.", "decoder.1.weight", "taesd_"),
    ),
    ForeignFile(
        "one part of a model in diffusers layout, not a checkpoint",
        hint="use the single-file checkpoint of the same model",
        prefixes=(
            "down_blocks.",
            "mid_block.",
            "up_blocks.",
            "encoder.down_blocks.",
            "decoder.up_blocks.",
            "transformer_blocks.",
            "single_transformer_blocks.",
            "unet.down_blocks.",
        ),
    ),
    ForeignFile(
        "a text encoder alone, not a checkpoint",
        prefixes=("text_model.", "text_projection.", "encoder.block.", "shared.weight"),
    ),
    ForeignFile("CLIP's image encoder, not a checkpoint", prefixes=("vision_model.", "visual.")),
    ForeignFile(
        "a hypernetwork, not a checkpoint",
        exact_keys=frozenset({"320", "640", "768", "1024", "1280", "sd_checkpoint", "sd_checkpoint_name"}),
    ),
)
