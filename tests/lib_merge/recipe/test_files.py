"""What a merged file says of its making, and that it is made again from that: file, picture or text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from lib_merge.checkpoint import HashBook, hash_file, read_header
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
    assert [(i.sha256, i.autov3) for i in recipe.ingredients] == [
        (hashes[name].sha256, hashes[name].autov3) for name in "ab"
    ]
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


def test_other_metadata_beside_the_same_weights_is_the_same_file_and_said_so(run: Run, merged: Path) -> None:
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
    book = HashBook(tmp_path / "data")
    assert book.known(path) is None
    first = book.hashes(path)
    again = HashBook(tmp_path / "data")
    assert again.known(path) == first
    write_tiny(path, seed=5, extra={"model.diffusion_model.more": (3,)})
    assert again.known(path) is None
    thread = again.learn([path])
    assert thread is not None
    thread.join()
    assert again.known(path) == hash_file(path, wanted=("sha256", "autov3"))


def test_a_book_that_cannot_be_kept_still_answers(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    path = write_tiny(tmp_path / "a.safetensors")
    assert HashBook(tmp_path / "data").hashes(path).sha256 == hash_file(path).sha256
