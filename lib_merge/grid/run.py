"""Runs a planned grid: merge by merge, with the cells of each; a failure affects that cell alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from lib_merge.errors import MergeError, StoppedError
from lib_merge.grid.axes.read import CellPosition
from lib_merge.grid.cell import GridCell
from lib_merge.grid.plan import CellJob, GridPlan, Speeds, drawing_cost
from lib_merge.grid.store import CellRecord, GridStore
from lib_merge.live import SwapReport
from lib_merge.picture import DrawSettings, Picture
from lib_merge.progress import Progress
from lib_merge.recipe import Recipe, print_recipe


class RendererLostError(MergeError):
    """The renderer merges and draws nothing any more: its WebUI does not answer, or was interrupted."""


class GridRenderer(Protocol):
    """Merges into the model in memory and draws with it, during one job of the host."""

    def holds(self, recipe: Recipe) -> bool:
        """Whether the model in memory was merged by this very recipe."""
        ...

    def merge(self, recipe: Recipe, progress: Progress) -> SwapReport:
        """Write a merge into the model; where this raises, the model is unchanged or loaded again."""
        ...

    def draw(self, settings: DrawSettings) -> Picture:
        """A picture drawn with the model as it is now."""
        ...


@dataclass(frozen=True)
class CellResult:
    """The result of one cell: drawn, failed, or reused.

    name    the name of its files, without suffix
    reused  whether its picture is from an earlier run
    """

    position: CellPosition
    labels: Mapping[str, str]
    name: str
    record: CellRecord
    reused: bool = False


@dataclass
class GridRun:
    """The result of a run.

    results  the cells that the run reached, by position
    merges   the number of merges computed
    stopped  whether the user stopped the run
    """

    results: dict[CellPosition, CellResult] = field(default_factory=dict[CellPosition, CellResult])
    merges: int = 0
    stopped: bool = False
    seconds: float = 0.0

    @property
    def failed(self) -> tuple[CellResult, ...]:
        """The results of cells that could not be drawn."""
        return tuple(result for result in self.results.values() if result.record.failed)


OnResult = Callable[[CellResult], None]


def run_grid(
    plan: GridPlan,
    renderer: GridRenderer,
    store: GridStore,
    progress: Progress,
    on_result: OnResult = lambda result: None,
) -> GridRun:
    """Draw every cell that is not in the store; cells that failed before are tried again.

    progress   says before each cell, and during merge and picture, whether to stop
    on_result  called with each cell's result, after it is written to the disk
    """
    began = time.perf_counter()
    run = GridRun()
    broken: dict[Recipe, str] = {}  # failed merges and their problems; their other cells are not tried
    merged: set[int] = set()
    for job in plan.jobs:
        try:
            if progress.stopped():
                raise StoppedError("stopped")
            result = _run_cell(job, plan, renderer, store, progress, broken)
        except StoppedError:
            run.stopped = True
            break
        if not result.reused and result.record.merge_seconds is not None:
            merged.add(job.merge)
            run.merges = len(merged)
        run.results[job.position] = result
        on_result(result)
    run.seconds = time.perf_counter() - began
    return run


def _run_cell(
    job: CellJob,
    plan: GridPlan,
    renderer: GridRenderer,
    store: GridStore,
    progress: Progress,
    broken: dict[Recipe, str],
) -> CellResult:
    recipe, drawing = job.cell.recipe, job.cell.drawing
    try:
        name = store.cell_name(job.cell, plan.base.catalog)
    except Exception as failure:  # one of its files is missing, so that its name cannot be computed
        name = "lost-" + "-".join(map(str, job.position))
        record = CellRecord(print_recipe(recipe), drawing, problem=_first_line(failure))
        store.save_cell(name, record, None)
        return CellResult(job.position, job.labels, name, record)
    stored = store.record(name)
    if stored is not None and not stored.failed:
        return CellResult(job.position, job.labels, name, stored, reused=True)
    record, picture = try_cell(job.cell, renderer, progress, broken)
    store.save_cell(name, record, picture)
    return CellResult(job.position, job.labels, name, record)


def try_cell(
    cell: GridCell, renderer: GridRenderer, progress: Progress, broken: dict[Recipe, str]
) -> tuple[CellRecord, Picture | None]:
    """Compute the merge unless it is loaded, and draw; the record holds the problem where that fails.

    broken  failed merges and their problems, which are not tried again
    """
    recipe, drawing = cell.recipe, cell.drawing
    merged: SwapReport | None = None
    picture: Picture | None = None
    problem, began = broken.get(recipe, ""), time.perf_counter()
    drawn = began
    try:
        if not problem:
            if not renderer.holds(recipe):
                merged = renderer.merge(recipe, progress)
            drawn = time.perf_counter()
            picture = renderer.draw(drawing)
    except (StoppedError, RendererLostError):
        raise
    except Exception as failure:
        problem = _first_line(failure)
        if drawn == began:
            broken[recipe] = problem
    ended = time.perf_counter()
    record = CellRecord(print_recipe(recipe), drawing, picture.infotext if picture else "", problem=problem)
    if merged:
        timings = {"merge_seconds": drawn - began, "slots": merged.slots, "nbytes": merged.nbytes}
        record = replace(record, **timings)
    return replace(record, draw_seconds=ended - drawn), picture


def _first_line(failure: Exception) -> str:
    """The first line of an error's message, or the name of its type."""
    return (str(failure).splitlines() or [""])[0] or type(failure).__name__


def measured_speeds(run: GridRun) -> Speeds:
    """The speeds measured during a run, for the estimate of the next plan."""
    fresh = [
        result.record for result in run.results.values() if not result.reused and not result.record.failed
    ]
    merging = sum(record.merge_seconds or 0.0 for record in fresh)
    nbytes = sum(record.nbytes for record in fresh)
    drawing = sum(record.draw_seconds for record in fresh)
    cost = sum(drawing_cost(record.drawing) for record in fresh)
    return Speeds(nbytes / merging if merging and nbytes else None, drawing / cost if cost else None)
