"""Merges in the host's model and to files, for the desk, the HTTP API and the always-on script.

Everything that touches the model runs inside a job of the host; requests are validated before that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lib_merge.checkpoint import Header
from lib_merge.errors import MergeError, StoppedError
from lib_merge.hosts.host import (
    DrawSettings,
    Host,
    HostError,
    ListedFile,
    Picture,
)
from lib_merge.library.history import History
from lib_merge.live import BrokenModelError, LiveSession, MergeIdent, SwapReport
from lib_merge.progress import NoProgress, Progress
from lib_merge.rebasin import Alignments
from lib_merge.recipe import Recipe
from lib_merge.save.saving import SAVE_FORMATS
from lib_merge.service import saving
from lib_merge.service.activity import GENERATING, LOADING, Activity
from lib_merge.service.host_files import HostFiles
from lib_merge.service.request import MergeRequest, Resolved
from lib_merge.service.saving import PreparedSave, SavedMerge
from lib_merge.service.server_paths import without_paths

log = logging.getLogger(__name__)
WEIGHTS_ALTERED = (
    "another extension has changed them; a merge, or choosing another checkpoint and back, undoes that"
)
RESTORING_MERGE = "restoring the engaged merge"  # the place that error messages name


@dataclass(frozen=True)
class Status:
    """What is in memory.

    base                the loaded checkpoint, "" for none
    live                the merge in memory, None where the model is the checkpoint
    last_report         what the last change of the model did
    unavailable_reason  why no merge can be loaded into the model, "" where one can
    note                warnings: weights that differ from the file, failures inside the host's jobs
    next_base           the selected checkpoint that the host loads with its next picture, "" for none
    """

    base: str
    live: MergeIdent | None
    last_report: SwapReport | None
    unavailable_reason: str
    note: str = ""
    next_base: str = ""


@dataclass(frozen=True)
class PreparedMerge:
    """A validated merge: its files are found and their headers read.

    request  the request that it was read from; None for a recipe, which is never engaged
    """

    resolved: Resolved[ListedFile]
    headers: Mapping[str, Header]
    request: MergeRequest | None = None


class MergeJob:
    """Exclusive use of the model in memory; created by `MergeService.job` and `.current`.

    progress  the host's progress bar and *Interrupt*
    engages   whether merges of this job are engaged: loaded again whenever the host reloads its checkpoint
    applied   the last engaged merge, for the history
    picture   the last picture of that merge
    entry     once the job has ended: the id of that merge in the history, 0 for none
    """

    def __init__(self, service: MergeService, progress: Progress, *, engages: bool = False) -> None:
        self.progress = progress
        self._service, self._engages = service, engages
        self.applied: Resolved[ListedFile] | None = None
        self.picture: Picture | None = None
        self.entry = 0

    def apply(self, merge: PreparedMerge) -> SwapReport:
        """Write a merge into the model, completely or not at all.

        Raises MergeError, after which the model is what it was before; where that could not be restored
        (BrokenModelError) the host has loaded its checkpoint.
        """
        if isinstance(self.progress, Activity):
            self.progress.begin(LOADING)
        report = self._service.apply_merge(merge, self.progress)
        if self._engages:
            self._service.engage(merge.request)
            self._service.failures.pop(RESTORING_MERGE, None)
            self.applied, self.picture = merge.resolved, None
        return report

    def draw(self, settings: DrawSettings) -> Picture:
        """Generate a picture with the model in memory."""
        if isinstance(self.progress, Activity):
            self.progress.begin(GENERATING, settings.steps)
        picture = self._service.host.draw(settings)
        if self._engages:
            self.picture = picture
        return picture

    def restore(self) -> SwapReport | None:
        """Restore the weights of the loaded checkpoint in place; where that fails the host loads it."""
        if self._engages:
            self._service.disengage()
        return self._service.restore_checkpoint(self.progress)

    @contextmanager
    def preserving(self) -> Generator[None]:
        """Afterwards the model is what it was before, however the block ends; the block engages nothing.

        Where the host has loaded another checkpoint meanwhile, an engaged merge is applied to that one, and
        without one the checkpoint stays. Where the merge cannot be restored (one of its files is missing) it
        is disengaged, the checkpoint is restored, and the status says why.
        """
        ident_before, engages = self._service.live_ident(), self._engages
        self._engages = False
        try:
            yield
        finally:
            self._engages = engages
            self._put_back(ident_before)

    def _put_back(self, ident_before: MergeIdent | None) -> None:
        """Restores without the job's progress, because a stop of the block must not stop this."""
        service = self._service
        if ident_before is not None and service.live_ident() == ident_before:
            return
        quiet = service.current()
        if ident_before is not None and service.engaged is not None:
            try:
                service.host.ensure_loaded()  # Forge still holds the checkpoint of the block's last job
                quiet.apply(service.prepare(service.engaged))
            except Exception as failure:  # the model must not keep the block's last merge, whatever fails
                service.report_failure(RESTORING_MERGE, failure)
                service.disengage()
            else:
                return
        quiet.restore()


