"""Options of a recipe that concern whole files: removed components, dtypes, EMA weights, alignments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lib_merge.architectures import Component, Family, Identity, component_of, ema_key, is_unet
from lib_merge.checkpoint import Header, TensorInfo
from lib_merge.dtypes import EIGHT_BITS, F16, Dtype
from lib_merge.errors import MergeError
from lib_merge.recipe import NONE, REBASIN, Ingredient, Recipe


def removed_components(recipe: Recipe) -> frozenset[Component]:
    """The components that the result does not have."""
    chosen = {Component.VAE: recipe.vae, Component.TEXT: recipe.text_encoder}
    return frozenset(part for part, choice in chosen.items() if choice == NONE)


def output_dtype(recipe: Recipe, family: Family, key: str, slot: str, info: TensorInfo) -> Dtype:
    """The dtype of one tensor of the result.

    An 8-bit dtype is for the weights of the U-Net's linear layers and convolutions, as in hosts that compute
    with it; biases, norms, embeddings, the text encoder and the VAE are fp16.
    """
    if not info.dtype.floating or recipe.dtype is None:
        return info.dtype
    if recipe.dtype not in EIGHT_BITS:
        return recipe.dtype
    is_matrix = len(info.shape) > 1 and slot not in family.embedding_slots
    return recipe.dtype if is_matrix and component_of(family, key) is Component.UNET else F16


def reads_ema_weights(header: Header) -> bool:
    """Whether a header reads weights of the U-Net from EMA weights (aliases may also be of the VAE)."""
    return any(is_unet(key) for key in header.aliases)


def keys_without_ema(header: Header) -> list[str]:
    """The keys of the U-Net for which a file with EMA weights has none."""
    unet = (key for key, info in header.tensors.items() if is_unet(key) and info.dtype.floating)
    return sorted(key for key in unet if key not in header.aliases)


def with_ema_weights(header: Header) -> Header:
    """A header that reads the U-Net's weights from the EMA weights, where the file has them."""
    ema_keys: dict[str, str] = {}
    for key in header.tensors:
        if is_unet(key) and (ema := ema_key(key)) in header.tensors:
            ema_keys[key] = ema
    if not ema_keys:
        return header
    tensors = {key: header.tensors[ema_keys.get(key, key)] for key in header.tensors}
    return replace(header, tensors=tensors, aliases=ema_keys)


def alignment_problems(recipe: Recipe, identities: Sequence[Identity]) -> Iterator[MergeError]:
    """Alignments of a family that cannot be aligned, or of layers that the family does not have."""
    for ingredient, identity in zip(recipe.ingredients, identities, strict=False):
        if ingredient.alignment is not None:
            where = f"'{ingredient.name}', {REBASIN}"
            yield from ingredient.alignment.options.problems_with(identity.family, identity.variant, where)


def alignment_notes(recipe: Recipe) -> Iterator[str]:
    """A note for every aligned ingredient, on LoRAs."""
    for ingredient in recipe.ingredients:
        if (aligned := ingredient.alignment) is not None:
            yield (
                f"{ingredient.name} is {aligned.source} with its channels permuted to match {aligned.to}: "
                f"it draws what {aligned.source} draws, but LoRAs trained on that no longer fit"
            )


def render_alignment(ingredient: Ingredient) -> str:
    """The text after a file's name in a table: "", or ", aligned to A"."""
    if (aligned := ingredient.alignment) is None:
        return ""
    return f", aligned to {aligned.to}" + (f" as {aligned.by} is" if aligned.by else "")
