"""Axes of Adjust: all of its eight numbers, one of them, or one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.grid import edit
from lib_merge.grid.cell import FORM, Base, Cell, Kind, Value, Waiting, changed, read_each
from lib_merge.grid.values import numbers, shown, split_lines, split_list
from lib_merge.methods import METHODS
from lib_merge.recipe import Recipe, adjusted

# SuperMerger's words for the eight (hako-mikan/sd-webui-supermerger 0b1c491, scripts/mergers/mergers.py)
WORDS = ("IN", "OUT", "OUT2", "CONT", "BRI", "COL1", "COL2", "COL3")
ALL = "ALL"


def _names() -> list[str]:
    return [parameter.name for parameter in METHODS.get(edit.ADJUST).parameters]


def _adjusts(text: str, base: Base) -> Sequence[Value]:
    def read(entry: str) -> str:
        adjusted(base.cell.recipe, entry, where=entry)
        return entry

    return read_each(split_lines(text), read)


ADJUST = Kind(
    "adjust",
    "Adjust, up to eight numbers a line: detail IN, OUT, OUT2, contrast, brightness, three colours",
    True,
    FORM,
    _adjusts,
    lambda cell, value, _: changed(cell, adjusted(cell.recipe, str(value))),
    ("adjust",),
    lines=True,
)


def adjust_one(name: str) -> Kind:
    """`adjust contrast`: one of the eight numbers."""
    names = _names()
    if name not in names:
        raise RecipeError(f"Adjust has no '{name}'", hint=did_you_mean(name, names))

    def read(text: str, base: Base) -> Sequence[Value]:
        return [Value(shown(number), number) for number in numbers(text)]

    def apply(cell: Cell, value: object, _: Base) -> Cell:
        listed = ["0"] * names.index(name) + [repr(value)]
        return changed(cell, adjusted(cell.recipe, " ".join(listed)))

    return Kind(f"adjust {name}", "numbers for one of Adjust's eight", True, FORM, read, apply, ("adjust",))


# --- one after the other ---


@dataclass(frozen=True)
class Knob(Waiting):
    """One of Adjust's numbers, which waits for what it is set to."""

    name: str

    def at(self, number: float) -> tuple[str, float]:
        """The number and what it is set to."""
        return self.name, number


def _knobs(text: str, base: Base) -> Sequence[Value]:
    names = _names()
    known = {**dict(zip(WORDS, names, strict=True)), **{name: name for name in names}}

    def read(entry: str) -> Knob:
        if entry not in known:
            raise RecipeError(f"Adjust has no '{entry}'", hint=did_you_mean(entry, known) or ", ".join(WORDS))
        return Knob(known[entry])

    listed: list[str] = []
    for entry in split_list(text):
        listed += WORDS if entry == ALL else [entry]
    return read_each(listed, read)


def _turn(cell: Cell, value: object, _: Base) -> Cell:
    if isinstance(value, Knob):
        raise RecipeError(f"{value.name} has no number", hint="an axis of alpha beside it")
    name, number = cast("tuple[str, float]", value)
    return changed(cell, _turned(cell.recipe, name, number))


def _turned(recipe: Recipe, name: str, number: float) -> Recipe:
    """The recipe with one of Adjust's numbers set, its other seven as they are."""
    last = recipe.steps[-1] if recipe.steps else None
    if last is None or last.method != edit.ADJUST or last.name != recipe.result:
        return adjusted(recipe, " ".join(["0"] * _names().index(name) + [repr(number)]))
    settings = {**dict(last.settings), name: number}
    return replace(
        recipe, steps=(*recipe.steps[:-1], replace(last, settings=tuple(sorted(settings.items()))))
    )


PINPOINT = Kind(
    "pinpoint adjust",
    "which of Adjust's numbers: IN, OUT, OUT2, CONT, BRI, COL1, COL2, COL3, ALL; alpha from another axis",
    True,
    FORM,
    _knobs,
    _turn,
    ("adjust",),
)
