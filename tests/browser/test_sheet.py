"""The contact sheet of the tab Mix in a browser: several seeds or prompts of one merge, fewest first."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from tests.browser.driver import DRAWN, OFFLINE, Desk, expect


@pytest.fixture(scope="module")
def server_words() -> tuple[str, ...]:
    """Nothing is merged here: each picture is of another grey, and takes a while."""
    return ("--paper", "--slow")


@pytest.fixture
def desk(chromium: Any, address: str) -> Generator[Desk]:
    opened = Desk(chromium, address)
    yield opened
    assert [said for said in opened.complaints if not OFFLINE.search(said)] == []
    opened.take_out()
    opened.page.close()


def tile(desk: Desk, at: int) -> Any:
    return desk.page.locator(f"[data-tile='{at}']")


def pictures(desk: Desk) -> Any:
    return desk.page.locator("[data-tile] img")


def sources(desk: Desk) -> list[str]:
    return [image.get_attribute("src") for image in pictures(desk).all()]


def test_a_release_brings_one_picture_and_then_a_tile_for_each_further_seed(desk: Desk) -> None:
    desk.begin(live=True)
    desk.act("sheet-count").select_option("3")
    desk.drag("OUT05", 0.4)
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    assert pictures(desk).count() < 3  # the first is shown before the sheet is whole
    expect(pictures(desk)).to_have_count(3, timeout=DRAWN)
    for at in range(3):
        expect(tile(desk, at)).to_contain_text(f"seed {1 + at}")
    assert len(set(sources(desk))) == 3
    expect(desk.page.locator("[data-card]")).to_have_count(1)  # the sheet belongs to this card
    tile(desk, 2).click()
    assert desk.picture().get_attribute("src") == sources(desk)[2]
    expect(desk.page.locator("[data-caption=now]")).to_contain_text("seed 3")
    desk.page.locator("[data-view=a]").click()  # A's picture with that seed
    expect(desk.page.locator("[data-caption=a]")).to_contain_text("A alone · seed 3", timeout=DRAWN)
    tile(desk, 0).click()
    desk.page.locator("[data-view=now]").click()
    assert desk.picture().get_attribute("src") == sources(desk)[0]


def test_moving_a_slider_stops_the_rest_and_a_sheet_of_the_new_merge_follows(desk: Desk) -> None:
    desk.begin(live=True)
    desk.act("sheet-count").select_option("6")
    desk.drag("OUT05", 0.4)
    expect(pictures(desk)).to_have_count(2, timeout=DRAWN)  # in the middle
    before = sources(desk)
    desk.drag("IN03", 0.7)
    expect(desk.page.locator("[data-card]")).to_have_count(2, timeout=DRAWN)
    assert not set(sources(desk)) & set(before)
    expect(pictures(desk)).to_have_count(6, timeout=DRAWN)
    assert not set(sources(desk)) & set(before)
    tile(desk, 1).click()
    desk.page.locator("[data-view=before]").click()  # the same seed of the sheet before
    assert desk.picture("before").get_attribute("src") == before[1]


def test_stop_keeps_what_is_there_and_the_rest_is_drawn_when_asked_for(desk: Desk) -> None:
    desk.begin(live=True)
    desk.act("sheet-count").select_option("3")
    desk.drag("OUT05", 0.4)
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    expect(tile(desk, 1)).to_contain_text("generating")
    desk.act("stop").click()
    expect(tile(desk, 1)).to_contain_text("not generated")
    expect(pictures(desk)).to_have_count(1)
    desk.act("sheet-rest").click()
    expect(pictures(desk)).to_have_count(3, timeout=DRAWN)
    expect(desk.act("sheet-rest")).to_have_count(0)


def test_prompts_are_drawn_one_a_line_and_back_to_one_picture_removes_the_sheet(desk: Desk) -> None:
    desk.begin(live=True)
    desk.act("sheet-count").select_option("3")
    desk.act("sheet-by").select_option("prompts")
    desk.act("sheet-prompts").fill("a blue square\na dog")
    desk.act("sheet-prompts").press("Tab")
    desk.page.evaluate("scrollTo(0, 0)")
    desk.drag("OUT05", 0.4)
    expect(pictures(desk)).to_have_count(3, timeout=DRAWN)
    for at, name in enumerate(("the prompt above", "a blue square", "a dog")):
        expect(tile(desk, at)).to_contain_text(name)
    desk.page.wait_for_timeout(1000)  # until the desk is kept
    desk.open_again()
    expect(desk.act("sheet-prompts")).to_have_value("a blue square\na dog")
    expect(desk.act("sheet-count")).to_have_value("3")
    desk.act("sheet-count").select_option("1")
    expect(desk.part("sheet")).to_be_hidden()
    expect(desk.act("sheet-prompts")).to_have_count(0)
    desk.page.evaluate("scrollTo(0, 0)")
    desk.drag("OUT05", 0.8)
    desk.idle()
    expect(desk.part("sheet")).to_be_hidden()
