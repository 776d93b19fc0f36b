"""What a newcomer ran into in the first hour at the page, each as it is now; no picture is drawn here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from samples.assemble import assemble
from tests.browser.driver import SECOND, VIEW, Desk, expect

TABS = ("mix", "weights", "methods", "report", "grid", "history")
WIDE = {"width": 1920, "height": 1080}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples, a file that is cut short, and a web page that was saved as a model."""
    folder = tmp_path_factory.mktemp("first hour") / "models"
    assemble(folder)
    (folder / "cut.safetensors").write_bytes((folder / "ink.safetensors").read_bytes()[:5000])
    (folder / "page.safetensors").write_text("<html>not found</html>")
    return folder


def weights(desk: Desk) -> None:
    desk.page.locator("#merge_desk_tab_weights-button").click()
    expect(desk.page.locator("[data-name=GRAD_V]")).to_be_visible()


def test_a_file_that_cannot_be_read_is_named_with_the_reason(desk: Desk) -> None:
    note = desk.page.locator("#merge_desk_unreadable")
    expect(note).to_contain_text("cut.safetensors: the file is cut short")
    expect(note).to_contain_text("page.safetensors: this is a web page")


def test_tab_closes_the_list_that_it_leaves(desk: Desk) -> None:
    desk.page.locator("#merge_desk_a input").focus()
    in_sight = "[...document.querySelectorAll('ul.options, [role=listbox]')].filter((e) => e.offsetHeight)"
    for _ in range(8):
        desk.page.keyboard.press("Tab")
        desk.page.wait_for_timeout(SECOND / 2)  # Gradio opens a list a moment later, and closes it slowly
        here: Any = "document.activeElement.closest('[id^=merge_desk_]')?.id"
        assert desk.page.evaluate(f"{in_sight}.length") <= 1, desk.page.evaluate(here)
    desk.page.locator("#merge_desk_tab_mix-button").focus()
    desk.page.wait_for_function(f"() => {in_sight}.length === 0")
    expect(desk.page.locator("#merge_desk_a input")).to_have_value("base")
    expect(desk.page.locator("#merge_desk_method input")).to_have_value("Weighted sum")


def test_a_wide_page_is_used_to_both_sides(desk: Desk) -> None:
    desk.page.set_viewport_size(WIDE)
    places = [desk.page.locator(f"#merge_desk_{name}").bounding_box() for name in ("lists", "tabs")]
    for place in places:
        assert place["width"] > 0.9 * WIDE["width"]
        assert place["x"] == pytest.approx(WIDE["width"] - place["x"] - place["width"], abs=20)


def test_the_tabs_stand_still_when_one_is_chosen(desk: Desk) -> None:
    places: set[float] = set()
    for tab in TABS:
        desk.page.locator(f"#merge_desk_tab_{tab}-button").click()
        expect(desk.page.locator(f"#merge_desk_tab_{tab}")).to_be_visible()
        places.add(desk.page.locator("#merge_desk_tab_mix-button").bounding_box()["x"])
    assert len(places) == 1


def test_no_name_of_a_preset_is_cut(desk: Desk) -> None:
    desk.page.set_viewport_size(VIEW)
    names = desk.page.locator("[data-preset]")
    cut = (
        "all => all.filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.textContent)"
    )
    assert names.count() > 30
    assert names.evaluate_all(cut) == []


def test_one_checkpoint_as_a_and_b_is_said_to_mix_nothing(desk: Desk) -> None:
    desk.choose("b", "base")
    expect(desk.page.get_by_text("A and B are the same checkpoint")).to_be_visible()
    desk.choose("b", "pastel")
    expect(desk.page.get_by_text("A and B are the same checkpoint")).to_be_hidden()


def test_a_preset_of_ones_own_is_put_into_rules_by_its_name_with_its_numbers(desk: Desk) -> None:
    desk.begin("base", "pastel")
    desk.drag("OUT05", 0.6)
    there = desk.fader("OUT05").input_value()
    desk.part("preset-name").fill("first try")
    desk.act("save-preset").click()
    expect(desk.page.locator("[data-preset='first try']")).to_be_visible()
    weights(desk)
    desk.page.locator("[data-name='first try']").click()
    assert f"OUT05: {there}" in desk.part("rules").input_value()
    desk.act("test-rules").click()
    expect(desk.part("rule-test")).to_contain_text(there)
    desk.act("copy-to-sliders").click()
    desk.page.locator("#merge_desk_tab_mix-button").click()
    expect(desk.fader("OUT05")).to_have_value(there)


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("OUT05 0.5", "OUT05: 0.5"),
        ("foo: 0.5", "rules name blocks (OUT05, IN04-IN08)"),
        ("first: GRAD_W", "did you mean 'GRAD_V'"),
    ],
)
def test_a_mistake_in_a_rule_says_what_to_write_on_this_page(desk: Desk, rule: str, hint: str) -> None:
    weights(desk)
    desk.part("rules").fill(rule)
    desk.act("test-rules").click()
    problem = desk.part("rule-test").get_by_role("alert")
    expect(problem).to_contain_text(hint)
    expect(problem).not_to_contain_text("merge-desk rules")


def test_a_picture_without_a_recipe_is_said_to_have_none(desk: Desk) -> None:
    desk.page.locator("#merge_desk_tab_history-button").click()
    desk.part("history-text").fill("a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x512")
    desk.page.locator("[data-act=history-load-pasted]").click()
    problem = desk.part("history-message").get_by_role("alert")
    expect(problem).to_contain_text("This infotext carries no recipe")
    expect(problem).not_to_contain_text("line 1")
