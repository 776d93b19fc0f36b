"""A search in the real WebUI: the user's model and settings stay, also after Interrupt, errors and a kill."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.webui.server import WebUI, python_of
from tests.webui.test_grid import AB, drawing

pytestmark = [pytest.mark.webui, pytest.mark.slow, pytest.mark.timeout(1500)]

SPACE = "IN: tied 0..1; M00: 0..1; OUT: by level 0..1"
SCORERS = {
    "fails": "def score(images, prompts): raise ValueError('no such style')",
    "nan": "def score(images, prompts): return float('nan')",
    "hangs": "import time\ndef score(images, prompts): time.sleep(60)",
}


@pytest.fixture(scope="module", autouse=True)
def scorers(webui: Path, stage: Path) -> Path:
    """Scorers of the user's own that go wrong; a WebUI without Optuna has no search to test."""
    has_optuna = subprocess.run([python_of(webui), "-c", "import optuna"], capture_output=True, check=False)
    if has_optuna.returncode:
        pytest.skip("the WebUI has no Optuna: venv/bin/pip install optuna cmaes")
    folder = stage / "data/merge-desk/scorers"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in SCORERS.items():
        (folder / f"{name}.py").write_text(f"{text}\n", encoding="utf-8")
    return folder


def start(ui: WebUI, **chosen: object) -> Any:
    """Start a search of 20 trials, or as is chosen."""
    small = {**drawing(ui), "width": 64, "height": 64, "steps": 3}
    usual = {"space": SPACE, "score": "closeness(B)", "budget": "20 trials", "drawing": small}
    return ui.desk("search", **AB, **{**usual, **chosen})


def status(ui: WebUI) -> Any:
    return ui.get("/merge-desk/v1/search")


def ended(ui: WebUI) -> Any:
    """The status once the search does not run any more."""
    end = time.monotonic() + 900
    while time.monotonic() < end:
        now = status(ui)
        if not now["running"]:
            return now
        time.sleep(0.5)
    raise AssertionError(f"the search does not end: {status(ui)['message']}")


def wait_for_trials(ui: WebUI, count: int) -> Any:
    """The status once so many trials are done."""
    end = time.monotonic() + 600
    while time.monotonic() < end:
        now = status(ui)
        if sum(trial["state"] == "done" for trial in now["trials"]) >= count:
            return now
        time.sleep(0.2)
    raise AssertionError(f"{count} trials are not done: {status(ui)['message']}")


def options(ui: WebUI) -> Any:
    return ui.get("/sdapi/v1/options")


def test_twenty_trials_leave_the_model_and_the_settings_as_they_were(ui: WebUI) -> None:
    before, settings = ui.draw(), options(ui)
    planned = start(ui)
    assert planned["budget"] == "20 trials"
    now = ended(ui)
    assert [trial["state"] for trial in now["trials"]] == ["done"] * 20
    assert now["problem"] == ""
    assert "20 trials are done" in now["message"]
    assert options(ui) == settings
    assert ui.status()["live"] is None
    assert ui.draw() == before
    values = [trial["values"][0] for trial in now["trials"]]
    assert values[now["best"]] == max(values) > values[0]  # closer to B than the merge that it began with


def test_the_best_trial_applied_by_hand_has_the_picture_that_was_scored(ui: WebUI) -> None:
    start(ui, budget="4 trials", score="brightness")
    now = ended(ui)
    best = next(trial for trial in now["trials"] if trial["number"] == now["best"])
    ui.desk("apply", recipe=now["recipe"])
    picture = ui.draw(width=64, height=64, steps=3)
    ui.desk("restore")
    mean = brightness(picture.pixels)
    assert abs(mean - best["scores"][0]) < 1e-9


def brightness(pixels: bytes) -> float:
    """As docs/search.md has it: the mean of 0.299 red + 0.587 green + 0.114 blue, 0 to 1."""
    shares = (0.299, 0.587, 0.114)
    return (
        sum(share * sum(pixels[channel::3]) for channel, share in enumerate(shares)) / 255 / (len(pixels) / 3)
    )


