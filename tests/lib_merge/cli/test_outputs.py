"""No command overwrites an input, or another file without --overwrite, or leaves an incomplete file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from lib_merge.cli import main
from lib_merge.save.saving import copy_yaml, yaml_problems
from tests.support.full_size import write_tiny

pytestmark = pytest.mark.newest_only

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a.safetensors and b.safetensors, which is the current one."""
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        write_tiny(Path(f"{name}.safetensors"), seed=ord(name))
    return tmp_path


A, B = "a.safetensors", "b.safetensors"


def refusal(capture: Capture, *arguments: str) -> str:
    """The one message of a command that must refuse with status 2 and print nothing."""
    capture.readouterr()
    status = main(arguments)
    out, err = capture.readouterr()
    assert (status, out) == (2, ""), (status, out, err)
    assert err.count("merge-desk: ") == 1
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("flag", ["--csv", "--plot"])
def test_compare_replaces_neither_its_inputs_nor_another_file_unasked(
    flag: str, here: Path, capsys: Capture
) -> None:
    ending = {"--csv": ".csv", "--plot": ".png"}[flag]
    before = Path(A).read_bytes()
    assert "only " + ending in refusal(capsys, "compare", A, B, flag, A)
    model, link = f"a{ending}", f"link{ending}"  # a checkpoint is told by its content, whatever its name
    shutil.copy(A, model)
    Path(link).symlink_to(model)
    for name in (model, link, f"./{model}", str(here / model)):
        assert f"would replace '{model}'" in refusal(capsys, "compare", model, B, flag, name, "--overwrite")
        assert f"would replace '{model}'" in refusal(
            capsys, "compare", A, B, "--base", model, flag, name, "--overwrite"
        )
    assert Path(model).read_bytes() == before
    Path(f"old{ending}").write_text("mine")
    assert "is there already" in refusal(capsys, "compare", A, B, flag, f"old{ending}")
    assert Path(f"old{ending}").read_text() == "mine"
    assert main(["compare", A, B, flag, f"old{ending}", "--overwrite"]) == 0
    assert Path(f"old{ending}").read_bytes() != b"mine"


@pytest.mark.parametrize(
    "output", ["", ".", "/", "./", "..", "a.safetensors/x.safetensors", "no/x.safetensors"]
)
def test_a_merge_without_a_place_is_refused(output: str, here: Path, capsys: Capture) -> None:
    before = sorted(Path().iterdir())
    refusal(capsys, "merge", A, B, "-o", output, "--overwrite")
    refusal(capsys, "plan", A, B, "-o", output, "--overwrite")
    assert sorted(Path().iterdir()) == before


def test_the_file_that_a_recipe_is_in_is_an_input(here: Path, capsys: Capture) -> None:
    assert main(["merge", A, B, "-o", "m.safetensors"]) == 0
    before = Path("m.safetensors").read_bytes()
    arguments = ("merge", "--recipe", "m.safetensors", "--models", ".", "-o", "m.safetensors", "--overwrite")
    assert "would replace 'm.safetensors'" in refusal(capsys, *arguments)
    assert Path("m.safetensors").read_bytes() == before


def test_an_input_inside_a_diffusers_folder_is_not_lost_with_it(here: Path, capsys: Capture) -> None:
    assert main(["merge", A, B, "-o", "folder/"]) == 0
    shutil.copy(A, "folder/unet/mine.safetensors")
    arguments = ("merge", "folder/unet/mine.safetensors", B, "-o", "folder/", "--overwrite")
    assert "would replace 'mine.safetensors'" in refusal(capsys, *arguments)
    assert "'unet/mine.safetensors' would be lost" in refusal(
        capsys, "merge", A, B, "-o", "folder/", "--overwrite"
    )
    Path("folder/unet/mine.safetensors").unlink()
    assert main(["merge", A, B, "-o", "folder/", "--overwrite"]) == 0


GRID = (
    "grid",
    A,
    B,
    "--x",
    "alpha: 0, 1",
    "--prompt",
    "x",
    "--width",
    "64",
    "--height",
    "64",
    "--steps",
    "1",
)


