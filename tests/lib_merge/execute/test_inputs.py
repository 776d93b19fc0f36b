"""Files that change while they are merged, and hashes that are taken beside the arithmetic."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open

import lib_merge.execute as execute
from lib_merge.architectures import family_by_id, open_checkpoint, open_from_header, read_header
from lib_merge.checkpoint import Header, hash_file, tensor_bytes
from lib_merge.checkpoint.linux import is_remote
from lib_merge.checkpoint.mapped import MappedCheckpoint, ReadCheckpoint
from lib_merge.cli import main
from lib_merge.errors import CheckpointError, MergeError
from lib_merge.grid import GridCell
from lib_merge.grid.store import GridStore
from lib_merge.library.hashes import HashCache
from lib_merge.picture import DrawSettings
from lib_merge.plan import Plan, make_plan
from lib_merge.rebasin.options import Options
from lib_merge.rebasin.store import Alignments
from lib_merge.recipe import Ingredient, Recipe, Step, parse_recipe
from lib_merge.recipe.hashing import InputHashes
from lib_merge.report.health.check import check
from lib_merge.report.similarity.cache import cached_compare
from lib_merge.save.saving import save_merge
from tests.support.full_size import write_tiny
from tests.support.merging import same_bits

pytestmark = pytest.mark.newest_only

Capture = pytest.CaptureFixture[str]
Change = Callable[[Path], None]


def rewritten(path: Path) -> None:
    """Other numbers in the same place, as a download or an editor in place leaves them."""
    with path.open("r+b") as file:
        file.seek(-64, os.SEEK_END)
        file.write(bytes(64))
    later(path)


def later(path: Path) -> None:
    """The clock of a file system may stand still for some milliseconds."""
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000))


def replaced(path: Path) -> None:
    """Another file of the same name, size and time."""
    state = path.stat()
    other = write_tiny(path.with_name("other"), seed=9)
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(path)


def backdated(path: Path) -> None:
    """Other numbers in the same place, and the time set back to what it was, as tools that keep times do."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-64, os.SEEK_END)
        file.write(bytes(64))
    for _ in range(1000):  # until the file system's clock has moved on
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        if path.stat().st_ctime_ns != before.st_ctime_ns:
            break
    assert path.stat().st_mtime_ns == before.st_mtime_ns


ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
CHANGES: list[Change] = [rewritten, replaced, Path.unlink]
if sys.platform != "win32":  # which keeps no time that a program cannot set
    CHANGES.append(backdated)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("ab"):
        write_tiny(Path(f"{name}.safetensors"), seed=number)
    return tmp_path


def recipe() -> Recipe:
    a, b = (Ingredient(name.upper(), f"{name}.safetensors") for name in "ab")
    return Recipe((a, b), (Step("M", "weighted_sum", ("A", "B"), (("alpha", 0.5),)),), "M")


