"""docs/architecture.md says nothing that is not there."""

from __future__ import annotations

import importlib
import re
from contextlib import suppress

import pytest

from docs.write import layers
from tests.support.repository_copy import NAME, PAGE, ROOT, Recipe, recipes

TEXT = PAGE.read_text(encoding="utf-8")
PATH = re.compile(r"`((?:\w+/)*\w+\.(?:py|md|toml|js|css|json)|(?:\w+/)+)`")
EVERY = pytest.mark.parametrize("recipe", recipes().values(), ids=lambda recipe: recipe.title)


def test_every_file_and_folder_that_the_page_names_is_there() -> None:
    named = PATH.findall(TEXT)
    assert len(named) > 5
    assert [path for path in named if NAME not in path and not (ROOT / path).exists()] == []


def test_every_name_of_the_library_that_the_page_names_is_there() -> None:
    named = re.findall(r"`(lib_merge(?:\.\w+)+)`", TEXT)
    assert len(named) > 5
    assert [name for name in named if not _is_there(name)] == []


def _is_there(name: str) -> bool:
    """Whether it is a module, or something in one."""
    module, _, last = name.rpartition(".")
    with suppress(ModuleNotFoundError):
        return hasattr(importlib.import_module(module), last) or bool(importlib.import_module(name))
    return False


def test_every_package_is_once_in_the_drawing_of_the_layers() -> None:
    (drawing,) = re.findall(r"^```text\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    drawn = re.findall(r"^\| (\w+)", drawing, re.MULTILINE)
    modules = {file.stem for file in (ROOT / "lib_merge").glob("*.py")} - {"__init__", "__main__"}
    packages = {file.parent.name for file in (ROOT / "lib_merge").glob("*/__init__.py")}
    assert sorted(drawn) == sorted(modules | packages)
    assert drawn == [name for name in layers() if name in drawn]


def test_every_heading_below_change_recipes_is_a_recipe() -> None:
    chapter = TEXT.partition("## Change recipes")[2].partition("\n## ")[0]
    assert re.findall(r"^### (.+)$", chapter, re.MULTILINE) == list(recipes())


@EVERY
def test_a_recipe_names_at_most_three_files_in_folders_that_are_there(recipe: Recipe) -> None:
    assert 1 <= len(recipe.files) <= 3
    for file in recipe.files:
        assert NAME in file or (ROOT / file).exists(), file
        folder = file.partition(NAME)[0].rpartition("/")[0]
        assert (ROOT / folder).is_dir(), file


@EVERY
def test_a_recipe_has_a_test_that_carries_it_out(recipe: Recipe) -> None:
    text = (ROOT / recipe.test_file).read_text(encoding="utf-8")
    assert re.search(rf"^def {recipe.test}\(", text, re.MULTILINE)
