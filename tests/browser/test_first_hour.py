"""What a newcomer ran into in the first hour at the page, each as it is now; no picture is drawn here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser.driver import SECOND, VIEW, Desk, expect

WIDTHS = (1280, 1440, 1920)
# of every kind: of two and three models, with and without block weights, with and without parameters
METHODS = (
    "Weighted sum",
    "Cosine A",
    "Scale (self)",
    "Triple sum",
    "Extract",
    "TIES",
    "Model stock",
    "Adjust",
)
TABS = ("mix", "weights", "methods", "report", "grid", "history")
UNREADABLE = ("cut", "page")
WIDE = {"width": 1920, "height": 1080}


def add_models(folder: Path) -> None:
    """A file that is cut short, and a web page that was saved as a model."""
    (folder / "cut.safetensors").write_bytes((folder / "ink.safetensors").read_bytes()[:5000])
    (folder / "page.safetensors").write_text("<html>not found</html>")


@pytest.fixture(scope="module")
def models(models: Path) -> Path:
    """The samples, and two files that cannot be read."""
    add_models(models)
    return models


def weights(desk: Desk) -> None:
    desk.show("weights")
    expect(desk.page.locator("[data-name=GRAD_V]")).to_be_visible()


def test_a_file_that_cannot_be_read_is_named_with_the_reason(desk: Desk) -> None:
    """F22: such files were not listed, without a word."""
    note = desk.page.locator("#merge_desk_unreadable").first  # in Gradio 3 the text within has the same id
    expect(note).to_contain_text(re.compile(r"cut(\.safetensors)?: the file is cut short"))
    expect(note).to_contain_text(re.compile(r"page(\.safetensors)?: this is a web page"))
    expect(desk.page.locator("[data-mount=fit]")).to_contain_text("other files fit base")


def test_tab_closes_the_list_that_it_leaves(desk: Desk) -> None:
    """F6: lists stayed open over the board."""
    desk.page.locator("#merge_desk_a input").focus()
    lists = "document.querySelectorAll('ul.options, ul[role=listbox]')"  # in Gradio 4 a field has that role
    in_sight = f"[...{lists}].filter((e) => e.offsetHeight)"
    for _ in range(8):
        desk.page.keyboard.press("Tab")
        desk.page.wait_for_timeout(SECOND / 2)  # Gradio opens a list a moment later, and closes it slowly
        desk.page.wait_for_function(f"() => {in_sight}.length <= 1", timeout=10 * SECOND)
    desk.tab("mix").focus()
    desk.page.wait_for_function(f"() => {in_sight}.length === 0")
    expect(desk.page.locator("#merge_desk_a input")).to_have_value("base")
    expect(desk.page.locator("#merge_desk_method input")).to_have_value("Weighted sum")


def test_a_wide_page_is_used_to_both_sides(desk: Desk) -> None:
    """F9: at 1920 pixels the page stuck to the left."""
    desk.page.set_viewport_size(WIDE)
    places = [desk.page.locator(f"#merge_desk_{name}").bounding_box() for name in ("lists", "tabs")]
    for place in places:
        assert place["width"] > 0.9 * WIDE["width"]
        assert place["x"] == pytest.approx(WIDE["width"] - place["x"] - place["width"], abs=20)


def test_the_tabs_stand_still_when_one_is_chosen(desk: Desk) -> None:
    """F28: the page jumped by 7 pixels."""
    places: set[float] = set()
    for tab in TABS:
        desk.show(tab)
        expect(desk.page.locator(f"#merge_desk_tab_{tab}")).to_be_visible()
        places.add(desk.tab("mix").bounding_box()["x"])
    assert len(places) == 1


def test_no_name_of_a_preset_is_cut(desk: Desk) -> None:
    """F29: two presets were both called ONE_FOURTH_..."""
    desk.page.set_viewport_size(VIEW)
    names = desk.page.locator("[data-preset]")
    cut = (
        "all => all.filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.textContent)"
    )
    assert names.count() > 30
    assert names.evaluate_all(cut) == []


def test_one_checkpoint_as_a_and_b_is_said_to_mix_nothing(desk: Desk) -> None:
    """F31: there was no word of it."""
    desk.choose("b", "base")
    expect(desk.page.get_by_text("A and B are the same checkpoint")).to_be_visible()
    desk.choose("b", "pastel")
    expect(desk.page.get_by_text("A and B are the same checkpoint")).to_be_hidden()


def test_a_preset_of_ones_own_is_put_into_rules_by_its_name_with_its_numbers(desk: Desk) -> None:
    """F18: own presets were missing in Weights."""
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
    desk.show("mix")
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
    """F19: an error for the reader of a command line."""
    weights(desk)
    desk.part("rules").fill(rule)
    desk.act("test-rules").click()
    problem = desk.part("rule-test").get_by_role("alert")
    expect(problem).to_contain_text(hint)
    expect(problem).not_to_contain_text("merge-desk rules")


def test_a_picture_without_a_recipe_is_said_to_have_none(desk: Desk) -> None:
    """F19: "not a recipe, line 1, column 1"."""
    desk.show("history")
    desk.part("history-text").fill("a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x512")
    desk.page.locator("[data-act=history-load-pasted]").click()
    problem = desk.part("history-message").get_by_role("alert")
    expect(problem).to_contain_text("This infotext carries no recipe")
    expect(problem).not_to_contain_text("line 1")


def test_a_mistake_in_an_axis_points_at_no_file_that_nobody_has_open(desk: Desk) -> None:
    """F19: "the README lists every axis"."""
    desk.begin("base", "pastel")
    desk.show("grid")
    desk.page.locator("[data-axis=x]").fill("nowhere")
    desk.page.locator("[data-values=x]").fill("1, 2")
    expect(desk.part("grid-problem")).to_contain_text("nowhere")
    expect(desk.part("grid-problem")).not_to_contain_text("README")


def test_the_reference_of_a_report_is_never_its_base(desk: Desk) -> None:
    """F24: with one model as both, a column of zeros."""
    desk.begin("base", "pastel")
    desk.show("report")
    base = desk.page.locator("[data-report=base]")
    expect(base).to_be_visible()
    offered = base.locator("option").all_text_contents()
    # a WebUI lists what cannot be read
    assert [name for name in offered if name not in UNREADABLE] == ["none", "ink", "other", "pastel"]
    base.select_option("other")
    desk.page.locator("[data-report=reference]").select_option("other")
    expect(base).to_have_value("")
    assert "other" not in base.locator("option").all_text_contents()
    desk.act("report-compare").click()
    expect(desk.page.locator(".md-title")).to_contain_text("compared with other")
    expect(desk.page.locator(".md-title")).not_to_contain_text("base")


def test_the_tables_of_rules_have_lines_between_rows_and_no_frame(desk: Desk) -> None:
    """F27: a hard black frame with the text glued to it."""
    weights(desk)
    desk.part("rules").fill("OUT: 0.5")
    desk.act("test-rules").click()
    tables = desk.part("rule-test").locator("table")
    expect(tables).to_have_count(2)
    frames = """all => all.flatMap((each) => {
        const { borderTopWidth, borderLeftWidth, borderRightWidth } = getComputedStyle(each);
        return [borderTopWidth, borderLeftWidth, borderRightWidth];
    })"""
    cells = tables.locator("td, th")
    for dark in (False, True):
        desk.page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        assert set(tables.evaluate_all(frames)) == {"0px"}
        padding = cells.evaluate_all(
            "all => all.map((each) => parseFloat(getComputedStyle(each).paddingLeft))"
        )
        assert min(padding) >= 6


def test_the_board_stands_still_whatever_the_method(desk: Desk) -> None:
    """F28: formula, hints and parameters moved the sliders by up to 200 pixels."""
    desk.begin("base", "pastel")
    for width in WIDTHS:
        desk.page.set_viewport_size({"width": width, "height": 900})
        there = desk.place("IN05")["y"]
        for method in METHODS:
            desk.choose("method", method)
            assert desk.place("IN05")["y"] == pytest.approx(there, abs=20), f"{method} at {width}"
        desk.choose("method", METHODS[0])


def test_no_number_of_a_slider_is_cut_at_any_width(desk: Desk) -> None:
    """F26: 0.12: stood for 0.123."""
    desk.begin("base", "pastel")
    for slot in ("TIME", "OUT", "OUT05"):
        desk.fader(slot).press("Enter")
        desk.page.keyboard.type("0.123")
        desk.page.keyboard.press("Enter")
    fits = "each => each.scrollWidth <= each.clientWidth"
    for width in (*WIDTHS, 800):
        desk.page.set_viewport_size({"width": width, "height": 900})
        for slot in ("TIME", "OUT", "OUT05"):
            number = desk.page.locator(f"[data-slot={slot}] .md-number")
            expect(number).to_have_value("0.123")
            assert number.evaluate(fits), f"{slot} at {width}"


def test_a_preset_without_a_name_is_asked_for_one(desk: Desk) -> None:
    """F30: nothing happened, without a word."""
    desk.begin("base", "pastel")
    desk.act("save-preset").click()
    expect(desk.part("presets-note")).to_have_text("Write a name first.")
    expect(desk.part("preset-name")).to_be_focused()


def test_the_button_that_reads_the_folders_again_turns_until_they_are_read(desk: Desk) -> None:
    """F22: it showed no sign of working."""
    desk.page.evaluate("""() => {
        const button = document.querySelector("#merge_desk_lists_refresh");
        const note = () => (window.busy ??= []).push(button.getAttribute("aria-busy"));
        new MutationObserver(note).observe(button, { attributeFilter: ["aria-busy"] });
    }""")
    desk.page.locator("#merge_desk_lists_refresh").click()
    desk.page.wait_for_function("() => window.busy?.join() === 'true,false'")


def test_no_number_of_a_picture_is_cut_at_any_width(desk: Desk) -> None:
    """F26: Width was 12 where it was 128, in a window of 1920 pixels."""
    for field, value in (("width", "1024"), ("height", "1024"), ("seed", "4294967295")):
        desk.write(field, value)
    for width in (*WIDTHS, 800, 390):
        desk.page.set_viewport_size({"width": width, "height": 900})
        for field in ("width", "height", "seed", "steps", "cfg"):
            fits = desk.setting(field).evaluate("each => each.scrollWidth <= each.clientWidth")
            assert fits, f"{field} at {width}"
