"""Axes that change the merge: amounts, blocks, models, method, VAE, number format, whole recipes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from lib_merge.dtypes import SOURCE, parse_save_dtype
from lib_merge.grid import edit
from lib_merge.grid.adjust_axes import ADJUST, PINPOINT, adjust_one
from lib_merge.grid.amount_axes import (
    FACTOR_AXIS,
    RANDOM,
    known_parameters,
    parameter_axis,
    preset,
    together,
    weights,
    weights_together,
)
from lib_merge.grid.block_axes import block, blocks, elements, extended_blocks, kept_out
from lib_merge.grid.blocks import known_blocks
from lib_merge.grid.cell import FORM, MODELS, WHOLE, Base, Cell, Kind, Value, changed, read_each
from lib_merge.grid.values import split_lines, split_list
from lib_merge.methods import METHODS
from lib_merge.recipe import VAE_WORDS, Recipe, Setting, is_recipe, parse_recipe, print_setting
from lib_merge.recipe.imports.webui import CALCMODES
from lib_merge.recipe.names import labels
from lib_merge.recipe.text import FIRST_LINE
from lib_merge.registry import Seed

LETTERS = edit.LETTERS
SPECIAL = {*CALCMODES.values(), edit.ADJUST}  # methods that are none of SuperMerger's plain modes
MOST_LABEL = 32  # characters of one setting


# --- whole recipes ---


def one_line(text: str) -> str:
    """A recipe on one line, `A = "ink"; B = "pastel"; M = weighted_sum(A, B)`, as the text it stands for."""
    # every other part of what stands between quotes is outside of them
    parts = text.replace("\\n", "\n").split('"')
    parts[::2] = [part.replace(";", "\n") for part in parts[::2]]
    lines = "\n".join(line.strip() for line in '"'.join(parts).split("\n"))
    return lines if is_recipe(lines) else f"{FIRST_LINE}\n{lines}"


def _recipes(text: str, base: Base) -> Sequence[Value]:
    def read(entry: str) -> Recipe:
        recipe = parse_recipe(one_line(entry)) if "=" in entry else base.shelf.recipe(entry)
        for ingredient in recipe.ingredients:
            base.shelf.checkpoint(ingredient.file)
        return recipe

    found = read_each(split_lines(text), read)
    return [Value(recipe_label(cast("Recipe", each.to)), each.to) for each in found]


def recipe_label(recipe: Recipe) -> str:
    """What a recipe does, from the recipe itself and not from where it was read: never a stale label."""
    files = list(dict.fromkeys(each.file for each in recipe.ingredients))
    shown = dict(zip(files, labels(files), strict=True))
    stems = {each.name: shown[each.file] for each in recipe.ingredients}
    steps = [step for step in recipe.steps if step.method != edit.ADJUST]
    also = ", adjusted" if len(steps) < len(recipe.steps) else ""
    if not steps:
        return " + ".join(stems.values()) + also
    if len(steps) > 1:
        return f"{' + '.join(stems.values())} in {len(steps)} steps{also}"
    (step,) = steps
    told = [f"{name} {_amount_label(setting)}" for name, setting in step.settings]
    models = " + ".join(stems.get(name, name) for name in step.inputs)
    return ", ".join([models, *([] if step.method == "weighted_sum" else [step.method]), *told]) + also


def _amount_label(setting: Setting) -> str:
    text = print_setting(setting)
    return text if len(text) <= MOST_LABEL else f"by block ({hash_of(text)})"


def hash_of(text: str) -> str:
    """Six digits by which two long lists are told apart."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:6]


def _checkpoints(text: str, base: Base) -> Sequence[Value]:
    entries = split_list(text)
    files = list(dict.fromkeys(entries))
    shown = dict(zip(files, labels(files), strict=True))
    return read_each(entries, base.shelf.checkpoint, lambda entry: shown[entry])


RECIPE = Kind(
    "recipe",
    'one a line: the file of a recipe, or the recipe itself, A = "ink"; B = "pastel"; M = weighted_sum(A, B)',
    True,
    WHOLE,
    _recipes,
    lambda cell, value, _: changed(cell, cast("Recipe", value)),
    ("the merge",),
    lines=True,
)


def _remembered(text: str, base: Base) -> Sequence[Value]:
    def read(entry: str) -> Recipe:
        recipe = base.shelf.remembered(entry)
        for ingredient in recipe.ingredients:
            base.shelf.checkpoint(ingredient.file)
        return recipe

    return read_each(split_list(text), read)


