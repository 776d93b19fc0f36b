"""What a newcomer ran into with the first pictures, each as it is now; nothing is merged here."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

import pytest

from tests.browser.driver import DRAWN, OFFLINE, SECOND, Desk, expect

TIES = 'merge-desk recipe 2\nA = "ink.safetensors"\nB = "base.safetensors"\n' + (
    "M = ties(A, A, B, density = 0.3)\nsave M, dtype = fp16\n"
)
SUM = 'merge-desk recipe 2\nA = "ink.safetensors"\nB = "base.safetensors"\n' + (
    "M = weighted_sum(A, B, alpha = {IN05: 0.4, *: 0})\nsave M, dtype = fp16\n"
)


@pytest.fixture(scope="module")
def server_words() -> tuple[str, ...]:
    """Each picture is of another grey."""
    return ("--paper",)


@pytest.fixture
def desk(chromium: Any, address: str) -> Generator[Desk]:
    opened = Desk(chromium, address)
    yield opened
    assert [said for said in opened.complaints if not OFFLINE.search(said)] == []
    opened.take_out()
    opened.page.close()


def generated(desk: Desk) -> str:
    """A first picture; returns it."""
    desk.drag("OUT05", 0.6)
    if not desk.act("live").is_checked():
        desk.act("generate").click()
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    desk.idle()
    return desk.picture().get_attribute("src")


def load_recipe(desk: Desk, text: str) -> None:
    desk.show("history")
    desk.part("history-text").fill(text)
    desk.page.locator("[data-act=history-load-pasted]").click()
    expect(desk.fader("OUT05")).to_be_visible()


@pytest.mark.parametrize(
    ("field", "value"), [("prompt", "a blue square"), ("seed", "8"), ("steps", "7"), ("cfg", "3")]
)
def test_live_follows_the_settings_of_a_picture_and_without_live_generate_is_due(
    desk: Desk, field: str, value: str
) -> None:
    """F7: the picture stayed one of other settings, without a word."""
    desk.begin("base", "pastel", live=True)
    before = generated(desk)
    usual = desk.setting(field).input_value()
    desk.fill(field, value)
    expect(desk.picture()).not_to_have_attribute("src", before, timeout=DRAWN)
    desk.idle()
    desk.act("live").press("Space")
    expect(desk.page.locator("[data-act=generate].md-pending")).to_have_count(0)
    desk.fill(field, usual)
    expect(desk.page.locator("[data-act=generate].md-pending")).to_be_visible()
    desk.generate_by_key(field)  # as in the WebUI
    expect(desk.page.locator("[data-act=generate].md-pending")).to_have_count(0)
    desk.idle()


def test_a_random_seed_is_said_as_the_number_that_it_became(desk: Desk) -> None:
    """F15: -1 was taken as it stands."""
    desk.begin("base", "pastel")
    desk.write("seed", "-1")
    generated(desk)
    expect(desk.page.locator("[data-caption=now]")).to_contain_text(re.compile(r"seed \d+"))
    expect(desk.part("infotext")).not_to_contain_text("Seed: -1")


def test_after_unload_the_page_says_that_the_picture_is_of_a_merge_that_is_gone(desk: Desk) -> None:
    """F25: sliders, picture and Live stayed, and nothing but a grey lamp told it."""
    desk.begin("base", "pastel", live=True)
    drawn = generated(desk)
    caption = desk.page.locator("[data-caption=now]")
    expect(caption).not_to_contain_text("not in memory")
    desk.act("unload").click()
    expect(desk.part("status")).to_contain_text("(original)")
    expect(caption).to_contain_text("this merge is not in memory now")
    assert desk.picture().get_attribute("src") == drawn
    expect(desk.page.locator("[data-act=generate].md-pending")).to_be_visible()
    desk.page.wait_for_timeout(SECOND)  # Live merges nothing that was just taken out
    expect(desk.part("status")).to_contain_text("(original)")
    desk.act("generate").click()
    expect(desk.part("status")).to_contain_text("(unsaved)")
    expect(caption).not_to_contain_text("not in memory")
    desk.idle()


def test_a_recipe_leaves_no_amount_of_the_desk_before_it(desk: Desk) -> None:
    """F34: a recipe that was dropped on TIES kept amounts that it does not have."""
    desk.begin("base", "pastel")
    desk.drag("OUT05", 0.7)
    desk.choose("method", "TIES")
    load_recipe(desk, SUM)
    expect(desk.page.locator("#merge_desk_method input")).to_have_value("Weighted sum")
    expect(desk.fader("IN05")).to_have_value("0.4")
    expect(desk.fader("OUT05")).to_have_value("0")
    load_recipe(desk, TIES)
    expect(desk.page.locator("#merge_desk_method input")).to_have_value("TIES")
    desk.choose("method", "Weighted sum")
    expect(desk.fader("IN05")).to_have_value("0")
    expect(desk.part("numbers")).to_have_value(re.compile(r"^0(, *0)*$"))
