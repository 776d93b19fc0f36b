"""The history: nothing that was merged is lost, whoever writes, and whatever ends them."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from lib_merge.cli import main
from lib_merge.errors import MergeError
from lib_merge.library import history as history_module
from lib_merge.library.history import APPLIED, SAVED, SEARCHED, History
from lib_merge.recipe import Recipe, parse_recipe, print_recipe
from tests.support.full_size import write_tiny

ROOT = Path(__file__).parents[3]


def merge(amount: float, b: str = "pastel") -> Recipe:
    return parse_recipe(f"ink + {b} x {amount} = M")


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "data")


def test_every_merge_is_there_the_newest_first_with_its_picture(history: History) -> None:
    history.add(merge(0.2), picture=Image.new("RGB", (512, 256), "red"), infotext="a red circle")
    history.add(merge(0.3), SAVED, file="mine.safetensors", sha256="ab" * 32)
    saved, applied = history.entries()
    assert (saved.kind, saved.file, saved.sha256) == (SAVED, "mine.safetensors", "ab" * 32)
    assert (applied.kind, applied.infotext, applied.title) == (
        APPLIED,
        "a red circle",
        "ink + pastel, weighted_sum",
    )
    assert parse_recipe(applied.recipe) == merge(0.2)
    assert history.picture(applied.id)[8:12] == b"WEBP"
    assert history.picture(saved.id) == b""


def test_the_same_merge_again_is_the_same_entry_moved_to_the_top(history: History) -> None:
    first = history.add(merge(0.2), picture=Image.new("RGB", (8, 8)), infotext="drawn")
    history.add(merge(0.3))
    assert history.add(merge(0.2)) == first
    assert [entry.id for entry in history.entries()] == [first, first + 1]
    assert history.get(first).infotext == "drawn"
    assert history.picture(first)


def test_it_is_searched_by_every_word_in_names_files_recipes_and_prompts(history: History) -> None:
    one = history.add(merge(0.2), infotext="a red circle")
    two = history.add(merge(0.3, "NED_100"), SAVED, file="mine.safetensors")
    history.rename(one, "the soft one")
    assert [entry.id for entry in history.entries("soft red")] == [one]
    assert [entry.id for entry in history.entries("NED_1 mine")] == [two]
    assert history.entries("soft mine") == ()
    assert [entry.id for entry in history.entries("0.2")] == [one]


def test_a_search_of_any_length_and_letters_is_answered(history: History) -> None:
    one = history.add(merge(0.2), infotext="100% \\ done_now")
    history.add(merge(0.3), infotext="nothing")
    for text in ("100%", "\\", "done_now", "done " * 20_000):
        assert [entry.id for entry in history.entries(text)] == [one]
    assert history.entries("donexnow") == ()


def test_entries_are_named_starred_and_forgotten(history: History) -> None:
    one, two = history.add(merge(0.2)), history.add(merge(0.3))
    history.star(one, True)
    history.rename(two, "  two ")
    assert [entry.id for entry in history.entries(starred=True)] == [one]
    assert history.get(two).name == "two"
    history.delete(one)
    with pytest.raises(MergeError, match="no entry"):
        history.get(one)


def test_a_deleted_entry_comes_back_as_it_was_and_once_only(history: History) -> None:
    one = history.add(merge(0.2), picture=Image.new("RGB", (8, 8)), infotext="a red circle")
    history.rename(one, "the soft one")
    entry, picture = history.get(one), history.picture(one)
    history.delete(one)
    history.undelete(one)
    assert (history.get(one), history.picture(one)) == (entry, picture)
    with pytest.raises(MergeError, match="cannot be brought back"):
        history.undelete(one)


def test_an_entry_comes_back_beside_one_that_took_its_number_and_not_twice(history: History) -> None:
    one = history.add(merge(0.2))
    history.delete(one)
    assert history.add(merge(0.3)) == one, "SQLite gives the number again"
    history.undelete(one)
    assert history.count() == 2
    history.delete(one)
    history.add(merge(0.3))
    history.undelete(one)
    assert history.count() == 2, "it was merged again meanwhile"
    assert (history.count("soft"), history.count(starred=True)) == (0, 0)


def test_what_nobody_kept_is_forgotten_beyond_a_number(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "MAX_UNKEPT", 3)
    starred, named = history.add(merge(0.01)), history.add(merge(0.02))
    history.star(starred, True)
    history.rename(named, "mine")
    saved = history.add(merge(0.03), SAVED, file="m")
    applied = [history.add(merge(n / 100)) for n in range(10, 16)]
    assert {entry.id for entry in history.entries()} == {starred, named, saved, *applied[-3:]}
    searched = [history.add(merge(n / 100), SEARCHED) for n in range(10, 16)]  # which displace no merge
    assert {entry.id for entry in history.entries()} == {starred, named, saved, *applied[-3:], *searched[-3:]}


WRITER = """
import sys
from pathlib import Path
from lib_merge.library.history import History
from lib_merge.recipe import parse_recipe
known = History(Path(sys.argv[1]))
for n in range(int(sys.argv[3])):
    known.add(parse_recipe(f"{sys.argv[2]} + pastel x 0.{n + 1:03} = M"))
    print(n, flush=True)
