"""The queue as the page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from lib_merge.service.job_queue import QueuedJob
from lib_merge.service.services import Services


@dataclass(frozen=True)
class QueueNumber:
    """The number of a job of the queue."""

    number: int = 0


@dataclass(frozen=True)
class WaitingView:
    """A job that waits.

    kind     grid or save
    summary  what it would do
    recipe   the text of the recipe that it merges, as it was when the job was asked for
    """

    number: int
    kind: str
    summary: str
    recipe: str


@dataclass(frozen=True)
class SavingView:
    """The save that is being written: what is done now, and how much of that from 0 to 1."""

    number: int
    summary: str
    text: str
    share: float


@dataclass(frozen=True)
class SavedView:
    """A save that has ended: its number, its file, and the merge."""

    number: int
    file: str
    summary: str


@dataclass(frozen=True)
class QueueState:
    """The queue.

    waiting  the jobs that wait, in their order
    saving   the save that is being written, None for none
    saved    those that have ended, until the user closes their results
    held     whether the queue waits for the user, after Stop
    grid     the run of the grid that was started last, 0 for none
    search   how many searches were started since the server was
    """

    waiting: tuple[WaitingView, ...] = ()
    saving: SavingView | None = None
    saved: tuple[SavedView, ...] = ()
    held: bool = False
    grid: int = 0
    search: int = 0


def queue_state(service: Services) -> QueueState:
    """The queue now."""
    queue, saves, grid = service.queue, service.saves, service.grids.job
    return QueueState(
        tuple(_waiting(queued) for queued in queue.waiting),
        _saving(service),
        tuple(SavedView(number, job.target.name, job.summary) for number, job in list(saves.results.items())),
        queue.is_held,
        grid.number if grid else 0,
        service.searches.started,
    )


def _waiting(queued: QueuedJob) -> WaitingView:
    job = queued.job
    return WaitingView(queued.number, job.kind, job.summary, job.recipe)


def _saving(service: Services) -> SavingView | None:
    running = service.saves.running
    if running is None:
        return None
    number, job = running
    text, share = service.merging.activity_now()
    return SavingView(number, job.summary, text, share)
