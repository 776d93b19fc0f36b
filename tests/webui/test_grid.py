"""The desk's own grids in the real WebUI: equal cells, a failing one, stop and resume, the model put back."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from tests.webui.server import Drawn, WebUI

pytestmark = [pytest.mark.webui, pytest.mark.slow, pytest.mark.timeout(1500)]

AB = {"method": "weighted_sum", "a": "ink", "b": "pastel"}


def drawing(ui: WebUI) -> dict[str, object]:
    """What the other tests draw with, in our words."""
    words = {"negative_prompt": "negative", "sampler_name": "sampler", "cfg_scale": "cfg"}
    known = ("prompt", "negative", "sampler", "scheduler", "steps", "cfg", "width", "height", "seed")
    said = {words.get(name, name): value for name, value in ui.drawing.items()}
    return {name: value for name, value in said.items() if name in known}


def wait(ui: WebUI) -> Any:
    """The grid's status once it has ended."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        told = ui.get("/merge-desk/v1/grid")
        if not told["running"]:
            return told
        time.sleep(0.3)
    raise AssertionError("the grid does not end")


def cell(ui: WebUI, *place: int) -> Drawn:
    """A finished cell."""
    found = ui.desk("grid", action="cell", place=[*place, 0])
    return Drawn(base64.b64decode(found["picture"]), found["infotext"])


def single(ui: WebUI, seed: int, **merge: object) -> Drawn:
    """The picture of one merge, made on the desk."""
    ui.desk("apply", **{**AB, **merge})
    drawn = ui.draw(seed=seed)
    ui.desk("restore")
    return drawn


def test_five_by_five_are_five_merges_and_cells_equal_single_pictures(ui: WebUI) -> None:
    before = ui.draw(seed=1)
    axes = {"x": "alpha: 0.2-1 [5]", "y": "seed: 1-5"}
    planned = ui.desk("grid", **AB, axes=axes, drawing=drawing(ui))["planned"]
    assert (planned["cells"], planned["merges"]) == (25, 5)
    told = wait(ui)
    assert told["told"].startswith("Finished: 25 of 25")
    assert told["merges"] == 5
    assert ui.status()["live"] is None
    assert ui.draw(seed=1) == before
    assert cell(ui, 1, 2) == single(ui, 3, alpha=0.4)
    assert cell(ui, 4, 0) == single(ui, 1, alpha=1.0)
    assert "Merge recipe" in cell(ui, 1, 2).infotext
    assert "Model: ink + pastel (unsaved)" in cell(ui, 1, 2).infotext


def test_a_failing_cell_is_reported_and_the_rest_goes_on(ui: WebUI) -> None:
    before = ui.draw(seed=1)
    ui.desk("grid", **AB, alpha=0.5, axes={"x": "model B: pastel, bad, base"}, drawing=drawing(ui))
    told = wait(ui)
    assert [each["state"] for each in sorted(told["cells"], key=lambda c: c["place"])] == [
        "done",
        "failed",
        "done",
    ]
    assert ui.draw(seed=1) == before
    assert cell(ui, 2, 0) == single(ui, 1, b="base", alpha=0.5)


def test_stop_and_resume_leave_the_engaged_merge(ui: WebUI) -> None:
    ui.desk("apply", **AB, alpha=0.5)
    engaged = ui.draw(seed=1)
    ui.desk("grid", **AB, axes={"x": "OUT05: 0-1 [11]", "y": "seed: 7, 8"}, drawing=drawing(ui))
    while len(ui.get("/merge-desk/v1/grid")["cells"]) < 3:
        time.sleep(0.1)
    ui.desk("grid", action="stop")
    told = wait(ui)
    done = len(told["cells"])
    assert 3 <= done < 22
    assert "Stopped" in told["told"]
    assert ui.draw(seed=1) == engaged
    ui.desk("grid", action="resume")
    told = wait(ui)
    assert told["told"].startswith("Finished: 22 of 22")
    assert sum(each["state"] == "kept" for each in told["cells"]) == done
    assert ui.draw(seed=1) == engaged
