"""The history: every applied and saved merge, in one SQLite file of Merge Desk's data folder.

Any number of processes may use it at once: readers never wait (write-ahead log), writers wait for each
other, and an unfinished change of a process that is killed is undone. A merge that is applied again is
the same entry, moved to the top. Of the applied merges that are neither named nor starred only the newest
MAX_UNKEPT are kept, and as many of the trials of searches.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.errors import OutputError
from lib_merge.recipe import Recipe, print_recipe, without_hashes
from lib_merge.recipe.names import short_labels
from lib_merge.store import SqliteFile

if TYPE_CHECKING:
    from PIL import Image

FILE = "history.sqlite3"
APPLIED, SAVED, SEARCHED = "applied", "saved", "searched"
MAX_UNKEPT = 2000  # entries that are neither saved, named nor starred
MOST_NAME = 120  # characters
SIDE = 160  # pixels of a thumbnail
MOST_WORDS = 20  # of a search
MOST_DELETED = 50  # deleted entries that can be brought back
SPECIAL = re.compile(r"[\\%_]")  # wildcards of SQL's LIKE
WAIT = 10.0  # seconds for other processes to finish writing
MOST_TIME = 32_503_680_000  # the year 3000, in seconds since 1970
VERSION = 1  # of the table

TABLE = """CREATE TABLE IF NOT EXISTS merges (
    id INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,
    recipe TEXT NOT NULL, title TEXT NOT NULL, name TEXT NOT NULL DEFAULT '', star INTEGER NOT NULL DEFAULT 0,
    file TEXT NOT NULL DEFAULT '', sha256 TEXT NOT NULL DEFAULT '', infotext TEXT NOT NULL DEFAULT '',
    picture BLOB)"""
COLUMNS = "id, at, kind, recipe, title, name, star, file, sha256, infotext"
INSERT_OR_UPDATE = """INSERT INTO merges (key, at, kind, recipe, title, file, sha256, infotext, picture)
    VALUES (:key, :at, :kind, :recipe, :title, :file, :sha256, :infotext, :picture)
    ON CONFLICT (key) DO UPDATE SET at = :at, recipe = :recipe, sha256 = :sha256,
    infotext = CASE WHEN :infotext = '' THEN infotext ELSE :infotext END,
    picture = COALESCE(:picture, picture) RETURNING id"""
DELETE_OLDEST = """DELETE FROM merges WHERE kind = :kind AND star = 0 AND name = '' AND id NOT IN
    (SELECT id FROM merges WHERE kind = :kind AND star = 0 AND name = '' ORDER BY at DESC LIMIT :most)"""
WORD_MATCHES = (
    "(name LIKE :like OR title LIKE :like OR file LIKE :like OR recipe LIKE :like OR infotext LIKE :like)"
)


@dataclass(frozen=True)
class Entry:
    """One merge.

    at      when it was last applied or saved, in seconds since 1970
    kind    "applied", "saved", or "searched" for a trial of a search
    title   its files and methods
    name    the user's name of it, "" for none
    file    the name of the saved file, "" for none
    """

    id: int
    at: float
    kind: str
    recipe: str
    title: str
    name: str
    star: bool
    file: str
    sha256: str
    infotext: str


class History:
    """The merges of one data folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._file = SqliteFile(self.path, "the history", TABLE, VERSION, timeout=WAIT, write_ahead_log=True)
        self._deleted: dict[int, tuple[Any, ...]] = {}  # by id, with key and picture

    def add(
        self,
        recipe: Recipe,
        kind: str = APPLIED,
        *,
        picture: Image.Image | None = None,
        infotext: str = "",
        file: str = "",
        sha256: str = "",
    ) -> int:
        """Add a merge; returns the id of its entry."""
        values = {
            "key": _key(recipe, kind, file),
            "at": time.time(),
            "kind": kind,
            "recipe": print_recipe(recipe),
            "title": merge_title(recipe),
            "file": file,
            "sha256": sha256,
            "infotext": infotext,
            "picture": _thumbnail(picture) if picture is not None else None,
        }
        with self._file.open() as connection:
            (number,) = connection.execute(INSERT_OR_UPDATE, values).fetchone()
            if kind != SAVED:
                connection.execute(DELETE_OLDEST, {"kind": kind, "most": MAX_UNKEPT})
        return int(number)

    def entries(self, query: str = "", *, starred: bool = False, limit: int = 100) -> tuple[Entry, ...]:
        """Entries with each word of `query` in name, title, file, recipe or infotext, the newest first."""
        where, parameters = _where(query, starred)
        with self._file.open() as connection:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM merges {where} ORDER BY at DESC, id DESC LIMIT :limit",
                {**parameters, "limit": limit},
            )
            return tuple(_entry(row) for row in rows)

    def count(self, query: str = "", *, starred: bool = False) -> int:
        """How many entries `entries` would find without a limit."""
        where, parameters = _where(query, starred)
        with self._file.open() as connection:
            (number,) = connection.execute(f"SELECT COUNT(*) FROM merges {where}", parameters).fetchone()
        return int(number)

    def get(self, number: int) -> Entry:
        """The entry of this id; OutputError where there is none."""
        with self._file.open() as connection:
            row = connection.execute(f"SELECT {COLUMNS} FROM merges WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise OutputError(f"the history has no entry {number}", hint="merge-desk history lists them")
        return _entry(row)

    def picture(self, number: int) -> bytes:
        """The thumbnail as WebP, b"" for none."""
        with self._file.open() as connection:
            row = connection.execute("SELECT picture FROM merges WHERE id = ?", (number,)).fetchone()
        return row[0] if row and isinstance(row[0], bytes) else b""

    def rename(self, number: int, name: str) -> None:
        """Set the name of an entry; "" removes it."""
        self._change(number, "name", name.strip()[:MOST_NAME])

    def star(self, number: int, star: bool) -> None:
        """Star an entry, or remove its star."""
        self._change(number, "star", int(star))

    def delete(self, number: int) -> None:
        """Delete an entry; `undelete` brings it back while this process runs."""
        self.get(number)
        with self._file.open() as connection:
            query = f"SELECT key, picture, {COLUMNS} FROM merges WHERE id = ?"
            self._deleted[number] = connection.execute(query, (number,)).fetchone()
            connection.execute("DELETE FROM merges WHERE id = ?", (number,))
        for oldest in list(self._deleted)[:-MOST_DELETED]:
            del self._deleted[oldest]

    def undelete(self, number: int) -> None:
        """Bring a deleted entry back; one that was merged again meanwhile is there already."""
        row = self._deleted.pop(number, None)
        if row is None:
            hint = "it was deleted before this program was started"
            raise OutputError(f"entry {number} cannot be brought back", hint=hint)
        key, picture, id_, *rest = row
        with self._file.open() as connection:
            taken = connection.execute("SELECT 1 FROM merges WHERE id = ?", (id_,)).fetchone()
            places = ", ".join("?" * (len(rest) + 3))
            connection.execute(
                f"INSERT OR IGNORE INTO merges (key, picture, {COLUMNS}) VALUES ({places})",
                (key, picture, None if taken else id_, *rest),
            )

    def _change(self, number: int, column: str, value: object) -> None:
        self.get(number)
        with self._file.open() as connection:
            connection.execute(f"UPDATE merges SET {column} = ? WHERE id = ?", (value, number))


def _where(query: str, starred: bool) -> tuple[str, dict[str, Any]]:
    """The condition for entries with each word of a query, and its parameters."""
    words = [SPECIAL.sub(r"\\\g<0>", word) for word in query.split()[:MOST_WORDS]]
    clauses = [WORD_MATCHES.replace(":like", f":w{n} ESCAPE '\\'") for n in range(len(words))]
    clauses += ["star = 1"] if starred else []
    parameters: dict[str, Any] = {f"w{n}": f"%{word}%" for n, word in enumerate(words)}
    return ("WHERE " + " AND ".join(clauses) if clauses else ""), parameters


def _entry(row: tuple[Any, ...]) -> Entry:
    number, at, kind, recipe, title, name, star, file, sha256, infotext = row
    is_valid_time = isinstance(at, float) and 0 <= at < MOST_TIME
    return Entry(
        number,
        at if is_valid_time else 0.0,
        _text(kind),
        _text(recipe),
        _text(title),
        _text(name),
        bool(star),
        _text(file),
        _text(sha256),
        _text(infotext),
    )


def _text(value: object) -> str:
    """A value of the table if it is text, else ""."""
    return value if isinstance(value, str) else ""


def merge_title(recipe: Recipe) -> str:
    """Files and methods of a recipe: `ink + pastel, weighted_sum`."""
    files = short_labels(ingredient.file for ingredient in recipe.ingredients)
    methods = dict.fromkeys(step.method for step in recipe.steps)
    steps = f" in {len(recipe.steps)} steps" if len(recipe.steps) > 1 else ""
    return ", ".join(part for part in (" + ".join(files), " ".join(methods)) if part) + steps


def _key(recipe: Recipe, kind: str, file: str) -> str:
    """The digest that identifies a merge, without the hashes of its files."""
    text = print_recipe(without_hashes(recipe))
    return hashlib.sha256(f"{kind}\n{file}\n{text}".encode()).hexdigest()


def _thumbnail(picture: Image.Image) -> bytes:
    small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    stream = BytesIO()
    small.save(stream, format="WEBP", quality=80)
    return stream.getvalue()


def entry_to_dict(entry: Entry) -> Mapping[str, Any]:
    """An entry as a dictionary for JSON."""
    return {
        "id": entry.id,
        "at": time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.at)),
        "kind": entry.kind,
        "title": entry.title,
        "name": entry.name,
        "star": entry.star,
        "file": entry.file,
        "sha256": entry.sha256,
        "recipe": entry.recipe,
    }
