"""The queue of grids, searches and saves: one runs at a time, the others wait for their turn.

A job that has begun may still wait for the host, which a picture or an Align sweep keeps busy. Until it takes
its turn it is in the queue, and can be removed. What waits outlives the server: see kept_jobs.py.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lib_merge.errors import OutputError, RecipeError
from lib_merge.service.kept_jobs import KeptJob

MOST_WAITING = 50
MOST_REMOVED = 50  # jobs that can be put back

log = logging.getLogger(__name__)


class Job(Protocol):
    """What can wait in the queue.

    kind    "grid", "search" or "save"
    target  the file that it will write under a name that the user has chosen; None for none
    """

    @property
    def kind(self) -> str: ...

    @property
    def target(self) -> Path | None: ...

    @property
    def summary(self) -> str:
        """What it would do, in a sentence."""
        ...

    @property
    def recipe(self) -> str:
        """The text of the recipe that it merges, as it was when the job was asked for."""
        ...

    @property
    def kept(self) -> KeptJob:
        """The values that it is made of again after a restart."""
        ...

    def begin(self, turn: Turn) -> None:
        """Begin in a thread of its own, which calls `turn.take` before its work and `turn.end` at its end."""
        ...


@dataclass(frozen=True)
class QueuedJob:
    """A job and its number, by which it is removed."""

    number: int
    job: Job


class Turn:
    """What a job that has begun tells the queue."""

    def __init__(self, queue: JobQueue, number: int) -> None:
        self._queue, self.number = queue, number

    def take(self) -> bool:
        """The work begins, and the job waits no longer; False where it was removed meanwhile."""
        return self._queue.take(self.number)

    def end(self, *, stopped: bool = False) -> None:
        """The job has ended. After the user's *Stop* the queue waits until the user goes on."""
        self._queue.end(self.number, stopped=stopped)