def planned(any_recipe: Recipe) -> Plan:
    return make_plan(any_recipe, {file: read_header(Path(file)) for file in any_recipe.files})


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Whatever is merged next, `change` happens to b.safetensors when the last tensor is computed."""
    run = execute.run

    def changing(*arguments: object, **options: object) -> object:
        done = run(*arguments, **options)  # type: ignore[arg-type]
        change(Path("b.safetensors"))
        return done

    monkeypatch.setattr("lib_merge.execute.run", changing)
    monkeypatch.setattr("lib_merge.save.diffusers.run", changing)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("name", ["m.safetensors", "m.ckpt", "m/"])
@pytest.mark.parametrize("hashed_before", [True, False], ids=["hashed", "not hashed"])
def test_no_mixture_gets_the_final_name(
    name: str,
    change: Change,
    hashed_before: bool,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if hashed_before:
        for file in recipe().files:
            HashCache().hashes(Path(file))
    before = hash_file(Path("b.safetensors")).sha256
    meanwhile(monkeypatch, change)
    assert main(["merge", "a.safetensors", "b.safetensors", "-o", name]) == 2
    assert "b.safetensors" in (err := capsys.readouterr().err)
    assert "changed" in err or "no such" in err
    assert not Path(name).exists()
    assert not list(here.glob(".m*"))
    if change is rewritten:
        known_now = HashCache().cached(Path("b.safetensors"))
        assert known_now is None or known_now.sha256 != before


def test_a_file_that_changed_since_the_plan_is_not_read(here: Path) -> None:
    plan = planned(recipe())
    rewritten(Path("b.safetensors"))
    with pytest.raises(CheckpointError, match="changed while it was in use"):
        save_merge(plan, Path("m.safetensors"), "safetensors")
    assert not Path("m.safetensors").exists()


def test_reports_of_a_file_that_changes_are_refused_and_not_kept(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (read_header(Path(f"{name}.safetensors")) for name in "ab")
    with pytest.raises(CheckpointError, match="changed"), open_from_header(b):
        rewritten(b.path)
    with pytest.raises(CheckpointError, match="changed"):
        cached_compare(here / "kept", a, [b])
    with pytest.raises(CheckpointError, match="changed"):
        check(b)
    assert not (here / "kept").exists()

    def fail() -> None:
        with open_checkpoint(a.path):
            rewritten(a.path)
            raise KeyError

    with pytest.raises(KeyError):  # an error inside is the one that is told
        fail()


def test_a_cell_and_an_alignment_of_a_replaced_file_are_not_found_again(here: Path) -> None:
    """Though its size and its time are those of the file before."""

    class Catalog:
        def header(self, file: str) -> Header:
            return read_header(Path(file))

    def names() -> tuple[str, str]:
        a, b = (read_header(Path(file)) for file in recipe().files)
        cell = GridStore(here).cell_name(GridCell(recipe(), DrawSettings()), Catalog())  # type: ignore[arg-type]
        return cell, Alignments().name(family_by_id("sd1"), b, a, Options())

    before = names()
    assert names() == before
    replaced(Path("b.safetensors"))
    assert not set(names()) & set(before)


def test_a_file_that_changes_while_it_is_hashed_has_no_hash(here: Path) -> None:
    class Changing:
        def start(self, total: int, what: str) -> None:
            rewritten(Path("a.safetensors"))

        def advance(self, amount: int) -> None: ...

        def stopped(self) -> bool:
            return False

    with pytest.raises(CheckpointError, match="changed"):
        HashCache().hashes(Path("a.safetensors"), progress=Changing())
    assert HashCache().cached(Path("a.safetensors")) is None


# --- hashes beside the arithmetic -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["m.safetensors", "m.ckpt"])
def test_a_result_has_the_same_bytes_whether_its_files_were_hashed_before_or_not(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch, user_cache: Path
) -> None:
    assert main(["merge", "a.safetensors", "b.safetensors", "-o", name]) == 0
    unknown = Path(name).read_bytes()
    cached = HashCache().cached(Path("b.safetensors"))
    assert cached == hash_file(Path("b.safetensors"), algorithms=("sha256",))
    recorded = parse_recipe(read_recipe_of(name)) if name.endswith(".safetensors") else None
    assert recorded is None or recorded.ingredients[1].sha256 == cached.sha256
    monkeypatch.setattr("lib_merge.library.hashes.hash_file", None)  # nobody may hash any more
    assert main(["merge", "a.safetensors", "b.safetensors", "-o", name, "--overwrite"]) == 0
    assert Path(name).read_bytes() == unknown


def read_recipe_of(name: str) -> str:
    return read_header(Path(name)).metadata["merge_desk.recipe"]


def test_so_it_has_where_hashes_fall_together(here: Path, user_cache: Path) -> None:
    """A copy of an ingredient, and one that another ingredient was made from: the metadata gets shorter."""
    assert main(["merge", "a.safetensors", "b.safetensors", "-o", "m.safetensors"]) == 0
    Path("copy.safetensors").write_bytes(Path("m.safetensors").read_bytes())
    arguments = ["merge", "m.safetensors", "copy.safetensors", "a.safetensors", "--method", "add_difference"]
    for book in user_cache.rglob("*.sqlite3"):
        book.unlink()
    assert main([*arguments, "-o", "first.safetensors"]) == 0
    assert main([*arguments, "-o", "second.safetensors"]) == 0
    assert Path("first.safetensors").read_bytes() == Path("second.safetensors").read_bytes()
    assert main(["merge", "--recipe", "first.safetensors", "--models", ".", "-o", "third.safetensors"]) == 0
    assert Path("third.safetensors").read_bytes() == Path("first.safetensors").read_bytes()
    sums = [ingredient.sha256 for ingredient in parse_recipe(read_recipe_of("first.safetensors")).ingredients]
    assert sums == [hash_file(Path(f)).sha256 for f in ("m.safetensors", "copy.safetensors", "a.safetensors")]


def test_a_merge_that_fails_reads_no_further_and_a_hash_that_fails_ends_the_merge(here: Path) -> None:
    hashes = InputHashes(HashCache(), {file: Path(file) for file in recipe().files})
    plan = planned(hashes.with_known_hashes(recipe()))
    Path("b.safetensors").unlink()
    write_tiny(Path("b.safetensors"), seed=7)
    with pytest.raises(MergeError, match="changed"), hashes:
        save_merge(plan, Path("m.safetensors"), "safetensors", recorded=hashes.with_all_hashes)
    assert not Path("m.safetensors").exists()


# --- files that are cut short ---------------------------------------------------------------------

CUT = """
import os, sys
from lib_merge.checkpoint import mapped
from lib_merge.cli import main
read, left = mapped.ReadCheckpoint._read, [40]
def cutting(self, out, at):
    left[0] -= 1
    if left[0] == 0:
        os.truncate("b.safetensors", 20000)
    read(self, out, at)
