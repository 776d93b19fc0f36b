"""What a merged file says of its making, and that it is made again from that: file, picture or text."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from lib_merge.checkpoint import HashBook, Hashes, hash_file, read_header
from lib_merge.checkpoint.hashbook import cache_folder
from lib_merge.cli import main
from lib_merge.errors import MergeError
from lib_merge.hosts.pictures import png_facts
from lib_merge.recipe import (
    Ingredient,
    Recipe,
    from_infotext,
    in_infotext,
    parse_recipe,
    print_recipe,
    read_recipe,
    recipe_of,
    with_hashes,
)
from tests.full_size import write_tiny

Capture = pytest.CaptureFixture[str]
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Run:
    """One command in a folder with a, b and c; gives standard error, and fails where it is refused."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("abc"):
        write_tiny(Path(f"{name}.safetensors"), seed=number)

    def command(*words: str, status: int = 0) -> str:
        assert main(words) == status, capsys.readouterr().err
        return capsys.readouterr().err

    return command


@pytest.fixture
def merged(run: Run) -> Path:
    run("merge", "a.safetensors", "b.safetensors", "--alpha", "0.3", "--dtype", "bf16", "-o", "m.safetensors")
    return Path("m.safetensors")


def metadata(path: Path) -> dict[str, str]:
    return dict(read_header(path).metadata)


def test_a_file_carries_recipe_hashes_version_and_what_other_tools_read(merged: Path) -> None:
    found = metadata(merged)
    recipe = parse_recipe(found["merge_desk.recipe"])
    hashes = {name: hash_file(Path(f"{name}.safetensors")) for name in "ab"}
    assert [(i.sha256, i.autov3) for i in recipe.ingredients] == [(hashes[name].sha256, "") for name in "ab"]
    assert json.loads(found["merge_desk.inputs"])["b.safetensors"]["sha256"] == hashes["b"].sha256
    assert found["merge_desk.version"]
    theirs = json.loads(found["sd_merge_recipe"])
    assert (theirs["type"], theirs["primary_model_hash"]) == ("merge-desk", hashes["a"].sha256)
    models = json.loads(found["sd_merge_models"])
    assert {each["name"] for each in models.values()} == {"a.safetensors", "b.safetensors"}
    assert found["modelspec.architecture"] == "stable-diffusion-v1"
    assert found["modelspec.merged_from"] == "a.safetensors, b.safetensors"
    assert not any("date" in name or "title" in name for name in found)


def test_a_title_and_a_date_are_written_where_they_are_asked_for(run: Run, merged: Path) -> None:
    words = ("merge", "--recipe", str(merged), "-o", "n.safetensors", "--title", "My Mix", "--date")
    run(*words)
    found = metadata(Path("n.safetensors"))
    assert found["modelspec.title"] == "My Mix"
    assert len(found["modelspec.date"]) == 10
    assert found["merge_desk.recipe"] == metadata(merged)["merge_desk.recipe"]


def test_the_ancestry_holds_the_recipes_of_ingredients_and_of_theirs(run: Run, merged: Path) -> None:
    run("merge", "m.safetensors", "c.safetensors", "-o", "n.safetensors")
    run("merge", "n.safetensors", "a.safetensors", "-o", "o.safetensors")
    found = json.loads(metadata(Path("o.safetensors"))["merge_desk.ancestry"])
    assert {each["file"]: each["recipe"] for each in found.values()} == {
        "n.safetensors": metadata(Path("n.safetensors"))["merge_desk.recipe"],
        "m.safetensors": metadata(merged)["merge_desk.recipe"],
    }
    models = json.loads(metadata(Path("o.safetensors"))["sd_merge_models"])
    assert {each["name"] for each in models.values()} == {f"{name}.safetensors" for name in "abcmn"}


def test_what_a1111_has_merged_keeps_its_own_recipe_in_the_ancestry(run: Run) -> None:
    own = {"sd_merge_recipe": '{"type":"webui","multiplier":0.3}', "sd_merge_models": '{"ff":{"name":"old"}}'}
    save_file(load_file("a.safetensors"), "w.safetensors", metadata=own)
    run("merge", "w.safetensors", "b.safetensors", "-o", "n.safetensors")
    found = metadata(Path("n.safetensors"))
    (entry,) = json.loads(found["merge_desk.ancestry"]).values()
    assert entry == {"file": "w.safetensors", "recipe": own["sd_merge_recipe"]}
    assert json.loads(found["sd_merge_models"])["ff"] == {"name": "old"}


