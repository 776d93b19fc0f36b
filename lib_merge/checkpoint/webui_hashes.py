"""Reads the sha256 of a checkpoint from the hash cache of the WebUI in whose folders it is.

AUTOMATIC1111 up to 1.9 and forks of it keep `cache.json` next to `models`, later versions
`cache/hashes/cache.db` (diskcache): "checkpoint/NAME" -> {"mtime": seconds, "sha256": digits}, where NAME is
the path below the folder of checkpoints (modules/cache.py, modules/hashes.py). An entry is valid while the
file's mtime is the recorded one. Nothing is written. The entries of diskcache are pickles: they are loaded
without any class or function, so that no code can run.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NoReturn, cast

JSON, DATABASE = "cache.json", "cache/hashes/cache.db"
SHA256 = re.compile("[0-9a-f]{64}")
MAX_JSON = 64 << 20  # bytes


def sha256_in_webui(path: Path) -> str | None:
    """The file's sha256 from a WebUI's cache in one of its parent folders; None where there is no valid
    entry."""
    with suppress(OSError):
        path = path.absolute()
        mtime = path.stat().st_mtime
        names = [f"checkpoint/{name}" for name in _names(path)]
        for folder in path.parents:
            for entry in (*_from_database(folder / DATABASE, names), *_from_json(folder / JSON, names)):
                if (sha256 := _sha256(entry, mtime)) is not None:
                    return sha256
    return None


def _names(path: Path) -> Iterator[str]:
    """The names that the WebUI may have for the file: its name, after one, two, ... of its parent folders."""
    for depth in range(1, len(path.parts)):
        for separator in ("/", "\\") if depth > 1 else ("/",):
            yield separator.join(path.parts[-depth:])


def _sha256(entry: object, mtime: float) -> str | None:
    fields = _as_dict(entry)
    sha256 = fields.get("sha256")
    valid = fields.get("mtime") == mtime and isinstance(sha256, str) and SHA256.fullmatch(sha256)
    return cast(str, sha256) if valid else None


def _as_dict(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _from_json(path: Path, names: list[str]) -> Iterator[object]:
    with suppress(OSError, ValueError, RecursionError):
        if path.is_file() and path.stat().st_size <= MAX_JSON:
            cache = _as_dict(json.loads(path.read_text(encoding="utf-8")))
            hashes = _as_dict(cache.get("hashes"))
            yield from (hashes[name] for name in names if name in hashes)


def _from_database(path: Path, names: list[str]) -> Iterator[object]:
    if not path.is_file():
        return
    with suppress(sqlite3.Error, ValueError):
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            marks = ", ".join("?" for _ in names)
            rows = database.execute(
                f"SELECT value FROM Cache WHERE raw = 1 AND key IN ({marks})", names
            ).fetchall()
        for (value,) in rows:
            if isinstance(value, bytes):
                with suppress(Exception):  # a pickle that is damaged, or names a class
                    yield _PlainUnpickler(io.BytesIO(value)).load()


class _PlainUnpickler(pickle.Unpickler):
    """Loads dictionaries, lists, numbers and text; refuses every class and function."""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        """Refuse every class, so that loading runs no code; raises UnpicklingError."""
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is not allowed")
