"""The history: nothing that was merged is lost, whoever writes, and whatever ends them."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from lib_merge.cli import main
from lib_merge.desk import history
from lib_merge.desk.history import APPLIED, SAVED, History
from lib_merge.errors import MergeError
from lib_merge.recipe import Recipe, parse_recipe, print_recipe
from tests.full_size import write_tiny

ROOT = Path(__file__).parents[3]


def merge(amount: float, b: str = "pastel") -> Recipe:
    return parse_recipe(f"ink + {b} x {amount} = M")


@pytest.fixture
def known(tmp_path: Path) -> History:
    return History(tmp_path / "data")


def test_every_merge_is_there_the_newest_first_with_its_picture(known: History) -> None:
    known.add(merge(0.2), picture=Image.new("RGB", (512, 256), "red"), infotext="a red circle")
    known.add(merge(0.3), SAVED, file="mine.safetensors", sha256="ab" * 32)
    saved, applied = known.entries()
    assert (saved.kind, saved.file, saved.sha256) == (SAVED, "mine.safetensors", "ab" * 32)
    assert (applied.kind, applied.infotext, applied.title) == (
        APPLIED,
        "a red circle",
        "ink + pastel, weighted_sum",
    )
    assert parse_recipe(applied.recipe) == merge(0.2)
    assert known.picture(applied.id)[8:12] == b"WEBP"
    assert known.picture(saved.id) == b""


def test_the_same_merge_again_is_the_same_entry_moved_to_the_top(known: History) -> None:
    first = known.add(merge(0.2), picture=Image.new("RGB", (8, 8)), infotext="drawn")
    known.add(merge(0.3))
    assert known.add(merge(0.2)) == first
    assert [entry.id for entry in known.entries()] == [first, first + 1]
    assert known.get(first).infotext == "drawn"
    assert known.picture(first)


def test_it_is_searched_by_every_word_in_names_files_recipes_and_prompts(known: History) -> None:
    one = known.add(merge(0.2), infotext="a red circle")
    two = known.add(merge(0.3, "NED_100"), SAVED, file="mine.safetensors")
    known.name(one, "the soft one")
    assert [entry.id for entry in known.entries("soft red")] == [one]
    assert [entry.id for entry in known.entries("NED_1 mine")] == [two]
    assert known.entries("soft mine") == ()
    assert [entry.id for entry in known.entries("0.2")] == [one]


def test_a_search_of_any_length_and_letters_is_answered(known: History) -> None:
    one = known.add(merge(0.2), infotext="100% \\ done_now")
    known.add(merge(0.3), infotext="nothing")
    for text in ("100%", "\\", "done_now", "done " * 20_000):
        assert [entry.id for entry in known.entries(text)] == [one]
    assert known.entries("donexnow") == ()


def test_entries_are_named_starred_and_forgotten(known: History) -> None:
    one, two = known.add(merge(0.2)), known.add(merge(0.3))
    known.star(one, True)
    known.name(two, "  two ")
    assert [entry.id for entry in known.entries(starred=True)] == [one]
    assert known.get(two).name == "two"
    known.drop(one)
    with pytest.raises(MergeError, match="no entry"):
        known.get(one)


def test_what_nobody_kept_is_forgotten_beyond_a_number(
    known: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST", 3)
    starred, named = known.add(merge(0.01)), known.add(merge(0.02))
    known.star(starred, True)
    known.name(named, "mine")
    saved = known.add(merge(0.03), SAVED, file="m")
    applied = [known.add(merge(n / 100)) for n in range(10, 16)]
    assert {entry.id for entry in known.entries()} == {starred, named, saved, *applied[-3:]}


WRITER = """
import sys
from pathlib import Path
from lib_merge.desk.history import History
from lib_merge.recipe import parse_recipe
known = History(Path(sys.argv[1]))
for n in range(int(sys.argv[3])):
    known.add(parse_recipe(f"{sys.argv[2]} + pastel x 0.{n + 1:03} = M"))
    print(n, flush=True)
"""


def writer(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_two_processes_write_at_once_and_nothing_is_lost(known: History) -> None:
    folder = known.place.parent
    processes = [writer(folder, name, 40) for name in ("one", "two")]
    assert [process.wait(timeout=280) for process in processes] == [0, 0]
    assert len(known.entries(limit=1000)) == 80


def test_a_writer_that_is_killed_leaves_a_sound_history_with_all_that_it_had_said(known: History) -> None:
    process = writer(known.place.parent, "one", 5000)
    assert process.stdout is not None
    for _ in range(10):
        process.stdout.readline()
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=280)
    process.stdout.close()
    assert len(known.entries(limit=10_000)) >= 10
    book = sqlite3.connect(known.place)
    assert book.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    book.close()
    known.add(merge(0.2))


def test_a_history_that_is_none_is_told_and_one_of_a_newer_version_is_left_alone(known: History) -> None:
    known.place.parent.mkdir(parents=True)
    known.place.write_text("not a database, but long enough to be taken for one " * 30)
    with pytest.raises(MergeError, match="the history cannot be used"):
        known.add(merge(0.2))
    known.place.unlink()
    book = sqlite3.connect(known.place)
    book.execute("PRAGMA user_version = 99")
    book.close()
    with pytest.raises(MergeError, match="newer Merge Desk"):
        known.entries()


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
    known = History(tmp_path)
    for ask in (lambda: known.get(10**30), lambda: known.drop(-(10**30)), lambda: known.entries("\ud83d")):
        with pytest.raises(MergeError, match="no such entry"):
            ask()
