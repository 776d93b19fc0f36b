"""What files are called: the end of a path that fits no other file, and which files a name fits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import load_file

from lib_merge.checkpoint import hash_file
from lib_merge.cli import main
from lib_merge.errors import MergeError
from lib_merge.recipe import Ingredient, Recipe, parse_recipe, print_recipe
from lib_merge.recipe.ingredients import find_ingredients
from lib_merge.recipe.names import checkpoint_files, distinct_files, match_name, short_labels, unique_names
from lib_merge.recipe.reading import read_recipe
from tests.support.full_size import write_tiny

pytestmark = pytest.mark.newest_only

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Empty files: one name in two folders, one stem with two endings, one in the folder itself as well."""
    folder = tmp_path / "models"
    names = ["a/x", "b/x", "b/deep/y", "ink", "z", "a/z", "a/B", "a/b"]
    for name in (*[f"{name}.safetensors" for name in names], "ink.ckpt", "only.CKPT"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.mark.parametrize(
    ("quoted", "file"),
    [
        (r"a\x", "a/x"),
        (r"a\\x", "a/x"),
        (r"b\deep\y.safetensors", "b/deep/y"),
        (r"C:\models\b\deep\y.safetensors", "b/deep/y"),
        (r"b\new", "b/new"),
        (r"C:\models\b\\new.safetensors", "b/new"),
        (r"b\\x", "b/x"),
        (r"b\tab [0123456789]", "b/tab"),
    ],
)
@pytest.mark.parametrize(
    "form", ['"{}" x 0.3 + only x 0.7 = M', 'slerp("{}", only, alpha = 0.3) = M', 'A = "{}"\n']
)
def test_a_windows_path_in_quotes_is_the_file_that_it_names(
    quoted: str, file: str, form: str, models: Path
) -> None:
    """Backslashes that begin no escape, and those that do where the escape names no file: b\\new, b\\tab."""
    for name in ("b/new", "b/tab"):
        (models / f"{name}.safetensors").write_bytes(name.encode())
    text = form.format(quoted)
    recipe = parse_recipe(text if "+" in text or "slerp" in text else f"merge-desk recipe 2\n{text}")
    assert parse_recipe(print_recipe(recipe)) == recipe
    wanted = recipe.ingredients[0].file.removesuffix(" [0123456789]")
    located = find_ingredients(
        parse_recipe(f"merge-desk recipe 2\nA = {json.dumps(wanted)}\n"),
        lambda recorded: match_name(recorded.file, checkpoint_files(models)),
        list,
        hash_file,
    )
    assert list(located.paths.values()) == [models / f"{file}.safetensors"]


def test_an_escape_that_could_be_two_files_is_refused(models: Path) -> None:
    (models / "b" / "new.safetensors").write_bytes(b"new")
    (models / "b\new.safetensors").write_bytes(b"a line end in its name")
    assert len(fits(models, "b\new")) == 2
    with pytest.raises(MergeError, match="in quotes cannot be read"):
        parse_recipe(r'"a\"b\q" + x = M')


def fits(folder: Path, name: str) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in match_name(name, checkpoint_files(folder)).files]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("x", ["a/x.safetensors", "b/x.safetensors"]),
        ("x.safetensors", ["a/x.safetensors", "b/x.safetensors"]),
        ("a/x", ["a/x.safetensors"]),
        ("b\\x.safetensors", ["b/x.safetensors"]),
        ("models/a/x", ["a/x.safetensors"]),
        ("deep/y", ["b/deep/y.safetensors"]),
        (" y ", ["b/deep/y.safetensors"]),
        ("ink", ["ink.ckpt", "ink.safetensors"]),
        ("ink.ckpt", ["ink.ckpt"]),
        ("only", ["only.CKPT"]),
        ("z", ["z.safetensors"]),
        ("a/z", ["a/z.safetensors"]),
        ("a/B", ["a/B.safetensors"]),
        ("b", ["a/b.safetensors"]),
        ("/x", []),
        ("nothing", []),
        ("", []),
    ],
)
def test_a_name_fits_every_file_whose_path_ends_so(models: Path, name: str, files: list[str]) -> None:
    assert fits(models, name) == files


def test_a_file_of_exactly_the_name_is_meant_and_the_others_are_named(models: Path) -> None:
    match = match_name("z", checkpoint_files(models))
    assert match.files == (models / "z.safetensors",)
    assert match.others == (models / "a" / "z.safetensors",)


