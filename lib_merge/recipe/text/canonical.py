"""The text form of a recipe: what people paste, and what is stored inside files and pictures.

    merge-desk recipe 2
    A = "ink.safetensors", sha256 = "3f2a...", autov3 = "9c01..."
    B = "pastel.safetensors"
    M = weighted_sum(A, B, alpha = supermerger[0.5, 0, 0.25, ...])
    save M, dtype = fp16, vae = a

An amount is a number; a list under the layout that says what its numbers stand for; or slots by
name, `{BASE: 0, OUT05: 0.3, *: 0.5}`, where `*` stands for all the rest (0 when left out). A list
that leaves BASE open ends with it: `supermerger[0.1, 0.2, ..., base = 0.4]`. Rules by block and by
name are `rules["*: 0.5", "OUT: 0.7", "attn1: 0.2"]` (recipe/weights/rules.py tells their language).
`B2 = rebasin(B, to = A)` aligns one file to another before it is used (recipe/alignment.py).
`#` begins a comment. Printing is canonical: equal recipes print alike, and read back equal.
What the save line may say is listed in recipe/options.py.

Recipes of version 1 are read as they are: version 2 has more words and takes none away.
"""

from __future__ import annotations

import json
from dataclasses import replace

from lib_merge.json_data import dump
from lib_merge.methods import METHODS
from lib_merge.methods.former_names import with_former_names
from lib_merge.recipe.alignment import print_alignment
from lib_merge.recipe.model import (
    Ingredient,
    Recipe,
    Setting,
    Step,
)
from lib_merge.recipe.options import SAVE_LINE_OPTIONS
from lib_merge.recipe.weights.lists import Numbers, Slots, print_number, print_numbers
from lib_merge.recipe.weights.rules import Rules, print_line

FIRST_LINE = "merge-desk recipe 2"
READABLE = ("merge-desk recipe 1", FIRST_LINE)
HASH_NAMES = ("sha256", "autov3")
SAVE_LINE_NAMES = tuple(option.name for option in SAVE_LINE_OPTIONS)
RULES_KEYWORD = "rules"


def print_recipe(recipe: Recipe, *, former_names: bool = False) -> str:
    """The canonical text of a recipe; with `former_names`, parameters are called as version 0.1 did."""
    steps = map(_with_former_names, recipe.steps) if former_names else recipe.steps
    lines = [FIRST_LINE]
    lines += [_print_ingredient(ingredient) for ingredient in recipe.ingredients]
    lines += [_print_step(step) for step in steps]
    return "\n".join([*lines, _print_saving(recipe)]) + "\n"


def _print_ingredient(ingredient: Ingredient) -> str:
    if ingredient.alignment is not None:
        return f"{ingredient.name} = {print_alignment(ingredient.alignment)}"
    hashes = [(name, getattr(ingredient, name)) for name in HASH_NAMES]
    recorded = [f"{name} = {_quoted(value)}" for name, value in hashes if value]
    return ", ".join([f"{ingredient.name} = {_quoted(ingredient.file)}", *recorded])


def _print_saving(recipe: Recipe) -> str:
    return ", ".join(
        [f"save {recipe.result}", *filter(None, (option.print(recipe) for option in SAVE_LINE_OPTIONS))]
    )


def _quoted(text: str) -> str:
    return dump(text)


def _with_former_names(step: Step) -> Step:
    settings = with_former_names(METHODS.get(step.method), dict(step.settings))
    return replace(step, settings=tuple(sorted(settings.items())))


def _print_step(step: Step) -> str:
    settings = [f"{name} = {print_setting(setting)}" for name, setting in step.settings]
    return f"{step.name} = {step.method}({', '.join([*step.inputs, *settings])})"


def print_setting(setting: Setting) -> str:
    """A setting as a recipe has it."""
    if isinstance(setting, Numbers):
        return print_numbers(setting)
    if isinstance(setting, Rules):
        return f"{RULES_KEYWORD}[{', '.join(json.dumps(print_line(line)) for line in setting.lines)}]"
    if isinstance(setting, Slots):
        pairs = [f"{slot}: {print_setting(value)}" for slot, value in setting.values]
        return "{" + ", ".join([*pairs, f"*: {print_setting(setting.rest)}"]) + "}"
    if isinstance(setting, tuple):
        return "[" + ", ".join(map(print_setting, setting)) + "]"
    if isinstance(setting, bool):
        return "true" if setting else "false"
    if isinstance(setting, str):
        return dump(setting)
    return print_number(setting)


def is_recipe(text: str) -> bool:
    """Whether a text claims to be a recipe."""
    return text.lstrip().startswith("merge-desk recipe")
