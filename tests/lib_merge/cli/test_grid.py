"""`merge-desk grid` on the samples: the sheet, the JSON, errors, stop, resume."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from lib_merge.cli import main
from lib_merge.errors import NumericalError
from lib_merge.hosts.host import ListedFile
from lib_merge.hosts.standalone import StandaloneHost
from lib_merge.limits import MAX_SEED
from lib_merge.picture import DrawSettings
from samples.assemble import assemble

Capture = pytest.CaptureFixture[str]
SMALL = ("--prompt", "a red circle", "--steps", "2", "--width", "64", "--height", "64")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample checkpoints, and one with NaN in its last block."""
    folder = tmp_path_factory.mktemp("samples")
    assemble(folder)
    bad = load_file(folder / "pastel.safetensors")
    name = "model.diffusion_model.output_blocks.11.0.in_layers.2.weight"
    bad[name] = torch.full_like(bad[name], float("nan"))
    save_file(bad, folder / "bad.safetensors")
    return folder


@pytest.fixture
def here(samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return samples


def run(capture: Capture, *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    return status, *capture.readouterr()


def grid(capture: Capture, samples: Path, *arguments: str) -> dict[str, object]:
    """What a grid of ink and pastel answers in JSON."""
    models = [str(samples / f"{name}.safetensors") for name in ("ink", "pastel")]
    status, out, err = run(capture, "grid", *models, *SMALL, "-o", "g.png", "--json", *arguments)
    assert (status, err) == (0, "")
    return json.loads(out)


@pytest.mark.slow
def test_a_random_seed_is_printed_kept_in_the_picture_and_draws_it_again(here: Path, capsys: Capture) -> None:
    model = str(here / "pastel.safetensors")
    status, out = run(capsys, "draw", model, *SMALL, "--seed", "-1", "-o", "x.png", "--json")[:2]
    seed = json.loads(out)["seed"]
    assert (status, 0 <= seed <= MAX_SEED) == (0, True)
    assert run(capsys, "draw", model, *SMALL, "--seed", str(seed), "-o", "y.png")[0] == 0
    with Image.open("x.png") as one, Image.open("y.png") as other:
        assert f"Seed: {seed}," in one.info["parameters"]
        assert one.tobytes() == other.tobytes()


@pytest.mark.slow
def test_a_random_seed_of_a_grid_is_one_for_all_cells_and_stays_when_it_is_resumed(
    here: Path, capsys: Capture
) -> None:
    arguments = ("--x", "seed: -1, 7", "--alpha", "0.5", "--seed", "-1")
    first = grid(capsys, here, *arguments)
    again = grid(capsys, here, *arguments, "--resume")
    assert (first["failed"], again["failed"]) == (0, 0)
    assert [cell["state"] for cell in again["each_cell"]] == ["kept"] * 2  # type: ignore[attr-defined]
    one = grid(capsys, here, "--x", "alpha: 0, 1", "--seed", "-1", "--overwrite")
    files = [Path("g.cells") / cell["file"] for cell in one["each_cell"]]  # type: ignore[attr-defined]
    seeds = {seed for file in files for seed in re.findall(r"Seed: (\d+),", infotext_of(file))}
    assert len(seeds) == 1


def infotext_of(file: Path) -> str:
    with Image.open(file) as picture:
        return picture.info["parameters"]


@pytest.mark.slow
def test_cells_equal_single_pictures_of_the_saved_merge_byte_for_byte(here: Path, capsys: Capture) -> None:
    report = grid(capsys, here, "--x", "alpha: 0.25, 1", "--seed", "2")
    assert (report["cells"], report["merges"], report["failed"]) == (2, 2, 0)
    cells = {tuple(cell["place"]): cell for cell in report["each_cell"]}  # type: ignore[attr-defined]
    recipes = [merge["recipe"] for merge in report["each_merge"]]  # type: ignore[attr-defined]
    assert all(merge["seconds"] > 0 for merge in report["each_merge"])  # type: ignore[attr-defined]
    Path("m.recipe").write_text(recipes[0], encoding="utf-8")
    arguments = ("merge", "--recipe", "m.recipe", "--models", str(here), "-o", "m.safetensors")
    assert run(capsys, *arguments)[0] == 0
    for x, model in ((0, "m.safetensors"), (1, str(here / "pastel.safetensors"))):
        assert run(capsys, "draw", model, *SMALL, "--seed", "2", "-o", f"{x}.png")[0] == 0
        file = Path("g.cells") / cells[x, 0, 0]["file"]
        with Image.open(f"{x}.png") as single, Image.open(file) as cell:
            assert cell.convert("RGB").tobytes() == single.convert("RGB").tobytes()
            assert "Merge recipe" in cell.info["parameters"]


@pytest.mark.slow
def test_a_failing_cell_a_stop_and_a_resume(here: Path, capsys: Capture) -> None:
    bad = Path("bad.safetensors")
    shutil.copy(here / bad, bad)
    axes = ("--x", f"model B: {here / 'pastel.safetensors'}, {bad}", "--alpha", "0.5")
    report = grid(capsys, here, *axes, "--csv", "g.csv")
    assert (report["cells"], report["failed"]) == (2, 1)
    assert "failed" in Path("g.csv").read_text(encoding="utf-8")
    with Image.open("g.png") as sheet:
        assert sheet.width > 2 * 64
    models = [str(here / f"{name}.safetensors") for name in ("ink", "pastel")]
    status, _, err = run(capsys, "grid", *models, *SMALL, *axes, "-o", "g.png")
    assert status == 2
    assert "--resume" in err
    shutil.copy(here / "other.safetensors", "part")
    Path("part").replace(bad)
    again = grid(capsys, here, *axes, "--resume", "--animate", "g.gif")
    assert [cell["state"] for cell in again["each_cell"]] == ["kept", "done"]  # type: ignore[attr-defined]
    assert Path("g.gif").is_file()


def test_the_plan_is_printed_and_nothing_is_done(here: Path, capsys: Capture) -> None:
    report = grid(capsys, here, "--x", "alpha: 0-1 [5]", "--y", "seed: 1-5", "--plan")
    assert (report["cells"], report["merges"], report["images"], report["seconds"]) == (25, 5, 25, None)
    assert list(Path().iterdir()) == []


def test_everything_that_is_wrong_is_reported_at_once(here: Path, capsys: Capture) -> None:
    models = [str(here / f"{name}.safetensors") for name in ("ink", "pastel")]
    arguments = ("--x", "alpha: nought", "--y", "model B: nothing", "--animate", "g.mp4", "--prompt", "x")
    status, out, err = run(capsys, "grid", *models, *arguments, "-o", "g.jpg")
    assert (status, out) == (2, "")
    assert "this merge has 4 problems" in err
    assert list(Path().iterdir()) == []


def test_a_comparison_of_checkpoints_and_recipes_needs_one_model(here: Path, capsys: Capture) -> None:
    Path("half.recipe").write_text(
        'merge-desk recipe 1\nA = "ink"\nB = "pastel"\nM = weighted_sum(A, B, alpha = 0.5)\n',
        encoding="utf-8",
    )
    ink = str(here / "ink.safetensors")
    arguments = (
        "grid",
        ink,
        "--models",
        str(here),
        "--x",
        "recipe: half.recipe",
        *SMALL,
        "-o",
        "g.png",
        "--plan",
    )
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    assert out.startswith("1 cell: 1 merge, 1 image")
    arguments = (
        "grid",
        ink,
        "--models",
        str(here),
        "--x",
        "checkpoint: ink, pastel, other",
        "--y",
        "prompts: a cat",
    )
    status, out, err = run(capsys, *arguments, *SMALL, "-o", "g.png", "--plan")
    assert (status, err) == (0, "")
    assert out.startswith("3 cells: 2 merges, 3 images")


@pytest.mark.slow
def test_a_picture_of_nan_is_an_error_and_no_black_square(here: Path) -> None:
    host = StandaloneHost([], output=Path("out"), data=Path("data"))
    host.add_file(ListedFile("ink", here / "ink.safetensors"))
    parameter = host.model().places("model.diffusion_model.out.2.bias")[0].tensor
    with torch.no_grad():
        parameter.fill_(float("nan"))
    with pytest.raises(NumericalError, match="nothing but NaN"):
        host.draw(DrawSettings(prompt="a red circle", steps=1, width=64, height=64))
