"""What is lost on no page: presets come back by Undo, the cards of the pictures are on every page."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from tests.browser.driver import DRAWN, OFFLINE, Desk, expect


@pytest.fixture(scope="module")
def server_words() -> tuple[str, ...]:
    """Nothing is merged here: each picture is of another grey."""
    return ("--paper",)


@pytest.fixture
def desk(chromium: Any, address: str) -> Generator[Desk]:
    opened = Desk(chromium, address)
    yield opened
    assert [said for said in opened.complaints if not OFFLINE.search(said)] == []
    opened.take_out()
    opened.page.close()


def preset(desk: Desk, name: str) -> Any:
    return desk.page.locator(f'[data-preset="{name}"]')


def save_preset(desk: Desk, name: str) -> None:
    desk.part("preset-name").fill(name)
    desk.act("save-preset").click()


def test_presets_are_renamed_in_place_and_what_is_deleted_or_replaced_comes_back(desk: Desk) -> None:
    """F30: overwritten silently, renamed in a window of the browser."""
    desk.begin()
    desk.drag("OUT05", 0.7)
    there = desk.at("OUT05")
    save_preset(desk, "faces")
    expect(desk.part("presets-note")).to_have_text("Saved: faces")

    # the same name again says that it replaced one, and gives it back
    desk.drag("OUT05", 0.2)
    save_preset(desk, "faces")
    expect(desk.part("presets-note")).to_have_text("Replaced: faces")
    desk.act("undo-presets").click()
    expect(desk.part("presets-note")).to_have_text("The presets are as they were.")
    preset(desk, "faces").click()
    assert desk.at("OUT05") == there

    # in place: Escape leaves the name, Enter takes the new one
    desk.page.locator(".md-own-preset").hover()
    desk.page.get_by_role("button", name="Rename faces").click()
    desk.part("preset-new-name").fill("portraits")
    desk.part("preset-new-name").press("Escape")
    expect(preset(desk, "faces")).to_be_visible()
    desk.page.locator(".md-own-preset").hover()
    desk.page.get_by_role("button", name="Rename faces").click()
    desk.part("preset-new-name").fill("portraits")
    desk.part("preset-new-name").press("Enter")
    expect(preset(desk, "portraits")).to_be_visible()
    expect(desk.part("presets-note")).to_have_text("Renamed: faces is now portraits")

    desk.page.locator(".md-own-preset").hover()
    desk.page.get_by_role("button", name="Delete portraits").click()
    expect(preset(desk, "portraits")).to_have_count(0)
    desk.act("undo-presets").click()
    expect(preset(desk, "portraits")).to_be_visible()
    desk.page.locator(".md-own-preset").hover()
    desk.page.get_by_role("button", name="Delete portraits").click()
    expect(preset(desk, "portraits")).to_have_count(0)


def draw(desk: Desk, slot: str, to: float, count: int) -> str:
    """One more picture, of this slider; returns it once it has a card."""
    desk.drag(slot, to)
    desk.act("generate").click()
    expect(desk.page.locator("[data-card]")).to_have_count(count, timeout=DRAWN)
    desk.idle()
    return desk.picture().get_attribute("src")


def test_cards_with_pin_star_and_note_are_there_after_f5_and_in_a_second_window(
    desk: Desk, chromium: Any, address: str
) -> None:
    desk.begin()
    first = draw(desk, "OUT05", 0.3, 1)
    draw(desk, "IN03", 0.6, 2)
    cards = desk.page.locator("[data-card]")
    cards.nth(0).get_by_role("button", name="Pin").click()
    cards.nth(0).locator("[data-act=card-star]").click()
    cards.nth(0).locator(".md-card-note").fill("good eyes")
    cards.nth(0).locator(".md-card-note").press("Tab")
    desk.page.wait_for_timeout(3000)  # until it is kept
    words = cards.nth(1).locator("button span").first.text_content()

    second = Desk(chromium, address, resumes=True)
    desk.open_again()
    for page in (desk.page, second.page):
        kept = page.locator("[data-card]")
        expect(kept).to_have_count(2)
        expect(kept.nth(0).locator(".md-card-note")).to_have_value("good eyes")
        expect(kept.nth(0).get_by_role("button", name="Pin")).to_have_attribute("aria-pressed", "true")
        expect(kept.nth(0).locator("[data-act=card-star]")).to_have_attribute("aria-pressed", "true")
        kept.nth(0).evaluate("(card) => card.scrollIntoView()")  # pictures come as they are seen
        expect(kept.nth(0).locator("img")).to_have_attribute("src", first)
        expect(kept.nth(1)).to_contain_text(words)
    second.page.close()
    # a card of the page before goes back, picture and sliders
    cards.nth(0).locator("[data-act=card-back]").click()
    expect(desk.picture()).to_have_attribute("src", first)
    expect(desk.fader("IN03")).to_have_value("0")
    # and a third one follows them
    desk.idle()
    draw(desk, "IN05", 0.5, 3)
