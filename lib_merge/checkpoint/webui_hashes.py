"""The sha256 that a WebUI has taken of a checkpoint already, read where the WebUI keeps it.

AUTOMATIC1111 up to 1.9 and its heirs keep `cache.json` beside `models`, later ones `cache/hashes/cache.db`
(diskcache): "checkpoint/NAME" -> {"mtime": seconds, "sha256": digits}, NAME being the path below the folder
of checkpoints (modules/cache.py, modules/hashes.py). What is there counts while the file's time of change is
the very one that was written down. Nothing is written, and nothing in it is run: an entry of diskcache is a
pickle, of which numbers and text alone are read.
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
MOST_JSON = 64 << 20  # bytes


def sha256_in_webui(path: Path) -> str | None:
    """The file's sha256 as the WebUI knows it in whose folders it lies; None where there is none."""
    with suppress(OSError):
        path = path.absolute()
        changed = path.stat().st_mtime
        names = [f"checkpoint/{name}" for name in _names(path)]
        for folder in path.parents:
            for entry in (*_of_database(folder / DATABASE, names), *_of_json(folder / JSON, names)):
                if (found := _sha256(entry, changed)) is not None:
                    return found
    return None


def _names(path: Path) -> Iterator[str]:
    """What the WebUI may call the file: its name, with ever more of the folders above."""
    for depth in range(1, len(path.parts)):
        for separator in ("/", "\\") if depth > 1 else ("/",):
            yield separator.join(path.parts[-depth:])


def _sha256(entry: object, changed: float) -> str | None:
    known = _as_dict(entry)
    sha256 = known.get("sha256")
    fits = known.get("mtime") == changed and isinstance(sha256, str) and SHA256.fullmatch(sha256)
    return cast(str, sha256) if fits else None


def _as_dict(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _of_json(place: Path, names: list[str]) -> Iterator[object]:
    with suppress(OSError, ValueError, RecursionError):
        if place.is_file() and place.stat().st_size <= MOST_JSON:
            whole = _as_dict(json.loads(place.read_text(encoding="utf-8")))
            known = _as_dict(whole.get("hashes"))
            yield from (known[name] for name in names if name in known)


def _of_database(place: Path, names: list[str]) -> Iterator[object]:
    if not place.is_file():
        return
    with suppress(sqlite3.Error, ValueError):
        with closing(sqlite3.connect(f"{place.as_uri()}?mode=ro", uri=True, timeout=1)) as book:
            marks = ", ".join("?" for _ in names)
            rows = book.execute(
                f"SELECT value FROM Cache WHERE raw = 1 AND key IN ({marks})", names
            ).fetchall()
        for (value,) in rows:
            if isinstance(value, bytes):
                with suppress(Exception):  # a pickle that is damaged, or is more than numbers and text
                    yield _Plain(io.BytesIO(value)).load()


class _Plain(pickle.Unpickler):
    """Reads dictionaries, numbers and text, and refuses whatever would be looked up or called."""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        """Never."""
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is no number and no text")