"""


def writer(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_two_processes_write_at_once_and_nothing_is_lost(history: History) -> None:
    folder = history.path.parent
    processes = [writer(folder, name, 40) for name in ("one", "two")]
    assert [process.wait(timeout=280) for process in processes] == [0, 0]
    assert len(history.entries(limit=1000)) == 80


def test_a_writer_that_is_killed_leaves_a_sound_history_with_all_that_it_had_said(history: History) -> None:
    process = writer(history.path.parent, "one", 5000)
    assert process.stdout is not None
    for _ in range(10):
        process.stdout.readline()
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=280)
    process.stdout.close()
    assert len(history.entries(limit=10_000)) >= 10
    book = sqlite3.connect(history.path)
    assert book.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    book.close()
    history.add(merge(0.2))


def test_a_history_of_a_newer_version_is_left_alone(history: History) -> None:
    history.path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(history.path)) as file:
        file.execute("PRAGMA user_version = 99")
    before = history.path.read_bytes()
    with pytest.raises(MergeError, match="the history cannot be used: a newer Merge Desk"):
        history.entries()
    assert history.path.read_bytes() == before


def test_the_command_line_records_and_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files = [str(write_tiny(Path(f"{name}.safetensors"), seed=ord(name))) for name in "ab"]
    assert main(["history"]) == 2
    monkeypatch.setenv("MERGE_DESK_DATA", str(tmp_path / "data"))
    assert main(["merge", *files, "--alpha", "0.3", "-o", "m.safetensors"]) == 0
    assert main(["history", "--name", "1", "soft"]) == 0
    assert main(["history", "--star", "1"]) == 0
    capsys.readouterr()
    assert main(["history", "soft"]) == 0
    assert "saved as m.safetensors: soft" in capsys.readouterr().out
    assert main(["history", "--show", "1"]) == 0
    recipe = capsys.readouterr().out
    assert main(["merge", "--recipe", recipe, "--models", ".", "-o", "n.safetensors"]) == 0
    assert Path("n.safetensors").read_bytes() == Path("m.safetensors").read_bytes()
    assert main(["history", "--delete", "9"]) == 2
    assert print_recipe(parse_recipe(recipe)) == recipe


def test_a_number_that_sqlite_cannot_hold_and_half_a_character_are_refused_in_words(tmp_path: Path) -> None:
    history = History(tmp_path)
    for ask in (
        lambda: history.get(10**30),
        lambda: history.delete(-(10**30)),
        lambda: history.entries("\ud83d"),
    ):
        with pytest.raises(MergeError, match="no such entry"):
            ask()
