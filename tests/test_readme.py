"""The README is true: its commands run and print what it shows, its tables are the registry's."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from lib_merge.cli import main
from lib_merge.grid import kinds
from lib_merge.methods import METHODS
from lib_merge.recipe import parse_recipe, print_recipe
from lib_merge.registry import Method
from samples.assemble import assemble
from tests.lib_merge.methods.agreements import peers_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def dialogues() -> list[tuple[str, str]]:
    """Each command of the console blocks with what the README says that it prints."""
    parts = [part for block in blocks("console") for part in re.split(r"^\$ ", block, flags=re.MULTILINE)]
    commands = [part.replace("\\\n", " ").partition("\n") for part in parts if part]
    return [(command, output) for command, _, output in commands]


def without_times(text: str) -> str:
    """Seconds differ from run to run."""
    return re.sub(r"\d+(\.\d+)? s$", "N s", text, flags=re.MULTILINE)


def methods_table() -> str:
    """The table of methods as the registry has it."""
    rows = ["| method | result | parameters |", "|---|---|---|"]
    for method in METHODS.all():
        knobs = [
            f"`{p.name}` " + ("true or false" if p.kind is bool else f"{p.knob.low:g} to {p.knob.high:g}")
            for p in method.parameters
        ]
        formula = method.formula.splitlines()[0].removeprefix("out = ")
        rows.append(f"| `{method.id}` | `{formula}` | {', '.join(knobs)} |")
    return "\n".join(rows)


def agreements_table() -> list[str]:
    """What the tests hold of each method, without the last column, which is measured."""
    return [f"| `{m.id}` | {_ends(m)} | {peers_of(m.id)} |" for m in METHODS.all()]


def _ends(method: Method) -> str:
    """The settings at which a method gives one of its models, to the bit."""
    names = [model.name for model in method.inputs]
    told = []
    for end in method.ends:
        at = list(end.at.items())
        all_zero = len(at) > 3 and not any(value for _, value in at)
        where = "all 0" if all_zero else ", ".join(f"{name} {value:g}" for name, value in at) or "always"
        model = names[end.model] if -len(names) <= end.model < len(names) else names[-1]
        told.append(f"{where}: {model.upper()}")
    return "; ".join(told) or "none"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the README's commands find the samples."""
    assemble()
    (tmp_path / "samples").mkdir()
    shutil.copytree(ROOT / "samples" / "models", tmp_path / "samples" / "models")
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_every_command_prints_what_the_readme_shows(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = dialogues()
    assert len(told) >= 4
    for command, output in told:
        program, *arguments = shlex.split(command)
        assert program == "merge-desk"
        assert main(arguments) == 0, command
        printed, shown = without_times(capsys.readouterr().out), without_times(output)
        start = shown.removesuffix("...\n")  # the rest is left out
        assert printed.startswith(start) if start != shown else printed == shown, command


def test_the_table_of_methods_is_the_registrys() -> None:
    assert methods_table() in README


def test_the_table_of_agreements_is_the_registrys_and_the_tests() -> None:
    lines = README.splitlines()
    for row in agreements_table():
        assert any(line.startswith(row) for line in lines), row


def test_every_flag_of_the_table_is_one_of_merge(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["merge", "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    table = [line for line in README.splitlines() if line.startswith("| `--")]
    assert table
    assert set(re.findall(r"--[a-z-]+", "\n".join(table))) <= known


def test_the_recipe_reads_and_prints_back() -> None:
    (text,) = blocks("recipe")
    recipe = parse_recipe(text)
    assert parse_recipe(print_recipe(recipe)) == recipe


def test_every_file_that_the_readme_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_axis_of_a_grid_is_named() -> None:
    chapter = README.split("## Grids")[1].split("\n## ")[0]
    parameters = {parameter.name for method in METHODS.all() for parameter in method.parameters}
    named = [kind.id for kind in kinds() if kind.id not in parameters]
    assert [name for name in named if f"`{name}`" not in chapter] == []
