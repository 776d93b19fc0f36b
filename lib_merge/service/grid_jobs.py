"""The grid of a desk: planned, run in a background thread, stopped, resumed after a restart.

The service owns it and not a page, so that it continues when pages are closed and opened.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid import (
    AxisSpec,
    CellResult,
    GridBase,
    GridCell,
    GridPlan,
    GridRequest,
    GridStore,
    plan_grid,
    read_speeds,
    render_grid_plan_text,
    request_of_plan,
    saved_requests,
)
from lib_merge.grid.axes.read import CellPosition
from lib_merge.grid.blockmap import block_changes, draw_map, map_axis, map_columns, map_recipe
from lib_merge.grid.files import grid_infotext, grid_to_dict
from lib_merge.grid.plan import format_duration
from lib_merge.grid.sheet import draw_sheet, load_tiles
from lib_merge.live import ident_of
from lib_merge.picture import DrawSettings
from lib_merge.recipe import parse_recipe
from lib_merge.service.grids import GridBackend, run_grid_job
from lib_merge.service.job_queue import JobQueue, Turn
from lib_merge.service.kept_jobs import KeptGrid
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest

if TYPE_CHECKING:
    from PIL import Image

GRIDS_FOLDER = "grids"  # under the host's data_dir()

log = logging.getLogger(__name__)


@dataclass
class GridJob:
    """One grid: its plan, the store of its cells, and the finished cells.

    is_map            whether it is the map of effective blocks
    host_job_started  set once the host's job runs; until then another job may be running
    end_message       a sentence about how it ended
    """

    number: int
    plan: GridPlan
    backend: GridBackend
    store: GridStore
    is_map: bool = False
    finished_cells: list[CellResult] = field(default_factory=list[CellResult])
    stop_requested: threading.Event = field(default_factory=threading.Event)
    host_job_started: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    began: float = 0.0
    failure: Exception | None = None
    end_message: str = ""
    merges: int = 0

    def is_stop_requested(self) -> bool:
        """Whether *Stop* was pressed; called inside the host's job."""
        self.host_job_started.set()
        return self.stop_requested.is_set()

    @property
    def finished(self) -> dict[CellPosition, CellResult]:
        """The finished cells by their position: column, row and sheet."""
        return {cell.position: cell for cell in list(self.finished_cells)}

    @property
    def running(self) -> bool:
        """Whether its thread is running."""
        return self.thread is not None and self.thread.is_alive()

    def sheet(self) -> Image.Image:
        """The sheet of all finished cells with labels; of a map the U-Net."""
        drawing, tiles = self.plan.base.cell.drawing, load_tiles(self.plan, self.store)
        size = (drawing.width, drawing.height)
        if not self.is_map:
            return draw_sheet(self.plan.axes, tiles, size)
        by_slot = {slot: tiles[column, 0, 0] for slot, column in map_columns(self.plan).items()}
        return draw_map(self.plan.base.family, by_slot, block_changes(self.plan, tiles), size)

    def block_changes(self) -> Mapping[str, float]:
        """Slot -> change of the picture; for a map of effective blocks."""
        return block_changes(self.plan, load_tiles(self.plan, self.store))

    def progress_text(self) -> str:
        """How many cells are finished, and the estimated time left."""
        done, total = len(self.finished_cells), self.plan.num_cells
        fresh = sum(not cell.reused for cell in self.finished_cells)
        if not fresh:
            return f"{done} of {total} cells ..."
        left = (time.monotonic() - self.began) / fresh * (total - done)
        return f"{done} of {total} cells, about {format_duration(left)} to go"


@dataclass(frozen=True)
class GridOrder:
    """A grid that is to be started; it can wait in the queue.

    kept     its values
    prepare  plans it: planned already where it was asked for since the start
    """

    kept: KeptGrid
    prepare: Callable[[], tuple[GridPlan, GridBackend]]
    start: Callable[[GridOrder, Turn], None]
    task: str = ""
    kind: str = "grid"
    target: Path | None = None

    @property
    def summary(self) -> str:
        """Its plan, in a line."""
        return self.kept.summary

    @property
    def recipe(self) -> str:
        """The text of the recipe that it varies."""
        return self.kept.recipe

    def begin(self, turn: Turn) -> None:
        """Start its thread."""
        self.start(self, turn)


