"""A grid that is spread over workers through a storage: the process that starts it, and the workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

from lib_merge.errors import MergeError, StoppedError, StoreError
from lib_merge.grid import (
    CellRecord,
    CellResult,
    GridCell,
    GridPlan,
    GridRun,
    GridStore,
    request_of_plan,
)
from lib_merge.grid.plan import CellJob
from lib_merge.grid.run import OnResult, try_cell
from lib_merge.hosts.pictures import png_bytes
from lib_merge.library.hashes import HashCache
from lib_merge.picture import Picture
from lib_merge.progress import NoProgress, Progress
from lib_merge.recipe import Recipe, parse_recipe, print_recipe, with_hashes
from lib_merge.search.cells import ClaimedCell, FinishedShare, SharedCell, SharedGrid, share_cells
from lib_merge.search.storage import retry_storage
from lib_merge.service.grids import CombinedProgress
from lib_merge.service.searches import SearchBackend, SearchService

if TYPE_CHECKING:
    from PIL.Image import Image

POLL_SECONDS = 0.5
STOPPED = "its worker was stopped"


@dataclass(frozen=True)
class WorkerCell:
    """A cell that this worker has made."""

    grid: str
    record: CellRecord


def shared_grid_name(plan: GridPlan) -> str:
    """The name of a grid where the user gives it none: the same for the same grid."""
    return f"grid {request_of_plan(plan).digest}"


def share_grid(plan: GridPlan, store: GridStore, book: HashCache, address: str, name: str) -> SharedGrid:
    """Put the cells of a plan that are not in the store into the storage, with the hashes of their files."""
    recipes: dict[Recipe, str] = {}

    def recipe_text(recipe: Recipe) -> str:
        if recipe not in recipes:
            paths = {file: plan.base.catalog.header(file).path for file in recipe.files}
            hashes = {file: book.hashes(path) for file, path in paths.items()}
            recipes[recipe] = print_recipe(with_hashes(recipe, hashes))
        return recipes[recipe]

    cells = [
        SharedCell(cell_name, recipe_text(jobs[0].cell.recipe), jobs[0].cell.drawing)
        for cell_name, jobs in _jobs_by_name(plan, store).items()
        if not _is_kept(store, cell_name)
    ]
    return share_cells(address, name, cells)


def run_shared_grid(
    service: SearchService,
    plan: GridPlan,
    backend: SearchBackend,
    store: GridStore,
    shared: SharedGrid,
    *,
    works: bool = True,
    tell: OnResult = lambda done: None,
    stopped: Callable[[], bool] = lambda: False,
) -> GridRun:
    """Collect the cells that workers make, until all are in the store; the storage is then rid of them.

    works  whether this process makes cells too, in one job of the host
    """
    store.save_request(request_of_plan(plan))
    began, collector = time.perf_counter(), _Collector(plan, store, shared, tell)
    with _model(service, stopped) if works else _no_model(stopped) as progress:
        broken: dict[Recipe, str] = {}
        while not retry_storage(collector.collect, progress.stopped):
            if progress.stopped():
                collector.run.stopped = True
                break
            claimed = retry_storage(shared.claim, progress.stopped) if works else None
            if claimed is None:
                time.sleep(POLL_SECONDS)
                continue
            try:
                _make(shared, claimed, backend, progress, broken)
            except StoppedError:
                collector.run.stopped = True
                break
    if not collector.run.stopped:
        retry_storage(shared.remove, stopped)
    collector.run.seconds = time.perf_counter() - began
    return collector.run


def run_grid_worker(
    service: SearchService,
    backend: SearchBackend,
    shared: SharedGrid,
    *,
    tell: Callable[[WorkerCell], None] = lambda done: None,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Make cells of a grid until none waits or is being made; returns how many."""
    count, broken = 0, dict[Recipe, str]()
    with _model(service, stopped) as progress:
        while not progress.stopped() and retry_storage(shared.is_open, progress.stopped):
            claimed = _claimed(shared, progress)
            if claimed is None:
                time.sleep(POLL_SECONDS)
                continue
            try:
                record = _make(shared, claimed, backend, progress, broken)
            except StoppedError:
                break
            count += 1
            tell(WorkerCell(shared.name, record))
    return count


