"""From LDM names to diffusers names, one key at a time, by rule.

Only this direction is ever computed: underscores and numbers make the way back ambiguous, so whoever needs it
builds the table for the keys in hand and turns it round.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

UNET, VAE = "model.diffusion_model.", "first_stage_model."
TEXT = "cond_stage_model.transformer."

RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
UNET_PLACE = re.compile(r"(input_blocks|middle_block|output_blocks)\.(\d+)\.(?:(\d+)\.)?(.+)")

VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
# every LDM autoencoder of the SD families has four levels; diffusers counts the decoder's the other way
VAE_LEVELS = 4

VAE_LINEAR = re.compile(r"mid_block\.attentions\.0\.to_(?:q|k|v|out\.0)\.weight")


def diffusers_name(key: str) -> str | None:
    """The diffusers (or transformers) name of a key of a whole LDM file, without the part it belongs to.

    None for a key that diffusers has no place for: a schedule buffer, an EMA weight, another text encoder.
    """
    if key.startswith(UNET):
        return unet_name(key.removeprefix(UNET))
    if key.startswith(VAE):
        return vae_name(key.removeprefix(VAE))
    if key.startswith(TEXT):
        return key.removeprefix(TEXT)
    return None


def _split(key: str) -> tuple[str, str]:
    """A key as (module, "weight" or "bias")."""
    module, _, kind = key.rpartition(".")
    return module, kind


def unet_name(key: str) -> str | None:
    """The diffusers name of a U-Net key without its prefix; SD1, SD2 and SDXL follow the same rule."""
    module, kind = _split(key)
    if module in UNET_ENDS:
        return f"{UNET_ENDS[module]}.{kind}"
    found = UNET_PLACE.fullmatch(module)
    if found is None:
        return None
    side, block, layer, inner = found[1], int(found[2]), found[3], found[4]
    if side == "middle_block":
        inner = inner if layer is None else f"{layer}.{inner}"
        place = {0: "mid_block.resnets.0", 1: "mid_block.attentions.0", 2: "mid_block.resnets.1"}.get(block)
    else:
        place = _outer_place(side, block, int(layer or 0), inner)
    if place is None:
        return None
    return ".".join(part for part in (place, _inner(inner), kind) if part)


def _outer_place(side: str, block: int, layer: int, inner: str) -> str:
    """Where an input or output block lies: three make a level, the last with the change of size."""
    if side == "input_blocks":
        level, index, size_change = (block - 1) // 3, (block - 1) % 3, inner == "op"
        path, change = "down_blocks", "downsamplers.0.conv"
    else:
        level, index, size_change = block // 3, block % 3, inner == "conv"
        path, change = "up_blocks", "upsamplers.0.conv"
    if size_change:
        return f"{path}.{level}.{change}"
    return f"{path}.{level}.{'attentions' if layer else 'resnets'}.{index}"


def _inner(inner: str) -> str:
    """The name inside a block: residual layers are renamed, a transformer's stay, others have none."""
    return "" if inner in ("op", "conv") else RESNET.get(inner, inner)


def vae_name(key: str) -> str | None:
    """The diffusers name of a VAE key without its prefix."""
    module, kind = _split(key)
    if module in ("quant_conv", "post_quant_conv"):
        return key
    half, _, rest = module.partition(".")
    if half not in ("encoder", "decoder"):
        return None
    place = _vae_place(half, rest)
    return f"{half}.{place}.{kind}" if place else None


def _vae_place(half: str, rest: str) -> str | None:
    if rest in ("conv_in", "conv_out"):
        return rest
    if rest == "norm_out":
        return "conv_norm_out"
    if found := re.fullmatch(r"mid\.block_([12])\.(.+)", rest):
        return f"mid_block.resnets.{int(found[1]) - 1}.{_vae_resnet(found[2])}"
    if found := re.fullmatch(r"mid\.attn_1\.(.+)", rest):
        return f"mid_block.attentions.0.{VAE_ATTENTION[found[1]]}"
    if found := re.fullmatch(r"(down|up)\.(\d+)\.(block\.(\d+)|downsample|upsample)\.(.+)", rest):
        level = int(found[2]) if half == "encoder" else VAE_LEVELS - 1 - int(found[2])
        if found[4] is None:
            return f"{found[1]}_blocks.{level}.{found[3]}rs.0.conv"
        return f"{found[1]}_blocks.{level}.resnets.{found[4]}.{_vae_resnet(found[5])}"
    return None


def _vae_resnet(inner: str) -> str:
    return "conv_shortcut" if inner == "nin_shortcut" else inner


def forward_table(keys: Iterable[str]) -> dict[str, str]:
    """LDM key -> diffusers name for those of the keys that have one; turn it round for the way back."""
    named = ((key, diffusers_name(key)) for key in keys)
    return {key: name for key, name in named if name is not None}


def to_diffusers(name: str, value: Tensor) -> Tensor:
    """The value in diffusers' shape: its VAE attends with linear layers, LDM's with 1x1 convolutions."""
    return value[:, :, 0, 0] if VAE_LINEAR.search(name) and value.ndim == 4 else value


def to_ldm(name: str, value: Tensor) -> Tensor:
    """The value of a diffusers name in LDM's shape; undoes `to_diffusers`."""
    return value[:, :, None, None] if VAE_LINEAR.search(name) and value.ndim == 2 else value


def diffusers_state(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The part of an LDM file under `prefix` with diffusers names and shapes."""
    table = forward_table(key for key in state if key.startswith(prefix))
    return {name: to_diffusers(name, state[key]) for key, name in table.items()}


def text_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The text encoder of an SD1 file without `text_model.`, which transformers 5 and some files omit."""
    return {name.removeprefix("text_model."): value for name, value in diffusers_state(TEXT, state).items()}


def position_ids() -> Tensor:
    """The text model's position ids as every SD1 file should hold them, int64 [1, 77]."""
    return torch.arange(77, dtype=torch.int64)[None]