class Grids:
    """The grids of one service, one at a time; thread-safe."""

    def __init__(self, service: MergeService, queue: JobQueue) -> None:
        self._service, self._queue = service, queue
        self._count = 0
        self.job: GridJob | None = None

    def plan(
        self,
        request: MergeRequest,
        axes: Mapping[str, AxisSpec],
        drawing: DrawSettings,
        *,
        is_map: bool = False,
    ) -> tuple[GridPlan, GridBackend]:
        """The plan of a grid that varies a merge; PlanError with all problems.

        request  with a single model the grid starts from this checkpoint
        is_map   plan the map of effective blocks instead of axes
        """
        alone = len(request.models) == 1
        resolved = request.first_model_recipe(self._service) if alone else self._service.resolve(request)
        backend = GridBackend(self._service, resolved.files)
        base = GridBase(GridCell(resolved.recipe, drawing), backend)
        if is_map:
            if len(resolved.recipe.ingredients) < 2:
                raise RecipeError("a map of blocks needs A and B")
            recipe = map_recipe(*resolved.recipe.ingredients[:2])
            base, axes = replace(base, cell=replace(base.cell, recipe=recipe)), {"x": map_axis(base.family)}
        return self._planned(base, axes, backend), backend

    def _planned(self, base: GridBase, axes: Mapping[str, AxisSpec], backend: GridBackend) -> GridPlan:
        speeds = read_speeds(self._service.host.data_dir())
        return plan_grid(base, axes, loaded=backend.now(), speeds=speeds)

    def start(self, plan: GridPlan, backend: GridBackend, task: str = "") -> GridJob:
        """Start a grid in a thread; cells that are finished already are kept."""
        self._check_live()
        with self._queue.lock:
            if self.job is not None and self.job.running:
                raise RecipeError("a grid is running already", hint="Stop ends it and keeps its cells")
            if self._queue.runs("search"):
                hint = "Pause or Stop it first, or add the grid to the queue"
                raise RecipeError("a search is running", hint=hint)
            self._queue.begin(self._order(plan, backend, task))
            job = self.job
        assert job is not None
        return job

    def add(self, plan: GridPlan, backend: GridBackend) -> int:
        """Let a grid start when the jobs before it have ended; its number in the queue."""
        self._check_live()
        return self._queue.add(self._order(plan, backend))

    def _order(self, plan: GridPlan, backend: GridBackend, task: str = "") -> GridOrder:
        recipe = ident_of(plan.base.cell.recipe).recipe
        kept = KeptGrid(recipe, request_of_plan(plan), render_grid_plan_text(plan))
        return GridOrder(kept, lambda: (plan, backend), self._begin, task)

    def order_of(self, kept: KeptGrid) -> GridOrder:
        """A grid of before a restart; it is planned when it begins."""
        return GridOrder(kept, lambda: self._planned_again(kept.request), self._begin)

    def _begin(self, order: GridOrder, turn: Turn) -> None:
        """Start a grid's thread, while the queue's lock is held."""
        plan, backend = order.prepare()
        turn.take()
        self._count += 1
        is_map = "x" in plan.axes and plan.axes["x"].text == map_axis(plan.base.family).text
        job = GridJob(self._count, plan, backend, self.store(plan), is_map, began=time.monotonic())
        job.thread = threading.Thread(
            target=self._run, args=(job, order.task, turn), name="merge-desk-grid", daemon=True
        )
        self.job = job
        job.thread.start()

    def _check_live(self) -> None:
        host = self._service.host
        if not host.capabilities().live:
            hint = "save merges to files; the WebUI's own X/Y/Z script compares them by 'Checkpoint name'"
            raise MergeError(
                f"the cells of a grid cannot be drawn here: {host.loaded().unavailable_reason}", hint=hint
            )

    def resume(self, task: str = "") -> GridJob:
        """Continue the last grid, also after a restart."""
        last = self.last_order()
        if last is None:
            raise RecipeError("there is no grid to resume", hint="Start begins one")
        return self.start(*self._planned_again(last), task)

    def _planned_again(self, request: GridRequest) -> tuple[GridPlan, GridBackend]:
        backend = GridBackend(self._service)
        base = GridBase(GridCell(parse_recipe(request.recipe), request.drawing), backend)
        return self._planned(base, request.axes, backend), backend

    def last_order(self) -> GridRequest | None:
        """The request of the last grid, None where no grid was ever started."""
        return next((order for _, order in saved_requests(self.folder())), None)

    def stop(self) -> None:
        """Stop the running grid; its finished cells are kept."""
        job = self.job
        if job is None or not job.running:
            return
        job.stop_requested.set()
        if job.host_job_started.is_set():  # before that another job may be running
            self._service.host.interrupt()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end; returns whether the grid has ended."""
        job = self.job
        if job is not None and job.thread is not None:
            job.thread.join(seconds)
        return job is None or not job.running

    def store(self, plan: GridPlan) -> GridStore:
        """The store of a plan's cells."""
        return GridStore(self.folder() / request_of_plan(plan).digest)

    def folder(self) -> Path:
        """The folder of all grids."""
        return self._service.host.data_dir() / GRIDS_FOLDER

    def _run(self, job: GridJob, task: str, turn: Turn) -> None:
        try:
            tell = job.finished_cells.append
            done = run_grid_job(
                self._service,
                job.plan,
                job.backend,
                job.store,
                task=task,
                tell=tell,
                stopped=job.is_stop_requested,
            )
            failed = f", {len(done.failed)} without a picture" if done.failed else ""
            count = len(done.results) - len(done.failed)
            how = "Stopped" if done.stopped else "Finished"
            job.merges = done.merges
            job.end_message = (
                f"{how}: {count} of {job.plan.num_cells} cells{failed}, in {format_duration(done.seconds)}."
            )
            self._save(job)
        except Exception as error:  # the status reports it
            log.info("a grid has ended with an error", exc_info=error)
            job.failure = error
            job.end_message = "This grid ended with an error; its finished cells are kept."
        turn.end(stopped=job.stop_requested.is_set())

    def _save(self, job: GridJob) -> None:
        """Save the finished sheet as the host's settings say."""
        if job.is_map or len(job.finished_cells) < job.plan.num_cells:
            return
        infotext = grid_infotext(job.plan, job.finished)
        path = self._service.host.save_grid(job.sheet(), infotext, grid_to_dict(job.plan, job.finished))
        job.end_message += f" Saved as {path.name}." if path else ""