def test_links_to_one_file_are_one_file(models: Path) -> None:
    (models / "a" / "link.safetensors").symlink_to(models / "b" / "x.safetensors")
    (models / "b" / "link.safetensors").symlink_to(models / "b" / "x.safetensors")
    assert fits(models, "link") == ["a/link.safetensors"]


def test_the_shortest_name_that_fits_no_other_file_is_taken(models: Path) -> None:
    files = [
        models / "a/x.safetensors",
        models / "b/x.safetensors",
        models / "ink.ckpt",
        models / "z.safetensors",
    ]
    assert unique_names(files) == ["a/x.safetensors", "b/x.safetensors", "ink.ckpt", "z.safetensors"]


def test_labels_tell_apart_what_is_different(models: Path) -> None:
    assert short_labels(["a/x.safetensors", "b/x.safetensors"]) == ["a/x", "b/x"]
    assert short_labels(["sd15/ink.safetensors", "pastel.ckpt", "pastel.ckpt"]) == ["ink", "pastel"]
    assert short_labels(["ink.safetensors", "ink.ckpt"]) == ["ink.safetensors", "ink.ckpt"]


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """a/x and b/x, which differ."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("ab"):
        Path(name).mkdir()
        write_tiny(Path(name, "x.safetensors"), seed=number)
    return tmp_path


def test_two_files_of_one_name_are_merged_named_and_rebuilt_as_two(two: Path) -> None:
    assert main(["merge", "a/x.safetensors", "b/x.safetensors", "--alpha", "0.3", "-o", "m.safetensors"]) == 0
    recipe = read_recipe("m.safetensors")
    assert recipe.files == ("a/x.safetensors", "b/x.safetensors")
    assert len({ingredient.sha256 for ingredient in recipe.ingredients}) == 2
    assert main(["merge", "--recipe", "m.safetensors", "--models", str(two), "-o", "again.safetensors"]) == 0
    assert Path("again.safetensors").read_bytes() == Path("m.safetensors").read_bytes()
    for name in "ab":  # without folders of those names, the hashes are enough
        (two / name / "x.safetensors").rename(two / name / "y.safetensors")
    assert main(["merge", "--recipe", "m.safetensors", "--models", str(two), "-o", "third.safetensors"]) == 0
    assert Path("third.safetensors").read_bytes() == Path("m.safetensors").read_bytes()


def test_a_name_that_fits_two_files_is_refused_with_both_of_them(two: Path, capsys: Capture) -> None:
    assert (
        main(["merge", "--recipe", "x x 0.5 + x x 0.5 = M", "--models", str(two), "-o", "m.safetensors"]) == 2
    )
    stderr = capsys.readouterr().err
    assert "'x' fits 2 files" in stderr
    assert "a/x.safetensors, b/x.safetensors" in stderr
    assert not Path("m.safetensors").exists()


def test_hashes_tell_two_files_of_one_name_apart(two: Path) -> None:
    assert main(["merge", "a/x.safetensors", "b/x.safetensors", "--alpha", "0.3", "-o", "m.safetensors"]) == 0
    recipe = read_recipe("m.safetensors")
    a, b = (ingredient.sha256 for ingredient in recipe.ingredients)
    text = f'merge-desk recipe 2\nA = "x", sha256 = "{a}"\nB = "x.safetensors", sha256 = "{b}"\n'
    text += "M = weighted_sum(A, B, alpha = 0.3)\nsave M"
    assert main(["merge", "--recipe", text, "--models", ".", "-o", "again.safetensors"]) == 0
    assert read_recipe("again.safetensors").files == recipe.files
    first, again = load_file("m.safetensors"), load_file("again.safetensors")
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_one_stem_with_two_endings_is_refused_until_the_ending_is_written(two: Path, capsys: Capture) -> None:
    write_tiny(two / "ink.safetensors", seed=5)
    assert main(["merge", "ink.safetensors", "a/x.safetensors", "--alpha", "0", "-o", "ink.ckpt"]) == 0
    both = ["--models", str(two), "-o", "m.safetensors"]
    assert main(["merge", "--recipe", "ink + a/x = M", *both]) == 2
    assert "ink.ckpt, ink.safetensors" in capsys.readouterr().err
    assert main(["merge", "--recipe", "ink.ckpt + a/x = M", *both]) == 0
    assert read_recipe("m.safetensors").files == ("ink.ckpt", "a/x.safetensors")


LEGAL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=30)
ODD = [
    "a x b",
    'say "ink"',
    "a # b",
    "a = b",
    "a, b",
    "[v2] (new)",
    "back\\slash",
    "M",
    "save",
    "100%",
    "ink [0123abcdef]",
]


@given(LEGAL)
@example("\N{LINE SEPARATOR}\n\r\t")
def test_every_legal_file_name_reads_back_from_a_recipe_and_from_a_sum(stem: str) -> None:
    file = f"{stem}.safetensors"
    recipe = Recipe((Ingredient("A", file),), (), "A", vae=f"{stem}.vae.pt")
    assert parse_recipe(print_recipe(recipe)) == recipe
    quoted = json.dumps(file, ensure_ascii=False)
    for text in (f"{quoted} x 0.5 + other x 0.5 = M", f"M = {quoted} + other", f"slerp({quoted}, other) = M"):
        assert parse_recipe(text).files == (file, "other")


@pytest.mark.parametrize("stem", ODD)
def test_a_file_of_an_odd_name_is_found_by_it_with_and_without_ending(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.safetensors"
    path.touch()
    for name in (stem, path.name):
        assert match_name(name, checkpoint_files(tmp_path)).files == (path,)


def test_the_hash_behind_a_name_in_a_sum_chooses_the_file_and_must_be_right(
    two: Path, capsys: Capture
) -> None:
    a, b = ((hash_file(Path(name, "x.safetensors")).sha256 or "")[:10] for name in "ab")
    where = ["--models", str(two), "-o", "m.safetensors", "--overwrite"]
    pairs = (f"x [{a}]", f"x.safetensors [{b}]"), (f'"a/x" [{a}]', f"b\\x [{b}]"), (f'"[{a}]"', f'"[{b}]"')
    for first, second in pairs:
        assert main(["merge", "--recipe", f"{first} x 0.7 + {second} x 0.3 = M", *where]) == 0
        assert read_recipe("m.safetensors").files == ("a/x.safetensors", "b/x.safetensors")
    capsys.readouterr()
    assert main(["merge", "--recipe", f"a/x [0123456789] x 0.7 + b/x [{b}] x 0.3 = M", *where]) == 2
    assert "another file than the one" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["SD15/y", "SD15\\y.safetensors"])
def test_folders_of_another_machine_are_overlooked_and_that_is_said(
    two: Path, capsys: Capture, name: str
) -> None:
    write_tiny(two / "y.safetensors", seed=3)
    where = ["--models", str(two), "-o", "m.safetensors"]
    assert main(["merge", "--recipe", f"{name} + a/x = M", *where]) == 0
    assert f"'{name}' is here called 'y.safetensors'" in capsys.readouterr().err
    assert read_recipe("m.safetensors").files == ("y.safetensors", "a/x.safetensors")


def test_two_files_of_other_folders_do_not_become_one(two: Path, capsys: Capture) -> None:
    write_tiny(two / "y.safetensors", seed=3)
    assert main(["merge", "--recipe", "c/y + d/y = M", "--models", str(two), "-o", "m.safetensors"]) == 2
    assert "'c/y'" in capsys.readouterr().err
    assert main(["merge", "--recipe", "c/x + a/x = M", "--models", str(two), "-o", "m.safetensors"]) == 2
    assert "fits 2 files" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_the_command_line_takes_and_shows_a_name_that_is_not_utf8(two: Path, capsys: Capture) -> None:
    odd = os.fsdecode(b"mod\xe8le.safetensors")
    Path("a/x.safetensors").rename(odd)
    for arguments in (["inspect", odd], ["inspect", odd, "--json"], ["plan", odd, "b/x.safetensors"]):
        assert main(arguments) == 0
        assert "\\xe8le" in capsys.readouterr().out.replace("\\udce8", "\\xe8")
    data = ["--data", str(two / "data")]
    assert main(["merge", odd, "b/x.safetensors", "--alpha", "0.3", "-o", "m.safetensors", *data]) == 0
    assert read_recipe("m.safetensors").files == ("mod\\xe8le.safetensors", "x.safetensors")
    again = ["merge", "--recipe", "m.safetensors", "--models", str(two), "-o", "again.safetensors", *data]
    assert main(again) == 0
    assert Path("again.safetensors").read_bytes() == Path("m.safetensors").read_bytes()


def test_a_path_that_no_system_has_is_distinguished_like_any_other() -> None:
    paths = [Path("x/a\0b.safetensors"), Path("y/a\0b.safetensors")]
    assert unique_names(paths) == ["x/a\0b.safetensors", "y/a\0b.safetensors"]
    assert distinct_files(paths) == tuple(paths)