@pytest.mark.parametrize("source", ["checkpoint", "ckpt", "png", "webp", "infotext", "recipe file", "text"])
def test_it_is_built_again_from_wherever_its_recipe_stands(run: Run, merged: Path, source: str) -> None:
    text = metadata(merged)["merge_desk.recipe"]
    infotext = f"a red circle\nSteps: 15, Model: m, {in_infotext(text)}, Version: v1.10.1"
    given = {"checkpoint": "m.safetensors", "infotext": infotext, "text": text}.get(source, "")
    if source == "png":
        Image.new("RGB", (8, 8)).save("p.png", pnginfo=png_facts(infotext))
    if source == "webp":
        exif = Image.Exif()
        exif[0x8769] = {0x9286: b"UNICODE\0" + infotext.encode("utf-16-be")}
        Image.new("RGB", (8, 8)).save("p.webp", exif=exif)
    if source == "ckpt":
        run("merge", "--recipe", "m.safetensors", "-o", "p.ckpt")
    if source == "recipe file":
        Path("p.recipe").write_text(text, encoding="utf-8")
    ending = {"recipe file": "recipe"}.get(source, source)
    run("merge", "--recipe", given or f"p.{ending}", "--models", ".", "-o", "n.safetensors")
    assert Path("n.safetensors").read_bytes() == merged.read_bytes()


def test_a_file_is_found_again_by_its_hash_under_another_name(run: Run, merged: Path) -> None:
    Path("b.safetensors").rename("renamed.safetensors")
    told = run("merge", "--recipe", "m.safetensors", "-o", "n.safetensors")
    assert "note: 'b.safetensors' is here called 'renamed.safetensors'" in told
    assert Path("n.safetensors").read_bytes() == merged.read_bytes()


