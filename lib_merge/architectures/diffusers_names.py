"""Converts keys from LDM to diffusers names, by rule.

There is no function for the opposite direction, which underscores and numbers make ambiguous: build the table
of a file's keys (`diffusers_names_of`) and invert it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from lib_merge.architectures.keys import CLIP_PREFIX, UNET_PREFIX, VAE_PREFIX

RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
UNET_OUTER_MODULES = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
UNET_BLOCK_KEY = re.compile(r"(input_blocks|middle_block|output_blocks)\.(\d+)\.(?:(\d+)\.)?(.+)")

VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
# every LDM autoencoder of the SD families has four levels; diffusers numbers the decoder's in reverse
VAE_LEVELS = 4

VAE_LINEAR = re.compile(r"mid_block\.attentions\.0\.to_(?:q|k|v|out\.0)\.weight")


def diffusers_name(key: str) -> str | None:
    """The diffusers (or transformers) name of a key of an LDM checkpoint, without the folder of its model.

    None for a key that diffusers has no name for: a schedule buffer, an EMA weight, another text encoder.
    """
    if key.startswith(UNET_PREFIX):
        return unet_name(key.removeprefix(UNET_PREFIX))
    if key.startswith(VAE_PREFIX):
        return vae_name(key.removeprefix(VAE_PREFIX))
    if key.startswith(CLIP_PREFIX):
        return key.removeprefix(CLIP_PREFIX)
    return None


def _split(key: str) -> tuple[str, str]:
    """A key as (module, "weight" or "bias")."""
    module, _, kind = key.rpartition(".")
    return module, kind


def unet_name(key: str) -> str | None:
    """The diffusers name of a U-Net key without its prefix; SD1, SD2 and SDXL follow the same rule."""
    module, kind = _split(key)
    if module in UNET_OUTER_MODULES:
        return f"{UNET_OUTER_MODULES[module]}.{kind}"
    match = UNET_BLOCK_KEY.fullmatch(module)
    if match is None:
        return None
    side, block, layer, inner = match[1], int(match[2]), match[3], match[4]
    if side == "middle_block":
        inner = inner if layer is None else f"{layer}.{inner}"
        path = {0: "mid_block.resnets.0", 1: "mid_block.attentions.0", 2: "mid_block.resnets.1"}.get(block)
    else:
        path = _block_path(side, block, int(layer or 0), inner)
    if path is None:
        return None
    return ".".join(part for part in (path, _inner_name(inner), kind) if part)


def _block_path(side: str, block: int, layer: int, inner: str) -> str:
    """The diffusers path of an input or output block: three blocks form a level, the last one resamples."""
    if side == "input_blocks":
        level, index, size_change = (block - 1) // 3, (block - 1) % 3, inner == "op"
        path, change = "down_blocks", "downsamplers.0.conv"
    else:
        level, index, size_change = block // 3, block % 3, inner == "conv"
        path, change = "up_blocks", "upsamplers.0.conv"
    if size_change:
        return f"{path}.{level}.{change}"
    return f"{path}.{level}.{'attentions' if layer else 'resnets'}.{index}"


def _inner_name(inner: str) -> str:
    """The diffusers name of a module in a block: residual layers are renamed, resamplers have none."""
    return "" if inner in ("op", "conv") else RESNET.get(inner, inner)


def vae_name(key: str) -> str | None:
    """The diffusers name of a VAE key without its prefix."""
    module, kind = _split(key)
    if module in ("quant_conv", "post_quant_conv"):
        return key
    half, _, rest = module.partition(".")
    if half not in ("encoder", "decoder"):
        return None
    path = _vae_module(half, rest)
    return f"{half}.{path}.{kind}" if path else None


def _vae_module(half: str, rest: str) -> str | None:
    if rest in ("conv_in", "conv_out"):
        return rest
    if rest == "norm_out":
        return "conv_norm_out"
    if match := re.fullmatch(r"mid\.block_([12])\.(.+)", rest):
        return f"mid_block.resnets.{int(match[1]) - 1}.{_vae_resnet(match[2])}"
    if match := re.fullmatch(r"mid\.attn_1\.(.+)", rest):
        return f"mid_block.attentions.0.{VAE_ATTENTION[match[1]]}"
    if match := re.fullmatch(r"(down|up)\.(\d+)\.(block\.(\d+)|downsample|upsample)\.(.+)", rest):
        level = int(match[2]) if half == "encoder" else VAE_LEVELS - 1 - int(match[2])
        if match[4] is None:
            return f"{match[1]}_blocks.{level}.{match[3]}rs.0.conv"
        return f"{match[1]}_blocks.{level}.resnets.{match[4]}.{_vae_resnet(match[5])}"
    return None


def _vae_resnet(inner: str) -> str:
    return "conv_shortcut" if inner == "nin_shortcut" else inner


def diffusers_names_of(keys: Iterable[str]) -> dict[str, str]:
    """LDM key -> diffusers name, for the keys that have one; invert it to convert from diffusers names."""
    named = ((key, diffusers_name(key)) for key in keys)
    return {key: name for key, name in named if name is not None}


def to_diffusers(name: str, value: Tensor) -> Tensor:
    """The tensor in diffusers' shape: its VAE attention has linear layers, LDM's has 1x1 convolutions."""
    return value[:, :, 0, 0] if VAE_LINEAR.search(name) and value.ndim == 4 else value


def to_ldm(name: str, value: Tensor) -> Tensor:
    """The tensor of a diffusers name in LDM's shape; the inverse of `to_diffusers`."""
    return value[:, :, None, None] if VAE_LINEAR.search(name) and value.ndim == 2 else value


def diffusers_state_dict(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under `prefix` of an LDM state dict, with diffusers names and shapes."""
    table = diffusers_names_of(key for key in state if key.startswith(prefix))
    return {name: to_diffusers(name, state[key]) for key, name in table.items()}


def text_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The text encoder of an SD1 state dict, without `text_model.` in its names (as in transformers 5)."""
    return {
        without_text_model(name): value for name, value in diffusers_state_dict(CLIP_PREFIX, state).items()
    }


def without_text_model(name: str) -> str:
    """A text encoder's key as transformers 5 names it."""
    return name.removeprefix("text_model.")


def position_ids() -> Tensor:
    """The text encoder's position_ids 0..76, int64 [1, 77], as in every valid SD1 file."""
    return torch.arange(77, dtype=torch.int64)[None]
