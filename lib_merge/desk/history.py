"""What was merged: every applied and saved merge, in one SQLite file of the desk's data folder.

Any number of processes may use it at once: readers never wait (write-ahead log), writers wait for each
other, and what was begun by a process that is killed is not there afterwards. A merge that is applied
again is the same entry, moved to the top. The oldest that are neither saved, named nor starred are
forgotten beyond MOST.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.errors import MergeError, OutputError
from lib_merge.recipe import Recipe, print_recipe, without_hashes
from lib_merge.recipe.names import labels

if TYPE_CHECKING:
    from PIL import Image

FILE = "history.sqlite3"
APPLIED, SAVED = "applied", "saved"
MOST = 2000  # entries that nobody has kept
MOST_NAME = 120  # characters
SIDE = 160  # pixels of a thumbnail
MOST_WORDS = 20  # of a search
SPECIAL = re.compile(r"[\\%_]")  # what LIKE reads as more than a letter
WAIT = 10.0  # seconds for other processes to finish writing
MOST_TIME = 32_503_680_000  # the year 3000, in seconds since 1970
VERSION = 1  # of the table

TABLE = """CREATE TABLE IF NOT EXISTS merges (
    id INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,
    recipe TEXT NOT NULL, title TEXT NOT NULL, name TEXT NOT NULL DEFAULT '', star INTEGER NOT NULL DEFAULT 0,
    file TEXT NOT NULL DEFAULT '', sha256 TEXT NOT NULL DEFAULT '', infotext TEXT NOT NULL DEFAULT '',
    picture BLOB)"""
COLUMNS = "id, at, kind, recipe, title, name, star, file, sha256, infotext"
PUT = """INSERT INTO merges (key, at, kind, recipe, title, file, sha256, infotext, picture)
    VALUES (:key, :at, :kind, :recipe, :title, :file, :sha256, :infotext, :picture)
    ON CONFLICT (key) DO UPDATE SET at = :at, recipe = :recipe, sha256 = :sha256,
    infotext = CASE WHEN :infotext = '' THEN infotext ELSE :infotext END,
    picture = COALESCE(:picture, picture) RETURNING id"""
FORGET = """DELETE FROM merges WHERE kind = 'applied' AND star = 0 AND name = '' AND id NOT IN
    (SELECT id FROM merges WHERE kind = 'applied' AND star = 0 AND name = '' ORDER BY at DESC LIMIT ?)"""
FOUND = "(name LIKE :like OR title LIKE :like OR file LIKE :like OR recipe LIKE :like OR infotext LIKE :like)"


@dataclass(frozen=True)
class Entry:
    """One merge.

    at      when it was last applied or saved, in seconds since 1970
    kind    "applied" or "saved"
    title   what it is made of
    name    what the user calls it, "" for nothing
    file    what it was saved as, "" where it was not
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
        self.place = folder / FILE

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
        """Write a merge down; the number of its entry."""
        values = {
            "key": _key(recipe, kind, file),
            "at": time.time(),
            "kind": kind,
            "recipe": print_recipe(recipe),
            "title": title_of(recipe),
            "file": file,
            "sha256": sha256,
            "infotext": infotext,
            "picture": _thumbnail(picture) if picture is not None else None,
        }
        with self._book() as book:
            (number,) = book.execute(PUT, values).fetchone()
            book.execute(FORGET, (MOST,))
        return int(number)

    def entries(self, query: str = "", *, starred: bool = False, limit: int = 100) -> tuple[Entry, ...]:
        """The newest first; every word of `query` is in the name, the file, the recipe or the infotext."""
        words = [SPECIAL.sub(r"\\\g<0>", word) for word in query.split()[:MOST_WORDS]]
        where = " AND ".join(FOUND.replace(":like", f":w{n} ESCAPE '\\'") for n in range(len(words)))
        clauses = " AND ".join(part for part in (where, "star = 1" if starred else "") if part)
        asked: dict[str, Any] = {f"w{n}": f"%{word}%" for n, word in enumerate(words)}
        with self._book() as book:
            rows = book.execute(
                f"SELECT {COLUMNS} FROM merges {'WHERE ' + clauses if clauses else ''} "
                "ORDER BY at DESC, id DESC LIMIT :limit",
                {**asked, "limit": limit},
            )
            return tuple(_entry(row) for row in rows)

    def get(self, number: int) -> Entry:
        """One entry; OutputError where it is not there (any more)."""
        with self._book() as book:
            row = book.execute(f"SELECT {COLUMNS} FROM merges WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise OutputError(f"the history has no entry {number}", hint="merge-desk history lists them")
        return _entry(row)

    def picture(self, number: int) -> bytes:
        """The thumbnail as WebP, empty where there is none."""
        with self._book() as book:
            row = book.execute("SELECT picture FROM merges WHERE id = ?", (number,)).fetchone()
        return row[0] if row and isinstance(row[0], bytes) else b""

    def name(self, number: int, name: str) -> None:
        """Call an entry something; "" takes the name away."""
        self._change(number, "name", name.strip()[:MOST_NAME])

    def star(self, number: int, star: bool) -> None:
        """Keep an entry, or no longer."""
        self._change(number, "star", int(star))

    def drop(self, number: int) -> None:
        """Forget an entry."""
        self.get(number)
        with self._book() as book:
            book.execute("DELETE FROM merges WHERE id = ?", (number,))

    def _change(self, number: int, column: str, value: object) -> None:
        self.get(number)
        with self._book() as book:
            book.execute(f"UPDATE merges SET {column} = ? WHERE id = ?", (value, number))

    @contextmanager
    def _book(self) -> Generator[sqlite3.Connection]:
        try:
            self.place.parent.mkdir(parents=True, exist_ok=True)
            book = sqlite3.connect(self.place, timeout=WAIT)
            try:
                book.execute("PRAGMA journal_mode = WAL")
                book.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last entries, no more
                with book:
                    _prepare(book)
                    yield book
            finally:
                book.close()
        except (
            OverflowError,
            UnicodeEncodeError,
        ) as cause:  # a number of more than 64 bits, half a character
            raise OutputError("the history holds no such entry", where=f"{FILE}: {cause}") from cause
        except (sqlite3.Error, OSError) as cause:
            hint = "close the other program that uses it" if "locked" in str(cause) else "move this file away"
            raise OutputError("the history cannot be used", where=f"{FILE}: {cause}", hint=hint) from cause


def _prepare(book: sqlite3.Connection) -> None:
    (version,) = book.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise MergeError(
            "this history was written by a newer Merge Desk", where=FILE, hint="update, or move it away"
        )
    if version < VERSION:
        book.execute(TABLE)
        book.execute(f"PRAGMA user_version = {VERSION}")


def _entry(row: tuple[Any, ...]) -> Entry:
    number, at, kind, recipe, title, name, star, file, sha256, infotext = row
    known = isinstance(at, float) and 0 <= at < MOST_TIME
    return Entry(
        number,
        at if known else 0.0,
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
    """A text of the table, "" for what is none."""
    return value if isinstance(value, str) else ""


def title_of(recipe: Recipe) -> str:
    """What a merge is made of, and how: `ink + pastel, weighted_sum`."""
    files = labels(each.file for each in recipe.ingredients)
    methods = dict.fromkeys(step.method for step in recipe.steps)
    steps = f" in {len(recipe.steps)} steps" if len(recipe.steps) > 1 else ""
    return ", ".join(part for part in (" + ".join(files), " ".join(methods)) if part) + steps


def _key(recipe: Recipe, kind: str, file: str) -> str:
    """The same merge is the same whether its files have been hashed already or not."""
    text = print_recipe(without_hashes(recipe))
    return hashlib.sha256(f"{kind}\n{file}\n{text}".encode()).hexdigest()


def _thumbnail(picture: Image.Image) -> bytes:
    small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    stream = BytesIO()
    small.save(stream, format="WEBP", quality=80)
    return stream.getvalue()


def as_data(entry: Entry) -> Mapping[str, Any]:
    """As JSON holds it."""
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
