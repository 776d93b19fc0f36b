"""The room *Grid* in a real browser: the plan, cells as they finish, stop, resume, a click, the map."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib_merge.cli import main
from tests.browser.driver import DRAWN, VIEW, Desk, expect


def set_up(desk: Desk) -> None:
    """What the page begins with."""
    desk.begin()
    for field in ("width", "height"):
        desk.write(field, "64")


@pytest.fixture(scope="module")
def desk(chromium: Any, address: str) -> Desk:
    opened = Desk(chromium, address)
    set_up(opened)
    return opened


# within the page, which sees each change at once
STOP_AFTER_THE_FIRST_CELLS = """() => {
    const status = document.querySelector("[data-part=grid-status]").textContent;
    const begun = /[1-9] of 24 cells, about/.test(status);
    if (begun) document.querySelector("[data-act=grid-stop]").click();
    return begun;
}"""


def axis(desk: Desk, name: str, what: str, values: str) -> None:
    desk.page.locator(f"[data-axis={name}]").fill(what)
    desk.page.locator(f"[data-values={name}]").fill(values)


def cell(desk: Desk, *place: int) -> Any:
    return desk.page.locator(f'[data-position="{place[0]},{place[1]},0"]')


def four_cells(desk: Desk) -> None:
    """The tab Grid with a plan of four cells."""
    desk.show("grid")
    axis(desk, "x", "alpha", "0.25, 1")
    axis(desk, "y", "seed", "1, 2")
    expect(desk.part("grid-plan")).to_contain_text("4 cells: 2 merges, 4 images")


def four_pictures(desk: Desk) -> None:
    """These cells with their pictures, drawn where they are not there yet."""
    four_cells(desk)
    if not cell(desk, 0, 0).locator("img").count():
        desk.act("grid-start").click()
    expect(desk.part("grid-status")).to_contain_text("Finished: 4 of 4", timeout=DRAWN)


def test_the_plan_is_shown_before_the_start_and_so_are_mistakes(desk: Desk) -> None:
    desk.show("grid")
    expect(desk.page.locator("[data-axis=x]")).to_be_visible()
    axis(desk, "x", "alpha", "0.25, often")
    expect(desk.part("grid-problem")).to_contain_text("'often' is no number")
    axis(desk, "x", "alpha", "0.25, 1")
    axis(desk, "y", "seed", "1, 2")
    expect(desk.part("grid-plan")).to_contain_text("4 cells: 2 merges, 4 images")
    expect(desk.part("grid-problem")).to_be_empty()


def test_the_plan_follows_the_lists_above_it(desk: Desk) -> None:
    desk.choose("method", "Triple sum")
    expect(desk.part("grid-problem")).not_to_be_empty()
    desk.choose("method", "Weighted sum")
    expect(desk.part("grid-plan")).to_contain_text("4 cells: 2 merges, 4 images")
    expect(desk.part("grid-problem")).to_be_empty()


def test_axes_are_picked_from_a_menu_and_saved_under_a_name(desk: Desk) -> None:
    """F23: a bare list of 58 names, some internal."""
    four_cells(desk)
    what = desk.page.locator("[data-axis=z]")
    what.click()
    options = desk.page.locator("#merge_desk_menu_z [role=option]")
    expect(options.filter(has_text="whole prompts").first).to_be_visible()
    assert options.filter(has_text="by_kernel").count() == 0, "weighted sum has no such parameter"
    what.press_sequentially("checkpoints in B")
    what.press("ArrowDown")
    what.press("Enter")
    expect(what).to_have_value("model B")
    chips = desk.page.locator("[data-picks=z]")
    chips.get_by_role("button", name="base", exact=True).click()
    chips.get_by_role("button", name="ink", exact=True).click()
    expect(desk.page.locator("[data-values=z]")).to_have_value("base, ink")
    desk.part("axes-name").fill("three")
    desk.act("save-axes").click()
    expect(desk.part("axes-note")).to_have_text("Saved: three")
    axis(desk, "z", "", "")
    desk.part("axes-saved").select_option("three")
    expect(what).to_have_value("model B")
    desk.act("delete-axes").click()
    expect(desk.part("axes-note")).to_have_text("Deleted: three")
    axis(desk, "z", "", "")
    expect(desk.part("grid-plan")).to_contain_text("4 cells: 2 merges, 4 images")


def test_cells_come_as_they_finish_and_equal_single_pictures(
    desk: Desk, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.act("grid-start").click()
    expect(cell(desk, 0, 0).locator("img")).to_be_visible(timeout=DRAWN)
    expect(desk.part("grid-status")).to_contain_text("Finished: 4 of 4", timeout=DRAWN)
    raw = base64.b64decode(cell(desk, 1, 1).locator("img").get_attribute("src").split(",")[1])
    single = tmp_path / "single.png"
    words = ("--prompt", "a red circle", "--steps", "3", "--guidance", "4", "--width", "64", "--height", "64")
    assert main(["draw", str(models / "pastel.safetensors"), *words, "--seed", "2", "-o", str(single)]) == 0
    with Image.open(io.BytesIO(raw)) as drawn, Image.open(single) as alone:
        assert drawn.convert("RGB").tobytes() == alone.convert("RGB").tobytes()
    saved = models.parent / "output" / "grids" / "00001.png"
    with Image.open(saved) as sheet:
        assert len(json.loads(sheet.info["merge_desk.grid"])["cells"]) == 4
    capsys.readouterr()


def test_a_click_on_a_cell_looks_at_it_and_a_button_takes_its_settings_to_the_desk(desk: Desk) -> None:
    """F11: one click on a cell replaced the desk."""
    four_pictures(desk)
    cell(desk, 0, 0).click()
    title = desk.part("grid-look-title")
    expect(title).to_have_text("alpha 0.25, seed 1")
    desk.page.keyboard.press("ArrowDown")
    expect(title).to_have_text("alpha 0.25, seed 2")
    desk.page.locator("dialog summary").click()
    expect(desk.part("grid-infotext")).to_contain_text("Merge recipe")
    desk.page.keyboard.press("Escape")
    expect(title).to_be_hidden()
    expect(desk.page.locator("[data-axis=x]")).to_be_visible()  # nothing was taken
    cell(desk, 0, 1).click()
    desk.act("grid-take").click()
    expect(desk.fader("OUT05")).to_be_visible()
    expect(desk.fader("OUT05")).to_have_value("0.25")
    expect(desk.setting("seed")).to_have_value("2")


def test_stop_keeps_the_sheet_so_far_and_resume_goes_on(desk: Desk) -> None:
    desk.show("grid")
    axis(desk, "x", "OUT05", "0-1 [6]")
    axis(desk, "y", "seed", "5, 6, 7, 8")  # long enough to be stopped on a fast machine
    expect(desk.part("grid-plan")).to_contain_text("24 cells: 6 merges")
    desk.act("grid-start").click()
    desk.act("grid-add").click()
    expect(desk.part("grid-queue")).to_contain_text("24 cells")
    desk.page.wait_for_function(STOP_AFTER_THE_FIRST_CELLS, timeout=DRAWN)
    expect(desk.part("grid-status")).to_contain_text(re.compile("Stopped: [1-9]"))
    expect(desk.act("grid-next")).to_be_visible()  # after Stop the queue waits
    desk.act("grid-remove").click()
    expect(desk.part("grid-queue")).to_contain_text("Removed: 24 cells")
    expect(desk.act("grid-next")).to_have_count(0)
    desk.open_again()
    desk.page.wait_for_selector("[data-slot=IN05]")
    desk.show("grid")
    expect(desk.page.locator("[data-axis=x]")).to_have_value("OUT05")
    desk.act("grid-resume").click()
    expect(desk.part("grid-status")).to_contain_text("Finished: 24 of 24", timeout=DRAWN)
    assert desk.complaints == []


def test_the_map_of_blocks_marks_the_faders(desk: Desk) -> None:
    """F36: no sheet, and it had to be scrolled."""
    desk.show("mix")
    desk.choose("a", "base")  # the page that was loaded again took up ink
    desk.begin(a="base", live=True)  # Live is off, as it was before
    for field, value in (("width", "64"), ("height", "64"), ("steps", "1")):
        desk.write(field, value)
    desk.show("grid")
    desk.act("grid-map").click()
    expect(desk.part("grid-status")).to_contain_text("Finished: 29 of 29", timeout=DRAWN)
    expect(desk.page.locator("[data-block=OUT05] figcaption span")).to_contain_text("%")
    expect(desk.act("grid-sheet")).to_be_enabled()
    assert desk.page.locator(".md-map").bounding_box()["width"] <= VIEW["width"], "no scroll to the side"
    desk.show("mix")
    expect(desk.part("legend")).to_contain_text("when one block is taken from B")
