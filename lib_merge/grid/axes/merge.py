"""Axes of models, of the method, the VAE and the dtype, and of whole recipes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import cast

from lib_merge.grid import edit
from lib_merge.grid.axes.adjust import adjust_parameter_axis
from lib_merge.grid.axes.amounts import all_parameters, parameter_axis
from lib_merge.grid.axes.blocks import block_axis
from lib_merge.grid.axes.values import split_lines, split_list
from lib_merge.grid.blocks import blocks_of_family
from lib_merge.grid.cell import AxisKind, AxisRank, AxisValue, GridBase, GridCell, read_values, with_recipe
from lib_merge.methods import METHODS
from lib_merge.methods.former_names import FORMER_PARAMETERS
from lib_merge.recipe import Recipe, Setting, is_recipe, parse_recipe, print_setting
from lib_merge.recipe.imports.webui import CALCMODES
from lib_merge.recipe.names import short_labels
from lib_merge.recipe.options import ADJUST_OPTION, DTYPE_OPTION, VAE_OPTION, SaveOption
from lib_merge.recipe.text.canonical import FIRST_LINE

SPECIAL = {*CALCMODES.values(), edit.ADJUST}  # methods other than SuperMerger's plain modes
MOST_LABEL = 32  # characters of one setting


# --- whole recipes ---


def one_line(text: str) -> str:
    """The text of a recipe that is written on one line: `A = "ink"; B = "pastel"; M = weighted_sum(A, B)`."""
    # the parts with even indices are outside of quotes
    parts = text.replace("\\n", "\n").split('"')
    parts[::2] = [part.replace(";", "\n") for part in parts[::2]]
    lines = "\n".join(line.strip() for line in '"'.join(parts).split("\n"))
    return lines if is_recipe(lines) else f"{FIRST_LINE}\n{lines}"


def _read_recipes(text: str, base: GridBase) -> Sequence[AxisValue]:
    def read(entry: str) -> Recipe:
        recipe = parse_recipe(one_line(entry)) if "=" in entry else base.catalog.recipe(entry)
        for ingredient in recipe.ingredients:
            base.catalog.checkpoint(ingredient.file)
        return recipe

    values = read_values(split_lines(text), read)
    return [
        AxisValue(recipe_label(cast("Recipe", axis_value.value)), axis_value.value) for axis_value in values
    ]


def recipe_label(recipe: Recipe) -> str:
    """A label that describes the content of a recipe; its file name may be outdated."""
    files = list(dict.fromkeys(ingredient.file for ingredient in recipe.ingredients))
    shown = dict(zip(files, short_labels(files), strict=True))
    stems = {ingredient.name: shown[ingredient.file] for ingredient in recipe.ingredients}
    steps = [step for step in recipe.steps if step.method != edit.ADJUST]
    also = ", adjusted" if len(steps) < len(recipe.steps) else ""
    if not steps:
        return " + ".join(stems.values()) + also
    if len(steps) > 1:
        return f"{' + '.join(stems.values())} in {len(steps)} steps{also}"
    (step,) = steps
    settings = [f"{name} {_amount_label(setting)}" for name, setting in step.settings]
    models = " + ".join(stems.get(name, name) for name in step.inputs)
    return ", ".join([models, *([] if step.method == "weighted_sum" else [step.method]), *settings]) + also


def _amount_label(setting: Setting) -> str:
    text = print_setting(setting)
    return text if len(text) <= MOST_LABEL else f"by block ({hash_of(text)})"


def hash_of(text: str) -> str:
    """A hash of six digits, which distinguishes long lists in labels."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:6]


def _read_checkpoints(text: str, base: GridBase) -> Sequence[AxisValue]:
    entries = split_list(text)
    files = list(dict.fromkeys(entries))
    shown = dict(zip(files, short_labels(files), strict=True))
    return read_values(entries, base.catalog.checkpoint, lambda entry: shown[entry])


RECIPE = AxisKind(
    "recipe",
    'one a line: the file of a recipe, or the recipe itself, A = "ink"; B = "pastel"; M = weighted_sum(A, B)',
    True,
    AxisRank.RECIPE,
    _read_recipes,
    lambda cell, value, _: with_recipe(cell, cast("Recipe", value)),
    ("the merge",),
    lines=True,
    in_webui=True,
)


