"""What a merged file says of its making, and that it is made again from that: file, picture or text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from lib_merge.architectures import read_header
from lib_merge.checkpoint import hash_file
from lib_merge.cli import main
from lib_merge.errors import MergeError
from lib_merge.hosts.pictures import png_text
from lib_merge.recipe import (
    Ingredient,
    Recipe,
    infotext_entry,
    parse_recipe,
    print_recipe,
    read_recipe,
    recipe_from_text,
    recipe_in_infotext,
    with_hashes,
)
from tests.support.full_size import write_tiny

pytestmark = pytest.mark.newest_only

Capture = pytest.CaptureFixture[str]
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Run:
    """One command in a folder with a, b and c; gives standard error, and fails where it is refused."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("abc"):
        write_tiny(Path(f"{name}.safetensors"), seed=number)

    def command(*arguments: str, status: int = 0) -> str:
        assert main(arguments) == status, capsys.readouterr().err
        return capsys.readouterr().err

    return command


@pytest.fixture
def merged(run: Run) -> Path:
    run("merge", "a.safetensors", "b.safetensors", "--alpha", "0.3", "--dtype", "bf16", "-o", "m.safetensors")
    return Path("m.safetensors")


def metadata(path: Path) -> dict[str, str]:
    return dict(read_header(path).metadata)


def test_a_file_carries_recipe_hashes_version_and_what_other_tools_read(merged: Path) -> None:
    entries = metadata(merged)
    recipe = parse_recipe(entries["merge_desk.recipe"])
    hashes = {name: hash_file(Path(f"{name}.safetensors")) for name in "ab"}
    assert [(i.sha256, i.autov3) for i in recipe.ingredients] == [(hashes[name].sha256, "") for name in "ab"]
    assert json.loads(entries["merge_desk.inputs"])["b.safetensors"]["sha256"] == hashes["b"].sha256
    assert entries["merge_desk.version"]
    theirs = json.loads(entries["sd_merge_recipe"])
    assert (theirs["type"], theirs["primary_model_hash"]) == ("merge-desk", hashes["a"].sha256)
    models = json.loads(entries["sd_merge_models"])
    assert {model["name"] for model in models.values()} == {"a.safetensors", "b.safetensors"}
    assert entries["modelspec.architecture"] == "stable-diffusion-v1"
    assert entries["modelspec.merged_from"] == "a.safetensors, b.safetensors"
    assert not any("date" in name or "title" in name for name in entries)


def test_a_title_and_a_date_are_written_where_they_are_asked_for(run: Run, merged: Path) -> None:
    arguments = ("merge", "--recipe", str(merged), "-o", "n.safetensors", "--title", "My Mix", "--date")
    run(*arguments)
    entries = metadata(Path("n.safetensors"))
    assert entries["modelspec.title"] == "My Mix"
    assert len(entries["modelspec.date"]) == 10
    assert entries["merge_desk.recipe"] == metadata(merged)["merge_desk.recipe"]


def test_the_ancestry_holds_the_recipes_of_ingredients_and_of_theirs(run: Run, merged: Path) -> None:
    run("merge", "m.safetensors", "c.safetensors", "-o", "n.safetensors")
    run("merge", "n.safetensors", "a.safetensors", "-o", "o.safetensors")
    ancestry = json.loads(metadata(Path("o.safetensors"))["merge_desk.ancestry"])
    assert {ancestor["file"]: ancestor["recipe"] for ancestor in ancestry.values()} == {
        "n.safetensors": metadata(Path("n.safetensors"))["merge_desk.recipe"],
        "m.safetensors": metadata(merged)["merge_desk.recipe"],
    }
    models = json.loads(metadata(Path("o.safetensors"))["sd_merge_models"])
    assert {model["name"] for model in models.values()} == {f"{name}.safetensors" for name in "abcmn"}


def test_what_a1111_has_merged_keeps_its_own_recipe_in_the_ancestry(run: Run) -> None:
    own = {"sd_merge_recipe": '{"type":"webui","multiplier":0.3}', "sd_merge_models": '{"ff":{"name":"old"}}'}
    save_file(load_file("a.safetensors"), "w.safetensors", metadata=own)
    run("merge", "w.safetensors", "b.safetensors", "-o", "n.safetensors")
    entries = metadata(Path("n.safetensors"))
    (entry,) = json.loads(entries["merge_desk.ancestry"]).values()
    assert entry == {"file": "w.safetensors", "recipe": own["sd_merge_recipe"]}
    assert json.loads(entries["sd_merge_models"])["ff"] == {"name": "old"}


