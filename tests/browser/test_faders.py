"""The faders in a real browser: numbers typed, links and locks, several at once."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

import pytest

from tests.browser.driver import SECOND, Desk, expect


@pytest.fixture(scope="module")
def server_words() -> tuple[str, ...]:
    """Nothing is merged here."""
    return ("--paper",)


def set_up(desk: Desk) -> None:
    """What each page begins with."""
    desk.begin("base", "pastel")


@pytest.fixture
def desk(chromium: Any, address: str) -> Generator[Desk]:
    opened = Desk(chromium, address)
    set_up(opened)
    yield opened
    opened.page.close()


def number(desk: Desk, slot: str) -> Any:
    return desk.page.locator(f"[data-slot={slot}] .md-number")


def enter(desk: Desk, slot: str, text: str) -> None:
    desk.fader(slot).press("Enter")
    desk.page.keyboard.type(text)
    desk.page.keyboard.press("Enter")


def test_numbers_are_typed_as_shares_and_as_changes_and_nonsense_loses_nothing(desk: Desk) -> None:
    """F5: 50% was read as 50, and nonsense dropped without a word."""
    for text, amount in (("50%", "0.5"), ("1/4", "0.25"), ("+0.1", "0.35"), ("-=0.05", "0.3"), ("*2", "0.6")):
        enter(desk, "IN05", text)
        expect(number(desk, "IN05")).to_have_value(amount)
        expect(desk.fader("IN05")).to_be_focused()
    enter(desk, "IN05", "abc")
    fault = desk.page.locator("[data-slot=IN05] [role=alert]")
    expect(fault).to_have_text(re.compile("^“abc” is not a number. Write 0.5, 50% or 1/3"))
    expect(number(desk, "IN05")).to_be_focused()  # with what was typed, to be mended
    assert (number(desk, "IN05").input_value(), desk.at("IN05")) == ("abc", 0.6)
    desk.page.keyboard.press("Escape")
    expect(fault).to_have_count(0)
    expect(number(desk, "IN05")).to_have_value("0.6")
    enter(desk, "ALL", "+0.1")  # each by itself
    assert (desk.at("IN05"), desk.at("OUT05")) == (0.7, 0.1)
    assert desk.complaints == []


def test_an_amount_beyond_the_range_is_marked_and_said_and_no_number_is_cut(desk: Desk) -> None:
    """F5: no mark on it. F26: numbers were cut."""
    enter(desk, "IN05", "-1.25")
    expect(desk.page.locator("[data-slot=IN05].md-below-range")).to_be_visible()
    expect(desk.fader("IN05")).to_have_attribute("aria-valuetext", "-1.25, beyond the range 0 to 1")
    desk.fader("IN05").press("ArrowRight")
    expect(desk.page.locator("[data-slot=IN05].md-below-range")).to_have_count(0)
    expect(desk.fader("IN05")).to_have_attribute("aria-valuetext", "0.01")
    differ = re.compile(r"^OUT05, A and B differ by [\d.]+ %")
    expect(desk.fader("OUT05")).to_have_attribute("aria-label", differ)
    for slot in ("IN05", "OUT05", "TIME", "OUT", "M00", "BASE", "ALL"):
        enter(desk, slot, "-0.123")
        assert number(desk, slot).evaluate("each => each.scrollWidth <= each.clientWidth"), slot


def test_a_locked_fader_is_left_by_every_change_and_the_page_says_so(desk: Desk) -> None:
    """F12: "Lock" was a link, and nothing protected a slider."""
    enter(desk, "IN03", "0.4")
    desk.fader("IN03").press("k")
    said = desk.part("selection-note")
    changes = {
        "Reset": desk.act("reset").click,
        "Invert": desk.act("invert").click,
        "a preset": desk.page.locator('[data-preset="GRAD_V"]').click,
        "all blocks": lambda: desk.drag("ALL", 0.9),
        "pasted numbers": lambda: desk.paste(", ".join(["0.3"] * 26)),
        "its own slider": lambda: desk.fader("IN03").press("End"),
    }
    for name, change in changes.items():
        change()
        expect(said).to_have_text("IN03 is locked and keeps 0.4.")
        assert desk.at("IN03") == 0.4, name
    assert desk.at("IN04") == 0.3
    desk.fader("IN03").press("k")
    desk.fader("IN03").press("End")
    expect(said).not_to_contain_text("locked")
    assert desk.at("IN03") == 1


def test_several_faders_are_selected_and_changed_at_once_each_change_one_step_of_undo(desk: Desk) -> None:
    name = "[data-slot={}] .md-slot"
    note, amount = desk.part("selection-note"), desk.part("selection-amount")
    expect(amount).to_be_disabled()
    desk.page.locator(name.format("IN10")).click()
    desk.page.locator(name.format("OUT00")).click(modifiers=["Shift"])
    desk.page.locator(name.format("OUT05")).click(modifiers=["Control"])
    expect(note).to_have_text("5 sliders selected: IN10, IN11, M00, OUT00, OUT05")
    amount.fill("50%")
    amount.press("Enter")
    assert [desk.at(slot) for slot in ("IN09", "IN10", "M00", "OUT00", "OUT01", "OUT05")] == [
        0,
        0.5,
        0.5,
        0.5,
        0,
        0.5,
    ]
    amount.fill("0.2")
    desk.act("selection-add").click()
    desk.act("selection-multiply").click()
    assert desk.at("M00") == pytest.approx(0.14)
    for before in (0.7, 0.5, 0):
        desk.act("undo").click()
        assert desk.at("M00") == pytest.approx(before)
    first, last = (desk.page.locator(name.format(slot)).bounding_box() for slot in ("IN02", "IN04"))
    desk.page.mouse.move(first["x"] + 5, first["y"] + 9)
    desk.page.mouse.down()
    desk.page.mouse.move(last["x"] + 5, last["y"] + 9, steps=8)
    desk.page.mouse.up()
    expect(note).to_have_text("3 sliders selected: IN02, IN03, IN04")
    desk.part("select-group").select_option("IN03-IN05")
    expect(note).to_have_text("3 sliders selected: IN03, IN04, IN05")
    desk.fader("IN04").press("Escape")
    desk.fader("IN04").press("Space")  # without a pointer
    desk.fader("IN06").press("Shift+Space")
    expect(note).to_have_text("3 sliders selected: IN04, IN05, IN06")
    enter(desk, "IN05", "0.9")
    desk.act("selection-smooth").click()
    assert [desk.at(slot) for slot in ("IN04", "IN05", "IN06")] == [0.45, 0.3, 0.45]
    desk.act("selection-reset").click()
    assert sum(desk.text()) == 0
    amount.fill("many")
    amount.press("Enter")
    expect(note).to_have_text(re.compile("^“many” is not a number"))
    assert desk.complaints == []


def test_a_curve_is_drawn_over_all_blocks_in_one_step_of_undo(desk: Desk) -> None:
    desk.fader("M00").press("k")
    desk.act("curve").click()
    curve = desk.part("curve-drawing")
    curve.hover(position={"x": 3, "y": 88})  # which waits until it is still
    desk.page.mouse.down()
    box = curve.bounding_box()
    desk.page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 1, steps=4)
    desk.page.mouse.up()
    drawn = [amount for place, amount in enumerate(desk.text()) if place not in (0, 13)]  # BASE, M00
    assert drawn == sorted(drawn)
    assert (drawn[0], drawn[-1]) == (pytest.approx(0, abs=0.05), pytest.approx(1, abs=0.05))
    assert len(set(drawn)) == 24
    assert desk.at("M00") == 0
    expect(desk.part("selection-note")).to_have_text("M00 is locked and keeps 0.")
    for key in ("Home", "ArrowRight", "PageDown"):
        curve.press(key)
    expect(curve).to_have_attribute("aria-valuetext", re.compile("^IN01 "))
    desk.act("undo").click()
    desk.act("undo").click()
    assert sum(desk.text()) == 0
    assert desk.complaints == []


def test_a_name_tells_what_its_block_is_and_gives_earlier_amounts_back(desk: Desk) -> None:
    card = desk.page.locator(".md-card")
    enter(desk, "OUT05", "0.7")
    desk.page.wait_for_timeout(SECOND)  # else both are one move
    enter(desk, "OUT05", "0.2")
    desk.page.locator("[data-slot=OUT05] .md-slot").hover()
    expect(card).to_contain_text("Block 6 of the decoder, at 1/32 of the picture's width and height")
    expect(card).to_contain_text("the experience of mixers, not a measurement")
    expect(card).to_contain_text(re.compile(r"A and B differ by [\d.]+ %"))
    assert card.locator("[data-earlier]").all_text_contents() == ["0.7", "0"]
    desk.page.mouse.move(0, 0)
    expect(card).to_have_count(0)
    desk.fader("OUT05").press("i")  # without a pointer
    expect(card.locator("[data-earlier='0.7']")).to_be_focused()
    desk.page.keyboard.press("Enter")
    assert desk.at("OUT05") == 0.7
    expect(desk.fader("OUT05")).to_be_focused()
    desk.act("undo").click()
    assert desk.at("OUT05") == 0.2
    assert desk.complaints == []


def test_a_note_on_numbers_that_could_not_be_read_ends_with_them(desk: Desk) -> None:
    """F13: a red note stayed."""
    note = desk.part("numbers-note")
    desk.paste("hello world")
    expect(note).to_have_class(re.compile("md-bad"))
    desk.part("numbers").blur()
    expect(note).not_to_have_class(re.compile("md-bad"))
    expect(note).to_contain_text("26 numbers")


def test_parameters_are_named_in_words_and_filled_from_their_middle(desk: Desk) -> None:
    """F33: they had the names of code."""
    desk.choose("method", "Adjust")
    red = desk.page.locator("[data-scalar=cyan_red]")
    expect(red).to_contain_text("Cyan to red")
    slide = red.locator("input")
    slide.press("ArrowLeft")
    fill = "each => [each.style.getPropertyValue('--from'), each.style.getPropertyValue('--at')]"
    start, end = (float(share.rstrip("%")) for share in slide.evaluate(fill))
    assert 49 < start < end == 50
    desk.choose("method", "Weighted sum")
    desk.choose("b", "base")
    expect(desk.part("same-models")).to_contain_text("A and B are the same checkpoint")


def test_a_finger_that_stays_on_a_name_opens_its_card(desk: Desk) -> None:
    """Touches as Chromium's own protocol sends them: playwright's tap is as short as a click."""
    box = desk.page.locator("[data-slot=IN05] .md-slot").bounding_box()
    at = {"x": box["x"] + 8, "y": box["y"] + box["height"] / 2}
    screen = desk.page.context.new_cdp_session(desk.page)
    screen.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    card = desk.page.locator(".md-card")
    expect(card).to_contain_text("IN05")
    screen.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    desk.page.wait_for_timeout(SECOND)
    expect(card).to_be_visible()
    desk.page.mouse.click(2, 2)
    expect(card).to_have_count(0)
