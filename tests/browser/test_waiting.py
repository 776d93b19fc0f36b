"""What takes long says how far it is, and can be stopped."""

from __future__ import annotations

import re
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.driver import DRAWN, OFFLINE, Desk, expect
from tests.browser.page import LONG_TO_ALIGN


def add_models(folder: Path) -> None:
    """A B whose alignment lasts until it is stopped."""
    shutil.copy(folder / "other.safetensors", folder / f"{LONG_TO_ALIGN}.safetensors")
    shutil.copy(folder / "other.yaml", folder / f"{LONG_TO_ALIGN}.yaml")


@pytest.fixture(scope="module")
def models(models: Path) -> Path:
    """The samples, and one that takes long."""
    add_models(models)
    return models


@pytest.fixture
def desk(chromium: Any, address: str) -> Generator[Desk]:
    opened = Desk(chromium, address)
    yield opened
    assert [said for said in opened.complaints if not OFFLINE.search(said)] == []
    opened.take_out()
    opened.page.close()


@pytest.mark.slow
def test_aligning_has_a_bar_and_a_stop_that_really_stops_it(desk: Desk) -> None:
    """F21: no progress, no stop."""
    desk.begin("base", LONG_TO_ALIGN)
    desk.page.locator("#merge_desk_align input").check()
    bar = desk.part("align-progress")
    note = desk.page.locator("#merge_desk_align_note").last  # in Gradio 3 the text within has the same id
    expect(bar).to_contain_text(re.compile(r"^aligning(, \d+ %(, about \d+ (s|min) left)?)?$"))
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"\d+"))
    desk.act("align-stop").click()
    expect(note).to_contain_text("Not aligned: stopped.")
    expect(bar).to_have_count(0)
    desk.page.locator("#merge_desk_align input").uncheck()
    expect(note).to_have_text("")


@pytest.mark.slow
def test_the_picture_is_shown_as_far_as_it_is(desk: Desk) -> None:
    desk.begin("base", "pastel")
    desk.write("steps", "40")
    desk.drag("OUT05", 0.5)
    desk.act("generate").click()
    preview = desk.part("step-preview")
    expect(preview).to_be_visible(timeout=DRAWN)
    assert preview.get_attribute("src").startswith("data:image/jpeg;base64,")
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    desk.idle()
    expect(preview).to_be_hidden()


@pytest.mark.slow
def test_unloading_the_merge_stops_the_picture_that_is_being_drawn(desk: Desk) -> None:
    desk.begin("base", "pastel")
    desk.write("steps", "500")
    desk.drag("OUT05", 0.5)
    desk.act("generate").click()
    expect(desk.part("step-preview")).to_be_visible(timeout=DRAWN)
    expect(desk.part("status")).to_contain_text("(unsaved)")
    desk.act("unload").click()
    expect(desk.part("status")).to_have_text("Loaded: base (original).")
    desk.idle()
    expect(desk.picture()).to_have_count(0)  # of 500 steps it would have come much later
