"""The cell of a grid, the kinds of axes, and the catalog in which axes look up names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Protocol

from lib_merge.architectures import Family, identify
from lib_merge.checkpoint import Header
from lib_merge.errors import MergeError, PlanError
from lib_merge.grid import edit
from lib_merge.grid.axes.values import split_lines
from lib_merge.picture import DrawSettings
from lib_merge.plan import base_index
from lib_merge.recipe import Recipe, Setting

MOST_PROBLEMS = 20  # reported for one axis


class AxisRank(IntEnum):
    """The order in which the axes of a grid are applied to a cell: lower ranks first."""

    RECIPE = 0
    MODELS = 1
    AMOUNTS = 2
    FACTOR = 3
    BLOCKS = 4
    RESTRICTIONS = 5
    SAVE_OPTIONS = 6
    WHOLE_PROMPTS = 7
    PROMPT_WORDS = 8
    IMAGE_SETTINGS = 9


@dataclass(frozen=True)
class GridCell:
    """A merge, and the settings of the picture drawn with it."""

    recipe: Recipe
    drawing: DrawSettings


class ModelCatalog(Protocol):
    """Looks up the names in the values of axes; every method raises MergeError for an unknown name."""

    def checkpoint(self, name: str) -> str:
        """The file name of a checkpoint, as recipes store it."""
        ...

    def vae(self, name: str) -> str:
        """The file name of a VAE, as recipes store it."""
        ...

    def header(self, file: str) -> Header:
        """The header of a file that a recipe names."""
        ...

    def preset(self, name: str, family: Family) -> Mapping[str, float]:
        """Slot -> amount of a preset."""
        ...

    def recipe(self, text: str) -> Recipe:
        """The recipe that a value names: a file with a recipe, or a merge of the history."""
        ...

    def from_history(self, text: str) -> Recipe:
        """The recipe of a merge of the history, by its number, id or name."""
        ...

    def samplers(self) -> Sequence[str]:
        """The names of the host's samplers; empty where it offers no choice."""
        ...

    def schedulers(self) -> Sequence[str]:
        """The names of the host's schedulers; empty where it offers no choice."""
        ...

    def loras(self) -> Sequence[str] | None:
        """The names of LoRAs that a prompt may use; None where only the host knows them."""
        ...

    def random_seed(self) -> int:
        """A random seed, for the value -1 of an axis of seeds."""
        ...


@dataclass(frozen=True)
class GridBase:
    """The cell that the axes of a grid change, and the catalog for the names in their values."""

    cell: GridCell
    catalog: ModelCatalog

    @cached_property
    def family(self) -> Family:
        """The family of the checkpoint A."""
        recipe = self.cell.recipe
        header = self.catalog.header(recipe.ingredients[base_index(recipe)].file)
        return identify(header.tensors, metadata=header.metadata, where=header.name).family


@dataclass(frozen=True)
class AxisValue:
    """One value of an axis: its label, and the value that is set in a cell."""

    label: str
    value: object


@dataclass(frozen=True)
class AxisKind:
    """A kind of axis: what it changes, and how its values are read.

    id           its name: "alpha", "model B", "seed"
    help         a description of its values
    merges       whether each value is another merge
    rank         axes of a lower rank are applied first, whichever of X, Y and Z they are
    read         the values of the text of an axis
    apply        a cell with a value set
    sets         names of what it sets; no two axes of a grid may set the same
    lines        whether its values are written one a line, not as a list; `split` separates them then
    aliases      other names, in lowercase
    number_from  the axis whose numbers its values take where they have none of their own
    in_webui     whether the WebUI's own X/Y/Z script offers it, which only axes of merges can be
    """

    id: str
    help: str
    merges: bool
    rank: AxisRank
    read: Callable[[str, GridBase], Sequence[AxisValue]]
    apply: Callable[[GridCell, object, GridBase], GridCell]
    sets: tuple[str, ...] = ()
    lines: bool = False
    split: Callable[[str], Sequence[str]] = split_lines
    aliases: tuple[str, ...] = ()
    number_from: str = ""
    in_webui: bool = False


class OpenValue:
    """A value without a number, which it takes from another axis."""

    def with_number(self, number: float) -> object:
        """The value with this number, as `AxisKind.apply` sets it."""
        raise NotImplementedError


def read_values(
    entries: Iterable[str], read: Callable[[str], object], label: Callable[[str], str] = str
) -> tuple[AxisValue, ...]:
    """The values of all entries; PlanError with the problems of all entries, up to MOST_PROBLEMS."""
    values: list[AxisValue] = []
    problems: list[MergeError] = []
    for entry in entries:
        if len(problems) >= MOST_PROBLEMS:
            break
        try:
            values.append(AxisValue(label(entry), read(entry)))
        except PlanError as error:
            problems += error.problems
        except MergeError as problem:
            problems.append(problem)
    if problems:
        raise PlanError(problems)
    return tuple(values)


def with_recipe(cell: GridCell, recipe: Recipe) -> GridCell:
    """The cell with another recipe."""
    return replace(cell, recipe=recipe)


def with_parameter(cell: GridCell, name: str, step: str, change: Callable[[Setting], Setting]) -> GridCell:
    """The cell with a parameter set to `change` of its current setting."""
    taker = edit.find_step(cell.recipe, name, step)
    setting = change(edit.current_setting(taker, name))
    return with_recipe(cell, edit.with_setting(cell.recipe, taker, name, setting))
