"""Hashes of files, remembered for as long as a file keeps its inode, its size and its time of change
(see state.py).

They are kept for every user in the platform's folder for caches, and are the same for the command line and
every desk; a desk keeps them in its own folder too, which may outlive the user's (a container, Colab). Each
is one SQLite file that any number of processes may use at once. A book that cannot be read or written is no
error: the hashes are then made again.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import threading
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lib_merge.checkpoint.hashes import Hashes, hash_file
from lib_merge.checkpoint.state import changed, state_of
from lib_merge.checkpoint.webui_hashes import sha256_in_webui
from lib_merge.checkpoint.words import read_failure
from lib_merge.errors import MergeError, encodable
from lib_merge.progress import Progress

FILE = "hashes.sqlite3"
CACHE = "merge-desk"  # our folder among the caches
RECORDED = ("sha256",)  # what a recipe records of its files
COLUMNS = ("autov1", "autov3_full", "sha256", "md5")
OF = {"autov1": "autov1", "autov3": "autov3_full", "sha256": "sha256", "md5": "md5"}  # hash -> its column
NONE = "none"  # of a hash that the file has not: AutoV3 without a safetensors header
DIGITS = {"autov1": 8, "autov3_full": 64, "sha256": 64, "md5": 32}
UNUSABLE = (sqlite3.Error, OSError, OverflowError)  # the last of an inode of more than 64 bits
WAIT = 5.0  # seconds for another process to finish writing
TABLE = f"""CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, inode INTEGER, size INTEGER,
    changed INTEGER, {", ".join(f"{name} TEXT" for name in COLUMNS)})"""

Key = tuple[str, int, int, int]
Row = Mapping[str, str]  # column -> digits, of the hashes that are known


def cache_folder() -> Path | None:
    """The platform's folder for caches of this user, ours within; None where there is no home."""
    try:
        if sys.platform == "win32":
            named = os.environ.get("LOCALAPPDATA")
            folder = Path(named) if named else Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            folder = Path.home() / "Library" / "Caches"
        else:
            named = os.environ.get("XDG_CACHE_HOME", "")
            folder = Path(named) if Path(named).is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return folder / CACHE


class HashBook:
    """What files hash to; safe to ask from any thread.

    folders  where it is kept besides the user's cache: read after that, written as well
    """

    def __init__(self, *folders: Path | None) -> None:
        places = (cache_folder(), *folders)
        self._places = [place / FILE for place in dict.fromkeys(places) if place is not None]
        self._known: dict[Key, Row] = {}
        self._lock = threading.Lock()
        self._learning: set[Path] = set()

    def known(self, path: Path, wanted: Collection[str] = RECORDED) -> Hashes | None:
        """The wanted hashes of the file (of EVERY_HASH) where all of them are known; reads no tensor."""
        try:
            key = _key(path)
        except OSError:
            return None
        columns = {OF[name] for name in wanted}
        with self._lock:
            row = self._known.get(key, {})
            for place in self._places:
                if not columns <= row.keys():
                    row = {**_read(place, key), **row}
            if "sha256" in columns - row.keys() and (sha256 := sha256_in_webui(path)):
                row = {**row, "sha256": sha256}
            self._known[key] = row
        return _hashes({name: row[name] for name in columns}) if columns <= row.keys() else None

    def hashes(
        self, path: Path, wanted: Collection[str] = RECORDED, *, progress: Progress | None = None
    ) -> Hashes:
        """The wanted hashes of the file; reads the whole file the first time.

        CheckpointError where it is changed meanwhile.
        """
        found = self.known(path, wanted)
        if found is not None:
            return found
        try:
            key = _key(path)
            found = hash_file(path, wanted=wanted, progress=progress)
            if _key(path) != key:
                raise changed(path)
        except OSError as error:
            raise read_failure(error, path) from error
        self._keep(key, _row(found, wanted))
        return found

    def write_down(self, path: Path, hashes: Hashes, made: Collection[str]) -> None:
        """Hashes that somebody else has made, all those of `made`."""
        with suppress(OSError):
            self._keep(_key(path), _row(hashes, made))

    def learn(self, paths: Collection[Path]) -> threading.Thread | None:
        """Make the hashes of these files in the background, those that are not known; None if all are."""
        with self._lock:
            new = [path for path in dict.fromkeys(paths) if path not in self._learning]
        new = [path for path in new if self.known(path) is None]
        if not new:
            return None
        self._learning.update(new)
        thread = threading.Thread(target=self._learn, args=(new,), name="merge-desk-hashes", daemon=True)
        thread.start()
        return thread

    def _learn(self, paths: Iterable[Path]) -> None:
        for path in paths:
            with suppress(MergeError):
                self.hashes(path)
            self._learning.discard(path)

    def _keep(self, key: Key, row: Row) -> None:
        with self._lock:
            row = {**self._known.get(key, {}), **row}
            self._known[key] = row
            for place in self._places:
                _write(place, key, {**_read(place, key), **row})


def _row(hashes: Hashes, made: Collection[str]) -> Row:
    return {OF[name]: getattr(hashes, OF[name]) or NONE for name in made}


def _hashes(row: Row) -> Hashes:
    found = {name: None if text == NONE else text for name, text in row.items()}
    sha256, autov3 = found.get("sha256"), found.get("autov3_full")
    return Hashes(**found, autov2=sha256 and sha256[:10], autov3=autov3 and autov3[:12])


def _read(place: Path, key: Key) -> Row:
    with suppress(*UNUSABLE):
        if not place.is_file():
            return {}
        with _book(place) as book:
            asked = "path = ? AND inode = ? AND size = ? AND changed = ?"
            row = book.execute(f"SELECT {', '.join(COLUMNS)} FROM files WHERE {asked}", key).fetchone()
        return {name: text for name, text in zip(COLUMNS, row or (), strict=False) if _is_hash(name, text)}
    return {}


def _is_hash(name: str, value: object) -> bool:
    """Whether it can be a file's hash, whatever has become of the book."""
    if value == NONE:
        return True
    return isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{DIGITS[name]}}}", value) is not None


def _write(place: Path, key: Key, row: Row) -> None:
    with suppress(*UNUSABLE), _book(place) as book:
        marks = ", ".join("?" for _ in (*key, *COLUMNS))
        book.execute(f"INSERT OR REPLACE INTO files VALUES ({marks})", (*key, *(row.get(c) for c in COLUMNS)))


@contextmanager
def _book(place: Path) -> Generator[sqlite3.Connection]:
    place.parent.mkdir(parents=True, exist_ok=True)
    book = sqlite3.connect(place, timeout=WAIT)
    try:
        with book:
            book.execute(TABLE)
            yield book
    finally:
        book.close()


def _key(path: Path) -> Key:
    return encodable(str(path.resolve())), *state_of(path)
