"""Files that are no checkpoints, and how each kind is told: so that a refusal says what the file is."""

from __future__ import annotations

from dataclasses import dataclass

from lib_merge.architectures.families.common import UNET
from lib_merge.architectures.family import Clue
from lib_merge.architectures.topology import Tensors

BASE_CHECKPOINT = "choose a checkpoint (a model of 2 GB and more)"
SUPPORTED = "choose models of a family that is supported: SD1, SD2, SDXL, SD3, SD3.5 or Flux.1"


@dataclass(frozen=True)
class Foreign:
    """One kind of file that a merge cannot take as a model.

    what      the kind, as it stands in "this is ..."
    hint      what to try instead
    starts    beginnings, `ends` endings and `parts` pieces of keys that only this kind has
    exactly   keys that only this kind has
    module    what a key is called that only this kind has, below whatever prefix the file has; with `without`
              where the keys named there (below the same prefix) are missing, with `sizes` where the key's
              axes have these sizes (axis, size)
    clues     all of these hold in such a file
    """

    what: str
    hint: str = BASE_CHECKPOINT
    starts: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    exactly: frozenset[str] = frozenset()
    module: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    clues: tuple[Clue, ...] = ()

    def sign(self, tensors: Tensors) -> str | None:
        """The first key that gives the kind away."""
        if self.clues and all(clue.holds(tensors) for clue in self.clues):
            return next(clue.key for clue in self.clues if not clue.absent)
        named = (key for key in tensors if self._is_module(key, tensors) or self._tells(key))
        return next(named, None)

    def _is_module(self, key: str, tensors: Tensors) -> bool:
        for name in self.module:
            if key == name or key.endswith("." + name):
                prefix, shape = key.removesuffix(name), tensors[key].shape
                fits = all(len(shape) > axis and shape[axis] == size for axis, size in self.sizes)
                if fits and not any(prefix + other in tensors for other in self.without):
                    return True
        return False

    def _tells(self, key: str) -> bool:
        return (
            key in self.exactly
            or key.startswith(self.starts)
            or key.endswith(self.ends)
            or any(part in key for part in self.parts)
        )


def _unsupported(
    name: str, *module: str, without: tuple[str, ...] = (), sizes: tuple[tuple[int, int], ...] = ()
) -> Foreign:
    return Foreign(f"{name}, which is not supported", SUPPORTED, module=module, without=without, sizes=sizes)


DEEP = f"{UNET}input_blocks.8.1.transformer_blocks"
FLUX_KEY = "double_blocks.0.img_attn.norm.key_norm.scale"

# Models of no family here whose networks have the names of one that is, so that they would pass for it.
# Order and signs: ComfyUI comfy/model_detection.py and Forge Neo's huggingface_guess, see `FLUX` for its own.
LOOKALIKES = (
    Foreign("a video model, which is not supported", SUPPORTED, parts=(".time_stack.", ".time_mixer.")),
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
    Foreign(
        "a LongCat-Image model, which is not supported",
        SUPPORTED,
        clues=(
            Clue(UNET + FLUX_KEY),
            Clue(f"{UNET}txt_in.weight", axis=1, size=3584),
            Clue(f"{UNET}vector_in.in_layer.weight", absent=True),
        ),
    ),
    Foreign(
        "a Mugen model (SDXL's network with 32 latent channels), which is not supported",
        SUPPORTED,
        clues=(Clue(f"{UNET}label_emb.0.0.weight"), Clue(f"{UNET}out.2.weight", size=32)),
    ),
    Foreign(
        "a Kolors model (SDXL's network with another text encoder), which is not supported",
        SUPPORTED,
        clues=(Clue(f"{UNET}label_emb.0.0.weight", axis=1, size=5632),),
    ),
    Foreign(
        "an SSD-1B model (a shortened SDXL), which is not supported",
        SUPPORTED,
        clues=(
            Clue(f"{UNET}label_emb.0.0.weight"),
            Clue(f"{DEEP}.3.norm1.weight"),
            Clue(f"{DEEP}.4.norm1.weight", absent=True),
            Clue(f"{UNET}input_blocks.11.0.in_layers.0.weight", absent=True),
        ),
    ),
    Foreign(
        "a Segmind Vega model (a shortened SDXL), which is not supported",
        SUPPORTED,
        clues=(
            Clue(f"{UNET}label_emb.0.0.weight"),
            Clue(f"{DEEP}.1.norm1.weight"),
            Clue(f"{DEEP}.2.norm1.weight", absent=True),
            Clue(f"{UNET}input_blocks.11.0.in_layers.0.weight", absent=True),
        ),
    ),
)