MERGE_ID = Kind(
    "merge ID",
    "merges of the history: their numbers, their ids (merge-3f2a9c01) or the names that you gave them",
    True,
    WHOLE,
    _remembered,
    lambda cell, value, _: changed(cell, cast("Recipe", value)),
    ("the merge",),
)
CHECKPOINT = Kind(
    "checkpoint",
    "checkpoints as they are",
    True,
    WHOLE,
    _checkpoints,
    lambda cell, value, _: changed(cell, edit.alone(str(value))),
    ("the merge",),
)


# --- models and method ---


def model(letter: str) -> Kind:
    """`model B`: other checkpoints in B's place."""

    def apply(cell: Cell, value: object, _: Base) -> Cell:
        return changed(cell, edit.with_model(cell.recipe, letter, str(value)))

    text = f"other checkpoints in {letter}'s place"
    return Kind(f"model {letter}", text, True, MODELS, _checkpoints, apply, (f"model {letter}",))


def _methods(text: str, base: Base) -> Sequence[Value]:
    def read(entry: str) -> str:
        if entry == "normal":  # SuperMerger's word for its plain modes
            plain = (s.method for s in base.cell.recipe.steps if s.method not in SPECIAL)
            return next(plain, "weighted_sum")
        return METHODS.get(CALCMODES.get(entry, entry)).id

    return read_each(split_list(text), read)


METHOD = Kind(
    "method",
    "merge methods by name; SuperMerger's calcmodes under theirs",
    True,
    MODELS,
    _methods,
    lambda cell, value, _: changed(cell, edit.with_method(cell.recipe, str(value))),
    ("the method",),
)


# --- how the result is ---


def _vaes(text: str, base: Base) -> Sequence[Value]:
    def read(entry: str) -> str:
        return entry if entry in VAE_WORDS else base.shelf.vae(entry)

    return read_each(split_list(text), read)


VAE_AXIS = Kind(
    "VAE",
    "a, b, blend, or VAE files",
    True,
    FORM,
    _vaes,
    lambda cell, value, _: changed(cell, replace(cell.recipe, vae=str(value), vae_sha256="")),
    ("the VAE",),
)


def _formats(text: str, base: Base) -> Sequence[Value]:
    return read_each(split_list(text), lambda entry: parse_save_dtype(entry or SOURCE))


DTYPE = Kind(
    "dtype",
    "number formats of the result: fp16, bf16, fp32, source",
    True,
    FORM,
    _formats,
    lambda cell, value, _: changed(cell, replace(cell.recipe, dtype=value)),  # type: ignore[arg-type]
    ("the number format",),
)


def merge_kinds() -> tuple[Kind, ...]:
    """Every axis that changes the merge and has a name of its own; a method's parameters come beside."""
    return (
        *(
            parameter_axis(parameter)
            for parameter in known_parameters().values()
            if not isinstance(parameter.knob, Seed)  # `seed` is the picture's; a method's is M.seed
        ),
        together(),
        weights("alpha"),
        weights("beta"),
        weights_together(),
        preset("alpha"),
        preset("beta"),
        FACTOR_AXIS,
        RANDOM,
        blocks(),
        blocks("beta"),
        extended_blocks(),
        elements(),
        kept_out("include"),
        kept_out("exclude"),
        *(model(letter) for letter in LETTERS),
        METHOD,
        ADJUST,
        PINPOINT,
        VAE_AXIS,
        DTYPE,
        CHECKPOINT,
        RECIPE,
        MERGE_ID,
    )


def named_kind(name: str, base: Base) -> Kind | None:
    """An axis whose name says more: `M.alpha`, `OUT05`, `IN03-IN05`, `model D`."""
    step, dot, parameter = name.partition(".")
    if dot and parameter in known_parameters():
        return parameter_axis(known_parameters()[parameter], step)
    ingredients = [each.name for each in base.cell.recipe.ingredients]
    if name.startswith("model ") and name.removeprefix("model ") in ingredients:
        return model(name.removeprefix("model "))
    if name.startswith("adjust "):
        return adjust_one(name.removeprefix("adjust "))
    first = re.split(r"[\s-]", name)[0]
    return block(name) if first in known_blocks(base.family) else None
