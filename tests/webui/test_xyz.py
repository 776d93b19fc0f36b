"""Our axes in the real WebUI's own X/Y/Z script: cells equal single pictures, and the model is as it was."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

import pytest

from tests.webui.server import Drawn, RefusedError, WebUI

pytestmark = [pytest.mark.webui, pytest.mark.slow, pytest.mark.timeout(1500)]

Axis = tuple[str, str]
NOTHING = ("Nothing", "")
CHOSEN = {
    "Draw legend": False,
    "Include Sub Images": True,
    "Include Sub Grids": False,
    "Use text inputs instead of dropdowns": True,
}
MERGE = {"method": "weighted_sum", "a": "ink", "b": "pastel"}


def plot(ui: WebUI, x: Axis, y: Axis = NOTHING, z: Axis = NOTHING) -> list[Drawn]:
    """The cells of a plot, row by row; a cell that failed is black or missing."""
    told = ui.get("/sdapi/v1/script-info")
    script = next(each for each in told if each["name"] == "x/y/z plot" and not each["is_img2img"])
    labels: Sequence[str] = script["args"][0]["choices"]
    args: list[object] = []
    for label, values in (x, y, z):
        args += [labels.index(label), values, []]
    args += [CHOSEN.get(each["label"], each["value"]) for each in script["args"][len(args) :]]
    answer = ui.post("/sdapi/v1/txt2img", {**ui.drawing, "script_name": "x/y/z plot", "script_args": args})
    infotexts = json.loads(answer["info"])["infotexts"]
    images = [base64.b64decode(image) for image in answer["images"]]
    return [Drawn(image, text) for image, text in zip(images[1:], infotexts[1:], strict=False)]


def single(ui: WebUI, seed: int = 1, **merge: object) -> Drawn:
    """The picture of one merge, made on the desk."""
    ui.desk("apply", **{**MERGE, **merge})
    drawn = ui.draw(seed=seed)
    ui.desk("restore")
    return drawn


def test_alpha_by_seed_equals_single_pictures_and_leaves_the_model(ui: WebUI) -> None:
    before = ui.draw(seed=1)
    ui.desk("apply", **MERGE, alpha=0.5)
    engaged = ui.draw(seed=1)
    cells = plot(ui, ("Seed", "1, 2"), ("[Merge] alpha", "0.25, 0.75"))
    assert len(cells) == 4
    assert ui.draw(seed=1) == engaged  # the engaged merge is there again
    ui.desk("restore")
    assert ui.draw(seed=1) == before
    for row, alpha in enumerate((0.25, 0.75)):
        for column, seed in enumerate((1, 2)):
            assert cells[2 * row + column] == single(ui, seed, alpha=alpha)
    assert "Merge recipe" in cells[0].infotext
    assert "Model: ink + pastel (unsaved)" in cells[0].infotext
    assert "Y Type: [Merge] alpha" not in cells[3].infotext  # the sheet says so; a cell says what it is


def test_ranges_blocks_and_models_without_anything_engaged(ui: WebUI) -> None:
    before = ui.draw(seed=1)
    models, blocks = ("[Merge] model B", "pastel, base"), ("[Merge] blocks", "OUT05 OUT06")
    cells = plot(ui, ("[Merge] alpha", "0-1 [3]"), models, blocks)
    assert len(cells) == 6
    assert ui.status()["live"] is None
    assert ui.draw(seed=1) == before
    alpha = {"OUT05": 0.5, "OUT06": 0.5, "*": 0.5}
    assert cells[1] == single(ui, alpha=alpha)
    assert cells[5] == single(ui, b="base", alpha={"OUT05": 1.0, "OUT06": 1.0, "*": 0.5})


def test_a_failing_cell_is_blank_and_the_rest_goes_on(ui: WebUI) -> None:
    before = ui.draw(seed=1)
    cells = plot(ui, ("[Merge] model B", "pastel, bad, base"), ("[Merge] alpha", "0.5"))
    truth = single(ui, alpha=0.5)
    assert cells[0] == truth
    assert cells[2] == single(ui, b="base", alpha=0.5)
    assert cells[1] != truth
    assert ui.status()["live"] is None
    assert ui.draw(seed=1) == before
    assert "this cell is not generated" in ui.log()


def test_wrong_values_are_reported_before_anything_runs(ui: WebUI) -> None:
    before = ui.draw(seed=1)
    for axis, values in (("alpha", "often"), ("model B", "nothing"), ("method", "sum")):
        with pytest.raises(RefusedError):
            plot(ui, (f"[Merge] {axis}", values))
    assert ui.status()["live"] is None
    assert ui.draw(seed=1) == before
