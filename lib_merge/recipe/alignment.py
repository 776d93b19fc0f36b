"""Ingredients that are aligned to another model before they are merged: their text form.

    B2 = rebasin(B, to = A)
    B2 = rebasin(B, to = A, by = C, groups = "heads, mlp", sweeps = 3)

An alignment is not a step: it needs whole files, and its result is an ingredient that any step may take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.rebasin import Options
from lib_merge.recipe.model import REBASIN, Alignment, Ingredient

DEFAULT_ALIGNMENT_OPTIONS = Options()
MODEL_ARGUMENTS = ("to", "by")
ARGUMENTS = (*MODEL_ARGUMENTS, *(field.name for field in fields(Options)))


def print_alignment(aligned: Alignment) -> str:
    """The text form: `rebasin(B, to = A)`."""
    arguments = [aligned.source, f"to = {aligned.to}"]
    if aligned.by:
        arguments.append(f"by = {aligned.by}")
    arguments += [f"{name} = {_print(value)}" for name, value in aligned.options.changed().items()]
    return f"{REBASIN}({', '.join(arguments)})"


def _print(value: tuple[str, ...] | int) -> str:
    return json.dumps(", ".join(value) if isinstance(value, tuple) else value)


def read_alignment(source: str, settings: Mapping[str, object]) -> Alignment:
    """The alignment of `rebasin(source, ...)`; RecipeError for arguments that it does not take."""
    for word in settings:
        if word not in ARGUMENTS:
            raise RecipeError(f"{REBASIN} takes no '{word}'", hint=did_you_mean(word, ARGUMENTS))
    if "to" not in settings:
        raise RecipeError(
            f"{REBASIN}({source}) has no model to align to", hint=f"{REBASIN}({source}, to = A)"
        )
    options = {name: _read(name, value) for name, value in settings.items() if name not in MODEL_ARGUMENTS}
    return Alignment(source, str(settings["to"]), str(settings.get("by", "")), Options(**options))


def _read(name: str, value: object) -> Any:
    kind, shown = type(getattr(DEFAULT_ALIGNMENT_OPTIONS, name)).__name__, repr(value)
    if kind == "tuple" and isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "int" and isinstance(value, float) and value.is_integer():  # all numbers are read as float
        return int(value)
    if kind == "tuple":
        raise RecipeError(f"{REBASIN}: {name} cannot be {shown}", hint='names in quotes: "IN04, M00"')
    hint = "true or false" if kind == "bool" else "an integer"
    raise RecipeError(f"{REBASIN}: {name} cannot be {shown}", hint=hint)


def align_to_first(
    ingredients: Sequence[Ingredient], *, base: bool
) -> tuple[tuple[Ingredient, ...], list[str]]:
    """Aligns all models of a merge to the first one.

    Returns the ingredients with an aligned one for every model but the first, and the inputs for a step.

    base  whether the last model is the one that the others were trained from: then its permutations are
          applied to the others too, so that their differences to it are preserved
    """
    first, *others = ingredients
    by = others[-1].name if base and len(others) > 1 else ""
    names = {ingredient.name for ingredient in ingredients}
    aligned_ingredients: list[Ingredient] = []
    for ingredient in others:
        name = next(name for number in range(2, 99) if (name := f"{ingredient.name}{number}") not in names)
        aligned = Alignment(ingredient.name, first.name, by if by != ingredient.name else "")
        aligned_ingredients.append(replace(ingredient, name=name, alignment=aligned))
    return (*ingredients, *aligned_ingredients), [
        first.name,
        *(ingredient.name for ingredient in aligned_ingredients),
    ]
