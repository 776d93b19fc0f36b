"""Hashes of files, remembered for as long as a file keeps its size and its time of change.

One SQLite file that any number of processes may use at once; without a folder nothing outlives the
process. A book that cannot be read or written is no error: the hashes are then made again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from lib_merge.checkpoint.hashes import Hashes, hash_file
from lib_merge.errors import MergeError, encodable
from lib_merge.progress import Progress

FILE = "hashes.sqlite3"
RECORDED = ("sha256", "autov3")
COLUMNS = ("autov1", "autov2", "autov3", "autov3_full", "sha256", "md5")
WAIT = 5.0  # seconds for another process to finish writing
TABLE = f"""CREATE TABLE IF NOT EXISTS hashes (path TEXT PRIMARY KEY, size INTEGER, changed INTEGER,
    {", ".join(f"{name} TEXT" for name in COLUMNS)})"""

Key = tuple[str, int, int]


class HashBook:
    """What files hash to; safe to ask from any thread."""

    def __init__(self, folder: Path | None = None) -> None:
        self._place = folder / FILE if folder else None
        self._known: dict[Key, Hashes] = {}
        self._lock = threading.Lock()
        self._learning: set[Path] = set()

    def known(self, path: Path) -> Hashes | None:
        """The file's sha256 and AutoV3 as far as they are written down; reads no file."""
        try:
            key = _key(path)
        except OSError:
            return None
        with self._lock:
            if key not in self._known and (read := self._read(key)) is not None:
                self._known[key] = read
            return self._known.get(key)

    def hashes(self, path: Path, *, progress: Progress | None = None) -> Hashes:
        """The file's sha256 and AutoV3; reads the whole file the first time."""
        found = self.known(path)
        if found is None:
            found = hash_file(path, wanted=RECORDED, progress=progress)
            self.write_down(path, found)
        return found

    def write_down(self, path: Path, hashes: Hashes) -> None:
        """Hashes that somebody else has made."""
        with suppress(OSError):
            key = _key(path)
            with self._lock:
                self._known[key] = hashes
                self._write(key, hashes)

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

    def _read(self, key: Key) -> Hashes | None:
        with suppress(sqlite3.Error, OSError), self._book() as book:
            rows = book.execute(
                f"SELECT {', '.join(COLUMNS)} FROM hashes WHERE path = ? AND size = ? AND changed = ?", key
            )
            row = rows.fetchone()
            return Hashes(**dict(zip(COLUMNS, row, strict=True))) if row else None
        return None

    def _write(self, key: Key, hashes: Hashes) -> None:
        values = asdict(hashes)
        with suppress(sqlite3.Error, OSError), self._book() as book:
            marks = ", ".join("?" for _ in (*key, *COLUMNS))
            book.execute(
                f"INSERT OR REPLACE INTO hashes VALUES ({marks})", (*key, *(values[c] for c in COLUMNS))
            )

    @contextmanager
    def _book(self) -> Generator[sqlite3.Connection]:
        if self._place is None:
            raise OSError("no book is kept")
        self._place.parent.mkdir(parents=True, exist_ok=True)
        book = sqlite3.connect(self._place, timeout=WAIT)
        try:
            with book:
                book.execute(TABLE)
                yield book
        finally:
            book.close()


def _key(path: Path) -> Key:
    state = path.stat()
    return encodable(str(path.resolve())), state.st_size, state.st_mtime_ns
