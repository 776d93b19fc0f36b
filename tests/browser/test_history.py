"""The room History in a real browser: what was merged is there, is restored, and recipes set the desk up."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib_merge.hosts.pictures import png_text
from lib_merge.recipe import infotext_entry
from tests.browser.driver import DRAWN, OFFLINE, Desk, expect

RECIPE = 'merge-desk recipe 2\nA = "ink.safetensors"\nB = "base.safetensors"\n' + (
    "M = weighted_sum(A, B, alpha = {OUT05: 0.7, *: 0.2})\nsave M, dtype = fp16\n"
)


def set_up(desk: Desk) -> None:
    """What the page begins with."""
    desk.begin()


@pytest.fixture(scope="module")
def desk(chromium: Any, address: str) -> Generator[Desk]:
    opened = Desk(chromium, address)
    set_up(opened)
    yield opened
    assert [said for said in opened.complaints if not OFFLINE.search(said)] == []


def room(desk: Desk, name: str) -> None:
    desk.show(name)


def test_an_applied_merge_is_in_the_history_named_starred_found_and_restored(desk: Desk) -> None:
    """F17: search waited for Enter, and a deleted entry was gone."""
    desk.drag("OUT05", 0.5)
    wanted = desk.at("OUT05")
    desk.act("generate").click()
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    desk.idle()
    desk.drag("OUT05", 0.1)
    room(desk, "history")
    entry = desk.page.locator("[data-entry]")
    expect(entry).to_have_count(1)
    expect(entry.locator("img")).to_be_visible()
    entry.locator("input").fill("my favourite")
    entry.locator("[data-act=history-star]").click()  # leaves the field: the cards are drawn again
    expect(desk.page.locator("[data-entry] [aria-pressed=true]")).to_be_visible()
    desk.part("history-query").fill("nothing")
    expect(desk.part("history-count")).to_have_text("0 found")
    desk.part("history-query").fill("favourite")
    expect(desk.page.locator("[data-entry] input")).to_have_value("my favourite")
    expect(desk.part("history-count")).to_have_text("1 found")
    desk.act("history-drop-entry").click()
    expect(entry).to_have_count(0)
    desk.act("history-undelete").click()
    expect(desk.page.locator("[data-entry] input")).to_have_value("my favourite")
    expect(entry.locator("img")).to_be_visible()
    desk.page.locator("[data-act=history-load]").click()
    expect(desk.fader("OUT05")).to_be_visible()
    expect(desk.fader("OUT05")).to_have_value(str(wanted))


def test_pasted_text_sets_lists_and_faders(desk: Desk) -> None:
    room(desk, "history")
    desk.part("history-text").fill(RECIPE)
    desk.page.locator("[data-act=history-load-pasted]").click()
    expect(desk.fader("OUT05")).to_have_value("0.7")
    expect(desk.page.locator("#merge_desk_b input")).to_have_value("base")
    assert (desk.at("IN00"), desk.at("OUT05")) == (0.2, 0.7)


def test_a_picture_with_a_recipe_sets_the_desk_up(desk: Desk, tmp_path: Path) -> None:
    picture = tmp_path / "drawn.png"
    told = f"a red circle\nSteps: 3, {infotext_entry(RECIPE.replace('0.7', '0.4').replace('base', 'other'))}"
    Image.new("RGB", (16, 16)).save(picture, pnginfo=png_text(told))
    room(desk, "history")
    desk.page.locator("[data-part=history-file]").set_input_files(picture)
    expect(desk.fader("OUT05")).to_have_value("0.4")
    expect(desk.page.locator("#merge_desk_b input")).to_have_value("other")


def test_a_chain_is_swapped_in_as_it_is_and_a_mistake_is_pointed_at(desk: Desk) -> None:
    room(desk, "history")
    desk.part("history-text").fill("ink + base = X\nX x 0.5 + pastel x 0.5 = Y")
    desk.page.locator("[data-act=history-load-pasted]").click()
    expect(desk.part("history-recipe")).to_contain_text("Y = weighted_sum(X, pastel")
    desk.page.locator("[data-act=history-apply]").click()
    expect(desk.part("history-done")).to_contain_text("Loaded: ", timeout=DRAWN)
    desk.part("history-text").fill("ink x 0.5 + = M")
    desk.page.locator("[data-act=history-load-pasted]").click()
    problem: Any = desk.part("history-message").get_by_role("alert")
    expect(problem).to_contain_text(re.compile("model is expected"))
    expect(problem).to_contain_text("line 1, column 13")
