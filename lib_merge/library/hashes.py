"""A cache of file hashes, valid while inode, size and time of change of a file stay the same (see state.py).

It is kept in the user's cache folder, which the command line and every desk share; a desk keeps a copy in its
data folder too, which may outlive the user's folder (a container, Colab). Each is one SQLite file that any
number of processes may use at once. A cache that cannot be read or written is no error: the hashes are
computed again.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from lib_merge.checkpoint import Hashes, hash_file
from lib_merge.checkpoint.hashes import RECORDED_HASHES
from lib_merge.checkpoint.state import changed_error, file_state
from lib_merge.checkpoint.system_errors import read_failure
from lib_merge.checkpoint.webui_hashes import sha256_in_webui
from lib_merge.errors import MergeError, StoreError, encodable
from lib_merge.progress import Progress
from lib_merge.store import SqliteFile

FILE = "hashes.sqlite3"
CACHE_FOLDER = "merge-desk"  # folder within the user's cache folder
COLUMNS = ("autov1", "autov3_full", "sha256", "md5")
# hash -> its column
COLUMN_OF = {"autov1": "autov1", "autov3": "autov3_full", "sha256": "sha256", "md5": "md5"}
ABSENT = "none"  # the file has no such hash: AutoV3 without a safetensors header
DIGITS = {"autov1": 8, "autov3_full": 64, "sha256": 64, "md5": 32}
WAIT = 5.0  # seconds for another process to finish writing
TABLE = f"""CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, inode INTEGER, size INTEGER,
    changed INTEGER, {", ".join(f"{name} TEXT" for name in COLUMNS)})"""

Key = tuple[str, int, int, int]
HashRow = Mapping[str, str]  # column -> hex digits, of the cached hashes


def cache_folder() -> Path | None:
    """Merge Desk's folder in the user's cache folder of the platform; None without a home folder."""
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
    return folder / CACHE_FOLDER


class HashCache:
    """Hashes of files; thread-safe.

    folders  further folders with a cache, read after the user's and written too
    """

    def __init__(self, *folders: Path | None) -> None:
        all_folders = (cache_folder(), *folders)
        self._files = [
            SqliteFile(folder / FILE, "the file of known hashes", TABLE, timeout=WAIT)
            for folder in dict.fromkeys(all_folders)
            if folder is not None
        ]
        self._rows: dict[Key, HashRow] = {}
        self._lock = threading.Lock()
        self._computing: set[Path] = set()

    def cached(self, path: Path, wanted: Collection[str] = RECORDED_HASHES) -> Hashes | None:
        """The wanted hashes (of ALL_HASHES) if all of them are cached, else None; reads no tensor."""
        try:
            key = _key(path)
        except OSError:
            return None
        columns = {COLUMN_OF[name] for name in wanted}
        with self._lock:
            row = self._rows.get(key, {})
            for file in self._files:
                if not columns <= row.keys():
                    row = {**_read(file, key), **row}
            if "sha256" in columns - row.keys() and (sha256 := sha256_in_webui(path)):
                row = {**row, "sha256": sha256}
            self._rows[key] = row
        return _hashes({name: row[name] for name in columns}) if columns <= row.keys() else None

    def hashes(
        self, path: Path, wanted: Collection[str] = RECORDED_HASHES, *, progress: Progress | None = None
    ) -> Hashes:
        """The wanted hashes; reads the entire file the first time.

        Raises CheckpointError where the file changes meanwhile.
        """
        hashes = self.cached(path, wanted)
        if hashes is not None:
            return hashes
        try:
            key = _key(path)
            hashes = hash_file(path, algorithms=wanted, progress=progress)
            if _key(path) != key:
                raise changed_error(path)
        except OSError as error:
            raise read_failure(error, path) from error
        self._keep(key, _row(hashes, wanted))
        return hashes

    def record(self, path: Path, hashes: Hashes, computed: Collection[str]) -> None:
        """Store hashes that were computed elsewhere: those named in `made`."""
        with suppress(OSError):
            self._keep(_key(path), _row(hashes, computed))

    def compute_in_background(self, paths: Collection[Path]) -> threading.Thread | None:
        """Compute missing hashes of these files in a thread, which is returned; None if all are cached."""
        with self._lock:
            new = [path for path in dict.fromkeys(paths) if path not in self._computing]
        new = [path for path in new if self.cached(path) is None]
        if not new:
            return None
        self._computing.update(new)
        thread = threading.Thread(
            target=self._compute_all, args=(new,), name="merge-desk-hashes", daemon=True
        )
        thread.start()
        return thread

    def _compute_all(self, paths: Iterable[Path]) -> None:
        for path in paths:
            with suppress(MergeError):
                self.hashes(path)
            self._computing.discard(path)

    def _keep(self, key: Key, row: HashRow) -> None:
        with self._lock:
            row = {**self._rows.get(key, {}), **row}
            self._rows[key] = row
            for file in self._files:
                _write(file, key, {**_read(file, key), **row})


def _row(hashes: Hashes, computed: Collection[str]) -> HashRow:
    return {COLUMN_OF[name]: getattr(hashes, COLUMN_OF[name]) or ABSENT for name in computed}


def _hashes(row: HashRow) -> Hashes:
    digests = {name: None if text == ABSENT else text for name, text in row.items()}
    sha256, autov3 = digests.get("sha256"), digests.get("autov3_full")
    return Hashes(**digests, autov2=sha256 and sha256[:10], autov3=autov3 and autov3[:12])


def _read(file: SqliteFile, key: Key) -> HashRow:
    with suppress(StoreError, OSError):
        if not file.path.is_file():
            return {}
        with file.open() as connection:
            condition = "path = ? AND inode = ? AND size = ? AND changed = ?"
            row = connection.execute(
                f"SELECT {', '.join(COLUMNS)} FROM files WHERE {condition}", key
            ).fetchone()
        return {name: text for name, text in zip(COLUMNS, row or (), strict=False) if _is_hash(name, text)}
    return {}


def _is_hash(name: str, value: object) -> bool:
    """Whether a stored value has the form of a hash; the database may be damaged."""
    if value == ABSENT:
        return True
    return isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{DIGITS[name]}}}", value) is not None


def _write(file: SqliteFile, key: Key, row: HashRow) -> None:
    with suppress(StoreError), file.open() as connection:
        marks = ", ".join("?" for _ in (*key, *COLUMNS))
        connection.execute(
            f"INSERT OR REPLACE INTO files VALUES ({marks})", (*key, *(row.get(c) for c in COLUMNS))
        )


def _key(path: Path) -> Key:
    return encodable(str(path.resolve())), *file_state(path)