def _claimed(shared: SharedGrid, progress: Progress) -> ClaimedCell | None:
    """The next cell for this worker; None where none waits, or the grid was removed."""

    def claim() -> ClaimedCell | None:
        try:
            return shared.claim()
        except StoreError:
            if shared.is_open():
                raise
            return None  # the process that started the grid has all cells, and has removed it

    return retry_storage(claim, progress.stopped)


def _make(
    shared: SharedGrid,
    claimed: ClaimedCell,
    backend: SearchBackend,
    progress: Progress,
    broken: dict[Recipe, str],
) -> CellRecord:
    """Make a claimed cell; where that is interrupted it is given back."""
    cell = GridCell(parse_recipe(claimed.cell.recipe), claimed.cell.drawing)
    try:
        record, picture = try_cell(cell, backend, progress, broken)
    except BaseException:
        with suppress(StoreError):  # it is away: others see later that this process has gone
            shared.give_back(claimed, STOPPED)
        raise
    _finish(shared, claimed, record, png_bytes(picture) if picture else b"", progress)
    return record


def _finish(
    shared: SharedGrid, claimed: ClaimedCell, record: CellRecord, png: bytes, progress: Progress
) -> None:
    """Keep a cell, unless another process has made it meanwhile and its grid is complete."""

    def finish() -> None:
        try:
            shared.finish(claimed, record, png)
        except StoreError:
            if shared.is_open():
                raise

    retry_storage(finish, progress.stopped)


@contextmanager
def _model(service: SearchService, stopped: Callable[[], bool]) -> Generator[Progress]:
    """One job of the host, after which the model is what it was before."""
    with service.job("grid") as job:
        service.host.model()
        with job.preserving():
            yield CombinedProgress(job.progress, stopped)


@contextmanager
def _no_model(stopped: Callable[[], bool]) -> Generator[Progress]:
    """No job: this process makes no cell."""
    yield CombinedProgress(NoProgress(), stopped)


# --- the cells of the process that started it ---


def _jobs_by_name(plan: GridPlan, store: GridStore) -> Mapping[str, list[CellJob]]:
    """The name of each cell's files -> its places in the grid, in the order of the plan."""
    jobs: dict[str, list[CellJob]] = {}
    for job in plan.jobs:
        jobs.setdefault(store.cell_name(job.cell, plan.base.catalog), []).append(job)
    return jobs


def _is_kept(store: GridStore, name: str) -> bool:
    record = store.record(name)
    return record is not None and not record.failed


class _Collector:
    """Brings finished cells from the storage into the folder of the grid."""

    def __init__(self, plan: GridPlan, store: GridStore, shared: SharedGrid, tell: OnResult) -> None:
        self._store, self._shared, self._tell = store, shared, tell
        self._jobs = _jobs_by_name(plan, store)
        self._count = plan.num_cells
        self.run = GridRun()
        for name in self._jobs:
            record = store.record(name)
            if record is not None and not record.failed:
                self._add(name, record, reused=True)

    def collect(self) -> bool:
        """Collect what was finished meanwhile; returns whether every cell has its result."""
        for share in self._shared.finished():
            if share.name in self._jobs and not self._has(share.name):
                self._keep(share)
        return len(self.run.results) == self._count

    def _has(self, name: str) -> bool:
        return self._jobs[name][0].position in self.run.results

    def _keep(self, share: FinishedShare) -> None:
        record = replace(share.record, recipe=print_recipe(self._jobs[share.name][0].cell.recipe))
        png = self._shared.picture(share)
        if png:
            self._store.save_cell(share.name, record, Picture(_read_png(png), record.infotext))
        elif not record.failed:
            raise MergeError("the picture of a finished cell is missing", where=share.name, hint="--resume")
        else:
            self._store.save_cell(share.name, record, None)
        self.run.merges += record.merge_seconds is not None
        self._add(share.name, record)
        if png:
            self._shared.empty_picture(share)

    def _add(self, name: str, record: CellRecord, *, reused: bool = False) -> None:
        for job in self._jobs[name]:
            result = CellResult(job.position, job.labels, name, record, reused)
            self.run.results[job.position] = result
            self._tell(result)


def _read_png(png: bytes) -> Image:
    from PIL import Image

    try:
        with Image.open(BytesIO(png)) as image:
            return image.convert("RGB")
    except (ValueError, OSError) as cause:
        raise MergeError("a worker's picture cannot be read") from cause