def test_a_grid_replaces_neither_inputs_nor_files_unasked(here: Path, capsys: Capture) -> None:
    Image.new("RGB", (4, 4)).save("mine.png")
    Path("mine.csv").write_text("mine")
    for more in ((), ("--resume",)):
        assert "is there already" in refusal(capsys, *GRID, "-o", "mine.png", *more)
        assert "is there already" in refusal(capsys, *GRID, "-o", "g.png", "--csv", "mine.csv", *more)
    shutil.copy(A, "model.png")
    arguments = ("grid", "model.png", B, *GRID[3:], "-o", "model.png", "--overwrite")
    assert "would replace 'model.png'" in refusal(capsys, *arguments)
    assert "two results" in refusal(capsys, *GRID, "-o", "g.webp", "--animate", "g.webp", "--overwrite")
    for flag in ("--csv", "--animate", "--cells"):
        assert (
            "needs a file name" in (message := refusal(capsys, *GRID, "-o", "g.png", flag, ""))
            or "no folder" in message
        )
    assert "only .csv" in refusal(capsys, *GRID, "-o", "g.png", "--csv", "g.png")
    assert Path("mine.csv").read_text() == "mine"


def test_forgetting_a_grids_cells_leaves_every_other_file(tmp_path: Path) -> None:
    from lib_merge.grid.store import GridStore

    kept = [tmp_path / name for name in ("photo.png", "notes.json", "0123456789abcdef.txt")]
    cells = [tmp_path / f"0123456789abcdef.{ending}" for ending in ("png", "json")]
    for path in (*kept, *cells):
        path.write_text("x")
    store = GridStore(tmp_path)
    assert store.count() == 1
    store.clear()
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_draw_refuses_before_it_draws(here: Path, capsys: Capture) -> None:
    Image.new("RGB", (4, 4)).save("mine.png")
    shutil.copy(A, "model.png")
    draw = ("draw", "model.png", "--prompt", "x")
    assert "is there already" in refusal(capsys, *draw, "-o", "mine.png")
    assert "would replace 'model.png'" in refusal(capsys, *draw, "-o", "model.png", "--overwrite")
    assert "only .png" in refusal(capsys, *draw, "-o", "x.jpg")
    assert "needs a file name" in refusal(capsys, *draw, "-o", "")
    assert "the folder does not exist" in refusal(capsys, *draw, "-o", "no/x.png")


def test_a_yaml_beside_the_target_is_neither_replaced_nor_taken_for_the_merges(tmp_path: Path) -> None:
    model, target = tmp_path / "a.safetensors", tmp_path / "m.safetensors"
    yaml = tmp_path / "m.yaml"
    yaml.write_text("mine")
    (problem,) = yaml_problems(model, target, overwrite=True)  # A has none, and this one is not the merge's
    assert "there is a 'm.yaml' already" in problem.what
    (tmp_path / "a.yaml").write_text("of A")
    (problem,) = yaml_problems(model, target)
    assert "there is a 'm.yaml' already" in problem.what
    assert yaml.read_text() == "mine"
    assert yaml_problems(model, target, overwrite=True) == []
    copy_yaml(model, target, overwrite=True)
    assert yaml.read_text() == "of A"
    assert yaml_problems(model, target) == []  # the same already
    assert yaml_problems(model, model, overwrite=True) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
@pytest.mark.parametrize("arguments", [["methods"], ["methods", "--json"], ["methods", "slerp"]])
def test_output_that_cannot_be_printed_is_reported(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "lib_merge", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, timeout=280)
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "merge-desk: the result cannot be written: the disk is full\n"
        "  at   standard output\n  try  free some space, or name a folder on another disk\n"
    )


def test_a_folder_of_a_pruned_model_is_refused_before_anything_is_written(
    here: Path, capsys: Capture
) -> None:
    tensors = load_file(A)
    gone = "model.diffusion_model.input_blocks.4.0.out_layers.3.weight"
    del tensors[gone]
    save_file(tensors, A)
    err = refusal(capsys, "merge", A, B, "-o", "folder/")
    assert f"this result lacks '{gone}'" in err
    assert "try  save as NAME.safetensors" in err
    assert sorted(path.name for path in here.iterdir()) == [A, B]


def test_an_empty_format_or_recipe_is_refused(here: Path, capsys: Capture) -> None:
    assert "cannot be saved as ''" in refusal(capsys, "merge", A, B, "--dtype", "", "-o", "m.safetensors")
    assert "this is no recipe" in refusal(capsys, "merge", "--recipe", "", "-o", "m.safetensors")


@pytest.mark.parametrize("empty", ["", " "])
def test_a_vae_without_a_name_is_refused(empty: str, here: Path, capsys: Capture) -> None:
    assert "--vae names no VAE" in refusal(capsys, "merge", A, B, "--vae", empty, "-o", "m.safetensors")
    assert not Path("m.safetensors").exists()
