"""In a real Forge: pictures and checkpoints are as without us, the reason is told, files are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webui.server import Drawn, RefusedError, WebUI

pytestmark = [pytest.mark.webui, pytest.mark.slow, pytest.mark.timeout(1500)]

FORGE = True
MERGE = {"method": "weighted_sum", "a": "ink", "b": "pastel", "alpha": 0.5}


@pytest.fixture(scope="module")
def without_us(webui: Path, stage: Path) -> dict[str, Drawn]:
    """What it draws without our extension."""
    drawn: dict[str, Drawn] = {}
    with WebUI(webui, stage, "--all-in-fp32", extension=False) as running:
        for name in ("ink", "pastel"):
            running.pick(name)
            drawn[name] = running.draw()
    assert drawn["ink"] != drawn["pastel"]
    return drawn


@pytest.fixture(scope="module")
def forge(webui: Path, stage: Path, without_us: dict[str, Drawn]) -> Iterator[WebUI]:
    """With it; after `without_us`, since both use one folder of data."""
    with WebUI(webui, stage, "--all-in-fp32") as running:
        yield running


def test_pictures_and_checkpoints_are_as_without_us(without_us: dict[str, Drawn], forge: WebUI) -> None:
    for name in ("ink", "pastel", "ink"):
        forge.pick(name)
        drawn = forge.draw()
        assert drawn == without_us[name]
        assert drawn.infotext == without_us[name].infotext
        assert forge.status()["base"] == name


def test_the_reason_is_told_and_nothing_is_swapped_in(without_us: dict[str, Drawn], forge: WebUI) -> None:
    forge.pick("ink")
    status = forge.status()
    assert (status["host"], status["live"], status["engaged"]) == ("forge", None, False)
    assert "cannot swap merges into the memory of Forge" in status["refusal"]
    assert status["note"] == ""
    with pytest.raises(RefusedError) as refused:
        forge.desk("apply", **MERGE)
    assert (refused.value.status, "cannot swap" in refused.value.error["what"]) == (409, True)
    assert forge.desk("restore") == {"report": None}
    assert forge.draw() == without_us["ink"]


def test_a_merge_is_saved_and_drawn_by_forge_itself(without_us: dict[str, Drawn], forge: WebUI) -> None:
    forge.pick("ink")
    saved = forge.desk("save", **MERGE, name="mix", overwrite=True)
    assert (forge.checkpoints / saved["file"]).is_file()
    assert "mix" in forge.status()["checkpoints"]
    forge.pick("mix")
    drawn = forge.draw()
    assert "Model: mix" in drawn.infotext
    assert drawn not in without_us.values()
    forge.pick("ink")
    assert forge.draw() == without_us["ink"]


def test_a_pictures_recipe_is_told_under_the_picture(without_us: dict[str, Drawn], forge: WebUI) -> None:
    forge.pick("ink")
    drawn = forge.draw(override_settings={"merge_desk_recipe": "merge-desk recipe 2\n"})
    assert drawn == without_us["ink"]
    assert "Merge recipe" not in drawn.infotext


def test_the_tab_is_there_and_plans_are_made(forge: WebUI) -> None:
    ids = {part["props"].get("elem_id") for part in forge.get("/config")["components"]}
    assert {"tab_merge_desk", "merge_desk_board"} <= ids
    assert forge.desk("plan", **MERGE)["slots"]
    with pytest.raises(RefusedError) as refused:
        forge.desk("grid", **MERGE, axes={"x": "alpha: 0, 1"})
    assert refused.value.status == 422
