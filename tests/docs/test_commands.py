"""The documentation is true: its commands run and print what it shows, its recipes read, its flags exist."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from docs.write import ROOT
from lib_merge.cli import main
from lib_merge.recipe import parse_recipe, print_recipe
from samples.assemble import assemble
from tests.docs.pages import PAGES, Page, page

WITH_COMMANDS = [page for page in PAGES if page.blocks("console")]
RECIPES = [(page, text) for page in PAGES for text in page.blocks("recipe")]


def dialogues(text: Page) -> list[tuple[str, str]]:
    """Each command of a page's console blocks with the output that the page shows."""
    parts = [
        part for block in text.blocks("console") for part in re.split(r"^\$ ", block, flags=re.MULTILINE)
    ]
    commands = [part.replace("\\\n", " ").partition("\n") for part in parts if part]
    return [(command, output) for command, _, output in commands]


def without_times(text: str) -> str:
    """Seconds differ from run to run."""
    return re.sub(r"\d+(\.\d+)? s$", "N s", text, flags=re.MULTILINE)


def check_printed(seen: str, shown: str) -> None:
    """Similarities have four digits; another processor may round the last ones of them otherwise."""
    digits = r"\b\d+\.\d{4}\b"
    assert re.sub(digits, "N", seen) == re.sub(digits, "N", shown)
    seen_numbers, shown_numbers = (
        [float(each) for each in re.findall(digits, text)] for text in (seen, shown)
    )
    assert seen_numbers == pytest.approx(shown_numbers, abs=2e-3)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the commands find the samples and the published recipes."""
    assemble()
    (tmp_path / "samples").mkdir()
    shutil.copytree(ROOT / "samples" / "models", tmp_path / "samples" / "models")
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("text", WITH_COMMANDS, ids=lambda page: page.path)
def test_every_command_prints_what_the_page_shows(
    text: Page, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = dialogues(text)
    assert commands
    for command, output in commands:
        program, *arguments = shlex.split(command)
        assert program == "merge-desk"
        status, printed = main(arguments), capsys.readouterr()
        assert (status, printed.err if status == 2 else "") in ((0, ""), (2, output)), command
        if status == 2:
            continue  # the page shows an error
        seen, shown = without_times(printed.out), without_times(output)
        start = shown.removesuffix("...\n")  # the rest is left out
        check_printed(seen[: len(start)] if start != shown else seen, start)


def test_every_flag_of_the_tables_is_one_of_merge(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["merge", "--help"])
    flags = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    table = [line for line in page("docs/command-line.md").text.splitlines() if line.startswith("| `--")]
    assert table
    assert set(re.findall(r"--[a-z-]+", "\n".join(table))) <= flags


@pytest.mark.parametrize(("text", "recipe"), RECIPES, ids=lambda page: getattr(page, "path", "recipe"))
def test_a_recipe_reads_and_prints_back(text: Page, recipe: str) -> None:
    parsed = parse_recipe(recipe)
    assert parse_recipe(print_recipe(parsed)) == parsed


def test_there_is_a_recipe_to_read() -> None:
    assert "docs/recipes.md" in {text.path for text, _ in RECIPES}