mapped.ReadCheckpoint._read = cutting
sys.exit(main(sys.argv[1:]))
"""
COMMANDS = {
    "merge": ["merge", "a.safetensors", "b.safetensors", "-o", "m.safetensors"],
    "merge without hashes": ["merge", "a.safetensors", "b.safetensors", "--no-hashes", "-o", "m.safetensors"],
    "whole tensors": ["merge", "a.safetensors", "b.safetensors", "--method", "slerp", "-o", "m.safetensors"],
    "ckpt": ["merge", "a.safetensors", "b.safetensors", "-o", "m.ckpt"],
    "folder": ["merge", "a.safetensors", "b.safetensors", "-o", "m/"],
    "compare": ["compare", "a.safetensors", "b.safetensors"],
    "check": ["check", "b.safetensors"],
}


@pytest.mark.skipif(os.name != "posix", reason="Windows lets nobody cut a mapped file short")
@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_a_file_that_is_cut_short_is_reported_and_does_not_end_the_process(
    arguments: list[str], here: Path
) -> None:
    command = [sys.executable, "-c", CUT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, env=ENVIRONMENT)
    assert done.returncode == 2, done.stderr
    assert "this file was changed while it was in use" in done.stderr
    assert "b.safetensors" in done.stderr
    assert sorted(path.name for path in here.iterdir()) == ["a.safetensors", "b.safetensors"]


def test_a_mapped_file_is_looked_at_before_every_view(here: Path) -> None:
    path = Path("b.safetensors")
    file = open_checkpoint(path)
    assert isinstance(file, MappedCheckpoint)
    key = next(iter(file.header.tensors))
    file.check_size()
    os.truncate(path, 20000)
    for look in (file.check_size, lambda: file.tensor(key), lambda: file.bytes(key)):
        with pytest.raises(CheckpointError, match="changed while it was in use"):
            look()
    file.close()


@pytest.mark.parametrize("method", ["weighted_sum", "slerp"])
def test_on_a_remote_disk_nothing_is_mapped_and_everything_comes_out_the_same(
    method: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["merge", "a.safetensors", "b.safetensors", "--method", method]
    assert main([*arguments, "-o", "local.safetensors"]) == 0
    monkeypatch.setattr("lib_merge.checkpoint.reader.is_remote", lambda file: True)
    monkeypatch.setattr("lib_merge.checkpoint.reader.map_file", None)
    with open_checkpoint(Path("a.safetensors")) as file, safe_open("a.safetensors", "pt") as theirs:
        assert isinstance(file, ReadCheckpoint)
        for key in theirs.keys():  # noqa: SIM118 - it is no dictionary
            assert same_bits(file.tensor(key), theirs.get_tensor(key))
            assert file.bytes(key) == tensor_bytes(theirs.get_tensor(key))
    assert main([*arguments, "-o", "remote.safetensors"]) == 0
    assert Path("remote.safetensors").read_bytes() == Path("local.safetensors").read_bytes()
    assert main(["compare", "a.safetensors", "b.safetensors"]) == 0
    a, b = (read_header(Path(f"{name}.safetensors")) for name in "ab")
    assert cached_compare(here / "kept", a, [b]) == cached_compare(here / "kept", a, [b])


@pytest.mark.skipif(sys.platform != "linux", reason="file systems have Linux' own numbers")
def test_file_systems_are_detected_by_their_numbers(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("a.safetensors")
    with path.open("rb") as file:
        for disks, remote in (({}, False), (dict.fromkeys(_numbers(path), "this"), True)):
            monkeypatch.setattr("lib_merge.checkpoint.linux.REMOTE", disks)
            assert is_remote(path) == is_remote(file.fileno()) == remote
    assert not is_remote(Path("gone"))


def _numbers(path: Path) -> list[int]:
    result = subprocess.run(["stat", "-f", "-c", "%t", str(path)], capture_output=True, text=True, check=True)
    return [int(result.stdout, 16)]
