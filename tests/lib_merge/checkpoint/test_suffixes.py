"""One list of suffixes, compared in small letters by whatever reads, lists, finds and names files."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import lib_merge
from lib_merge.checkpoint.suffixes import CHECKPOINTS, has_suffix, is_checkpoint, without_suffix
from lib_merge.cli import main
from lib_merge.hosts.standalone import StandaloneHost
from lib_merge.recipe.names import checkpoint_files, match_name
from lib_merge.save.saving import file_name, format_of
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest
from tests.support.full_size import write_tiny

merge_of = MergeRequest.from_json

pytestmark = pytest.mark.newest_only

Capture = pytest.CaptureFixture[str]
NAMES = ["a.SAFETENSORS", "b.Ckpt", "c.PT", "d.PTH"]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """One safetensors file and three of torch.save, called in capitals."""
    folder = tmp_path / "models"
    folder.mkdir()
    tensors = load_file(write_tiny(folder / NAMES[0]))
    for name in NAMES[1:]:
        torch.save({"state_dict": tensors}, folder / name)
    return folder


@pytest.mark.parametrize("name", ["x.safetensors", "x.SafeTensors", "a/x.CKPT", "x.pt", "x.PTH", "x.v2.Pt"])
def test_a_checkpoint_is_known_by_its_suffix_in_any_letters(name: str) -> None:
    assert is_checkpoint(name)
    assert is_checkpoint(Path(name))
    assert without_suffix(name) == name.rpartition(".")[0]


@pytest.mark.parametrize("name", ["x", "x.vae", "x.safetensors.part", ".ckpt", "safetensors", "x.yaml", ""])
def test_nothing_else_is_a_checkpoint(name: str) -> None:
    assert not is_checkpoint(name)


def test_suffixes_that_are_asked_for_are_compared_in_lowercase() -> None:
    assert has_suffix("history.CSV", ".csv")
    assert not has_suffix("history.csv.bak", ".csv")
    assert without_suffix("mix.CKPT", ".safetensors") == "mix.CKPT"
    assert without_suffix("mix.Safetensors", ".safetensors") == "mix"


@pytest.mark.parametrize("name", NAMES)
def test_the_command_line_reads_files_in_capitals_by_path_and_by_bare_name(
    models: Path, tmp_path: Path, name: str, capsys: Capture
) -> None:
    assert main(["inspect", str(models / name), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["family"] == "sd1"
    assert match_name(name.partition(".")[0], checkpoint_files(models)).files == (models / name,)
    recipe = f'merge-desk recipe 2\nA = "{name.partition(".")[0]}"\nM = self(A, alpha = 1)\n'
    assert main(["merge", "--recipe", recipe, "--models", str(models), "-o", str(tmp_path / "Out.CKPT")]) == 0


def test_a_merged_file_in_capitals_tells_its_recipe_and_its_ancestry(
    models: Path, tmp_path: Path, capsys: Capture
) -> None:
    first, second = tmp_path / "first.SAFETENSORS", tmp_path / "Second.SAFETENSORS"
    source = str(models / NAMES[0])
    assert main(["merge", source, source, "-o", str(first)]) == 0
    assert main(["merge", str(first), source, "-o", str(second)]) == 0
    capsys.readouterr()
    assert main(["recipe", str(second), "--json"]) == 0
    description = json.loads(capsys.readouterr().out)
    assert "merge-desk recipe" in description["recipe"]
    assert [ancestor["file"] for ancestor in description["ancestry"].values()] == ["first.SAFETENSORS"]


def test_the_desk_lists_loads_and_saves_files_in_capitals(models: Path, tmp_path: Path) -> None:
    service = MergeService(StandaloneHost([models], output=tmp_path / "out", data=tmp_path / "data"))
    assert [checkpoint.name for checkpoint in service.host.checkpoints()] == ["a", "b", "c", "d"]
    saved = service.save(merge_of({"method": "weighted_sum", "a": "a", "b": "d"}), "Mix.SAFETENSORS")
    assert saved.checkpoint.path.name == "Mix.safetensors"
    assert file_name("Mix.CKPT", "ckpt") == "Mix.ckpt"
    assert format_of("Mix.CKPT") == "ckpt"


def test_a_missing_file_is_compared_with_files_of_its_kind_in_any_letters(
    models: Path, capsys: Capture
) -> None:
    (models / "ink-and-pastel.SAFETENSORS").touch()
    assert main(["inspect", str(models / "ink-and-pastell.safetensors")]) == 2
    assert "ink-and-pastel.SAFETENSORS" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["recipe", "--json"], ["plan", "--recipe"]], ids=["recipe", "plan"])
def test_a_sum_of_many_models_in_one_line_is_no_name_of_a_file(command: list[str], capsys: Capture) -> None:
    recipe = " + ".join(f"model{n:03}.safetensors x 0.01" for n in range(20)) + " = M"
    assert 255 < len(recipe) < 1000
    main([*command, recipe])
    captured = capsys.readouterr()
    assert "name is too long" not in captured.err
    assert "model019.safetensors" in captured.out + captured.err


def test_the_suffixes_of_checkpoints_are_defined_in_one_module() -> None:
    package = Path(lib_merge.__file__).parent
    modules = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value in CHECKPOINTS
    }
    assert modules == {"checkpoint/suffixes.py"}
