"""Axes of Adjust: all of its eight numbers, one of them, or one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.grid import edit
from lib_merge.grid.axes.values import format_number, parse_axis_numbers, split_lines, split_list
from lib_merge.grid.cell import (
    AxisKind,
    AxisRank,
    AxisValue,
    GridBase,
    GridCell,
    OpenValue,
    read_values,
    with_recipe,
)
from lib_merge.methods import METHODS
from lib_merge.recipe import Recipe, with_adjust
from lib_merge.recipe.options import ADJUST_OPTION

# SuperMerger's names of the numbers (hako-mikan/sd-webui-supermerger 0b1c491, scripts/mergers/mergers.py)
SUPERMERGER_NAMES = ("IN", "OUT", "OUT2", "CONT", "BRI", "COL1", "COL2", "COL3")
ALL_SLIDERS = "ALL"


def _names() -> list[str]:
    return [parameter.name for parameter in METHODS.get(edit.ADJUST).parameters]


def _read_adjusts(text: str, base: GridBase) -> Sequence[AxisValue]:
    def read(entry: str) -> str:
        with_adjust(base.cell.recipe, entry, where=entry)
        return entry

    return read_values(split_lines(text), read)


ADJUST_AXIS = AxisKind(
    ADJUST_OPTION.axis,
    "Adjust, up to eight numbers a line: detail IN, OUT, OUT2, contrast, brightness, three colours",
    True,
    AxisRank.SAVE_OPTIONS,
    _read_adjusts,
    lambda cell, value, _: with_recipe(cell, with_adjust(cell.recipe, str(value))),
    (ADJUST_OPTION.name,),
    lines=True,
    in_webui=True,
)


def adjust_parameter_axis(name: str) -> AxisKind:
    """`adjust contrast`: one of the eight numbers."""
    names = _names()
    if name not in names:
        raise RecipeError(f"Adjust has no '{name}'", hint=did_you_mean(name, names))

    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        return [AxisValue(format_number(number), number) for number in parse_axis_numbers(text)]

    def apply(cell: GridCell, value: object, _: GridBase) -> GridCell:
        listed = ["0"] * names.index(name) + [repr(value)]
        return with_recipe(cell, with_adjust(cell.recipe, " ".join(listed)))

    return AxisKind(
        f"{ADJUST_OPTION.axis} {name}",
        "numbers for one of Adjust's eight",
        True,
        AxisRank.SAVE_OPTIONS,
        read,
        apply,
        (ADJUST_OPTION.name,),
    )


# --- one of the eight, chosen by the value ---


@dataclass(frozen=True)
class AdjustSlider(OpenValue):
    """One of Adjust's eight numbers, which takes its value from another axis."""

    name: str

    def with_number(self, number: float) -> tuple[str, float]:
        """The name of the number, and its value."""
        return self.name, number


def _read_adjust_sliders(text: str, base: GridBase) -> Sequence[AxisValue]:
    names = _names()
    name_by_entry = {**dict(zip(SUPERMERGER_NAMES, names, strict=True)), **{name: name for name in names}}

    def read(entry: str) -> AdjustSlider:
        if entry not in name_by_entry:
            raise RecipeError(
                f"Adjust has no '{entry}'",
                hint=did_you_mean(entry, name_by_entry) or ", ".join(SUPERMERGER_NAMES),
            )
        return AdjustSlider(name_by_entry[entry])

    listed: list[str] = []
    for entry in split_list(text):
        listed += SUPERMERGER_NAMES if entry == ALL_SLIDERS else [entry]
    return read_values(listed, read)


def _set_adjust_number(cell: GridCell, value: object, _: GridBase) -> GridCell:
    if isinstance(value, AdjustSlider):
        raise RecipeError(f"{value.name} has no number", hint="add an axis of alpha")
    name, number = cast("tuple[str, float]", value)
    return with_recipe(cell, _with_adjust_number(cell.recipe, name, number))


def _with_adjust_number(recipe: Recipe, name: str, number: float) -> Recipe:
    """The recipe with one of Adjust's numbers set; the other seven stay as they are."""
    last = recipe.steps[-1] if recipe.steps else None
    if last is None or last.method != edit.ADJUST or last.name != recipe.result:
        return with_adjust(recipe, " ".join(["0"] * _names().index(name) + [repr(number)]))
    settings = {**dict(last.settings), name: number}
    return replace(
        recipe, steps=(*recipe.steps[:-1], replace(last, settings=tuple(sorted(settings.items()))))
    )


PINPOINT = AxisKind(
    "pinpoint adjust",
    "which of Adjust's numbers: IN, OUT, OUT2, CONT, BRI, COL1, COL2, COL3, ALL; alpha from another axis",
    True,
    AxisRank.SAVE_OPTIONS,
    _read_adjust_sliders,
    _set_adjust_number,
    (ADJUST_OPTION.name,),
    number_from="alpha",
    in_webui=True,
)


def adjust_kinds() -> tuple[AxisKind, ...]:
    """The axes of Adjust with fixed names; `adjust_parameter_axis` makes the others."""
    return ADJUST_AXIS, PINPOINT
