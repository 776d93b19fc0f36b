"""Runs a planned grid: one merge after another, its cells after it; whatever fails costs that cell alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from lib_merge.errors import StoppedError
from lib_merge.grid.axes import Place
from lib_merge.grid.plan import GridPlan, Speeds, Work, effort
from lib_merge.grid.store import Record, Store
from lib_merge.live import SwapReport
from lib_merge.picture import DrawSettings, Picture
from lib_merge.progress import Progress
from lib_merge.recipe import Recipe, print_recipe


class Painter(Protocol):
    """A model in memory that is merged into and drawn with, for the length of one job of the host's."""

    def holds(self, recipe: Recipe) -> bool:
        """Whether the model is what this recipe makes, by that very recipe."""
        ...

    def merge(self, recipe: Recipe, progress: Progress) -> SwapReport:
        """Bring the model to the recipe; where that raises, the model is as it was or loaded anew."""
        ...

    def draw(self, settings: DrawSettings) -> Picture:
        """A picture with the model as it is."""
        ...


@dataclass(frozen=True)
class Finished:
    """A cell that was done, failed, or was there already.

    kept  it was there from an earlier run
    """

    place: Place
    labels: Mapping[str, str]
    name: str
    record: Record
    kept: bool = False


@dataclass
class GridRun:
    """What came of a run.

    finished  every cell that was come to, by its place
    merges    how many merges were made
    stopped   whether the user stopped it
    """

    finished: dict[Place, Finished] = field(default_factory=dict[Place, Finished])
    merges: int = 0
    stopped: bool = False
    seconds: float = 0.0

    @property
    def failed(self) -> tuple[Finished, ...]:
        """The cells without a picture."""
        return tuple(each for each in self.finished.values() if each.record.failed)


Tell = Callable[[Finished], None]


def run_grid(
    plan: GridPlan, painter: Painter, store: Store, progress: Progress, tell: Tell = lambda done: None
) -> GridRun:
    """Every cell that the store has not got; those that failed before are tried again.

    progress  asked before each cell, and within merge and picture, whether to stop
    tell      hears of each cell when it is on the disk
    """
    began = time.perf_counter()
    done = GridRun()
    broken: dict[Recipe, str] = {}  # merges that failed: their other cells need not try
    made: set[int] = set()
    for work in plan.work:
        try:
            if progress.stopped():
                raise StoppedError("stopped")
            finished = _one(work, plan, painter, store, progress, broken)
        except StoppedError:
            done.stopped = True
            break
        if not finished.kept and finished.record.merge_seconds is not None:
            made.add(work.merge)
            done.merges = len(made)
        done.finished[work.place] = finished
        tell(finished)
    done.seconds = time.perf_counter() - began
    return done


def _one(
    work: Work,
    plan: GridPlan,
    painter: Painter,
    store: Store,
    progress: Progress,
    broken: dict[Recipe, str],
) -> Finished:
    recipe, drawing = work.cell.recipe, work.cell.drawing
    try:
        name = store.name(work.cell, plan.base.shelf)
    except Exception as failure:  # a file has gone meanwhile: a cell without a name of its own
        name = "lost-" + "-".join(map(str, work.place))
        record = Record(print_recipe(recipe), drawing, problem=_words(failure))
        store.keep(name, record, None)
        return Finished(work.place, work.labels, name, record)
    known = store.record(name)
    if known is not None and not known.failed:
        return Finished(work.place, work.labels, name, known, kept=True)
    record, picture = _tried(work, painter, progress, broken)
    store.keep(name, record, picture)
    return Finished(work.place, work.labels, name, record)


def _tried(
    work: Work, painter: Painter, progress: Progress, broken: dict[Recipe, str]
) -> tuple[Record, Picture | None]:
    """Merge where that is needed, draw, and say what came of it."""
    recipe, drawing = work.cell.recipe, work.cell.drawing
    merged: SwapReport | None = None
    picture: Picture | None = None
    problem, began = broken.get(recipe, ""), time.perf_counter()
    drawn = began
    try:
        if not problem:
            if not painter.holds(recipe):
                merged = painter.merge(recipe, progress)
            drawn = time.perf_counter()
            picture = painter.draw(drawing)
    except StoppedError:
        raise
    except Exception as failure:
        problem = _words(failure)
        if drawn == began:
            broken[recipe] = problem
    ended = time.perf_counter()
    record = Record(print_recipe(recipe), drawing, picture.infotext if picture else "", problem=problem)
    if merged:
        told = {"merge_seconds": drawn - began, "slots": merged.slots, "nbytes": merged.nbytes}
        record = replace(record, **told)
    return replace(record, draw_seconds=ended - drawn), picture


def _words(failure: Exception) -> str:
    """The first line that an error says of itself."""
    return (str(failure).splitlines() or [""])[0] or type(failure).__name__


def measured(done: GridRun) -> Speeds:
    """The speeds of a run, for the next plan's estimate."""
    fresh = [each.record for each in done.finished.values() if not each.kept and not each.record.failed]
    merging = sum(record.merge_seconds or 0.0 for record in fresh)
    nbytes = sum(record.nbytes for record in fresh)
    drawing = sum(record.draw_seconds for record in fresh)
    work = sum(effort(record.drawing) for record in fresh)
    return Speeds(nbytes / merging if merging and nbytes else None, drawing / work if work else None)
