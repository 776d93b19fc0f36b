"""The store: whole or not there, and what is damaged or newer is never overwritten unseen."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from lib_merge.errors import OutputError, StoreError
from lib_merge.json_data import expect_number, expect_object
from lib_merge.store import CacheFolder, JsonFile, SqliteFile

SCHEMA = "CREATE TABLE IF NOT EXISTS things (name TEXT)"


def count(data: object) -> int:
    return int(expect_number(expect_object(data)["count"]))


def marked(folder: Path, version: int = 1) -> JsonFile:
    return JsonFile(folder / "x.json", "the tally", "tally", version)


def unmarked(folder: Path, version: int = 1) -> JsonFile:
    return JsonFile(folder / "x.json", "the tally", "tally", version, has_format=False)


@pytest.mark.parametrize("file", [marked, unmarked])
def test_a_document_reads_back_and_is_none_before(file: Callable[[Path], JsonFile], tmp_path: Path) -> None:
    kept = file(tmp_path / "new" / "folder")
    assert kept.read(count) is None
    kept.write({"count": 3})
    assert kept.read(count) == 3
    assert list(kept.path.parent.iterdir()) == [kept.path]


@pytest.mark.parametrize("file", [marked, unmarked])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"count": "3"}', b'{"format": 3, "count": 3}']
)
def test_a_damaged_document_is_refused_or_as_none_in_a_cache(
    file: Callable[[Path], JsonFile], content: bytes, tmp_path: Path
) -> None:
    kept = file(tmp_path)
    kept.path.write_bytes(content)
    with pytest.raises(StoreError, match="the tally cannot be read"):
        kept.read(count)
    assert kept.read_cached(count) is None
    assert kept.path.read_bytes() == content


@pytest.mark.parametrize("file", [marked, unmarked])
def test_a_document_of_a_newer_version_is_refused_as_such(
    file: Callable[[Path], JsonFile], tmp_path: Path
) -> None:
    marked(tmp_path, 2).write({"count": 3})
    with pytest.raises(StoreError, match="a newer Merge Desk wrote this file"):
        file(tmp_path).read(count)
    assert file(tmp_path).read_cached(count) is None
    assert marked(tmp_path, 2).read(count) == 3


def test_a_document_of_another_kind_is_not_taken_for_this_one(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"format": "merge-desk grid 1", "count": 3}))
    with pytest.raises(StoreError, match="the tally cannot be read"):
        marked(tmp_path).read(count)


def test_where_nothing_can_be_written_a_document_says_so_and_a_cache_does_not(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    kept = unmarked(tmp_path / "folder")
    with pytest.raises(OutputError):
        kept.write({"count": 3})
    kept.write_cached({"count": 3})
    CacheFolder(tmp_path / "folder", 1, ".txt").write("name", "text")
    assert (tmp_path / "folder").read_text() == "a file"


def test_a_document_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    kept = marked(tmp_path)
    kept.write({"count": 3})
    with pytest.raises(TypeError):
        kept.write({"count": object()})
    assert kept.read(count) == 3


def test_a_database_is_made_when_it_is_opened_and_forgets_what_ends_in_an_error(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "new" / "x.sqlite3", "the things", SCHEMA)
    with file.open() as connection:
        connection.execute("INSERT INTO things VALUES ('one')")
    with contextlib.suppress(KeyError), file.open() as connection:
        connection.execute("INSERT INTO things VALUES ('two')")
        raise KeyError
    with file.open() as connection:
        assert connection.execute("SELECT name FROM things").fetchall() == [("one",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_database_from_before_versions_is_taken_as_it_is_and_marked(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    with closing(sqlite3.connect(path)) as old, old:
        old.execute(SCHEMA)
        old.execute("INSERT INTO things VALUES ('one')")
    with SqliteFile(path, "the things", SCHEMA).open() as connection:
        assert connection.execute("SELECT name FROM things").fetchall() == [("one",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


@pytest.mark.parametrize("log", [False, True])
def test_a_database_of_a_newer_version_is_refused_and_left_alone(log: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 2")
    before = path.read_bytes()
    with (
        pytest.raises(StoreError, match="a newer Merge Desk wrote this file"),
        SqliteFile(path, "the things", SCHEMA, write_ahead_log=log).open(),
    ):
        pytest.fail("it was opened")
    assert path.read_bytes() == before


def test_a_cache_names_answers_by_the_question_and_the_version(tmp_path: Path) -> None:
    first, second = (CacheFolder(tmp_path, version, ".txt") for version in (1, 2))
    name = first.key("what", 3)
    assert name == first.key("what", 3)
    assert len({name, first.key("what", 4), second.key("what", 3)}) == 3
    first.write(name, "an answer")
    assert (tmp_path / f"{name}.txt").read_text() == "an answer"
    assert first.path(name) == tmp_path / f"{name}.txt"


def test_a_cache_without_a_folder_keeps_nothing(tmp_path: Path) -> None:
    none = CacheFolder(None, 1, ".txt")
    none.write("name", "an answer")
    assert none.path("name") is None


def test_a_cache_asks_for_its_folder_once_there_is_something_to_keep(tmp_path: Path) -> None:
    calls: list[Path] = []

    def folder() -> Path:
        calls.append(tmp_path)
        return tmp_path

    kept = CacheFolder(folder, 1, ".txt")
    assert calls == []
    kept.write("name", "an answer")
    assert (tmp_path / "name.txt").read_text() == "an answer"