def test_other_metadata_beside_the_same_weights_is_the_same_file_and_said_so(run: Run) -> None:
    merged = Path("m.safetensors")
    run("merge", "a.safetensors", "b.safetensors", "--autov3", "-o", str(merged))
    header = read_header(Path("b.safetensors"))
    data = Path("b.safetensors").read_bytes()
    told = json.loads(data[8 : header.data_start])
    told["__metadata__"] = {"comment": "from a site"}
    text = json.dumps(told).encode()
    Path("b.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data[header.data_start :])
    told = run("merge", "--recipe", "m.safetensors", "-o", "n.safetensors")
    assert "'b.safetensors' holds the same weights beside other metadata" in told
    assert Path("n.safetensors").read_bytes() == merged.read_bytes()


def test_a_missing_and_a_different_file_are_told_together_with_what_is_there(run: Run, merged: Path) -> None:
    old = hash_file(Path("b.safetensors")).sha256 or ""
    write_tiny(Path("b.safetensors"), seed=9)
    Path("a.safetensors").unlink()
    new = hash_file(Path("b.safetensors")).sha256 or ""
    told = run("merge", "--recipe", "m.safetensors", "-o", "n.safetensors", status=2)
    assert "there is no 'a.safetensors', nor a file of its hash" in told
    assert "'b.safetensors' is another file than the one that the recipe was made with" in told
    assert f"sha256 {old[:10]} recorded, {new[:10]} here" in told
    write_tiny(Path("a.safetensors"), seed=0)
    run("merge", "--recipe", "m.safetensors", "--trust-names", "-o", "n.safetensors")
    made = parse_recipe(metadata(Path("n.safetensors"))["merge_desk.recipe"])
    assert made.ingredients[1].sha256 == new


def test_a_bare_word_that_is_no_file_is_told_so(run: Run) -> None:
    assert "there is no such file, and this is no recipe" in run("recipe", "mix.recipe", status=2)


def test_recipe_shows_the_ancestors_too(run: Run, merged: Path, capsys: Capture) -> None:
    run("merge", "m.safetensors", "c.safetensors", "-o", "n.safetensors")
    assert main(["recipe", "n.safetensors", "--ancestry"]) == 0
    out = capsys.readouterr().out
    assert "# how m.safetensors was made" in out
    assert metadata(merged)["merge_desk.recipe"].rstrip() in out


def test_an_infotext_gives_back_the_text_that_went_into_it() -> None:
    recipe = Recipe((Ingredient("A", 'a "quoted", name\\.safetensors'),), (), "A")
    text = print_recipe(recipe)
    told = f"prompt, with: colons\nSteps: 1, {in_infotext(text)}, Seed: 3"
    assert from_infotext(told) == text
    assert recipe_of(told) == recipe
    assert from_infotext("Steps: 1, Seed: 3") == ""


def test_a_picture_without_a_recipe_is_refused_in_words(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    with pytest.raises(MergeError) as caught:
        read_recipe(str(tmp_path / "p.png"))
    assert "carries no infotext" in caught.value.what


def test_hashes_that_still_hold_are_kept_and_others_are_written_anew(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.safetensors")
    hashes = hash_file(path)
    blank = Recipe((Ingredient("A", "a"),), (), "A")
    full = with_hashes(blank, {"a": hashes})
    assert full.ingredients[0] == Ingredient("A", "a", hashes.sha256 or "", hashes.autov3 or "")
    assert with_hashes(full, {"a": hashes}) == full
    assert with_hashes(full, {}) == full


def test_a_book_remembers_hashes_until_the_file_changes(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.safetensors")
    book = HashBook()
    assert book.known(path) is None
    first = book.hashes(path)
    again = HashBook()
    assert again.known(path) == first == hash_file(path, wanted=("sha256",))
    write_tiny(path, seed=5, extra={"model.diffusion_model.more": (3,)})
    assert again.known(path) is None
    thread = again.learn([path])
    assert thread is not None
    thread.join()
    assert again.known(path) == hash_file(path, wanted=("sha256",))


def test_another_file_of_the_same_size_and_time_is_another_file(tmp_path: Path) -> None:
    path, other = (write_tiny(tmp_path / f"{n}.safetensors", seed=n) for n in (1, 2))
    first = HashBook().hashes(path)
    state = path.stat()
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    assert HashBook().hashes(path) != first


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no time that a program cannot set")
def test_other_numbers_with_the_time_set_back_are_hashed_anew(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.safetensors")
    first, before = HashBook().hashes(path), path.stat()
    time.sleep(0.02)  # the clock of a file system stands still for some milliseconds
    with path.open("r+b") as file:
        file.seek(-64, os.SEEK_END)
        file.write(bytes(64))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert HashBook().known(path) is None
    assert HashBook().hashes(path) == hash_file(path, wanted=("sha256",)) != first


def test_hashes_join_those_that_are_known_already_and_a_desk_keeps_them_too(
    tmp_path: Path, user_cache: Path
) -> None:
    path = write_tiny(tmp_path / "a.safetensors")
    book = HashBook(tmp_path / "data")
    book.hashes(path)
    book.hashes(path, ("autov3", "autov1"))
    every = hash_file(path)
    assert HashBook().known(path, ("sha256", "autov1", "autov3")) == replace(every, md5=None)
    assert HashBook().known(path, ("sha256", "md5")) is None
    shutil.rmtree(user_cache)
    assert HashBook(tmp_path / "data").known(path) == hash_file(path, wanted=("sha256",))
    pickled = tmp_path / "old.ckpt"
    pickled.write_bytes(b"no safetensors header")
    HashBook().hashes(pickled, ("sha256", "autov3"))
    known = HashBook().known(pickled, ("sha256", "autov3"))
    assert known is not None
    assert known.autov3 is None


def test_the_cache_is_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the specification has ignored
    assert cache_folder() == tmp_path / ".cache" / "merge-desk"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "merge-desk"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == tmp_path / "Library" / "Caches" / "merge-desk"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "merge-desk"


# --- what a WebUI knows already -------------------------------------------------------------------


@pytest.fixture
def in_webui(tmp_path: Path) -> Path:
    folder = tmp_path / "webui" / "models" / "Stable-diffusion" / "mine"
    folder.mkdir(parents=True)
    return write_tiny(folder / "a.safetensors")


def test_a1111s_cache_json_is_read_where_it_is(in_webui: Path, tmp_path: Path) -> None:
    entry = {"mtime": in_webui.stat().st_mtime, "sha256": "ab" * 32}
    cache = tmp_path / "webui" / "cache.json"
    for name in ("mine/a.safetensors", "mine\\a.safetensors", "a.safetensors"):
        cache.write_text(json.dumps({"hashes": {f"checkpoint/{name}": entry}}), encoding="utf-8")
        assert HashBook().known(in_webui) == Hashes(sha256="ab" * 32, autov2="ab" * 5)
    for odd in (
        {**entry, "mtime": entry["mtime"] - 1},
        {**entry, "sha256": "AB"},
        {**entry, "sha256": None},
        [1],
    ):
        cache.write_text(json.dumps({"hashes": {"checkpoint/a.safetensors": odd}}), encoding="utf-8")
        assert HashBook().known(in_webui) is None
    for text in ("{", "[]", '{"hashes": 3}', "[" * 5000):
        cache.write_text(text, encoding="utf-8")
        assert HashBook().known(in_webui) is None


def test_its_diskcache_is_read_and_nothing_in_it_is_run(in_webui: Path, tmp_path: Path) -> None:
    place = tmp_path / "webui" / "cache" / "hashes" / "cache.db"
    place.parent.mkdir(parents=True)
    entry = {"mtime": in_webui.stat().st_mtime, "sha256": "cd" * 32}

    class Evil:
        def __reduce__(self) -> object:
            return Path.touch, (tmp_path / "it ran",)

    with closing(sqlite3.connect(place)) as book, book:  # the columns of diskcache 5.6 that matter here
        book.execute(
            "CREATE TABLE Cache (rowid INTEGER PRIMARY KEY, key BLOB, raw INTEGER, mode INTEGER, value BLOB)"
        )
        put = "INSERT INTO Cache (key, raw, mode, value) VALUES (?, 1, 4, ?)"
        book.execute(put, ("checkpoint/a.safetensors", pickle.dumps({**entry, "more": Evil()})))
    assert HashBook().known(in_webui) is None
    assert not (tmp_path / "it ran").exists()
    with closing(sqlite3.connect(place)) as book, book:
        book.execute(put, ("checkpoint/mine/a.safetensors", pickle.dumps(entry)))
    assert HashBook().known(in_webui) == Hashes(sha256="cd" * 32, autov2="cd" * 5)


def test_a_book_that_cannot_be_kept_still_answers(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    path = write_tiny(tmp_path / "a.safetensors")
    assert HashBook(tmp_path / "data").hashes(path).sha256 == hash_file(path).sha256
