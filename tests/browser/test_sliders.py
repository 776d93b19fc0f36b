"""Sliders, lists of numbers, presets and rules in a real browser; without a picture."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser.driver import SECOND, Desk, expect

LIST = ", ".join(f"{n / 25:g}" for n in range(26))


def test_rules_are_tried_and_drawn_numbers_go_onto_the_faders(desk: Desk) -> None:
    desk.show("weights")
    expect(desk.page.locator("[data-adjust=contrast]")).to_be_visible()
    desk.part("rules").fill("0.5*GRAD_V + 0.5*COSINE; OUT: 0.7; exclude FINAL")
    desk.act("test-rules").click()
    expect(desk.part("rule-test")).to_contain_text("OUT: 0.7")
    desk.act("roll").click()
    assert desk.part("rules").input_value() == "uniform(0, 1, seed = 1)"
    desk.show("mix")
    expect(desk.part("numbers")).to_have_value(re.compile(r"^0\.\d+, 0\.\d+, "))
    assert desk.complaints == []


def test_what_is_in_effect_stands_above_the_board_and_held_faders_say_so(desk: Desk) -> None:
    """F2: rules and Adjust acted where nobody saw them."""
    desk.begin("base", "pastel")
    desk.show("weights")
    desk.part("rules").fill("OUT: 0.9")
    desk.act("use-rules").check()
    contrast = desk.page.locator("[data-adjust=contrast] input")
    contrast.focus()
    contrast.press("ArrowRight")
    desk.show("mix")
    strip = desk.part("effects")
    expect(strip).to_contain_text("In effect:rules OUT: 0.9")
    expect(strip).to_contain_text("Adjust contrast 0.1")
    held = "set to 0.9 by the rule OUT: 0.9"
    expect(desk.page.locator("[data-slot=OUT05].md-fully-overridden")).to_be_visible()
    expect(desk.fader("OUT05")).to_have_attribute("aria-label", re.compile(f"OUT05, {held}"))
    expect(desk.fader("OUT05")).to_have_attribute("title", re.compile(held))
    expect(desk.part("numbers-note")).to_contain_text("blocks are set by rules")
    desk.fader("IN00").press("s")
    expect(strip).to_contain_text("solo IN00")
    for kind in ("solo", "adjust", "rules"):
        strip.locator(f"[data-effect={kind}] button").click()
        expect(strip.locator(f"[data-effect={kind}]")).to_have_count(0)
    expect(strip).to_be_hidden()
    expect(desk.page.locator(".md-overridden")).to_have_count(0)
    assert not desk.act("use-rules").is_checked()
    assert desk.complaints == []


def test_a_drag_changes_the_number_and_the_list(desk: Desk) -> None:
    desk.begin()
    desk.drag("OUT05", 0.7)
    assert desk.at("OUT05") == pytest.approx(0.7, abs=0.02)
    assert desk.text()[19] == desk.at("OUT05")
    assert sum(desk.text()) == desk.at("OUT05")


def test_a_pasted_list_moves_every_fader(desk: Desk) -> None:
    desk.begin()
    desk.paste(LIST)
    assert (desk.at("BASE"), desk.at("IN00"), desk.at("OUT11")) == (0, 0.04, 1)
    assert (desk.at("TIME"), desk.at("OUT"), desk.at("VAE")) == (0.04, 1, 0)  # as SuperMerger has them
    desk.part("numbers").blur()
    assert desk.text() == [pytest.approx(n / 25) for n in range(26)]


def test_a_list_without_base_leaves_base(desk: Desk) -> None:
    desk.begin()
    desk.drag("BASE", 0.5)
    base = desk.at("BASE")
    desk.paste("[" + " ".join(["0.25"] * 25) + "]")
    assert (desk.at("BASE"), desk.at("IN00"), desk.at("OUT11")) == (base, 0.25, 0.25)


@pytest.mark.parametrize(
    ("pasted", "told"),
    [
        ("1, 2, 3", "3 numbers so far; Stable Diffusion 1 takes 26 or 25"),
        ("0.5, o.5", 'Number 2 is "o.5"'),
        ("0, R, U", "SuperMerger's R is a random number: put this list into Rules"),
        (", ".join(["0.5"] * 110), "110 numbers set single layers"),
    ],
)
def test_a_list_that_does_not_fit_says_why_and_moves_nothing(desk: Desk, pasted: str, told: str) -> None:
    desk.begin()
    desk.paste(pasted)
    expect(desk.part("numbers-note")).to_contain_text(told)
    assert desk.at("IN00") == 0


def test_undo_and_redo_walk_through_every_change(desk: Desk) -> None:
    desk.begin()
    desk.drag("OUT05", 0.7)
    desk.page.locator('[data-preset="GRAD_V"]').click()
    moved = desk.text()
    desk.fader("IN00").press("Control+z")
    assert (desk.at("IN00"), desk.at("OUT05")) == (0, pytest.approx(0.7, abs=0.02))
    desk.act("undo").click()
    assert sum(desk.text()) == 0
    desk.act("redo").click()
    desk.fader("IN00").press("Control+Shift+z")
    assert desk.text() == moved


def test_undo_goes_back_to_the_models_method_and_seed_and_to_a_desk_that_was_emptied(desk: Desk) -> None:
    """F37: it covered the sliders alone."""
    desk.begin("base", "pastel")
    method, seed = desk.page.locator("#merge_desk_method input"), desk.setting("seed")
    expect(method).to_have_value("Weighted sum")
    desk.drag("OUT05", 0.5)
    there = desk.fader("OUT05").input_value()
    desk.fill("seed", "77")
    desk.choose("method", "Cosine A")
    desk.page.wait_for_timeout(SECOND)  # until a change of lists is the user's own
    desk.act("new").click()
    expect(desk.part("next-step")).to_contain_text("Choose B")
    expect(desk.fader("OUT05")).to_have_value("0")
    desk.act("undo").click()
    expect(desk.page.locator("#merge_desk_b input")).to_have_value("pastel")
    expect(method).to_have_value("Cosine A")
    expect(desk.fader("OUT05")).to_have_value(there)
    desk.act("undo").click()
    expect(method).to_have_value("Weighted sum")
    expect(seed).to_have_value("77")
    desk.act("undo").click()
    expect(seed).to_have_value("1")
    desk.act("redo").click()
    expect(seed).to_have_value("77")
    assert desk.complaints == []


def test_a_fader_answers_keys_wheel_and_double_click(desk: Desk) -> None:
    desk.begin()
    fader = desk.fader("IN05")
    fader.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft"):
        fader.press(key)
    assert desk.at("IN05") == pytest.approx(0.02)
    fader.hover()
    desk.page.mouse.wheel(0, -100)
    expect(fader).to_have_value("0.03")
    fader.press("Enter")
    desk.page.keyboard.type("0.415")
    desk.page.keyboard.press("Enter")
    assert desk.text()[6] == 0.415
    desk.page.locator("[data-slot=IN05] .md-slot").dblclick()
    assert desk.at("IN05") == 0


def test_a_typed_number_may_go_beyond_the_fader(desk: Desk) -> None:
    desk.begin()
    desk.fader("IN05").press("Enter")
    desk.page.keyboard.type("1.25")
    desk.page.keyboard.press("Enter")
    assert desk.text()[6] == 1.25


def test_locked_faders_keep_their_distance(desk: Desk) -> None:
    """F12: linked sliders move together."""
    desk.begin()
    desk.drag("IN03", 0.2)
    before = desk.at("IN03")
    for slot in ("IN03", "IN04"):
        desk.fader(slot).press("l")
    desk.drag("IN04", 0.5)
    assert desk.at("IN03") - before == pytest.approx(desk.at("IN04"), abs=0.02)
    assert desk.at("IN05") == 0


def test_mute_and_solo_send_nothing_of_b_and_forget_nothing(desk: Desk) -> None:
    desk.begin()
    desk.paste(", ".join(["0.5"] * 26))
    desk.part("numbers").blur()
    desk.fader("M00").press("m")
    assert (desk.text()[13], desk.text()[14]) == (0, 0.5)
    desk.fader("M00").press("m")
    assert desk.text() == [0.5] * 26
    desk.fader("OUT05").press("s")
    assert desk.text() == [0.0] * 19 + [0.5] + [0.0] * 6


def test_reset_and_invert(desk: Desk) -> None:
    desk.begin()
    desk.paste(LIST)
    desk.act("invert").click()
    assert desk.text() == [pytest.approx(1 - n / 25) for n in range(26)]
    desk.act("reset").click()
    assert desk.text() == [0.0] * 26


def test_all_blocks_move_at_once(desk: Desk) -> None:
    desk.begin()
    desk.drag("ALL", 0.5)
    assert set(desk.text()) == {desk.at("IN00")}
    assert desk.at("IN00") == pytest.approx(0.5, abs=0.02)


def test_a_preset_of_ones_own_outlives_the_page(desk: Desk, chromium: Any, address: str) -> None:
    desk.begin()
    desk.drag("OUT05", 0.7)
    there = desk.at("OUT05")
    desk.part("preset-name").fill("faces")
    desk.act("save-preset").click()
    expect(desk.page.locator('[data-preset="faces"]')).to_be_visible()
    again = Desk(chromium, address)
    again.begin()
    again.page.locator('[data-preset="faces"]').click()
    assert again.at("OUT05") == there
    again.page.locator(".md-own-preset").hover()
    again.page.get_by_role("button", name="Delete faces").click()
    expect(again.page.locator('[data-preset="faces"]')).to_have_count(0)
    again.page.close()


def test_presets_of_another_tool_are_pasted_in(desk: Desk) -> None:
    desk.begin()
    desk.page.get_by_text("Import presets").click()
    desk.part("presets-text").fill(f"mine\t{', '.join(['0.3'] * 26)}\nodd\t1, 2")
    desk.act("import-presets").click()
    expect(desk.part("presets-note")).to_contain_text(
        "1 preset was taken over; not taken over: odd: the list has 2 numbers, but Stable Diffusion 1"
    )
    desk.page.locator('[data-preset="mine"]').click()
    assert desk.at("OUT05") == 0.3
    desk.page.locator(".md-own-preset").hover()
    desk.page.get_by_role("button", name="Delete mine").click()
    expect(desk.page.locator('[data-preset="mine"]')).to_have_count(0)
