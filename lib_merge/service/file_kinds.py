"""What kind of checkpoint each file of a long list is, and which of them can be mixed into A.

Of a header only its family, variant and components are remembered: a list of hundreds of files takes a few
kilobytes. They are kept between runs in a file of the data folder, valid while inode, size and time of change
of a checkpoint stay the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib_merge.architectures import Component, identify
from lib_merge.checkpoint import Header
from lib_merge.errors import MergeError
from lib_merge.json_data import expect_object, expect_text, expect_texts
from lib_merge.store import JsonFile
from lib_merge.version import __version__

FILE = "kinds.json"
WRITE_AFTER = 25  # files that were read since the last write
REST = 1.0  # seconds until a background thread looks whether it may go on

Stamp = tuple[int, int, int]  # inode, bytes, time of change


@dataclass(frozen=True)
class FileKind:
    """What a file is, as far as its header tells.

    family      the id of the family, "" for a file that cannot be read or is of no known family
    title       the family in short words, such as "SD1"
    variant     "" (plain), "inpaint", ...; see architectures.Identity
    components  what it holds
    problem     why it cannot be read, "" where it can
    """

    family: str = ""
    title: str = ""
    variant: str = ""
    components: frozenset[Component] = frozenset()
    problem: str = ""

    @classmethod
    def of(cls, header: Header) -> FileKind:
        """The kind of the file with this header."""
        try:
            identity = identify(header.tensors, metadata=header.metadata, where=header.name)
        except MergeError as problem:
            return cls(problem=problem.what)
        family = identity.family
        return cls(family.id, family.short_title or family.title, identity.variant, identity.components)


def misfit_reason(a: FileKind, other: FileKind) -> str:
    """Why a file cannot be mixed into A, in a few words; "" where it can.

    It is what `plan.make_plan` decides over whole headers: one family, a model and not a VAE alone, no more
    input channels than A's. A U-Net alone can be mixed in: what it lacks stays A's.
    """
    if other.problem:
        return other.problem
    if other.components == frozenset({Component.VAE}):
        return "a VAE alone"
    if other.family != a.family:
        return f"{other.title}, A is {a.title}" if a.title else ""
    if other.variant and other.variant != a.variant:
        return f"an {other.variant} model, A is {a.variant or 'plain'}"
    return ""


class FileKinds:
    """The kinds of files, each read once until the file changes; thread-safe.

    folder  of the file that keeps them, by a function since a host may create it late
    stamp   of a file; MergeError where it is gone
    read    its header, which is not kept
    """

    def __init__(
        self, folder: Callable[[], Path], stamp: Callable[[Path], Stamp], read: Callable[[Path], Header]
    ) -> None:
        self._folder, self._stamp, self._read_header = folder, stamp, read
        self._kinds: dict[str, tuple[Stamp, FileKind]] | None = None
        self._unread: set[str] = set()  # what could not be read in this run: the next one tries again
        self._unwritten = 0
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None

    def kind(self, path: Path) -> FileKind:
        """The kind of a file; never raises."""
        return self.cached(path) or self._read(path)

    def cached(self, path: Path) -> FileKind | None:
        """The kind of a file that was read before and has not changed since, else None."""
        with self._lock:
            entry = self._loaded().get(str(path))
        try:
            return entry[1] if entry and entry[0] == self._stamp(path) else None
        except MergeError as problem:
            return FileKind(problem=problem.what)

    def read(self, paths: Sequence[Path], seconds: float) -> int:
        """Read as many of these files as fit into the time, at least one; returns how many are left."""
        unread = [path for path in paths if self.cached(path) is None]
        end = time.monotonic() + seconds
        left = len(unread)
        for path in unread:
            self._read(path)
            left -= 1
            if time.monotonic() >= end:
                break
        if unread:
            self._write()
        return left

    def read_in_background(self, paths: Sequence[Path], rests: Callable[[], bool]) -> None:
        """Read these files in a thread, unless one runs already.

        rests  whether something more urgent runs, which the thread waits for
        """
        with self._lock:
            if self.reading:
                return
            self._thread = threading.Thread(
                target=self._read_all, args=(tuple(paths), rests), name="merge-desk-kinds", daemon=True
            )
            self._thread.start()

    @property
    def reading(self) -> bool:
        """Whether a thread reads files."""
        return self._thread is not None and self._thread.is_alive()

    def join(self) -> None:
        """Wait for the thread."""
        if self._thread is not None:
            self._thread.join()

    def _read_all(self, paths: Sequence[Path], rests: Callable[[], bool]) -> None:
        for path in paths:
            while rests():
                time.sleep(REST)
            begun = time.monotonic()
            if self.cached(path) is None:
                self._read(path)
                time.sleep(time.monotonic() - begun)  # it takes half of a core at most
        self._write()

    def _read(self, path: Path) -> FileKind:
        try:
            stamp = self._stamp(path)
        except MergeError as problem:  # it is gone
            return FileKind(problem=problem.what)
        try:
            header = self._read_header(path)
        except MergeError as problem:
            kind, unread = FileKind(problem=problem.what), {str(path)}
        else:
            kind, unread = FileKind.of(header), set[str]()
        with self._lock:
            self._unread = self._unread - {str(path)} | unread
            self._loaded()[str(path)] = stamp, kind
            self._unwritten += 1
            if self._unwritten >= WRITE_AFTER:
                self._write()
        return kind

    # --- between runs ---

    def _file(self) -> JsonFile:
        return JsonFile(self._folder() / FILE, "the kinds of the checkpoints", "kinds")

    def _loaded(self) -> dict[str, tuple[Stamp, FileKind]]:
        if self._kinds is None:
            self._kinds = dict(self._file().read_cached(_parse) or {})
        return self._kinds

    def _write(self) -> None:
        with self._lock:
            if not self._unwritten:
                return
            self._unwritten = 0
            kinds = self._loaded().items()
            files = {path: _row(*entry) for path, entry in kinds if path not in self._unread}
            self._file().write_cached({"program": __version__, "files": files})


def _row(stamp: Stamp, kind: FileKind) -> dict[str, object]:
    parts = sorted(part.value for part in kind.components)
    texts = {"family": kind.family, "title": kind.title, "variant": kind.variant, "problem": kind.problem}
    return {"stamp": " ".join(map(str, stamp)), **texts, "components": parts}


def _parse(data: object) -> Mapping[str, tuple[Stamp, FileKind]]:
    """The kinds that the same version has written: another one may tell more families apart."""
    content = expect_object(data)
    if content["program"] != __version__:
        return {}
    return {path: _parse_row(expect_object(row)) for path, row in expect_object(content["files"]).items()}


def _parse_row(row: Mapping[str, object]) -> tuple[Stamp, FileKind]:
    inode, size, changed = map(int, expect_text(row["stamp"]).split())
    family, title, variant, problem = (
        expect_text(row[name]) for name in ("family", "title", "variant", "problem")
    )
    components = frozenset(map(Component, expect_texts(row["components"])))
    return (inode, size, changed), FileKind(family, title, variant, components, problem)