# The native files of other transformers, by the names that ComfyUI tells them by (comfy/model_detection.py,
# in its order), below whatever prefix: `model.diffusion_model.`, `net.`, `model.`, `transformer.` or none.
NATIVE = (
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
        "a LongCat-Image, Ovis-Image or another model in Flux's names",
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
    _unsupported("a Qwen-Image model or one of its kin", "txt_norm.weight"),
    _unsupported("a Lens model", "transformer_blocks.0.img_mlp.w1.weight"),
    _unsupported("a Krea 2 model", "txtfusion.projector.weight"),
)

# The first kind that fits counts, so the special stand before the general.
FOREIGN = (
    Foreign(
        "a ControlNet LoRA, not a checkpoint",
        exactly=frozenset({"lora_controlnet"}),
    ),
    Foreign(
        "a LoRA, not a checkpoint",
        hint="choose a checkpoint, and bring the LoRA in as a LoRA",
        starts=("lora_unet_", "lora_te", "lora_transformer_", "lycoris_"),
        ends=(".lora_up.weight", ".lora_down.weight", ".lora_A.weight", ".lora_B.weight", ".dora_scale"),
        parts=(".hada_w", ".lokr_w", ".oft_blocks", ".lora_A.", ".lora_B.", ".lora.up."),
    ),
    Foreign(
        "a textual inversion embedding, not a checkpoint",
        exactly=frozenset({"emb_params", "string_to_param", "string_to_token", "clip_l", "clip_g", "<*>"}),
        starts=("string_to_param.",),
    ),
    Foreign(
        "a ControlNet, not a checkpoint",
        starts=(
            "control_model.",
            "zero_convs.",
            "input_hint_block.",
            "controlnet_cond_embedding.",
            "controlnet_blocks.",
            "control_add_embedding.",
            "lllite_",
        ),
    ),
    Foreign("an IP-Adapter, not a checkpoint", starts=("ip_adapter.", "image_proj.")),
    Foreign("a T2I adapter, not a checkpoint", starts=("adapter.body.", "body.0.block1.", "body.0.resnets.")),
    Foreign("a motion module, not a checkpoint", parts=("motion_modules.",)),
    *NATIVE,
    Foreign(
        "an upscaler, not a checkpoint",
        starts=("RRDB_trunk.", "model.1.sub.", "params_ema.", "conv_first.", "body.0.rdb1.", "upsampler."),
    ),
    Foreign(
        "a tiny approximate VAE, not a checkpoint",
        starts=("decoder.layers.", "decoder.1.weight", "taesd_"),
    ),
    Foreign(
        "one part of a model in diffusers layout, not a checkpoint",
        hint="use the single-file checkpoint of the same model",
        starts=(
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
    Foreign(
        "a text encoder alone, not a checkpoint",
        starts=("text_model.", "text_projection.", "encoder.block.", "shared.weight"),
    ),
    Foreign("CLIP's image encoder, not a checkpoint", starts=("vision_model.", "visual.")),
    Foreign(
        "a hypernetwork, not a checkpoint",
        exactly=frozenset({"320", "640", "768", "1024", "1280", "sd_checkpoint", "sd_checkpoint_name"}),
    ),
)
