"""The plan of a grid, before it runs: cells, merges, images, time and memory; or all problems at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lib_merge.checkpoint import Header, human_size
from lib_merge.errors import MergeError, PlanError, RecipeError
from lib_merge.execute import default_threads
from lib_merge.grid.axes.image import loras_of, unknown_lora
from lib_merge.grid.axes.read import (
    AxisSpec,
    CellPosition,
    GridAxis,
    cell_at,
    cell_positions,
    labels_at,
    read_axes,
)
from lib_merge.grid.cell import GridBase, GridCell
from lib_merge.grid.order import MergeSignature, merge_order, signature_of_plan
from lib_merge.picture import DrawSettings, with_seed
from lib_merge.plan import Plan, make_plan, replan
from lib_merge.recipe import Recipe, without_hashes

PIXEL = 3  # bytes of a pixel
MEGAPIXEL = 1e6
MOST_PIXELS = 1 << 30  # of a sheet with all its cells, which takes 3 GB of memory
MOST_PROBLEMS = 20  # reported at once; a wrong value usually concerns a whole row


@dataclass(frozen=True)
class Speeds:
    """The speeds measured last on this machine; None where nothing was measured.

    merge  bytes of weights merged in a second
    draw   seconds for a step of one megapixel
    """

    merge: float | None = None
    draw: float | None = None


@dataclass(frozen=True)
class CellJob:
    """The work for one cell.

    merge  index of its merge in `GridPlan.planned_merges`
    """

    position: CellPosition
    cell: GridCell
    labels: Mapping[str, str]
    merge: int


@dataclass(frozen=True)
class PlannedMerge:
    """One merge of the grid, with the slots and bytes that differ from the merge computed before it."""

    signature: MergeSignature
    slots: tuple[str, ...]
    nbytes: int


@dataclass(frozen=True)
class GridPlan:
    """A grid, ready to be run.

    jobs            all cells, in the order in which they are drawn
    planned_merges  all merges, in the order in which they are computed
    starts_loaded   whether the first merge is in memory already
    memory          largest number of bytes needed besides the model in memory and the mapped files
    """

    base: GridBase
    axes: Mapping[str, GridAxis]
    jobs: tuple[CellJob, ...]
    planned_merges: tuple[PlannedMerge, ...]
    starts_loaded: bool
    memory: int
    speeds: Speeds = Speeds()

    @property
    def num_cells(self) -> int:
        """The number of cells, which is the number of images."""
        return len(self.jobs)

    @property
    def num_merges(self) -> int:
        """The number of merges to compute."""
        return len(self.planned_merges) - self.starts_loaded

    @property
    def seconds(self) -> float | None:
        """The estimated duration, by the speeds measured last; None where nothing was measured yet."""
        if self.speeds.draw is None or (
            self.speeds.merge is None and any(c.nbytes for c in self.planned_merges)
        ):
            return None
        merging = sum(change.nbytes for change in self.planned_merges) / (self.speeds.merge or 1.0)
        return merging + self.speeds.draw * sum(drawing_cost(work.cell.drawing) for work in self.jobs)


def drawing_cost(drawing: DrawSettings) -> float:
    """The cost of a picture: steps times megapixels."""
    return drawing.steps * drawing.width * drawing.height / MEGAPIXEL


def plan_grid(
    base: GridBase,
    specs: Mapping[str, AxisSpec],
    *,
    loaded: Recipe | None = None,
    speeds: Speeds | None = None,
) -> GridPlan:
    """Read the axes, compute the recipe of every cell, and plan every merge from headers alone.

    specs   the axes by x, y and z
    base    a random seed in its settings is drawn once, for all cells
    loaded  the recipe of the model in memory (without steps for a plain checkpoint); None where it is unknown
    speeds  for the estimate of the duration
    Raises PlanError with the problems of all values, before anything is merged or drawn.
    """
    base = replace(base, cell=replace(base.cell, drawing=with_seed(base.cell.drawing)))
    axes = read_axes(specs, base)
    cells, problems = _cells(axes, base)
    _check_sheet([cell.drawing for cell in cells.values()])
    planner = _Planner(base)
    signatures: dict[Recipe, MergeSignature] = {}
    for cell in cells.values():
        if cell.recipe not in signatures:
            try:
                signatures[cell.recipe] = planner.signature(cell.recipe)
            except PlanError as error:
                problems += error.problems
            except MergeError as problem:
                problems.append(problem)
    problems += _unknown_loras(base, cells.values())
    if problems:
        raise PlanError(_distinct_problems(problems))
    before = planner.loaded_signature(loaded)
    distinct = list(dict.fromkeys(signatures.values()))
    order = merge_order(distinct, before)
    return _build_plan(
        base, axes, cells, signatures, [distinct[index] for index in order], before, planner, speeds
    )


def _check_sheet(drawings: Sequence[DrawSettings]) -> None:
    pixels = sum(drawing.width * drawing.height for drawing in drawings)
    if pixels > MOST_PIXELS:
        what = f"the sheet of this grid would have {pixels / MEGAPIXEL:.0f} megapixels"
        hint = f"{MOST_PIXELS / MEGAPIXEL:.0f} at most: fewer values, or smaller pictures"
        raise RecipeError(what, hint=hint)


def _build_plan(
    base: GridBase,
    axes: Mapping[str, GridAxis],
    cells: Mapping[CellPosition, GridCell],
    signatures: Mapping[Recipe, MergeSignature],
    order: Sequence[MergeSignature],
    before: MergeSignature | None,
    planner: _Planner,
    speeds: Speeds | None,
) -> GridPlan:
    index_by_signature = {signature: number for number, signature in enumerate(order)}
    jobs = [
        CellJob(at, cell, labels_at(at, axes), index_by_signature[signatures[cell.recipe]])
        for at, cell in cells.items()
    ]
    jobs.sort(key=lambda job: job.merge)  # stable: rows stay rows within one merge
    pairs = zip(order, (before, *order), strict=False)
    changes = tuple(PlannedMerge(new, new.changed(old), new.cost(old)) for new, old in pairs)
    pictures = max(job.cell.drawing.width * job.cell.drawing.height for job in jobs) * PIXEL
    memory = planner.memory + pictures * len(jobs)  # the sheet holds every picture
    # an equal merge by another recipe is computed: infotexts name the recipe that was loaded
    starts_loaded = planner.loaded is not None and any(
        without_hashes(cell.recipe) == planner.loaded for cell in cells.values()
    )
    starts_loaded = starts_loaded and bool(changes) and changes[0].nbytes == 0
    return GridPlan(base, axes, tuple(jobs), changes, starts_loaded, memory, speeds or Speeds())


def _cells(
    axes: Mapping[str, GridAxis], base: GridBase
) -> tuple[dict[CellPosition, GridCell], list[MergeError]]:
    cells: dict[CellPosition, GridCell] = {}
    problems: list[MergeError] = []
    for position in cell_positions(axes):
        try:
            cells[position] = cell_at(position, axes, base)
        except MergeError as problem:
            labels = ", ".join(
                f"{axes[name].title} {label}" for name, label in labels_at(position, axes).items()
            )
            problems.append(type(problem)(problem.what, where=problem.where or labels, hint=problem.hint))
    return cells, problems


def _distinct_problems(problems: Sequence[MergeError]) -> list[MergeError]:
    """Each problem once, and at most MOST_PROBLEMS of them."""
    messages = {str(problem): problem for problem in problems}
    kept = list(messages.values())[:MOST_PROBLEMS]
    if len(messages) > len(kept):
        kept.append(RecipeError(f"{len(messages) - len(kept)} more problems of these kinds"))
    return kept


def _unknown_loras(base: GridBase, cells: Sequence[GridCell] | Any) -> list[MergeError]:
    available = base.catalog.loras()
    if available is None:
        return []
    named = dict.fromkeys(name for cell in cells for name in loras_of(cell.drawing.prompt))
    return [unknown_lora(name, available) for name in named if name not in available]


class _Planner:
    """Plans recipes; a plan is derived from the previous one where only the steps differ.

    memory  the largest number of bytes that one of the merges needs
    loaded  the recipe of the model in memory, once `loaded_signature` has planned it
    """

    def __init__(self, base: GridBase) -> None:
        self._base = base
        self._headers: dict[str, Header] = {}
        self._last: Plan | None = None
        self.memory = 0
        self.loaded: Recipe | None = None

    def signature(self, recipe: Recipe) -> MergeSignature:
        """The signature of a recipe; raises MergeError for its problems."""
        for file in recipe.files:
            if file not in self._headers:
                self._headers[file] = self._base.catalog.header(file)
        plan = replan(self._last, recipe, self._headers) if self._last else None
        self._last = plan or make_plan(recipe, self._headers)
        self.memory = max(self.memory, self._last.memory(default_threads()))
        return signature_of_plan(self._last)

    def loaded_signature(self, recipe: Recipe | None) -> MergeSignature | None:
        """The signature of the model in memory; None where it is unknown or its files are missing."""
        if recipe is None:
            return None
        try:
            signature = self.signature(recipe)
        except MergeError:
            return None
        self.loaded = recipe
        return signature


def render_grid_plan_text(plan: GridPlan) -> str:
    """The plan on one line: `25 cells: 5 merges, 25 images, about 1 min 20 s, at most 90 MB ...`."""
    merges = "1 merge" if plan.num_merges == 1 else f"{plan.num_merges} merges"
    time = "time not measured yet" if plan.seconds is None else f"about {format_duration(plan.seconds)}"
    cells = "1 cell" if plan.num_cells == 1 else f"{plan.num_cells} cells"
    memory = f"at most {human_size(plan.memory)} of memory beyond the model"
    images = "1 image" if plan.num_cells == 1 else f"{plan.num_cells} images"
    return f"{cells}: {merges}, {images}, {time}, {memory}"


def format_duration(seconds: float) -> str:
    """A duration as text: "40 s", "1 min 20 s", "2 h 5 min"."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def grid_plan_to_dict(plan: GridPlan) -> dict[str, Any]:
    """The plan as a dictionary for JSON."""
    return {
        "cells": plan.num_cells,
        "images": plan.num_cells,
        "merges": plan.num_merges,
        "seconds": plan.seconds,
        "memory_bytes": plan.memory,
        "axes": {name: {"name": axis.title, "values": list(axis.labels)} for name, axis in plan.axes.items()},
        "changes": [{"slots": list(merge.slots), "bytes": merge.nbytes} for merge in plan.planned_merges],
    }
