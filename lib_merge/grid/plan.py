"""What a grid will do, before it does it: cells, merges, images, time and memory; all problems at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lib_merge.checkpoint import Header, human_size
from lib_merge.errors import MergeError, PlanError, RecipeError
from lib_merge.execute import default_threads
from lib_merge.grid.axes import Asked, Axis, Place, cell_at, labels_at, places, read_axes
from lib_merge.grid.cell import Base, Cell
from lib_merge.grid.order import Print, in_order, print_of
from lib_merge.grid.picture_axes import loras_of
from lib_merge.picture import DrawSettings
from lib_merge.plan import Plan, make_plan, replan
from lib_merge.recipe import Recipe, without_hashes

PIXEL = 3  # bytes of a picture
MEGAPIXEL = 1e6
MOST_PIXELS = 1 << 30  # of a sheet, all cells together: 3 GB in memory while it is put together
MOST_PROBLEMS = 20  # that are told; a wrong value is usually wrong in a whole row


@dataclass(frozen=True)
class Speeds:
    """What was measured last on this machine: bytes of weights a second, seconds a step and megapixel."""

    merge: float | None = None
    draw: float | None = None


@dataclass(frozen=True)
class Work:
    """One cell to be done.

    merge   which of the plan's merges it needs
    """

    place: Place
    cell: Cell
    labels: Mapping[str, str]
    merge: int


@dataclass(frozen=True)
class Change:
    """One merge of the grid, in its turn: how much of it the one before has not got already."""

    print: Print
    slots: tuple[str, ...]
    nbytes: int


@dataclass(frozen=True)
class GridPlan:
    """A grid, ready to be run.

    work     every cell, in the order in which they are drawn
    changes  every merge, in the order in which they are made
    live     whether the first merge is in memory already
    memory   bytes at most beyond the model in memory and the mapped files
    """

    base: Base
    axes: Mapping[str, Axis]
    work: tuple[Work, ...]
    changes: tuple[Change, ...]
    live: bool
    memory: int
    speeds: Speeds = Speeds()

    @property
    def cells(self) -> int:
        """How many cells, and so how many images."""
        return len(self.work)

    @property
    def merges(self) -> int:
        """How many times the model in memory is changed."""
        return len(self.changes) - self.live

    @property
    def seconds(self) -> float | None:
        """How long it should take by the speeds measured last, None where nothing was measured yet."""
        if self.speeds.draw is None or (self.speeds.merge is None and any(c.nbytes for c in self.changes)):
            return None
        merging = sum(change.nbytes for change in self.changes) / (self.speeds.merge or 1.0)
        return merging + self.speeds.draw * sum(effort(work.cell.drawing) for work in self.work)


def effort(drawing: DrawSettings) -> float:
    """What a picture costs, in steps times megapixels."""
    return drawing.steps * drawing.width * drawing.height / MEGAPIXEL


def plan_grid(
    base: Base, asked: Mapping[str, Asked], *, now: Recipe | None = None, speeds: Speeds | None = None
) -> GridPlan:
    """Read the axes, work out every cell, plan every merge from headers alone.

    asked  axes by x, y and z
    now    the recipe of what is in memory, a checkpoint alone included; None where that is not known
    Raises PlanError with everything that is wrong with any value, before anything is merged or drawn.
    """
    axes = read_axes(asked, base)
    cells, problems = _cells(axes, base)
    _check_sheet([cell.drawing for cell in cells.values()])
    planner = _Planner(base)
    prints: dict[Recipe, Print] = {}
    for cell in cells.values():
        if cell.recipe not in prints:
            try:
                prints[cell.recipe] = planner.print(cell.recipe)
            except PlanError as found:
                problems += found.problems
            except MergeError as problem:
                problems.append(problem)
    problems += _unknown_loras(base, cells.values())
    if problems:
        raise PlanError(_shown(problems))
    before = planner.print_or_none(now)
    distinct = list(dict.fromkeys(prints.values()))
    order = in_order(distinct, before)
    return _planned(base, axes, cells, prints, [distinct[place] for place in order], before, planner, speeds)


def _check_sheet(drawings: Sequence[DrawSettings]) -> None:
    pixels = sum(drawing.width * drawing.height for drawing in drawings)
    if pixels > MOST_PIXELS:
        what = f"the sheet of this grid would have {pixels / MEGAPIXEL:.0f} megapixels"
        hint = f"{MOST_PIXELS / MEGAPIXEL:.0f} at most: fewer values, or smaller pictures"
        raise RecipeError(what, hint=hint)


def _planned(
    base: Base,
    axes: Mapping[str, Axis],
    cells: Mapping[Place, Cell],
    prints: Mapping[Recipe, Print],
    order: Sequence[Print],
    before: Print | None,
    planner: _Planner,
    speeds: Speeds | None,
) -> GridPlan:
    turn = {each: number for number, each in enumerate(order)}
    work = [Work(at, cell, labels_at(at, axes), turn[prints[cell.recipe]]) for at, cell in cells.items()]
    work.sort(key=lambda each: each.merge)  # stable: rows stay rows within one merge
    steps = zip(order, (before, *order), strict=False)
    changes = tuple(Change(new, new.changed(old), new.cost(old)) for new, old in steps)
    pictures = max(each.cell.drawing.width * each.cell.drawing.height for each in work) * PIXEL
    memory = planner.memory + pictures * len(work)  # the sheet holds every picture
    # a picture drawn with A alone says so; that of a merge that happens to be A's names the merge
    live = planner.now is not None and any(
        without_hashes(cell.recipe) == planner.now for cell in cells.values()
    )
    live = live and bool(changes) and changes[0].nbytes == 0
    return GridPlan(base, axes, tuple(work), changes, live, memory, speeds or Speeds())


def _cells(axes: Mapping[str, Axis], base: Base) -> tuple[dict[Place, Cell], list[MergeError]]:
    cells: dict[Place, Cell] = {}
    problems: list[MergeError] = []
    for place in places(axes):
        try:
            cells[place] = cell_at(place, axes, base)
        except MergeError as problem:
            told = ", ".join(f"{axes[name].title} {label}" for name, label in labels_at(place, axes).items())
            problems.append(type(problem)(problem.what, where=problem.where or told, hint=problem.hint))
    return cells, problems


def _shown(problems: Sequence[MergeError]) -> list[MergeError]:
    """Each problem once, and no more than a person reads."""
    told = {str(problem): problem for problem in problems}
    kept = list(told.values())[:MOST_PROBLEMS]
    if len(told) > len(kept):
        kept.append(RecipeError(f"{len(told) - len(kept)} more problems of these kinds"))
    return kept


def _unknown_loras(base: Base, cells: Sequence[Cell] | Any) -> list[MergeError]:
    known = base.shelf.loras()
    if known is None:
        return []
    named = dict.fromkeys(name for cell in cells for name in loras_of(cell.drawing.prompt))
    hint = "" if known else "this program draws without LoRAs: leave them out, or use the WebUI"
    return [RecipeError(f"there is no LoRA '{name}'", hint=hint) for name in named if name not in known]


class _Planner:
    """Plans of recipes, each from the one before where only its steps differ."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._headers: dict[str, Header] = {}
        self._last: Plan | None = None
        self.memory = 0
        self.now: Recipe | None = None

    def print(self, recipe: Recipe) -> Print:
        """What the recipe comes down to; raises what is wrong with it."""
        for file in recipe.files:
            if file not in self._headers:
                self._headers[file] = self._base.shelf.header(file)
        plan = replan(self._last, recipe, self._headers) if self._last else None
        self._last = plan or make_plan(recipe, self._headers)
        self.memory = max(self.memory, self._last.memory(default_threads()))
        return print_of(self._last)

    def print_or_none(self, recipe: Recipe | None) -> Print | None:
        """Of what is in memory, where its files are still there."""
        if recipe is None:
            return None
        try:
            found = self.print(recipe)
        except MergeError:
            return None
        self.now = recipe
        return found


def plan_in_words(plan: GridPlan) -> str:
    """`25 cells: 5 merges, 25 images, about 1 min 20 s, 90 MB`."""
    merges = "1 merge" if plan.merges == 1 else f"{plan.merges} merges"
    time = "time not measured yet" if plan.seconds is None else f"about {span(plan.seconds)}"
    cells = "1 cell" if plan.cells == 1 else f"{plan.cells} cells"
    memory = f"at most {human_size(plan.memory)} of memory beyond the model"
    images = "1 image" if plan.cells == 1 else f"{plan.cells} images"
    return f"{cells}: {merges}, {images}, {time}, {memory}"


def span(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def plan_as_data(plan: GridPlan) -> dict[str, Any]:
    """As JSON holds it."""
    return {
        "cells": plan.cells,
        "images": plan.cells,
        "merges": plan.merges,
        "seconds": plan.seconds,
        "memory_bytes": plan.memory,
        "axes": {name: {"name": axis.title, "values": list(axis.labels)} for name, axis in plan.axes.items()},
        "changes": [{"slots": list(each.slots), "bytes": each.nbytes} for each in plan.changes],
    }