def _read_history(text: str, base: GridBase) -> Sequence[AxisValue]:
    def read(entry: str) -> Recipe:
        recipe = base.catalog.from_history(entry)
        for ingredient in recipe.ingredients:
            base.catalog.checkpoint(ingredient.file)
        return recipe

    return read_values(split_list(text), read)


MERGE_ID = AxisKind(
    "merge ID",
    "merges of the history: their numbers, their ids (merge-3f2a9c01) or the names that you gave them",
    True,
    AxisRank.RECIPE,
    _read_history,
    lambda cell, value, _: with_recipe(cell, cast("Recipe", value)),
    ("the merge",),
    in_webui=True,
)
CHECKPOINT = AxisKind(
    "checkpoint",
    "checkpoints as they are",
    True,
    AxisRank.RECIPE,
    _read_checkpoints,
    lambda cell, value, _: with_recipe(cell, edit.checkpoint_recipe(str(value))),
    ("the merge",),
    in_webui=True,
)


# --- models and method ---


def model_axis(letter: str) -> AxisKind:
    """`model B`: another checkpoint in place of B for each value."""

    def apply(cell: GridCell, value: object, _: GridBase) -> GridCell:
        return with_recipe(cell, edit.with_model(cell.recipe, letter, str(value)))

    text = f"other checkpoints in {letter}'s place"
    name = f"model {letter}"
    aliases, offered = (f"model_{letter.lower()}",), letter in edit.MODEL_LETTERS
    return AxisKind(
        name,
        text,
        True,
        AxisRank.MODELS,
        _read_checkpoints,
        apply,
        (name,),
        aliases=aliases,
        in_webui=offered,
    )


def _read_methods(text: str, base: GridBase) -> Sequence[AxisValue]:
    def read(entry: str) -> str:
        if entry == "normal":  # SuperMerger's word for its plain modes
            plain = (s.method for s in base.cell.recipe.steps if s.method not in SPECIAL)
            return next(plain, "weighted_sum")
        return METHODS.get(CALCMODES.get(entry, entry)).id

    return read_values(split_list(text), read)


METHOD = AxisKind(
    "method",
    "merge methods by name; SuperMerger's calcmodes under theirs",
    True,
    AxisRank.MODELS,
    _read_methods,
    lambda cell, value, _: with_recipe(cell, edit.with_method(cell.recipe, str(value))),
    ("the method",),
    aliases=("calcmode",),
    in_webui=True,
)


# --- save options ---


def save_option_axis(option: SaveOption, help: str) -> AxisKind:
    """The axis of a save option: its choices, or VAE files where it takes files."""

    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        def value(entry: str) -> object:
            is_choice = not option.takes_file or entry in option.values
            return option.parse(entry or option.default) if is_choice else base.catalog.vae(entry)

        return read_values(split_list(text), value)

    def apply(cell: GridCell, value: object, _: GridBase) -> GridCell:
        return with_recipe(cell, option.set(cell.recipe, value))

    return AxisKind(
        option.axis, help, True, AxisRank.SAVE_OPTIONS, read, apply, (option.title,), in_webui=True
    )


def merge_kinds() -> tuple[AxisKind, ...]:
    """The axes of models, of the method, of save options and of whole recipes with fixed names."""
    return (
        *(model_axis(letter) for letter in edit.MODEL_LETTERS),
        METHOD,
        save_option_axis(VAE_OPTION, "a, b, blend, or VAE files"),
        save_option_axis(DTYPE_OPTION, "dtypes of the result: fp16, bf16, fp32, source"),
        CHECKPOINT,
        RECIPE,
        MERGE_ID,
    )


def named_kind(name: str, base: GridBase) -> AxisKind | None:
    """The axis whose name contains what it changes: `M.alpha`, `OUT05`, `model D`; None for another name."""
    step, dot, parameter = name.partition(".")
    if parameter in FORMER_PARAMETERS:
        parameter = FORMER_PARAMETERS[parameter].name
    if dot and parameter in all_parameters():
        return parameter_axis(all_parameters()[parameter], step)
    ingredients = [ingredient.name for ingredient in base.cell.recipe.ingredients]
    if name.startswith("model ") and name.removeprefix("model ") in ingredients:
        return model_axis(name.removeprefix("model "))
    if name.startswith(f"{ADJUST_OPTION.axis} "):
        return adjust_parameter_axis(name.removeprefix(f"{ADJUST_OPTION.axis} "))
    first = re.split(r"[\s-]", name)[0]
    return block_axis(name) if first in blocks_of_family(base.family) else None
