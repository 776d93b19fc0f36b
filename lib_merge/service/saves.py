"""Saves that wait in the queue and run in the background; their results are kept for pages opened later."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lib_merge.errors import RecipeError, StoppedError
from lib_merge.live import ident_of
from lib_merge.live.model import UNSAVED
from lib_merge.recipe import recipe_from_text
from lib_merge.save.saving import SAVE_FORMATS, file_name
from lib_merge.service.job_queue import JobQueue, Turn
from lib_merge.service.kept_jobs import KeptSave
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest
from lib_merge.service.saving import PreparedSave, SavedMerge, target_folder

MOST_RESULTS = 20

log = logging.getLogger(__name__)


@dataclass
class SaveJob:
    """One save. Its merge is that of the moment when it was asked for.

    kept          its values
    target        the file that it writes
    prepare       finds its files, in the thread: checked already where it was asked for since the start
    run           what `begin` runs in a thread
    is_taken      whether its work has begun
    saved         the file, once it is written
    failure       why it was not
    """

    kept: KeptSave
    target: Path
    prepare: Callable[[], PreparedSave]
    run: Callable[[SaveJob, Turn], None]
    kind: str = "save"
    is_taken: bool = False
    saved: SavedMerge | None = None
    failure: Exception | None = None
    stop_requested: threading.Event = field(default_factory=threading.Event)

    @property
    def is_previewed(self) -> bool:
        """Whether the page showed a picture of this merge."""
        return self.kept.is_previewed

    @property
    def summary(self) -> str:
        """The file and what is merged into it: "Save mix.safetensors: ink + pastel"."""
        return self.kept.summary

    @property
    def recipe(self) -> str:
        """The text of its recipe."""
        return self.kept.recipe

    def begin(self, turn: Turn) -> None:
        """Start its thread."""
        threading.Thread(target=self.run, args=(self, turn), name="merge-desk-save", daemon=True).start()


class Saves:
    """The saves of one service; thread-safe.

    running  the number of the save that is being written, and the save itself
    results  those that have ended, until a page is done with them: number -> save
    """

    def __init__(self, service: MergeService, queue: JobQueue) -> None:
        self._service, self._queue = service, queue
        self.running: tuple[int, SaveJob] | None = None
        self.results: dict[int, SaveJob] = {}

    def add(
        self,
        request: MergeRequest,
        name: str,
        *,
        format: str = SAVE_FORMATS[0],
        overwrite: bool = False,
        is_previewed: bool = True,
    ) -> int:
        """Let a save begin when the jobs before it have ended; its number in the queue.

        The merge and the name are checked now, and again when it begins.
        """
        prepared = self._service.prepare_save(request, name, format=format, overwrite=overwrite)
        ident = ident_of(prepared.resolved.recipe)
        summary = _render_summary(prepared.target, ident.name.removesuffix(UNSAVED).strip())
        kept = KeptSave(ident.recipe, name, format, overwrite, is_previewed, summary)
        return self._queue.add(SaveJob(kept, prepared.target, lambda: prepared, self._run))

    def job_of(self, kept: KeptSave) -> SaveJob:
        """A save of before a restart; its files are looked for when it begins."""
        target = target_folder(self._service.host, kept.format) / file_name(kept.name, kept.format)

        def prepare() -> PreparedSave:
            request = MergeRequest.from_recipe(recipe_from_text(kept.recipe))
            return self._service.prepare_save(
                request, kept.name, format=kept.format, overwrite=kept.overwrite
            )

        return SaveJob(kept, target, prepare, self._run)

    def save_now(
        self,
        request: MergeRequest,
        name: str,
        *,
        format: str = SAVE_FORMATS[0],
        overwrite: bool = False,
        task: str = "",
    ) -> SavedMerge:
        """Save a merge and wait for it, beside the queue; refuses the names of saves that wait there."""
        prepared = self._service.prepare_save(request, name, format=format, overwrite=overwrite)
        self._queue.check_free(prepared.target)
        return self._service.write_save(prepared, task)

    def stop(self, number: int) -> None:
        """Stop a save that is being written; nothing is left of its file."""
        running = self.running
        if running is not None and running[0] == number:
            running[1].stop_requested.set()
            self._service.host.interrupt()

    def result(self, number: int) -> SaveJob:
        """A save that has ended."""
        job = self.results.get(number)
        if job is None:
            raise RecipeError("this save is no longer listed", hint="the tab History has every saved merge")
        return job

    def dismiss(self, number: int) -> None:
        """A result was seen."""
        with self._queue.lock:
            self.results.pop(number, None)

    def _run(self, job: SaveJob, turn: Turn) -> None:
        try:
            job.saved = self._service.write_save(job.prepare(), is_wanted=lambda: self._take(job, turn))
        except Exception as error:  # the page shows it
            job.failure = error
            if not isinstance(error, StoppedError):
                log.info("a save has ended with an error", exc_info=error)
        with self._queue.lock:
            if job.is_taken or turn.take():  # else it was removed before its turn
                self.results[turn.number] = job
            for number in list(self.results)[:-MOST_RESULTS]:
                del self.results[number]
            if job.is_taken:
                self.running = None
        turn.end(stopped=job.stop_requested.is_set())

    def _take(self, job: SaveJob, turn: Turn) -> bool:
        job.is_taken = turn.take()
        if job.is_taken:
            self.running = turn.number, job
        return job.is_taken


def _render_summary(target: Path, name: str) -> str:
    return f"Save {target.name}: {name}"
