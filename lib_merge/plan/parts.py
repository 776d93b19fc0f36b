"""What a recipe says of whole parts of the result: which are left out, whose they are, in which format."""

from __future__ import annotations

from dataclasses import replace

from lib_merge.architectures import Component, Family, component_of, ema_key
from lib_merge.checkpoint import Header, TensorInfo
from lib_merge.dtypes import EIGHT_BITS, F16, Dtype
from lib_merge.recipe import NONE, Recipe

UNET = "model.diffusion_model."
EMBEDDINGS = ("TIME", "LABEL")  # slots that turn the time and the size into numbers: eight bits spoil those


def left_out(recipe: Recipe) -> frozenset[Component]:
    """The parts that the result is to be without."""
    chosen = {Component.VAE: recipe.vae, Component.TEXT: recipe.text_encoder}
    return frozenset(part for part, choice in chosen.items() if choice == NONE)


def saved_format(recipe: Recipe, family: Family, key: str, slot: str, info: TensorInfo) -> Dtype:
    """The number format of one tensor of the result.

    With eight bits asked for they are for the U-Net's matrices and convolutions, as hosts that compute
    with them do it; its biases, norms and embeddings, the text encoder and the VAE are fp16.
    """
    if not info.dtype.floating or recipe.dtype is None:
        return info.dtype
    if recipe.dtype not in EIGHT_BITS:
        return recipe.dtype
    small = len(info.shape) > 1 and slot not in EMBEDDINGS
    return recipe.dtype if small and component_of(family, key) is Component.UNET else F16


def reads_averages(header: Header) -> bool:
    """Whether a header reads weights of the U-Net from averages; other aliases are of other parts."""
    return any(key.startswith(UNET) for key in header.aliases)


def without_average(header: Header) -> list[str]:
    """The U-Net's weights of which a file with averages has none, which are read as they are."""
    unet = (key for key, info in header.tensors.items() if key.startswith(UNET) and info.dtype.floating)
    return sorted(key for key in unet if key not in header.aliases)


def with_averages(header: Header) -> Header:
    """A file's header with the U-Net's weights read from their training averages, where it has them."""
    averages: dict[str, str] = {}
    for key in header.tensors:
        if key.startswith(UNET) and (ema := ema_key(key)) in header.tensors:
            averages[key] = ema
    if not averages:
        return header
    tensors = {key: header.tensors[averages.get(key, key)] for key in header.tensors}
    return replace(header, tensors=tensors, aliases=averages)
