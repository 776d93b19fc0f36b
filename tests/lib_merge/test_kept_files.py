"""What the program keeps for itself: damaged, it is made anew or told in one sentence, never a traceback."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest

from lib_merge.architectures import read_header
from lib_merge.architectures.symmetry import AnyPermutation
from lib_merge.checkpoint import Hashes, hash_file
from lib_merge.checkpoint.state import file_state
from lib_merge.errors import MergeError
from lib_merge.grid import GridStore, Speeds, read_speeds
from lib_merge.grid.axes.read import AxisSpec
from lib_merge.grid.store import GRID_FILE, SPEEDS_FILE, CellRecord, GridRequest, save_speeds, saved_requests
from lib_merge.library import history, presets, saved_axes
from lib_merge.library.hashes import CACHE_FOLDER, HashCache
from lib_merge.library.hashes import FILE as BOOK
from lib_merge.library.history import History, entry_to_dict
from lib_merge.picture import DrawSettings
from lib_merge.rebasin.groups import Group, Part
from lib_merge.rebasin.solve import Solution
from lib_merge.rebasin.store import Alignments
from lib_merge.recipe import parse_recipe, print_recipe
from lib_merge.report.similarity import cache
from lib_merge.report.similarity.cache import cached_compare
from tests.support.damaged import variations
from tests.support.full_size import write_tiny

pytestmark = pytest.mark.newest_only

RECIPE = print_recipe(parse_recipe("ink + pastel x 0.3 = M"))
CELL = "0123456789abcdef"


def test_a_grids_order_that_is_damaged_is_reported(tmp_path: Path) -> None:
    store = GridStore(tmp_path / "grid")
    order = GridRequest(
        RECIPE, DrawSettings(prompt="a cat", styles=("one",)), {"x": AxisSpec("alpha", "0, 1")}
    )
    store.save_request(order)
    assert store.load_request() == order
    place = store.folder / GRID_FILE
    for content in variations(place.read_text(encoding="utf-8")):
        place.write_bytes(content)
        try:
            found = store.load_request()
        except MergeError:
            continue
        assert parse_recipe(found.recipe)
        assert found.digest
        assert [folder for folder, _ in saved_requests(tmp_path)] == [store.folder]
    place.unlink()
    with pytest.raises(MergeError, match="no grid to go on with"):
        store.load_request()
    place.mkdir()
    with pytest.raises(MergeError, match="the grid 'grid' cannot be read"):
        store.load_request()
    assert list(saved_requests(tmp_path)) == []


def test_a_cells_record_that_is_damaged_is_as_none(tmp_path: Path) -> None:
    store = GridStore(tmp_path)
    known = CellRecord(RECIPE, DrawSettings(), "a cat", 1.5, ("IN00", "OUT11"), 12, 0.5, problem="it fell")
    store.save_cell(CELL, known, None)
    assert store.record(CELL) == known
    place = tmp_path / f"{CELL}.json"
    for content in variations(place.read_text(encoding="utf-8")):
        place.write_bytes(content)
        found = store.record(CELL)
        if found is not None:
            assert isinstance(found.recipe, str)
            assert isinstance(found.infotext, str)
            assert isinstance(found.problem, str)
            assert all(isinstance(slot, str) for slot in found.slots)
            assert found.draw_seconds + (found.merge_seconds or 0) + found.nbytes < float("inf")


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 90, b"GIF89a", b"\xff\xd8\xff\xe0" * 9]
)
def test_a_cells_picture_that_is_damaged_is_none(content: bytes, tmp_path: Path) -> None:
    store = GridStore(tmp_path)
    store.path(CELL).write_bytes(content)
    assert store.picture(CELL) is None


def test_measured_speeds_that_are_damaged_are_measured_again(tmp_path: Path) -> None:
    save_speeds(tmp_path, Speeds(1e9, 2.0))
    assert read_speeds(tmp_path) == Speeds(1e9, 2.0)
    place = tmp_path / SPEEDS_FILE
    for content in variations(place.read_text(encoding="utf-8")):
        place.write_bytes(content)
        found = read_speeds(tmp_path)
        for speed in (found.merge, found.draw):
            assert speed is None or 0 < speed < float("inf")
        save_speeds(tmp_path, Speeds(1e9, 2.0))


def test_presets_that_are_damaged_are_reported_and_not_overwritten(tmp_path: Path) -> None:
    mine = presets.NamedPreset("mine", "sd1", {"OUT05": 0.5, "IN00": 1.0})
    presets.save_preset(tmp_path, mine)
    place = tmp_path / presets.FILE
    for content in variations(place.read_text(encoding="utf-8")):
        place.write_bytes(content)
        try:
            found = presets.own_presets(tmp_path)
        except MergeError:
            with pytest.raises(MergeError, match="cannot be read"):
                presets.save_preset(tmp_path, mine)
            assert place.read_bytes() == content
            continue
        for preset in found:
            assert isinstance(preset.name, str)
            assert all(abs(value) < float("inf") for value in preset.values.values())


def test_a_comparison_that_is_damaged_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = (read_header(write_tiny(tmp_path / f"{n}.safetensors", seed=n)) for n in (1, 2))
    kept = tmp_path / "kept"
    compared = partial(cached_compare, kept, first, [other], identify=lambda header: header.name)
    made = compared()
    (place,) = kept.iterdir()
    good = place.read_bytes()
    asked: list[bytes] = []

    def known(*_: object, **__: object) -> object:
        asked.append(place.read_bytes())
        return made.models[0]

    monkeypatch.setattr(cache, "compare_one", known)
    assert compared() == made
    assert asked == []
    contents = [content for content in variations(good.decode()) if json_of(content) != json_of(good)]
    for content in contents:
        place.write_bytes(content)
        assert compared() == made
    assert asked == contents


def json_of(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content


def zipped(**parts: bytes) -> bytes:
    stream = BytesIO()
    with ZipFile(stream, "w", ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(f"{name}.npy", content)
    return stream.getvalue()


def array(value: object) -> bytes:
    stream = BytesIO()
    np.save(stream, np.asarray(value))
    return stream.getvalue()


def told(**changed: object) -> bytes:
    known = {
        "likeness": [1.0],
        "distance": [0.5, 0.25],
        "turns": 1,
        "settled": True,
        "parts": ["p"],
        **changed,
    }
    return array(np.frombuffer(json.dumps(known).encode(), np.uint8))


ORDER = array(np.array([2, 0, 1, 3], np.int64))
TURNS = array(np.eye(2)[None].repeat(2, 0))


def solutions() -> list[bytes]:
    """Solutions of which something is wrong."""
    whole = zipped(told=told(), order0=ORDER)
    long = b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, 'shape': (%d,), }"
    return [
        b"",
        b"no zip",
        whole[:60],
        whole[:-30],
        whole[:40] + b"\xff" * 40 + whole[80:],
        zipped(),
        zipped(told=told()),
        zipped(told=b"no array", order0=ORDER),
        zipped(told=array(3.5), order0=ORDER),
        zipped(told=array(["a"]), order0=ORDER),
        zipped(told=told(), order0=array([0, 0, 1, 2])),
        zipped(told=told(), order0=array([0.5, 1.5, 2.5, 3.5])),
        zipped(told=told(), order0=array([0, 1])),
        zipped(told=told(), order0=array(["a", "b", "c", "d"])),
        zipped(told=told(), order0=(long % 10**15).ljust(128) + b"\n"),
        zipped(told=told(), order0=ORDER, turns0=array(np.eye(3)[None])),
        zipped(told=told(), order0=ORDER, turns0=array(np.eye(4))),
        zipped(told=told(), order0=ORDER, turns0=array(np.full((2, 2, 2), np.nan))),
        zipped(told=told(), order0=ORDER, turns0=array(np.eye(2, dtype=np.float32)[None].repeat(2, 0))),
        zipped(told=told(parts=["other"]), order0=ORDER),
        zipped(told=told(parts="p"), order0=ORDER),
        zipped(told=told(parts=None), order0=ORDER),
        zipped(told=told(distance=[1]), order0=ORDER),
        zipped(told=told(distance=None), order0=ORDER),
        zipped(told=told(likeness="abc"), order0=ORDER),
        zipped(told=told(turns=10**400), order0=ORDER),
        zipped(told=told(turns=[[]]), order0=ORDER),
        *(
            zipped(told=array(np.frombuffer(content, np.uint8)), order0=ORDER)
            for content in variations("{}")
            if content
        ),
    ]


def read_solution(folder: Path) -> Solution | None:
    empty = Solution(groups=(Group("g", "", "", AnyPermutation(), (Part("p", 4, ()),)),), arrangements={})
    return Alignments(folder)._read("kept", lambda: empty)  # pyright: ignore[reportPrivateUsage]


def test_an_alignment_that_is_damaged_is_solved_again(tmp_path: Path) -> None:
    place = tmp_path / "kept.npz"
    for turned in ({}, {"turns0": TURNS}):
        place.write_bytes(zipped(told=told(), order0=ORDER, **turned))
        known = read_solution(tmp_path)
        assert known is not None
        assert known.arrangements["p"].order.tolist() == [2, 0, 1, 3]
    for content in solutions():
        place.write_bytes(content)
        assert read_solution(tmp_path) is None, content[:300]
    place.unlink()
    place.mkdir()
    assert read_solution(tmp_path) is None


# --- databases ---


def as_text(place: Path) -> None:
    place.write_text("no database, but long enough to be taken for one " * 30)


def as_folder(place: Path) -> None:
    place.mkdir()


def as_another(place: Path) -> None:
    with closing(sqlite3.connect(place)) as book, book:
        book.execute("CREATE TABLE files (something)")
        book.execute("CREATE TABLE merges (something)")


def as_nothing_but_a_header(place: Path) -> None:
    place.write_bytes(b"SQLite format 3\0" + b"\xff" * 500)


DATABASES = [as_text, as_folder, as_another, as_nothing_but_a_header]


@pytest.mark.parametrize("damage", DATABASES)
def test_a_history_that_cannot_be_used_is_reported(damage: Callable[[Path], None], tmp_path: Path) -> None:
    damage(tmp_path / history.FILE)
    known = History(tmp_path)
    for act in (known.entries, lambda: known.add(parse_recipe(RECIPE)), lambda: known.picture(1)):
        with pytest.raises(MergeError, match="the history cannot be used"):
            act()


@pytest.mark.parametrize("damage", DATABASES)
def test_hashes_are_taken_all_the_same_where_the_book_cannot_be_used(
    damage: Callable[[Path], None], tmp_path: Path, user_cache: Path
) -> None:
    (tmp_path / "data").mkdir()
    (user_cache / CACHE_FOLDER).mkdir()
    for folder in (tmp_path / "data", user_cache / CACHE_FOLDER):
        damage(folder / BOOK)
    path = write_tiny(tmp_path / "a.safetensors")
    assert HashCache(tmp_path / "data").hashes(path).sha256 == hash_file(path).sha256


def test_a_locked_history_is_reported_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "WAIT", 0.1)
    known = History(tmp_path)
    known.add(parse_recipe(RECIPE))
    with closing(sqlite3.connect(known.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(MergeError, match="locked") as caught:
            known.add(parse_recipe(RECIPE))
        assert caught.value.hint == "close the other program that uses it"


def test_a_locked_book_of_hashes_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_cache: Path
) -> None:
    monkeypatch.setattr("lib_merge.library.hashes.WAIT", 0.1)
    path = write_tiny(tmp_path / "a.safetensors")
    HashCache().hashes(path)
    with closing(sqlite3.connect(user_cache / CACHE_FOLDER / BOOK, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert HashCache().hashes(path).sha256 == hash_file(path).sha256


def test_entries_of_a_history_that_hold_other_kinds_of_values_are_shown(tmp_path: Path) -> None:
    known = History(tmp_path)
    number = known.add(parse_recipe(RECIPE))
    for column in ("at", "kind", "recipe", "title", "name", "star", "file", "sha256", "infotext", "picture"):
        for value in ("text", b"\xff\0", 10**15, 1e300, -1e300):
            with closing(sqlite3.connect(known.path)) as book, book:
                before = book.execute(f"SELECT {column} FROM merges").fetchone()
                book.execute(f"UPDATE merges SET {column} = ?", (value,))
            assert json.dumps([entry_to_dict(entry) for entry in known.entries()])
            assert isinstance(known.picture(number), bytes)
            with closing(sqlite3.connect(known.path)) as book, book:
                book.execute(f"UPDATE merges SET {column} = ?", before)


def test_hashes_in_a_book_that_are_none_are_taken_again(tmp_path: Path, user_cache: Path) -> None:
    path = write_tiny(tmp_path / "a.safetensors")
    right = HashCache().hashes(path).sha256
    for value in ("", "zz", b"\xff", 5, 1.5, "A" * 64, "a" * 63):
        with closing(sqlite3.connect(user_cache / CACHE_FOLDER / BOOK)) as book, book:
            book.execute("UPDATE files SET sha256 = ?", (value,))
        assert HashCache().hashes(path).sha256 == right


# --- files that an earlier Merge Desk wrote ---

EARLIER = Path(__file__).parent / "written_before"  # by the state of 28 Nov 2026, before there was one store


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EARLIER, tmp_path / "earlier"))


def test_an_earlier_history_is_read_and_goes_on(earlier: Path) -> None:
    known = History(earlier)
    saved, applied = known.entries()
    assert (saved.kind, saved.file, saved.sha256) == ("saved", "mine.safetensors", "ab" * 32)
    assert (applied.name, applied.star, applied.infotext) == ("soft", True, "a red circle")
    assert known.picture(applied.id)[8:12] == b"WEBP"
    assert known.add(parse_recipe(RECIPE)) == applied.id


def test_earlier_presets_are_read_and_added_to(earlier: Path) -> None:
    mine = presets.NamedPreset("mine", "sd1", {"OUT05": 0.5, "IN00": 1.0}, own=True)
    assert presets.own_presets(earlier) == (mine,)
    other = replace(mine, name="other")
    presets.save_preset(earlier, other)
    assert presets.own_presets(earlier) == (mine, other)


def test_an_earlier_grid_its_cells_and_speeds_are_read(earlier: Path) -> None:
    store = GridStore(earlier / "grid")
    asked = {"x": AxisSpec("alpha", "0, 1")}
    assert store.load_request() == GridRequest(RECIPE, DrawSettings(prompt="a cat"), asked)
    problem = "it fell"
    assert store.record(CELL) == CellRecord(
        RECIPE, DrawSettings(), "a cat", 1.5, ("IN00",), 12, 0.5, problem=problem
    )
    assert read_speeds(earlier) == Speeds(1e9, 2.0)


def test_earlier_hashes_are_read_and_added_to(earlier: Path, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.safetensors")
    with closing(sqlite3.connect(earlier / BOOK)) as book, book:  # what it wrote of this very file
        state = (str(path.resolve()), *file_state(path))
        book.execute("UPDATE files SET path = ?, inode = ?, size = ?, changed = ?", state)
    assert HashCache(earlier).cached(path) == Hashes(sha256="cd" * 32, autov2="cd" * 5)
    other = write_tiny(tmp_path / "b.safetensors", seed=1)
    HashCache(earlier).hashes(other)
    with closing(sqlite3.connect(earlier / BOOK)) as book:
        assert book.execute("SELECT count(*) FROM files").fetchone() == (2,)


def test_an_earlier_comparison_is_found(
    earlier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = (read_header(write_tiny(tmp_path / f"{n}.safetensors", seed=n)) for n in (1, 2))
    made = cached_compare(tmp_path / "none", first, [other], identify=lambda header: header.name)
    monkeypatch.setattr(cache, "compare_one", None)  # nobody may compare any more
    kept = cached_compare(earlier / "reports", first, [other], identify=lambda header: header.name)
    assert kept.models[0].values == pytest.approx(made.models[0].values)


def test_an_earlier_alignment_is_found(earlier: Path) -> None:
    known = read_solution(earlier / "alignments")
    assert known is not None
    assert known.arrangements["p"].order.tolist() == [2, 0, 1, 3]


def test_saved_axes_that_are_damaged_are_reported_and_never_replaced(tmp_path: Path) -> None:
    mine = saved_axes.SavedAxes("mine", {"x": ("alpha", "0, 1")})
    saved_axes.save_axes(tmp_path, mine)
    assert saved_axes.saved_axes(tmp_path) == (mine,)
    place = tmp_path / saved_axes.AXES_FILE
    for content in variations(place.read_text(encoding="utf-8")):
        place.write_bytes(content)
        try:
            saved_axes.save_axes(tmp_path, replace(mine, name="another"))
        except MergeError:
            assert place.read_bytes() == content
            continue
        assert any(each.name == "another" for each in saved_axes.saved_axes(tmp_path))
