"""SuperMerger's Adjust as mixers paste it, eight numbers, laid over a recipe as its last step."""

from __future__ import annotations

from dataclasses import replace

from lib_merge.architectures import parse_numbers
from lib_merge.errors import RecipeError
from lib_merge.methods import METHODS
from lib_merge.recipe.model import Recipe, Step

ADJUST = "adjust"


def adjusted(recipe: Recipe, text: str, *, where: str = "") -> Recipe:
    """The recipe with one step more, `adjust`; eight zeros, or nothing at all, leave it as it is.

    text  up to eight numbers: detail IN, OUT and OUT2, contrast, brightness, cyan-red, magenta-green,
          yellow-blue; those that are left out are 0
    """
    if not text.strip():
        return recipe
    numbers = parse_numbers(text, where=where)
    names = [parameter.name for parameter in METHODS.get(ADJUST).parameters]
    if len(numbers) > len(names):
        hint = f"in order: {', '.join(names)}"
        raise RecipeError(f"Adjust takes {len(names)} numbers, not {len(numbers)}", where=where, hint=hint)
    settings = {name: number for name, number in zip(names, numbers, strict=False) if number}
    if not settings:
        return recipe
    taken = {part.name for part in (*recipe.ingredients, *recipe.steps)}
    name = next(name for name in ("ADJUSTED", *(f"ADJUSTED{n}" for n in range(2, 99))) if name not in taken)
    step = Step(name, ADJUST, (recipe.result,), tuple(sorted(settings.items())))
    return replace(recipe, steps=(*recipe.steps, step), result=name)