def test_a_search_that_is_stopped_leaves_the_merge_in_memory(ui: WebUI) -> None:
    ui.desk("apply", **AB, alpha=0.5)
    engaged, live = ui.draw(), ui.status()["live"]
    start(ui)
    wait_for_trials(ui, 2)
    ui.desk("search", action="stop")
    now = ended(ui)
    done = [trial for trial in now["trials"] if trial["state"] == "done"]
    assert 2 <= len(done) < 20
    assert ui.status()["live"] == live
    assert ui.draw() == engaged


def test_after_interrupt_the_merge_is_in_memory_and_the_search_can_go_on(ui: WebUI) -> None:
    ui.desk("apply", **AB, alpha=0.5)
    engaged, settings = ui.draw(), options(ui)
    start(ui)
    wait_for_trials(ui, 2)
    while status(ui)["running"]:
        ui.post("/sdapi/v1/interrupt")
        time.sleep(1)
    now = ended(ui)
    done = [trial["number"] for trial in now["trials"] if trial["state"] == "done"]
    assert 2 <= len(done) < 20
    assert now["message"]
    assert ui.draw() == engaged
    ui.desk("search", action="go_on", study=now["study"], budget="6 trials" if len(done) < 6 else "")
    again = ended(ui)
    states = {trial["number"]: trial["state"] for trial in again["trials"]}
    assert {states[number] for number in done} == {"done"}
    assert sum(state == "done" for state in states.values()) >= min(6, len(done) + 1)
    assert ui.draw() == engaged
    assert options(ui) == settings


@pytest.mark.parametrize(
    ("score", "sentence"),
    [
        ("fails", "no such style"),
        ("nan", "nan"),
        ("hangs", "'hangs'"),
    ],
)
def test_after_an_error_of_a_scorer_model_and_settings_are_as_before(
    ui: WebUI, score: str, sentence: str
) -> None:
    before, settings = ui.draw(), options(ui)
    start(ui, score=score, trial_limit=30 if score != "hangs" else 5, budget="20 trials")
    now = ended(ui)
    failed = [trial for trial in now["trials"] if trial["state"] == "failed"]
    assert len(failed) >= 3
    assert all(sentence in trial["problem"].lower() for trial in failed)
    assert all("\n" not in trial["problem"] for trial in failed)
    assert "3 trials in a row failed" in now["message"]
    assert ui.status()["live"] is None
    assert ui.draw() == before
    assert options(ui) == settings


def test_a_scorer_without_its_weights_is_refused_before_there_is_a_study(ui: WebUI) -> None:
    studies = status(ui)["studies"]
    with pytest.raises(Exception, match="clip"):
        start(ui, score="clip")
    assert status(ui)["studies"] == studies
    assert not status(ui)["running"]


def test_a_killed_webui_loses_no_finished_trial_and_the_search_goes_on(
    webui: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from tests.webui.conftest import set_stage

    folder = tmp_path_factory.mktemp("killed")
    set_stage(folder)
    with WebUI(webui, folder) as ui:
        ui.fresh()
        before = ui.draw()
        start(ui, budget="8 trials")
        done = wait_for_trials(ui, 3)
        finished = {trial["number"]: trial["values"] for trial in done["trials"] if trial["state"] == "done"}
        ui.kill()
    with WebUI(webui, folder) as ui:
        assert ui.status()["live"] is None
        assert ui.draw() == before
        kept = {trial["number"]: trial["values"] for trial in status(ui)["trials"]}
        assert {number: kept[number] for number in finished} == finished
        ui.desk("search", action="go_on", study=done["study"])
        again = ended(ui)
        states = sorted(trial["state"] for trial in again["trials"])
        assert [state for state in states if state != "given back"] == ["done"] * 8, again
        assert {t["number"]: t["values"] for t in again["trials"] if t["number"] in finished} == finished
        assert ui.draw() == before
