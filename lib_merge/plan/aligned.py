"""Ingredients that are aligned to others: what stands in the way of that, and what the user should know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lib_merge.architectures import Identity
from lib_merge.errors import MergeError
from lib_merge.recipe import REBASIN, Ingredient, Recipe


def problems_of(recipe: Recipe, identities: Sequence[Identity]) -> Iterator[MergeError]:
    """Families that cannot be aligned, layers that the family does not have."""
    for ingredient, identity in zip(recipe.ingredients, identities, strict=False):
        if ingredient.aligned is not None:
            where = f"'{ingredient.name}', {REBASIN}"
            yield from ingredient.aligned.options.problems_with(identity.family, identity.variant, where)


def notes_of(recipe: Recipe) -> Iterator[str]:
    """What an alignment takes away."""
    for ingredient in recipe.ingredients:
        if (aligned := ingredient.aligned) is not None:
            yield (
                f"{ingredient.name} is {aligned.source} with its channels rearranged to fit {aligned.to}: "
                f"it draws what {aligned.source} draws, but LoRAs trained on that fit it no more"
            )


def in_words(ingredient: Ingredient) -> str:
    """What follows the file's name in a table: "" or ", aligned to A"."""
    if (aligned := ingredient.aligned) is None:
        return ""
    return f", aligned to {aligned.to}" + (f" as {aligned.by} is" if aligned.by else "")
