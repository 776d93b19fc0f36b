"""Old spellings of tensor names, and what they become: pure functions on names and shapes.

Loaders agree on the meaning of these spellings: AUTOMATIC1111 (modules/sd_models.py,
`get_state_dict_from_checkpoint`) knows the first three, ComfyUI (comfy/model_detection.py) the bare
files. A bare file is only recognised by a tensor that no other kind of file has, so that a LoRA or a
T5 text encoder, whose names also begin with `double_blocks.` or `encoder.`, is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lib_merge.errors import CheckpointError

Shapes = Mapping[str, tuple[int, ...]]

UNET = "model.diffusion_model."
VAE = "first_stage_model."
CLIP = "cond_stage_model.transformer."
SGM_CLIP = "conditioner.embedders.0.model."

SD2_WIDTH = 1024  # of OpenCLIP ViT-H's ln_final; the SDXL refiner keeps ViT-bigG (1280) at the same name


@dataclass(frozen=True)
class Spelling:
    """One old way of spelling names.

    title    what files are spelled so
    renames  old prefix -> new prefix; the first that fits a name counts
    applies  whether a file is spelled so, told from all its names and shapes
    """

    title: str
    renames: tuple[tuple[str, str], ...]
    applies: Callable[[Shapes], bool]

    def rename(self, name: str) -> str:
        """The name in the new spelling; the same name where no prefix fits."""
        for old, new in self.renames:
            if name.startswith(old):
                return new + name.removeprefix(old)
        return name


def _under(target: str, *prefixes: str) -> tuple[tuple[str, str], ...]:
    return tuple((prefix, target + prefix) for prefix in prefixes)


def _always(shapes: Shapes) -> bool:
    return True


def _is_sd2_in_sgm_layout(shapes: Shapes) -> bool:
    alone = not any(name.startswith("conditioner.embedders.1.") for name in shapes)
    return alone and shapes.get(SGM_CLIP + "ln_final.weight") == (SD2_WIDTH,)


def _is_bare_unet(shapes: Shapes) -> bool:
    control_net = any(name.startswith(("zero_convs.", "input_hint_block.")) for name in shapes)
    return "input_blocks.0.0.weight" in shapes and not control_net


def _is_bare_vae(shapes: Shapes) -> bool:
    return "decoder.conv_in.weight" in shapes or "encoder.conv_in.weight" in shapes


def _is_bare_flux(shapes: Shapes) -> bool:
    return "double_blocks.0.img_attn.norm.key_norm.scale" in shapes


def _is_bare_sd3(shapes: Shapes) -> bool:
    return "joint_blocks.0.context_block.attn.qkv.weight" in shapes


UNET_PARTS = ("input_blocks.", "middle_block.", "output_blocks.", "time_embed.", "out.", "label_emb.")
VAE_PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
FLUX_PARTS = (
    "double_blocks.",
    "single_blocks.",
    "img_in.",
    "txt_in.",
    "time_in.",
    "vector_in.",
    "guidance_in.",
    "final_layer.",
    "distilled_guidance_layer.",
)
SD3_PARTS = (
    "joint_blocks.",
    "x_embedder.",
    "context_embedder.",
    "t_embedder.",
    "y_embedder.",
    "pos_embed",
    "final_layer.",
)

# Applied from top to bottom, each to the names that the one before has left.
SPELLINGS = (
    Spelling("a state_dict written out flat", (("state_dict.", ""),), _always),
    Spelling(
        "SD1 before transformers 4.31, as NAI and its kin",
        tuple((CLIP + p, f"{CLIP}text_model.{p}") for p in ("embeddings.", "encoder.", "final_layer_norm.")),
        _always,
    ),
    Spelling("SD2 in SGM layout (SD-Turbo)", ((SGM_CLIP, "cond_stage_model.model."),), _is_sd2_in_sgm_layout),
    Spelling("a U-Net alone", _under(UNET, *UNET_PARTS), _is_bare_unet),
    Spelling("a VAE alone", _under(VAE, *VAE_PARTS), _is_bare_vae),
    Spelling("a Flux transformer alone", _under(UNET, *FLUX_PARTS), _is_bare_flux),
    Spelling("an SD3 transformer alone", _under(UNET, *SD3_PARTS), _is_bare_sd3),
)

# Diffusers keeps each part of a model in a file of its own, under names that no WebUI loads.
DIFFUSERS = (
    "down_blocks.",
    "mid_block.",
    "up_blocks.",
    "encoder.down_blocks.",
    "decoder.up_blocks.",
    "transformer_blocks.",
    "single_transformer_blocks.",
)

# Companions of quantised weights: bitsandbytes (nf4, fp4, int8), scaled fp8, GPTQ and SVDQuant.
QUANTISED_ENDINGS = (
    ".absmax",
    ".quant_map",
    ".SCB",
    ".scale_weight",
    ".scale_input",
    ".weight_scale",
    ".input_scale",
    ".comfy_quant",
    ".qweight",
    ".wscales",
    "scaled_fp8",
)
QUANTISED_PARTS = (".quant_state.",)


def canonical_names(shapes: Shapes, *, where: str = "") -> dict[str, str]:
    """Stored name -> canonical name, for every name of a file, in the file's order.

    Refuses files that no merge can use (Diffusers' parts, quantised weights) and files in which two
    names mean the same tensor. `where` is the file, for the message.
    """
    _refuse_quantised(shapes, where)
    _refuse_diffusers(shapes, where)
    names = {name: name for name in shapes}
    renamed = shapes
    for spelling in SPELLINGS:
        if spelling.applies(renamed):
            names = {stored: spelling.rename(now) for stored, now in names.items()}
            renamed = {now: shapes[stored] for stored, now in names.items()}
    _refuse_collisions(names, where)
    return names


def _refuse_quantised(shapes: Shapes, where: str) -> None:
    for name in shapes:
        if name.endswith(QUANTISED_ENDINGS) or any(part in name for part in QUANTISED_PARTS):
            raise CheckpointError(
                f"this file holds quantised weights, which cannot be merged: it has '{name}'",
                where=where,
                hint="use the fp16, bf16 or fp32 checkpoint that it was made from",
            )


def _refuse_diffusers(shapes: Shapes, where: str) -> None:
    for name in shapes:
        if name.startswith(DIFFUSERS):
            raise CheckpointError(
                f"this is one part of a model in Diffusers layout, not a checkpoint: it has '{name}'",
                where=where,
                hint="use the single-file checkpoint of the same model",
            )


def _refuse_collisions(names: Mapping[str, str], where: str) -> None:
    first: dict[str, str] = {}
    for stored, name in names.items():
        if name in first:
            raise CheckpointError(
                f"two tensors of this file mean the same one: '{first[name]}' and '{stored}'",
                where=where,
                hint="the file is a mixture of two spellings; make it again, or use another copy",
            )
        first[name] = stored
