"""The page of the desk as a whole in a real browser, and on the Gradio of WebUIs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.driver import DRAWN, OFFLINE, VIEW, Desk, expect, start, stop
from tests.browser.test_lists import add_models
from tests.support.gradio_env import PINS, python_with_gradio

SETTLED, QUIET = 3000, 4000  # ms: after a change, and of rest
LIST = ", ".join(f"{n / 25:g}" for n in range(26))


@pytest.fixture(scope="module")
def models(models: Path) -> Path:
    """The samples, and two that fit no other."""
    add_models(models)
    return models


def test_nothing_hangs_out_of_a_narrow_page(desk: Desk) -> None:
    """F35: the right column of sliders was cut off."""
    narrow = {"width": 390, "height": 844}
    desk.page.set_viewport_size(narrow)
    desk.open_again()  # a page that is narrow from the start asks for its lists, too
    expect(desk.page.locator("[data-mount=faders][data-resumed]")).to_be_attached()
    desk.place("BASE")
    # Gradio lays its tabs out again a little later
    desk.page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
    out = """(within) => [...document.querySelectorAll(`${within} :is(input, button, textarea, select)`)]
        .map((each) => [each.outerHTML.slice(0, 120), each.getBoundingClientRect()])
        .filter(([_, box]) => box.width && (box.right > innerWidth || box.left < 0)).map(([told]) => told)"""
    expect(desk.fader("OUT05")).to_be_visible()
    assert desk.page.evaluate(out, ".merge-desk-faders") == []
    first, second = desk.fader("ALL").bounding_box(), desk.fader("BASE").bounding_box()
    assert first["y"] + first["height"] <= second["y"]
    desk.page.set_viewport_size(VIEW)  # some tabs are in a menu on a narrow page
    desk.show("history")
    expect(desk.part("history-query")).to_be_visible()
    desk.page.set_viewport_size(narrow)
    assert desk.page.evaluate(out, ".merge-desk-history") == []


def test_a_page_that_nobody_touches_asks_the_server_for_nothing(desk: Desk) -> None:
    desk.begin("base", "pastel")
    desk.page.wait_for_timeout(SETTLED)
    asked: list[str] = []

    def note(request: Any) -> None:
        asked.append(f"{request.url} {request.post_data or ''}"[:300])

    desk.page.on("request", note)
    desk.page.wait_for_timeout(QUIET)
    assert [each for each in asked if "heartbeat" not in each] == []  # which Gradio 4 and later keep open


def test_no_fader_of_an_sdxl_board_hangs_over_another_or_out_of_the_panel(desk: Desk) -> None:
    desk.choose("a", "xl")
    expect(desk.page.locator("[data-slot=LABEL]")).to_be_visible()
    over = desk.page.evaluate("""() => {
        const box = (each) => each.getBoundingClientRect();
        const panel = box(document.querySelector('.md-fader-panel'));
        const parts = [...document.querySelectorAll('.md-fader > *')]
            .map((each) => [each.parentElement, box(each)]);
        const overlap = (x, y) => Math.min(x.right, y.right) - Math.max(x.left, y.left) > 1
            && Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top) > 1;
        return parts.filter(([fader, at]) => at.right > panel.right
            || parts.some(([other, place]) => other !== fader && overlap(at, place))
        ).map(([fader]) => fader.dataset.slot);
    }""")
    assert over == []


def test_the_tab_opens_without_complaints_and_says_what_to_do(desk: Desk) -> None:
    expect(desk.part("next-step")).to_contain_text("Choose B to begin")
    assert desk.fader("OUT05").is_disabled()
    assert desk.complaints == []


def test_a_request_without_an_answer_is_shown_and_repeated_by_a_click(desk: Desk) -> None:
    desk.begin()
    desk.show("weights")
    expect(desk.page.locator("[data-name=GRAD_V]")).to_be_visible()
    desk.part("rules").fill("OUT: 0.7")
    events = re.compile(r"/queue/join")

    def refuse(route: Any) -> None:
        route.fulfill(status=503, json={"detail": "Queue is full."})

    desk.page.route(events, refuse)
    desk.act("test-rules").click()
    failure = desk.page.locator("[data-failed='weights.test']")
    expect(failure).to_contain_text("No response from the server")
    desk.page.unroute(events)
    failure.get_by_role("button", name="Try again").click()
    expect(desk.part("rule-test")).to_contain_text("OUT: 0.7")
    expect(failure).to_be_hidden()
    desk.complaints.clear()  # of the browser, about the connection


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [("steps", "-3", "-3"), ("steps", "0", "0"), ("width", "100", "100"), ("width", "0", "0")],
)
def test_a_field_that_nothing_can_be_drawn_with_is_refused_in_one_sentence(
    desk: Desk, field: str, value: str, told: str
) -> None:
    """F14: an error of its own, or a picture of no steps."""
    desk.begin("base", "pastel")
    desk.write(field, value)
    desk.drag("OUT05", 0.5)
    desk.act("generate").click()
    problem = desk.part("problem").get_by_role("alert")
    expect(problem).to_contain_text(f"{field} cannot be {told}")
    expect(problem).not_to_contain_text("nternal error")
    expect(desk.part("status")).to_have_text("Loaded: base (original).")


@pytest.mark.slow
def test_a_long_name_widens_no_tab_and_the_buttons_of_a_card_are_on_one_line(desk: Desk) -> None:
    desk.begin("base", "pastel")
    desk.drag("ALL", 0.5)
    desk.page.locator("#merge_desk_saving :is(button, .label-wrap)").first.click()
    desk.page.locator("#merge_desk_name :is(textarea, input)").fill("long" * 37)
    desk.page.locator("#merge_desk_mix_save").click()
    expect(desk.part("fact-sheet")).to_contain_text("longlong", timeout=DRAWN)
    for room in ("mix", "history", "report"):
        desk.show(room)
        expect(desk.page.get_by_text("longlong").locator("visible=true").first).to_be_visible()
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= VIEW["width"]
        if room == "history":
            card = desk.page.locator("[data-entry]").first
            expect(card.locator("button")).to_have_count(4)
            tops = [each.bounding_box()["y"] for each in card.locator("button").all()]
            assert max(tops) - min(tops) < 8


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_desk_in_both_themes(chromium: Any, address: str, theme: str, cache: Path) -> None:
    desk = Desk(chromium, f"{address}?__theme={theme}")
    desk.page.locator("#merge_desk_steps input").fill("15")
    desk.begin("ink", "pastel", live=True)
    desk.page.locator('[data-preset="SMOOTHSTEP"]').click()
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    desk.idle()
    desk.page.locator('[data-preset="GRAD_V"]').click()
    expect(desk.picture("before")).to_be_visible(timeout=DRAWN)
    desk.idle()
    desk.page.mouse.move(0, 0)
    desk.page.evaluate("window.scrollTo(0, 0)")
    desk.page.screenshot(path=cache / f"desk-{theme}.png")
    wide = desk.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= VIEW["width"]
    desk.page.close()


@pytest.mark.slow
@pytest.mark.parametrize("version", PINS)
def test_the_same_tab_works_on_the_gradio_of_a_webui(
    version: str, chromium: Any, models: Path, cache: Path, tmp_path: Path
) -> None:
    server, address = start(python_with_gradio(version, cache), models, tmp_path / "out", "--paper")
    try:
        desk = Desk(chromium, address)
        desk.begin("base", "pastel", live=True)
        desk.drag("OUT05", 0.7)
        expect(desk.picture()).to_be_visible(timeout=DRAWN)
        expect(desk.part("status")).to_contain_text("pastel (unsaved)")
        desk.paste(LIST)
        expect(desk.picture("before")).to_be_visible(timeout=DRAWN)
        assert desk.at("OUT11") == 1
        desk.part("preset-name").fill("faces")
        desk.act("save-preset").click()
        expect(desk.page.locator('[data-preset="faces"]')).to_be_visible()
        desk.page.locator("#merge_desk_saving :is(button, .label-wrap)").first.click()
        desk.page.locator("#merge_desk_name :is(textarea, input)").fill("my mix")
        desk.page.locator("#merge_desk_mix_save").click()
        expect(desk.part("fact-sheet")).to_contain_text("my mix.safetensors", timeout=DRAWN)
        there = desk.at("OUT05")
        desk.open_again()
        expect(desk.fader("OUT05")).to_have_value(f"{there:g}")
        expect(desk.page.locator("#merge_desk_b input")).to_have_value(re.compile("^pastel"))
        desk.choose("method", "TIES")
        expect(desk.part("no-block-weights")).to_contain_text("TIES has no block weights")
        desk.act("unload").click()
        expect(desk.part("status")).to_contain_text("(original)")
        assert [each for each in desk.complaints if not OFFLINE.search(each)] == []
    finally:
        stop(server)