class JobQueue:
    """The jobs of one service; thread-safe.

    lock     held while a job begins
    waiting  the jobs that have not taken their turn, in their order
    is_held  whether these wait for the user, after *Stop* or a restart
    keep     called with what a restart must not lose, whenever that changes: the jobs that wait, and the save
             that is being written; a grid or a search that runs is resumed by its own files
    """

    def __init__(self, keep: Callable[[Sequence[KeptJob]], None] = lambda jobs: None) -> None:
        self.lock = threading.RLock()
        self.waiting: tuple[QueuedJob, ...] = ()
        self.is_held = False
        self._begun: tuple[QueuedJob, ...] = ()
        self._removed: tuple[tuple[int, QueuedJob], ...] = ()
        self._taken: frozenset[int] = frozenset()  # of those that have begun
        self._count = 0
        self._keep = keep
        self._kept: tuple[QueuedJob, ...] = ()

    @property
    def is_idle(self) -> bool:
        """Whether no job has begun that has not ended."""
        return not self._begun

    def runs(self, kind: str) -> bool:
        """Whether a job of this kind has begun and not ended."""
        return any(queued.job.kind == kind for queued in self._begun)

    def add(self, job: Job) -> int:
        """Let a job wait behind the others; its number. It begins now where none runs."""
        with self.lock:
            if len(self.waiting) >= MOST_WAITING:
                raise RecipeError(f"{MOST_WAITING} jobs are waiting already", hint="take one out first")
            self.check_free(job.target)
            if self.is_held and self.is_idle:  # those that are held wait for the user, this one does not
                return self._insert_and_begin(job)
            queued = self._queued(job)
            self.waiting = (*self.waiting, queued)
            self._begin_next()
            self._keep_now()
            return queued.number

    def hold(self, jobs: Sequence[Job]) -> None:
        """Let jobs of before a restart wait until the user begins the first of them."""
        with self.lock:
            self.waiting = (*self.waiting, *map(self._queued, jobs))
            self._kept = self.waiting
            self.is_held = bool(self.waiting)

    def begin(self, job: Job) -> int:
        """Begin a job now, before all that wait; its number."""
        with self.lock:
            self.is_held = False
            return self._insert_and_begin(job)

    def remove(self, number: int) -> None:
        """Take a waiting job out of the queue; `restore` puts it back."""
        with self.lock:
            for place, queued in enumerate(self.waiting):
                if queued.number == number:
                    self._removed = (*self._removed, (place, queued))[-MOST_REMOVED:]
                    self._drop(number)
                    self._keep_now()
                    return

    def restore(self, number: int) -> None:
        """Put a removed job back in its place."""
        with self.lock:
            removed = next((other for other in self._removed if other[1].number == number), None)
            if removed is None:
                raise RecipeError("this job is no longer there", hint="add it again")
            place, queued = removed
            self.check_free(queued.job.target)
            self._removed = tuple(other for other in self._removed if other is not removed)
            self.waiting = (*self.waiting[:place], queued, *self.waiting[place:])
            self._begin_next()
            self._keep_now()

    def start_next(self) -> None:
        """Begin the first of the waiting jobs, after *Stop*; does nothing while another one runs.

        Where that one cannot begin it is gone, the error says why, and the others go on waiting.
        """
        with self.lock:
            if self.waiting and self.is_idle:
                try:
                    self._begin(self.waiting[0])
                finally:
                    self.is_held = bool(self.waiting) and self.is_idle
                    self._keep_now()
            self.is_held = False

    def check_free(self, target: Path | None) -> None:
        """OutputError where a job that waits or runs will write this file."""
        with self.lock:
            jobs = {queued.number: queued.job for queued in (*self._begun, *self.waiting)}
            taken = {_comparable(job.target) for job in jobs.values() if job.target}
            if target is not None and _comparable(target) in taken:
                raise OutputError(
                    f"a save named '{target.name}' is in the queue already",
                    hint="choose another name, or remove that save from the queue",
                )

    # --- what a job tells ---

    def take(self, number: int) -> bool:
        """See Turn.take."""
        with self.lock:
            is_there = any(queued.number == number for queued in self.waiting)
            self._drop(number)
            self._taken |= {number} if is_there else set()
            self._keep_now()
            return is_there

    def end(self, number: int, *, stopped: bool) -> None:
        """See Turn.end."""
        with self.lock:
            self._begun = tuple(queued for queued in self._begun if queued.number != number)
            self._taken -= {number}
            self.is_held = (self.is_held or stopped) and bool(self.waiting)
            self._begin_next()
            self._keep_now()

    # --- inside the lock ---

    def _queued(self, job: Job) -> QueuedJob:
        self._count += 1
        return QueuedJob(self._count, job)

    def _insert_and_begin(self, job: Job) -> int:
        queued = self._queued(job)
        self.waiting = (queued, *self.waiting)
        self._begin(queued)
        self._keep_now()
        return queued.number

    def _begin_next(self) -> None:
        while self.waiting and self.is_idle and not self.is_held:
            try:
                self._begin(self.waiting[0])
            except Exception as error:  # the others must have their turn
                log.exception("a job of the queue could not begin", exc_info=error)

    def _begin(self, queued: QueuedJob) -> None:
        self._begun = (*self._begun, queued)
        try:
            queued.job.begin(Turn(self, queued.number))
        except BaseException:
            self._begun = tuple(other for other in self._begun if other is not queued)
            self._drop(queued.number)
            raise

    def _keep_now(self) -> None:
        taken = (queued for queued in self._begun if queued.number in self._taken)
        saves = (queued for queued in taken if queued.job.kind == "save")
        kept = (*saves, *self.waiting)
        if kept != self._kept:
            self._kept = kept
            self._keep([queued.job.kept for queued in kept])

    def _drop(self, number: int) -> None:
        self.waiting = tuple(queued for queued in self.waiting if queued.number != number)


def _comparable(path: Path) -> str:
    """Names that a disk may take for the same are the same."""
    return os.path.normcase(path).casefold()
