"""What the desk, the API and the always-on script have in common: one host, one live session, one door.

Everything that touches the model goes through the host's job; what can be refused is refused before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from lib_merge.checkpoint import EVERY_HASH, HashBook, Hashes, Header, hash_file, read_header
from lib_merge.checkpoint.state import last_change
from lib_merge.desk.history import SAVED, History
from lib_merge.desk.request import Asked, read_request
from lib_merge.desk.server_paths import without_paths
from lib_merge.errors import MergeError, OutputError, PlanError, RecipeError
from lib_merge.execute import Overflow
from lib_merge.hosts.host import (
    Ckpt,
    DrawSettings,
    Host,
    HostError,
    Picture,
    find,
    fitting_files,
    named_of,
    unforeseen,
)
from lib_merge.hosts.saving import (
    DIFFUSERS,
    FORMATS,
    copy_settings,
    save_merge,
    saving_problems,
    settings_problems,
    size_of,
)
from lib_merge.live import BrokenModelError, LiveSession, MergeIdent, SwapReport
from lib_merge.plan import Plan, make_plan
from lib_merge.progress import Progress
from lib_merge.rebasin import Alignments
from lib_merge.recipe import Recipe, Recorded, find_ingredients, recipe_of, renamed, with_hashes
from lib_merge.recipe.hashing import InputHashes, wanted_by
from lib_merge.recipe.names import Fits, fitting, shortest
from lib_merge.report.cache import FOLDER
from lib_merge.report.difference import slot_differences

Body = Mapping[str, object]
Stamp = tuple[int, int, int]  # inode, bytes, time of change

log = logging.getLogger(__name__)
ALTERED = "another extension has changed them; a merge, or choosing another checkpoint and back, undoes that"
MOST_NAME = 150  # characters of a file name, so that every file system takes it


@dataclass(frozen=True)
class Status:
    """What is in memory.

    base     the checkpoint that the host loaded, "" where it has none
    live     the merge that was swapped in, None where the model is the checkpoint's own
    last     what the last swap did
    refusal  why nothing can be swapped in, "" where something can
    note     what else a person must know: weights that are not the file's, errors of ours inside the host
    """

    base: str
    live: MergeIdent | None
    last: SwapReport | None
    refusal: str
    note: str = ""


@dataclass(frozen=True)
class Saved:
    """A file that was written, its hashes (none of a folder), and what was cut to fit."""

    checkpoint: Ckpt
    plan: Plan
    nbytes: int
    hashes: Hashes
    overflow: Overflow = field(default_factory=Overflow)


class Mixer:
    """One host's desk; safe to call from any thread."""

    def __init__(self, host: Host, *, threads: int | None = None) -> None:
        self.host = host
        alignments = Alignments(lambda: host.data() / "alignments")
        self.session = LiveSession(device=host.device(), threads=threads, alignments=alignments)
        self.asked: Body | None = None  # what the user has engaged, to be applied again where it got lost
        self.rooms: dict[str, object] = {}  # what rooms keep while their pages come and go
        self.troubles: dict[str, str] = {}  # where we failed inside the host -> what is told on the page
        self._last: SwapReport | None = None
        self._lock = threading.RLock()
        self.book = HashBook(host.data())
        self.history = History(host.data())
        self._headers: dict[Path, tuple[Stamp, Header]] = {}
        self._unreadable: dict[Path, str] = {}
        self._differences: dict[tuple[Path, Stamp, Path, Stamp], Mapping[str, float]] = {}

    # --- asking ---

    def status(self) -> Status:
        """What is in memory; touches no model."""
        loaded = self.host.loaded()
        live = self.session.ident if self.is_live() else None
        base = loaded.checkpoint.name if loaded.checkpoint else ""
        notes = list(self.troubles.values())
        if base and live is None and not loaded.refusal and self._altered():
            notes.insert(0, f"The weights in memory are not those of {base}'s file: {ALTERED}.")
        if live and self._last:
            notes += [f"{note[:1].upper()}{note[1:]}." for note in self._last.notes]
        return Status(base, live, self._last if live else None, loaded.refusal, " ".join(notes))

    def _altered(self) -> bool:
        """Whether another extension has changed the weights; a host that cannot tell says nothing."""
        look = getattr(self.host, "altered", None)
        return look is not None and look()

    def trouble(self, where: str, failure: Exception) -> None:
        """An error of ours in the middle of the host's own work, which goes on without us."""
        log.exception("Merge Desk failed at %s", where, exc_info=failure)
        why = without_paths(str(failure)) or type(failure).__name__
        self.troubles[where] = f"Merge Desk failed at {where}, and the WebUI went on without it: {why}."

    def is_live(self) -> bool:
        """Whether the host's model holds the merge of the last swap; cheap, and takes no lock."""
        if self.session.ident is None or self.host.loaded().refusal:
            return False
        return self.session.is_live(self.host.model())

    def read(self, body: Body) -> Asked:
        """What a body asks for, with the host's own names for files."""
        if body.get("recipe"):
            others = [word for word, value in body.items() if word != "recipe" and value not in (None, "")]
            if others:
                what = f"'{others[0]}' was asked for beside a recipe, which says the whole merge"
                raise RecipeError(what, hint="write it into the recipe, or leave the recipe out")
            return self.locate(recipe_of(str(body["recipe"])))
        return read_request(body, self.checkpoint, self.vae, self.called)

    def checkpoint(self, name: str) -> Ckpt:
        """A checkpoint by any name that the host shows; see hosts.host.find."""
        return find(self.host.checkpoints(), name, hashes=self.book.hashes)

    def vae(self, name: str) -> Ckpt:
        """A VAE file likewise."""
        return find(self.host.vaes(), name, "VAE", hashes=self.book.hashes)

    def called(self, checkpoint: Ckpt) -> str:
        """What recipes call a file of the host's: as much of its path as no other file's path ends with."""
        return shortest(checkpoint.path, (each.path for each in self._listed()))

    def _listed(self) -> tuple[Ckpt, ...]:
        return (*self.host.vaes(), *self.host.checkpoints())

    def fitting(self, wanted: Recorded) -> Fits:
        """The files of the host's that a recipe's name fits; checkpoints first, or VAE files for a VAE."""
        lists = (self.host.checkpoints(), self.host.vaes())
        for files in reversed(lists) if wanted.vae else lists:
            if (found := fitting_files(wanted.file, files)).files:
                return found
        return Fits()

    def locate(self, recipe: Recipe) -> Asked:
        """The files of a recipe among the host's, by name, or where it records hashes by those."""
        known = {each.path: each for each in self._listed()}
        try:
            wanted = wanted_by(recipe)
            found = find_ingredients(
                recipe, self.fitting, lambda: known, lambda path: self.book.hashes(path, wanted)
            )
        except PlanError as cause:
            only = cause.problems[0]
            hint = "refresh the list" if only.hint == "--models DIR" else only.hint
            what = "\n".join(each.what for each in cause.problems)
            raise HostError(what, where=only.where, hint=hint) from cause
        files = {file: known[path] for file, path in found.paths.items()}
        names = {file: self.called(each) for file, each in files.items() if fitting(file, [named_of(each)])}
        return Asked(
            renamed(found.recipe, names),
            {names.get(file, file): each for file, each in files.items()},
            found.notes,
        )

    def hashed(self, asked: Asked) -> Recipe:
        """The recipe with those of its files' hashes that are known already."""
        wanted = wanted_by(asked.recipe)
        found = {file: self.book.known(each.path, wanted) for file, each in asked.files.items()}
        return with_hashes(asked.recipe, {file: hashes for file, hashes in found.items() if hashes})

    def _write_down(self, recipe: Recipe, **facts: Any) -> None:
        """A merge that was done is in the history; a history that cannot be written stops nothing."""
        try:
            self.history.add(recipe, **facts)
        except MergeError as problem:
            log.warning("%s", problem)

    def plan(self, body: Body) -> Plan:
        """What a merge would do; reads headers alone."""
        asked = self.read(body)
        return make_plan(asked.recipe, self._all_headers(asked))

    def header(self, checkpoint: Ckpt) -> Header:
        """A file's header, read again only when the file has changed."""
        stamp = _stamp(checkpoint.path)
        known = self._headers.get(checkpoint.path)
        if known is None or known[0] != stamp:
            known = stamp, self._read_header(checkpoint)
            self._headers[checkpoint.path] = known
        return known[1]

    def _read_header(self, checkpoint: Ckpt) -> Header:
        self._unreadable.pop(checkpoint.path, None)
        try:
            return read_header(checkpoint.path)
        except Exception as cause:  # an odd file can make its reader raise anything
            problem = cause if isinstance(cause, MergeError) else unforeseen(cause, checkpoint.path)
            self._unreadable[checkpoint.path] = problem.what
            raise problem from cause

    def unreadable(self) -> Mapping[str, str]:
        """The files that the host or the desk met and could not read, by name, and why."""
        met = dict(self._unreadable)
        listed = {each.name: met[each.path] for each in self._listed() if each.path in met}
        return {**self.host.unreadable(), **listed}

    def differences(self, a: str, b: str) -> Mapping[str, float]:
        """How much two checkpoints differ in each slot (see report.difference); kept on the disk."""
        first, second = (self.checkpoint(name) for name in (a, b))
        key = (first.path, _stamp(first.path), second.path, _stamp(second.path))
        if key not in self._differences:
            kept = self.host.data() / FOLDER
            self._differences[key] = slot_differences(self.header(first), self.header(second), kept)
        return self._differences[key]

    def _all_headers(self, asked: Asked) -> dict[str, Header]:
        headers: dict[str, Header] = {}
        problems: list[MergeError] = []
        for file, checkpoint in asked.files.items():
            try:
                headers[file] = self.header(checkpoint)
            except MergeError as problem:
                problems.append(problem)
        if problems:
            raise PlanError(problems)
        return headers

    # --- the live model ---

    def apply(self, body: Body, task: str = "") -> SwapReport:
        """Swap what the body asks for into the model in memory."""
        asked = self.read(body)
        headers = self._all_headers(asked)
        with self.host.job("Merge Desk: swapping blocks", task) as progress, self._lock:
            report = self._swap(asked, headers, progress)
        self.asked = dict(body)
        self._write_down(asked.recipe)
        return report

    def apply_and_draw(
        self, body: Body, settings: DrawSettings, task: str = ""
    ) -> tuple[SwapReport, Picture]:
        """Swap and draw in one job, so that no other job's picture comes between."""
        asked = self.read(body)
        headers = self._all_headers(asked)
        with self.host.job("Merge Desk: preview", task) as progress, self._lock:
            report = self._swap(asked, headers, progress)
            self.asked = dict(body)
            picture = self.host.draw(settings)
        self._write_down(self.hashed(asked), picture=picture.image, infotext=picture.infotext)
        return report, picture

    def apply_inside(self, body: Body, progress: Progress | None = None) -> SwapReport:
        """`apply` for a caller that is inside the host's job already (the always-on script)."""
        return self.swap_inside(self.read(body), progress)

    def swap_inside(self, asked: Asked, progress: Progress | None = None) -> SwapReport:
        """`apply_inside` for a recipe whose files are known."""
        with self._lock:
            return self._swap(asked, self._all_headers(asked), progress)

    def draw(self, settings: DrawSettings, task: str = "") -> Picture:
        """A picture with the model as it is."""
        with self.host.job("Merge Desk: preview", task):
            return self.host.draw(settings)

    def restore(self, task: str = "") -> SwapReport | None:
        """Bring the loaded checkpoint back, in place, or where that fails by having the host load it."""
        self.asked = None
        with self.host.job("Merge Desk: restoring", task) as progress, self._lock:
            return self.restore_inside(progress)

    def restore_inside(self, progress: Progress | None = None) -> SwapReport | None:
        """`restore` for a caller that is inside the host's job already."""
        loaded = self.host.loaded().checkpoint
        if loaded is None or self.session.ident is None or not self.is_live():
            self.session.forget()
            self._last = None
            return None
        try:
            report = self.session.restore(self.host.model(), loaded.path, progress)
        except MergeError:
            self.session.forget()
            self.host.load()
            return None
        self._last = report
        return report

    def _swap(self, asked: Asked, headers: Mapping[str, Header], progress: Progress | None) -> SwapReport:
        loaded = self.host.loaded()
        if loaded.refusal:
            raise HostError(loaded.refusal, hint="save the merge to a file and load that")
        if loaded.checkpoint is None:
            raise HostError("no checkpoint is loaded yet", hint="choose one in the WebUI")
        try:
            report = self.session.apply(
                self.host.model(),
                loaded.checkpoint.path,
                self.hashed(asked),
                headers,
                progress,
            )
        except BrokenModelError:
            self.host.load()
            raise
        self._last = report
        self.book.learn([each.path for each in asked.files.values()])
        return report

    # --- saving ---

    def save(
        self,
        body: Body,
        name: str,
        *,
        format: str = FORMATS[0],
        overwrite: bool = False,
        task: str = "",
    ) -> Saved:
        """Write what the body asks for under a name in the host's folder; never a path from a page."""
        asked = self.read(body)
        plan = make_plan(asked.recipe, self._all_headers(asked))
        target = self._place(format) / file_name(name, format)
        loaded = self.host.loaded().checkpoint
        inputs = [source.path for source in plan.sources] + ([loaded.path] if loaded else [])
        problems = saving_problems(plan, target, format, inputs=inputs, overwrite=overwrite)
        base = plan.sources[plan.predictor if plan.prediction_notes else plan.base].path
        if format != DIFFUSERS:
            problems += settings_problems(base, target, overwrite=overwrite)
        if problems:
            raise PlanError(problems)
        device = self.host.device()
        with self.host.job("Merge Desk: saving", task, model=False) as progress:
            hashing = InputHashes(self.book, {file: each.path for file, each in asked.files.items()})
            plan = make_plan(hashing.planned(asked.recipe), self._all_headers(asked))
            with hashing:
                overflow = save_merge(
                    plan,
                    target,
                    format,
                    overwrite=overwrite,
                    device=device,
                    progress=progress,
                    alignments=self.session.alignments,
                    recorded=hashing.settled,
                )
                plan = replace(plan, recipe=hashing.settled(plan.recipe))
            if format == DIFFUSERS:  # no checkpoint of the host's list
                self._write_down(plan.recipe, kind=SAVED, file=target.name)
                return Saved(Ckpt(target.name, target), plan, size_of(target), Hashes(), overflow)
            hashes = hash_file(target, progress=progress)
        self.book.write_down(target, hashes, EVERY_HASH)
        self._write_down(plan.recipe, kind=SAVED, file=target.name, sha256=hashes.sha256 or "")
        copy_settings(base, target, overwrite=overwrite)
        return Saved(self.host.saved(target), plan, size_of(target), hashes, overflow)

    def _place(self, format: str) -> Path:
        """The folder of checkpoints; a diffusers folder's parts would be listed there."""
        if format != DIFFUSERS:
            return self.host.folders()[0]
        folder = self.host.data() / DIFFUSERS
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def file_name(name: str, format: str) -> str:
    """A file name from what a user typed: a bare name, its ending the format's."""
    if format not in FORMATS:
        raise OutputError(f"there is no format '{format}'", hint=" or ".join(FORMATS))
    bare = name.strip().removesuffix(f".{format}").strip()
    if not bare:
        raise OutputError("the merge needs a name to be saved under")
    odd = [c for c in bare if c in '<>:"/\\|?*' or not c.isprintable()]
    edges = bare.startswith(".") or bare.endswith(".")  # hidden; and Windows drops a last dot
    if odd or edges or bare != PurePosixPath(bare).name or PureWindowsPath(bare).is_reserved():
        raise OutputError(
            f"'{bare}' cannot be a file's name", hint="letters, digits, spaces, - and _; no folders"
        )
    if len(bare) > MOST_NAME:
        raise OutputError(f"this name has {len(bare)} characters", hint=f"{MOST_NAME} at most")
    return bare if format == DIFFUSERS else f"{bare}.{format}"


def _stamp(path: Path) -> Stamp:
    try:
        state = path.stat()
    except OSError as cause:
        raise HostError(f"{path.name} is gone", hint="refresh the list of checkpoints") from cause
    return state.st_ino, state.st_size, last_change(state)
