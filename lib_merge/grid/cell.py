"""What one cell of a grid is made with, what axes are read against, and where names are looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from lib_merge.architectures import Family, identify
from lib_merge.checkpoint import Header
from lib_merge.errors import MergeError, PlanError
from lib_merge.grid import edit
from lib_merge.grid.values import split_lines
from lib_merge.picture import DrawSettings
from lib_merge.plan import base_of
from lib_merge.recipe import Recipe, Setting

MOST_PROBLEMS = 20  # of one axis that are told at once
# ranks: an axis of a lower one is applied first
WHOLE, MODELS, AMOUNTS, FACTOR, BLOCKS, LIMITS, FORM, TEXTS, WORDS, NUMBERS = range(10)


@dataclass(frozen=True)
class Cell:
    """A merge, and what is drawn with it."""

    recipe: Recipe
    drawing: DrawSettings


class Shelf(Protocol):
    """Where an axis looks up what its values name; every method raises MergeError for what is not there."""

    def checkpoint(self, name: str) -> str:
        """The file name, as recipes hold it, of the checkpoint that is called so."""
        ...

    def vae(self, name: str) -> str:
        """Likewise of a VAE file."""
        ...

    def header(self, file: str) -> Header:
        """The header of a file that a recipe names."""
        ...

    def preset(self, name: str, family: Family) -> Mapping[str, float]:
        """The amounts, slot by slot, of a preset."""
        ...

    def recipe(self, text: str) -> Recipe:
        """A recipe by what a value calls it: a file that holds one, a merge of the history."""
        ...

    def remembered(self, text: str) -> Recipe:
        """The recipe of a merge of the history, by its number, its id or its name."""
        ...

    def samplers(self) -> Sequence[str]:
        """The host's samplers; empty where there is no choice."""
        ...

    def schedulers(self) -> Sequence[str]:
        """Likewise."""
        ...

    def loras(self) -> Sequence[str] | None:
        """The LoRAs that a prompt may name; None where that is the host's own affair."""
        ...

    def dice(self) -> int:
        """A seed nobody chose."""
        ...


@dataclass(frozen=True)
class Base:
    """What a grid starts from."""

    cell: Cell
    shelf: Shelf

    @cached_property
    def family(self) -> Family:
        """The family of A."""
        recipe = self.cell.recipe
        header = self.shelf.header(recipe.ingredients[base_of(recipe)].file)
        return identify(header.tensors, metadata=header.metadata, where=header.name).family


@dataclass(frozen=True)
class Value:
    """One value of an axis: what its label says, and what it sets."""

    label: str
    to: object


@dataclass(frozen=True)
class Kind:
    """What an axis changes.

    id     its name, as axes are written: alpha, model B, seed
    merges whether another value is another merge
    rank   axes of a lower rank are applied first, whichever of X, Y and Z they are
    sets   what it sets; no two axes of a grid may set the same
    lines  whether its values are one a line rather than a list; `split` parts them then
    """

    id: str
    help: str
    merges: bool
    rank: int
    read: Callable[[str, Base], Sequence[Value]]
    apply: Callable[[Cell, object, Base], Cell]
    sets: tuple[str, ...] = ()
    lines: bool = False
    split: Callable[[str], Sequence[str]] = split_lines


class Waiting:
    """A value that another axis gives its number."""

    def at(self, number: float) -> object:
        """The value with that number."""
        raise NotImplementedError


def read_each(
    entries: Iterable[str], read: Callable[[str], object], label: Callable[[str], str] = str
) -> tuple[Value, ...]:
    """Every entry read; everything that is wrong with any of them at once, up to MOST_PROBLEMS."""
    values: list[Value] = []
    problems: list[MergeError] = []
    for entry in entries:
        if len(problems) >= MOST_PROBLEMS:
            break
        try:
            values.append(Value(label(entry), read(entry)))
        except PlanError as found:
            problems += found.problems
        except MergeError as problem:
            problems.append(problem)
    if problems:
        raise PlanError(problems)
    return tuple(values)


def changed(cell: Cell, recipe: Recipe) -> Cell:
    """The cell with another recipe."""
    return replace(cell, recipe=recipe)


def set_on(cell: Cell, name: str, step: str, change: Callable[[Setting], Setting]) -> Cell:
    """The cell with a parameter changed from what it is."""
    taker = edit.step_of(cell.recipe, name, step)
    setting = change(edit.setting_of(taker, name))
    return changed(cell, edit.with_setting(cell.recipe, taker, name, setting))