class MergeService(HostFiles):
    """The merges of one host; thread-safe.

    threads  worker threads of merges, as in MergeOptions, whose other fields are those of the host
    """

    def __init__(self, host: Host, *, threads: int | None = None) -> None:
        super().__init__(host)
        alignments = Alignments(lambda: host.data_dir() / "alignments")
        self.session = LiveSession(device=host.device(), threads=threads, alignments=alignments)
        self.engaged: MergeRequest | None = None  # applied again whenever the host reloads its checkpoint
        self.job_merge: MergeIdent | None = None  # the merge of the recipe that the host's last job carried
        self.failures: dict[str, str] = {}  # place of a failure inside the host -> message for the page
        self.threads = threads
        self._last: SwapReport | None = None
        self._lock = threading.RLock()
        self._merged = threading.Condition()  # notified when a merge is in memory
        self.history = History(host.data_dir())
        self.activity: Activity | None = None  # of the job that runs
        self._is_preview = False  # that job
        self._preview_stops = 0  # how often previews were stopped

    # --- status ---

    def status(self) -> Status:
        """What is in memory; does not touch the model."""
        loaded = self.host.loaded()
        live = self.live_ident()
        base = loaded.checkpoint.name if loaded.checkpoint else ""
        notes = list(self.failures.values())
        if base and live is None and not loaded.unavailable_reason and self.host.weights_altered():
            notes.insert(0, f"The weights in memory are not those of {base}'s file: {WEIGHTS_ALTERED}.")
        if live and self._last:
            notes += [f"{note[:1].upper()}{note[1:]}." for note in self._last.notes]
        following = loaded.next_checkpoint.name if loaded.next_checkpoint else ""
        report = self._last if live else None
        return Status(base, live, report, loaded.unavailable_reason, " ".join(notes), following)

    def report_failure(self, where: str, failure: Exception) -> None:
        """Log an error inside the host's own job, which continues, and show it in the status."""
        log.exception("Merge Desk failed at %s", where, exc_info=failure)
        why = without_paths(str(failure)) or type(failure).__name__
        self.failures[where] = f"Merge Desk failed at {where}, and the WebUI went on without it: {why}."

    def is_live(self) -> bool:
        """Whether the host's model holds the last merge; cheap, takes no lock."""
        if self.session.ident is None:
            return False
        loaded = self.host.loaded()
        if loaded.checkpoint is None or loaded.unavailable_reason:
            return False
        return self.session.is_live(self.host.model())

    def live_ident(self) -> MergeIdent | None:
        """The merge in memory, None where the model is the checkpoint."""
        return self.session.ident if self.is_live() else None

    def write_down(self, recipe: Recipe, **facts: Any) -> int:
        """Add a merge to the history; the id of its entry, 0 where that fails, which is only logged."""
        try:
            return self.history.add(recipe, **facts)
        except MergeError as problem:
            log.warning("%s", problem)
            return 0

    # --- the live model ---

    def prepare(self, merge: MergeRequest | Resolved[ListedFile]) -> PreparedMerge:
        """Validate a merge for `MergeJob.apply`: finds its files and reads their headers."""
        if isinstance(merge, Resolved):
            return PreparedMerge(merge, self.headers(merge))
        resolved = self.resolve(merge)
        return PreparedMerge(resolved, self.headers(resolved), merge)

    @contextmanager
    def job(self, label: str, task: str = "", *, preview: bool = False) -> Generator[MergeJob]:
        """A job of the host with exclusive use of the model; its merges are engaged.

        label    for the host's list of jobs
        task     the id under which the host's page asks for progress
        preview  whether `stop_previews` may end it
        Afterwards the applied merge is added to the history, with its last picture, unless the job raised an
        error.
        """
        stops = self._preview_stops
        with self.host.job(f"Merge Desk: {label}", task) as progress:
            if preview and stops != self._preview_stops:
                raise StoppedError("stopped while it waited for its turn")
            self.activity = Activity(progress)
            self._is_preview = preview
            job = MergeJob(self, self.activity, engages=True)
            try:
                yield job
            finally:
                self.activity, self._is_preview = None, False
        if job.applied is not None:
            picture = job.picture
            facts = {"picture": picture.image, "infotext": picture.infotext} if picture else {}
            job.entry = self.write_down(self.with_known_hashes(job.applied), **facts)

    @contextmanager
    def work_on_files(self, label: str, task: str = "") -> Generator[Progress]:
        """A job of the host that leaves the model in memory alone, and says how far it is."""
        with self.host.job(f"Merge Desk: {label}", task, model=False) as progress:
            self.activity = Activity(progress)
            try:
                yield self.activity
            finally:
                self.activity = None

    def stop_previews(self) -> None:
        """Stop the preview that is being made, and those that wait; every other job goes on."""
        self._preview_stops += 1
        if self._is_preview:
            self.host.interrupt()

    def current(self, progress: Progress | None = None) -> MergeJob:
        """For a caller inside a job of the host: starts no second job, engages nothing."""
        return MergeJob(self, progress or NoProgress())

    def activity_now(self) -> tuple[str, float]:
        """What the running job does now, and how much of that is done from 0 to 1; "" where none runs."""
        activity, step = self.activity, self.host.sampling_step()
        return (activity.text(step), activity.share(step)) if activity else ("", 0.0)

    def engage(self, request: MergeRequest | None) -> None:
        """The merge of a request is in memory from now on, and is applied again whenever the host reloads."""
        with self._merged:
            self.engaged = request
            self._merged.notify_all()

    def wait_for_merge(self, is_there: Callable[[], bool], seconds: float) -> bool:
        """Wait until a merge is engaged for which this holds; returns whether there is one."""
        with self._merged:
            return self._merged.wait_for(is_there, seconds)

    def disengage(self) -> None:
        """Engage no merge, from the next batch of a running job on; `MergeJob.restore` restores the
        checkpoint.
        """
        self.engaged = None

    def apply_merge(self, merge: PreparedMerge, progress: Progress) -> SwapReport:
        """Inside a job of the host; see MergeJob.apply."""
        loaded = self.host.loaded()
        if loaded.unavailable_reason:
            raise HostError(loaded.unavailable_reason, hint="save the merge to a file and load that")
        if loaded.checkpoint is None:
            raise HostError("no checkpoint is loaded yet", hint="choose one in the WebUI")
        with self._lock:
            model, recipe = self.host.model(), self.with_known_hashes(merge.resolved)
            try:
                self._last = self.session.apply(
                    model, loaded.checkpoint.path, recipe, merge.headers, progress
                )
            except BrokenModelError:
                self.host.load()
                raise
            self.hash_cache.compute_in_background([file.path for file in merge.resolved.files.values()])
            return self._last

    def restore_checkpoint(self, progress: Progress) -> SwapReport | None:
        """Inside a job of the host; see MergeJob.restore."""
        with self._lock:
            loaded = self.host.loaded().checkpoint if self.is_live() else None
            if loaded is None:
                self.session.forget()
                self._last = None
                return None
            try:
                self._last = self.session.restore(self.host.model(), loaded.path, progress)
            except MergeError:
                self.session.forget()
                self.host.load()
                return None
            return self._last

    # --- saving ---

    def save(
        self,
        request: MergeRequest,
        name: str,
        *,
        format: str = SAVE_FORMATS[0],
        overwrite: bool = False,
        task: str = "",
    ) -> SavedMerge:
        """Save a merge as a file of this name in the host's folder; the name is never a path.

        format     one of SAVE_FORMATS
        overwrite  replace a file of this name; the other fields of MergeOptions are not the caller's: device,
                   progress and alignments are those of the host
        task       see `job`
        """
        return self.write_save(self.prepare_save(request, name, format=format, overwrite=overwrite), task)

    def prepare_save(
        self, request: MergeRequest, name: str, *, format: str = SAVE_FORMATS[0], overwrite: bool = False
    ) -> PreparedSave:
        """Validate a merge and the name of its file, for `write_save`."""
        return saving.prepare_save(self, request, name, format, overwrite=overwrite)

    def write_save(
        self, save: PreparedSave, task: str = "", *, is_wanted: Callable[[], bool] = lambda: True
    ) -> SavedMerge:
        """Write the file of a prepared save; see saving.write."""
        return saving.write(self, save, task, is_wanted)
