"""The queue over HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from lib_merge.desk.queue.view import queue_state
from lib_merge.desk.route import route
from lib_merge.schema import EmptyRequest
from lib_merge.service.server_paths import folders_of, without_paths
from lib_merge.service.services import Services


@dataclass(frozen=True)
class WaitingJob:
    """A grid or a save that waits: its number, what it would do, and the recipe that it merges."""

    number: int
    kind: str
    summary: str
    recipe: str


@dataclass(frozen=True)
class EndedSave:
    """A save of the page that has ended; `problem` is "" where its file was written."""

    number: int
    file: str
    problem: str


@dataclass(frozen=True)
class QueueAnswer:
    """The queue of the page.

    waiting  in the order in which they start
    saving   the save that is being written, "" for none
    saved    saves that have ended, until the user closes their results
    held     whether the queue waits for the user, after Stop
    """

    waiting: tuple[WaitingJob, ...]
    saving: str
    saved: tuple[EndedSave, ...]
    held: bool


@route("GET", "queue")
def queue(service: Services, request: EmptyRequest) -> QueueAnswer:
    """The grids and saves that wait for their turn, and the saves that have ended."""
    state, folders = queue_state(service), folders_of(service.merging.host)
    failures = {number: job.failure for number, job in list(service.saves.results.items())}
    return QueueAnswer(
        tuple(WaitingJob(job.number, job.kind, job.summary, job.recipe) for job in state.waiting),
        state.saving.summary if state.saving else "",
        tuple(
            EndedSave(save.number, save.file, without_paths(str(failures.get(save.number) or ""), folders))
            for save in state.saved
        ),
        state.held,
    )
