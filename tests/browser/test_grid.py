"""The room *Grid* in a real browser: the plan, cells as they finish, stop, resume, a click, the map."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib_merge.cli import main
from samples.assemble import assemble
from tests.browser.driver import DRAWN, SECOND, Desk, expect, start, stop, sync_api

pytest.importorskip("gradio", reason="Gradio is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grid") / "models"
    assemble(folder)
    return folder


@pytest.fixture(scope="module")
def address(models: Path) -> Generator[str]:
    server, address = start(sys.executable, models, models.parent / "output")
    yield address
    stop(server)


@pytest.fixture(scope="module")
def desk(address: str) -> Generator[Desk]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = Desk(browser, address)
        opened.begin()
        for field in ("width", "height"):
            opened.page.locator(f"#merge_desk_{field} input").fill("64")
        yield opened
        browser.close()


def axis(desk: Desk, name: str, what: str, values: str) -> None:
    desk.page.locator(f"[data-axis={name}]").fill(what)
    desk.page.locator(f"[data-values={name}]").fill(values)


def cell(desk: Desk, *place: int) -> Any:
    return desk.page.locator(f'[data-place="{place[0]},{place[1]},0"]')


def test_the_plan_stands_before_the_start_and_mistakes_are_told(desk: Desk) -> None:
    desk.page.locator("#merge_desk_room_grid-button").click()
    expect(desk.page.locator("[data-axis=x]")).to_be_visible(timeout=20 * SECOND)
    axis(desk, "x", "alpha", "0.25, often")
    expect(desk.part("grid-problem")).to_contain_text("'often' is no number", timeout=30 * SECOND)
    axis(desk, "x", "alpha", "0.25, 1")
    axis(desk, "y", "seed", "1, 2")
    expect(desk.part("grid-plan")).to_contain_text("4 cells: 2 merges, 4 images", timeout=30 * SECOND)
    expect(desk.part("grid-problem")).to_be_empty(timeout=30 * SECOND)


def test_the_plan_follows_the_lists_above_it(desk: Desk) -> None:
    desk.choose("method", "Triple sum")
    expect(desk.part("grid-problem")).not_to_be_empty(timeout=30 * SECOND)
    desk.choose("method", "Weighted sum")
    expect(desk.part("grid-plan")).to_contain_text("4 cells: 2 merges, 4 images", timeout=30 * SECOND)
    expect(desk.part("grid-problem")).to_be_empty(timeout=30 * SECOND)


def test_cells_come_as_they_finish_and_equal_single_pictures(
    desk: Desk, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.act("grid-start").click()
    expect(cell(desk, 0, 0).locator("img")).to_be_visible(timeout=DRAWN)
    expect(desk.part("grid-told")).to_contain_text("Finished: 4 of 4", timeout=DRAWN)
    raw = base64.b64decode(cell(desk, 1, 1).locator("img").get_attribute("src").split(",")[1])
    single = tmp_path / "single.png"
    words = ("--prompt", "a red circle", "--steps", "3", "--guidance", "4", "--width", "64", "--height", "64")
    assert main(["draw", str(models / "pastel.safetensors"), *words, "--seed", "2", "-o", str(single)]) == 0
    with Image.open(io.BytesIO(raw)) as drawn, Image.open(single) as alone:
        assert drawn.convert("RGB").tobytes() == alone.convert("RGB").tobytes()
    assert "Merge recipe" in cell(desk, 0, 0).get_attribute("title")
    saved = models.parent / "output" / "grids" / "00001.png"
    with Image.open(saved) as sheet:
        assert len(json.loads(sheet.info["merge_desk.grid"])["cells"]) == 4
    capsys.readouterr()


def test_a_click_on_a_cell_takes_its_settings_to_the_desk(desk: Desk) -> None:
    cell(desk, 0, 1).click()
    expect(desk.fader("OUT05")).to_be_visible(timeout=20 * SECOND)
    expect(desk.fader("OUT05")).to_have_value("0.25", timeout=20 * SECOND)
    expect(desk.page.locator("#merge_desk_seed input")).to_have_value("2", timeout=20 * SECOND)


def test_stop_keeps_the_sheet_so_far_and_resume_goes_on(desk: Desk) -> None:
    desk.page.locator("#merge_desk_room_grid-button").click()
    axis(desk, "x", "OUT05", "0-1 [6]")
    axis(desk, "y", "seed", "5, 6")
    expect(desk.part("grid-plan")).to_contain_text("12 cells: 6 merges", timeout=30 * SECOND)
    desk.act("grid-start").click()
    expect(desk.part("grid-told")).to_contain_text(
        re.compile("[1-9] of 12 cells, about"), timeout=60 * SECOND
    )
    desk.act("grid-stop").click()
    expect(desk.part("grid-told")).to_contain_text(re.compile("Stopped: [1-9]"), timeout=60 * SECOND)
    desk.page.reload()
    desk.page.wait_for_selector("[data-slot=IN05]", timeout=60 * SECOND)
    desk.page.locator("#merge_desk_room_grid-button").click()
    expect(desk.page.locator("[data-axis=x]")).to_have_value("OUT05", timeout=30 * SECOND)
    desk.act("grid-resume").click()
    expect(desk.part("grid-told")).to_contain_text("Finished: 12 of 12", timeout=DRAWN)
    assert desk.complaints == []


def test_the_map_of_blocks_marks_the_faders(desk: Desk) -> None:
    desk.page.locator("#merge_desk_room_mix-button").click()
    desk.begin(a="base")
    for field, value in (("width", "64"), ("height", "64"), ("steps", "1")):
        desk.page.locator(f"#merge_desk_{field} input").fill(value)
        desk.page.keyboard.press("Tab")
    desk.page.locator("#merge_desk_room_grid-button").click()
    desk.act("grid-map").click()
    expect(desk.part("grid-told")).to_contain_text("Finished: 29 of 29", timeout=DRAWN)
    expect(desk.page.locator("[data-block=OUT05] figcaption span")).to_contain_text("%")
    desk.page.locator("#merge_desk_room_mix-button").click()
    expect(desk.part("legend")).to_contain_text("changes this picture", timeout=20 * SECOND)
