"""SuperMerger's Adjust, eight numbers, as the last step of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lib_merge.architectures import parse_numbers
from lib_merge.errors import RecipeError
from lib_merge.methods import METHODS
from lib_merge.recipe.model import Recipe, Step
from lib_merge.recipe.options import ADJUST_OPTION


def with_adjust(recipe: Recipe, text: str, *, where: str = "") -> Recipe:
    """The recipe with a last step `adjust`; eight zeros, or an empty text, change nothing.

    text  up to eight numbers: see adjust_settings
    """
    settings = adjust_settings(text, where=where)
    if not settings:
        return recipe
    names = {part.name for part in (*recipe.ingredients, *recipe.steps)}
    name = next(name for name in ("ADJUSTED", *(f"ADJUSTED{n}" for n in range(2, 99))) if name not in names)
    step = Step(name, ADJUST_OPTION.name, (recipe.result,), tuple(sorted(settings.items())))
    return replace(recipe, steps=(*recipe.steps, step), result=name)


def adjust_settings(text: str, *, where: str = "") -> Mapping[str, float]:
    """Parameter of Adjust -> its number, without zeros; RecipeError for more than eight, and for text.

    text  up to eight numbers: detail IN, OUT and OUT2, contrast, brightness, cyan-red, magenta-green,
          yellow-blue; numbers at the end may be left out and are 0
    """
    if not text.strip():
        return {}
    numbers = parse_numbers(text, where=where)
    names = [parameter.name for parameter in METHODS.get(ADJUST_OPTION.name).parameters]
    if len(numbers) > len(names):
        hint = f"in order: {', '.join(names)}"
        raise RecipeError(f"Adjust takes {len(names)} numbers, not {len(numbers)}", where=where, hint=hint)
    return {name: number for name, number in zip(names, numbers, strict=False) if number}
