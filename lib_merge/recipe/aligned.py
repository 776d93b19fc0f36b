"""All models of a merge aligned to its first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lib_merge.recipe.alignment import Alignment
from lib_merge.recipe.model import Ingredient


def aligned_to_first(
    ingredients: Sequence[Ingredient], *, base: bool
) -> tuple[tuple[Ingredient, ...], list[str]]:
    """The ingredients with an aligned one for each but the first, and the names that a step takes then.

    base  the last one is what the others were trained from: it alone is aligned and the others are moved as
          it is, so that their differences stay what was learnt
    """
    first, *others = ingredients
    by = others[-1].name if base and len(others) > 1 else ""
    taken = {each.name for each in ingredients}
    made: list[Ingredient] = []
    for each in others:
        name = next(name for number in range(2, 99) if (name := f"{each.name}{number}") not in taken)
        aligned = Alignment(each.name, first.name, by if by != each.name else "")
        made.append(replace(each, name=name, aligned=aligned))
    return (*ingredients, *made), [first.name, *(each.name for each in made)]
