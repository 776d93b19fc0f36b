"""`merge-desk grid` as its user meets it, on the samples: the sheet, the JSON, no, stop, resume."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from lib_merge.cli import main
from lib_merge.errors import NumbersError
from lib_merge.hosts.host import Ckpt
from lib_merge.hosts.standalone import StandaloneHost
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


def run(capture: Capture, *words: str) -> tuple[int, str, str]:
    status = main(words)
    return status, *capture.readouterr()


def grid(capture: Capture, samples: Path, *words: str) -> dict[str, object]:
    """What a grid of ink and pastel answers in JSON."""
    models = [str(samples / f"{name}.safetensors") for name in ("ink", "pastel")]
    status, out, err = run(capture, "grid", *models, *SMALL, "-o", "g.png", "--json", *words)
    assert (status, err) == (0, "")
    return json.loads(out)


@pytest.mark.slow
def test_cells_equal_single_pictures_of_the_saved_merge_byte_for_byte(here: Path, capsys: Capture) -> None:
    told = grid(capsys, here, "--x", "alpha: 0.25, 1", "--seed", "2")
    assert (told["cells"], told["merges"], told["failed"]) == (2, 2, 0)
    cells = {tuple(cell["place"]): cell for cell in told["each_cell"]}  # type: ignore[attr-defined]
    recipes = [merge["recipe"] for merge in told["each_merge"]]  # type: ignore[attr-defined]
    assert all(merge["seconds"] > 0 for merge in told["each_merge"])  # type: ignore[attr-defined]
    Path("m.recipe").write_text(recipes[0], encoding="utf-8")
    words = ("merge", "--recipe", "m.recipe", "--models", str(here), "-o", "m.safetensors")
    assert run(capsys, *words)[0] == 0
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
    told = grid(capsys, here, *axes, "--csv", "g.csv")
    assert (told["cells"], told["failed"]) == (2, 1)
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


def test_the_plan_is_told_and_nothing_is_done(here: Path, capsys: Capture) -> None:
    told = grid(capsys, here, "--x", "alpha: 0-1 [5]", "--y", "seed: 1-5", "--plan")
    assert (told["cells"], told["merges"], told["images"], told["seconds"]) == (25, 5, 25, None)
    assert list(Path().iterdir()) == []


def test_everything_that_is_wrong_is_told_at_once(here: Path, capsys: Capture) -> None:
    models = [str(here / f"{name}.safetensors") for name in ("ink", "pastel")]
    words = ("--x", "alpha: nought", "--y", "model B: nothing", "--animate", "g.mp4", "--prompt", "x")
    status, out, err = run(capsys, "grid", *models, *words, "-o", "g.jpg")
    assert (status, out) == (2, "")
    assert "4 things" in err
    assert list(Path().iterdir()) == []


def test_a_comparison_of_checkpoints_and_recipes_needs_one_model(here: Path, capsys: Capture) -> None:
    Path("half.recipe").write_text(
        'merge-desk recipe 1\nA = "ink"\nB = "pastel"\nM = weighted_sum(A, B, alpha = 0.5)\n',
        encoding="utf-8",
    )
    ink = str(here / "ink.safetensors")
    words = (
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
    status, out, err = run(capsys, *words)
    assert (status, err) == (0, "")
    assert out.startswith("1 cell: 1 merge, 1 image")
    words = (
        "grid",
        ink,
        "--models",
        str(here),
        "--x",
        "checkpoint: ink, pastel, other",
        "--y",
        "prompts: a cat",
    )
    status, out, err = run(capsys, *words, *SMALL, "-o", "g.png", "--plan")
    assert (status, err) == (0, "")
    assert out.startswith("3 cells: 2 merges, 3 images")


@pytest.mark.slow
def test_a_picture_of_nan_is_an_error_and_no_black_square(here: Path) -> None:
    host = StandaloneHost([], output=Path("out"), data=Path("data"))
    host.offer(Ckpt("ink", here / "ink.safetensors"))
    place = host.model().tensors("model.diffusion_model.out.2.bias")[0]
    with torch.no_grad():
        place.fill_(float("nan"))
    with pytest.raises(NumbersError, match="nothing but NaN"):
        host.draw(DrawSettings(prompt="a red circle", steps=1, width=64, height=64))