@pytest.mark.parametrize("source", ["checkpoint", "ckpt", "png", "webp", "infotext", "recipe file", "text"])
def test_it_is_built_again_from_wherever_its_recipe_stands(run: Run, merged: Path, source: str) -> None:
    text = metadata(merged)["merge_desk.recipe"]
    infotext = f"a red circle\nSteps: 15, Model: m, {infotext_entry(text)}, Version: v1.10.1"
    argument = {"checkpoint": "m.safetensors", "infotext": infotext, "text": text}.get(source, "")
    if source == "png":
        Image.new("RGB", (8, 8)).save("p.png", pnginfo=png_text(infotext))
    if source == "webp":
        exif = Image.Exif()
        exif[0x8769] = {0x9286: b"UNICODE\0" + infotext.encode("utf-16-be")}
        Image.new("RGB", (8, 8)).save("p.webp", exif=exif)
    if source == "ckpt":
        run("merge", "--recipe", "m.safetensors", "-o", "p.ckpt")
    if source == "recipe file":
        Path("p.recipe").write_text(text, encoding="utf-8")
    ending = {"recipe file": "recipe"}.get(source, source)
    run("merge", "--recipe", argument or f"p.{ending}", "--models", ".", "-o", "n.safetensors")
    assert Path("n.safetensors").read_bytes() == merged.read_bytes()


def test_a_file_is_found_again_by_its_hash_under_another_name(run: Run, merged: Path) -> None:
    Path("b.safetensors").rename("renamed.safetensors")
    output = run("merge", "--recipe", "m.safetensors", "-o", "n.safetensors")
    assert "note: 'b.safetensors' is here called 'renamed.safetensors'" in output
    assert Path("n.safetensors").read_bytes() == merged.read_bytes()


def test_other_metadata_beside_the_same_weights_is_the_same_file_and_said_so(run: Run) -> None:
    merged = Path("m.safetensors")
    run("merge", "a.safetensors", "b.safetensors", "--autov3", "-o", str(merged))
    header = read_header(Path("b.safetensors"))
    data = Path("b.safetensors").read_bytes()
    entries = json.loads(data[8 : header.data_start])
    entries["__metadata__"] = {"comment": "from a site"}
    text = json.dumps(entries).encode()
    Path("b.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data[header.data_start :])
    output = run("merge", "--recipe", "m.safetensors", "-o", "n.safetensors")
    assert "'b.safetensors' holds the same weights beside other metadata" in output
    assert Path("n.safetensors").read_bytes() == merged.read_bytes()


def test_a_missing_and_a_different_file_are_reported_together_with_what_is_there(
    run: Run, merged: Path
) -> None:
    old = hash_file(Path("b.safetensors")).sha256 or ""
    write_tiny(Path("b.safetensors"), seed=9)
    Path("a.safetensors").unlink()
    new = hash_file(Path("b.safetensors")).sha256 or ""
    output = run("merge", "--recipe", "m.safetensors", "-o", "n.safetensors", status=2)
    assert "there is no 'a.safetensors', nor a file of its hash" in output
    assert "'b.safetensors' is another file than the one that the recipe was made with" in output
    assert f"sha256 {old[:10]} recorded, {new[:10]} here" in output
    write_tiny(Path("a.safetensors"), seed=0)
    run("merge", "--recipe", "m.safetensors", "--trust-names", "-o", "n.safetensors")
    rebuilt = parse_recipe(metadata(Path("n.safetensors"))["merge_desk.recipe"])
    assert rebuilt.ingredients[1].sha256 == new


def test_a_bare_word_that_is_no_file_is_refused(run: Run) -> None:
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
    infotext = f"prompt, with: colons\nSteps: 1, {infotext_entry(text)}, Seed: 3"
    assert recipe_in_infotext(infotext) == text
    assert recipe_from_text(infotext) == recipe
    assert recipe_in_infotext("Steps: 1, Seed: 3") == ""


def test_a_picture_without_a_recipe_is_refused_in_words(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    with pytest.raises(MergeError) as caught:
        read_recipe(str(tmp_path / "p.png"))
    assert "carries no infotext" in caught.value.what


def test_hashes_that_still_hold_are_kept_and_others_are_written_again(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.safetensors")
    hashes = hash_file(path)
    blank = Recipe((Ingredient("A", "a"),), (), "A")
    full = with_hashes(blank, {"a": hashes})
    assert full.ingredients[0] == Ingredient("A", "a", hashes.sha256 or "", hashes.autov3 or "")
    assert with_hashes(full, {"a": hashes}) == full
    assert with_hashes(full, {}) == full
