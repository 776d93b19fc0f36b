"""Data that the program keeps between runs: JSON files, SQLite databases and folders of cached results.

Every write is atomic (see checkpoint/atomic.py), several processes may use a file at once, and a file that is
damaged or was written by a newer Merge Desk is never overwritten without an error. Two kinds of data differ
in what happens to such a file:

- User data (history, presets, the order of a grid) raises StoreError: `JsonFile.read`, `JsonFile.write`,
  `SqliteFile.open`.
- Caches (hashes, comparisons, alignments, speeds) are treated as missing, and a failed write is ignored:
  `JsonFile.read_cached`, `JsonFile.write_cached`, `CacheFolder`, and SqliteFile within
  `suppress(StoreError)`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from lib_merge.checkpoint import write_data_file
from lib_merge.errors import MergeError, StoreError
from lib_merge.json_data import load_file

T = TypeVar("T")

FORMAT = "format"  # the key of a JSON file's kind and version: "merge-desk grid 1"
KEY_DIGITS = 40  # hexadecimal digits of a cached result's key


@dataclass(frozen=True)
class JsonFile:
    """One JSON file.

    title       its name in error messages: "your own presets"
    kind        its name in the file: "grid" in {"format": "merge-desk grid 1"}
    version     the newest version that can be read, and the one that is written
    has_format  whether the file has the key "format"; files of version 1 of some kinds do not
    """

    path: Path
    title: str
    kind: str
    version: int = 1
    has_format: bool = True

    def read(self, parse: Callable[[object], T]) -> T | None:
        """The file's content, converted by `parse`; None where there is no such file.

        parse  converts the JSON value; raises ValueError, KeyError or MergeError for an invalid one
        Raises StoreError where the file is damaged, unreadable, or written by a newer version.
        """
        try:
            data = load_file(self.path)
            self._check_version(data)
            return parse(data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError) as cause:
            hint = "move this file away, or correct it; it is JSON"
            raise StoreError(f"{self.title} cannot be read", where=self.path.name, hint=hint) from cause

    def write(self, content: Any) -> None:
        """Replace the file's content atomically; OutputError where that fails, and the old content stays."""
        if self.has_format:
            content = {FORMAT: f"{self._format_prefix}{self.version}", **content}
        write_data_file(self.path, json.dumps(content, indent=1, ensure_ascii=False))

    def read_cached(self, parse: Callable[[object], T]) -> T | None:
        """`read` for caches: None where the file cannot be read."""
        try:
            return self.read(parse)
        except MergeError:
            return None

    def write_cached(self, content: Any) -> None:
        """`write` for caches: a failure is ignored."""
        with suppress(MergeError):
            self.write(content)

    @property
    def _format_prefix(self) -> str:
        return f"merge-desk {self.kind} "

    def _check_version(self, data: object) -> None:
        format = cast("dict[str, object]", data).get(FORMAT) if isinstance(data, dict) else None
        if format is None and not self.has_format:
            return
        if not isinstance(format, str) or not format.startswith(self._format_prefix):
            raise ValueError(f"its key '{FORMAT}' does not begin with '{self._format_prefix}'")
        if int(format.removeprefix(self._format_prefix)) > self.version:
            raise _newer_version_error(self.title, self.path)


@dataclass(frozen=True)
class SqliteFile:
    """One SQLite database.

    title            its name in error messages: "the history"
    schema           the SQL statement that creates its table, with IF NOT EXISTS
    version          version of the schema, stored as PRAGMA user_version; 0 in files from before versions
    timeout          seconds to wait for other processes to finish writing
    write_ahead_log  journal_mode WAL, so that readers never wait; does not work on network folders
    """

    path: Path
    title: str
    schema: str
    version: int = 1
    timeout: float = 10.0
    write_ahead_log: bool = False

    @contextmanager
    def open(self) -> Generator[sqlite3.Connection]:
        """A connection to the database, which is created where it is missing.

        The block is one transaction: committed when it ends, undone when it raises. Raises StoreError
        where the file cannot be used or was written by a newer version.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=self.timeout)
            try:
                version = self._check_version(connection)
                if self.write_ahead_log:
                    connection.execute("PRAGMA journal_mode = WAL")
                    # after a power cut the last entries may be missing; the database stays intact
                    connection.execute("PRAGMA synchronous = NORMAL")
                with connection:
                    if version < self.version:
                        connection.execute(self.schema)
                        connection.execute(f"PRAGMA user_version = {self.version}")
                    yield connection
            finally:
                connection.close()
        except (OverflowError, UnicodeEncodeError) as cause:  # integers over 64 bits, lone surrogates
            raise StoreError(f"{self.title} has no such entry", where=f"{self.path.name}: {cause}") from cause
        except (sqlite3.Error, OSError) as cause:
            hint = "close the other program that uses it" if "locked" in str(cause) else "move this file away"
            where = f"{self.path.name}: {cause}"
            raise StoreError(f"{self.title} cannot be used", where=where, hint=hint) from cause

    def _check_version(self, connection: sqlite3.Connection) -> int:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > self.version:
            raise _newer_version_error(self.title, self.path)
        return version


@dataclass(frozen=True)
class CacheFolder:
    """A folder of cached results, one file each, named by the hash of the computation's inputs.

    folder   the folder, or a function that returns it when a result is first used; None caches nothing
    version  increased when the same inputs give another result, which makes all older files unused
    suffix   suffix of the files: ".json"
    """

    folder: Path | Callable[[], Path] | None
    version: int
    suffix: str

    def key(self, *inputs: object) -> str:
        """The key of a result: the hash of its inputs, which must be values that JSON has."""
        return hashlib.sha256(json.dumps([self.version, *inputs]).encode()).hexdigest()[:KEY_DIGITS]

    def path(self, key: str) -> Path | None:
        """The file of the result with that key, whether or not it exists; None where nothing is cached."""
        if self.folder is None:
            return None
        folder = self.folder if isinstance(self.folder, Path) else self.folder()
        return folder / f"{key}{self.suffix}"

    def write(self, key: str, data: bytes | str) -> None:
        """Cache a result; a failure is ignored."""
        path = self.path(key)
        if path is not None:
            with suppress(MergeError):
                write_data_file(path, data)


def _newer_version_error(title: str, path: Path) -> StoreError:
    """The error for a file that a newer version wrote."""
    what = f"{title} cannot be used: a newer Merge Desk wrote this file"
    return StoreError(what, where=path.name, hint="update Merge Desk, or move the file away")
