"""`merge-desk search --host` and `grid --workers` with a real WebUI as the machine that merges and draws."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

from PIL import Image

from tests.webui.server import WebUI

pytestmark = [pytest.mark.webui, pytest.mark.slow, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]
SMALL = ("--prompt", "a red circle", "--steps", "2", "--width", "64", "--height", "64", "--alpha", "0.5")
SEARCH = (
    "search",
    "ink",
    "pastel",
    *SMALL,
    "--space",
    "OUT: tied 0..1; M00: 0..1",
    "--score",
    "closeness(B)",
)


def desk_program(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`merge-desk ARGUMENTS` in this environment, which may be another one than the WebUI's."""
    return subprocess.Popen(
        [sys.executable, "-m", "lib_merge", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(folder: Path, *arguments: str) -> Any:
    """The JSON of a command that succeeds."""
    with desk_program(folder, *arguments, "--json") as program:
        out, err = program.communicate(timeout=900)
    assert program.returncode == 0, err
    return json.loads(out)


def test_trials_are_made_in_the_webui_and_its_merge_and_settings_stay(ui: WebUI, tmp_path: Path) -> None:
    ui.desk("apply", a="ink", b="pastel", method="weighted_sum", alpha=0.25)
    picture, merge, settings = ui.draw(), ui.status()["live"]["id"], ui.get("/sdapi/v1/options")
    study = answer(tmp_path, *SEARCH, "--host", ui.url, "--budget", "6", "--storage", "study.db")
    assert [trial["state"] for trial in study["trials"]] == ["done"] * 6
    assert study["best"]["values"][0] > study["trials"][0]["values"][0]
    assert ui.status()["live"]["id"] == merge
    assert ui.get("/sdapi/v1/options") == settings
    assert ui.draw() == picture


def test_a_worker_with_a_webui_joins_a_study_and_dies_without_a_loss(ui: WebUI, tmp_path: Path) -> None:
    before = ui.draw()
    answer(tmp_path, *SEARCH, "--host", ui.url, "--budget", "2", "--storage", "study.db")
    worker = ("search", "worker", "--storage", "study.db", "--host", ui.url)
    with desk_program(tmp_path, *worker, "--budget", "10 minutes") as killed:
        assert killed.stdout is not None
        while not killed.stdout.readline().startswith("trial"):
            assert killed.poll() is None
        killed.kill()
    joined = answer(tmp_path, *worker, "--budget", "6")
    states = [trial["state"] for trial in joined["trials"]]
    assert states.count("done") == 6
    assert set(states) <= {"done", "given back", "running"}
    assert ui.status()["live"] is None
    assert ui.draw() == before


def test_a_worker_makes_the_cells_of_a_grid_in_the_webui(ui: WebUI, tmp_path: Path) -> None:
    axes = ("--x", "alpha: 0, 0.5, 1", "--y", "seed: 1, 2")
    models = [str(ui.checkpoints / f"{name}.safetensors") for name in ("ink", "pastel")]
    shared = ("--workers", "cells.db", "--only-workers", "-o", "sheet.png")
    before = ui.draw()
    with desk_program(tmp_path, "grid", *models, *axes, *SMALL, *shared) as starter:
        assert starter.stdout is not None
        name = starter.stdout.readline().split("'")[1]
        worker = ("grid", "worker", "--workers", "cells.db", "--study", name, "--host", ui.url)
        assert answer(tmp_path, *worker)["grids"] == {name: 6}
        _, err = starter.communicate(timeout=120)
    assert starter.returncode == 0, err
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) > 2 * 64
    assert len(list((tmp_path / "sheet.cells").glob("*.png"))) == 6
    assert ui.status()["live"] is None
    assert ui.draw() == before
