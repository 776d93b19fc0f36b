"""Merges and their pictures in a real browser, on the samples."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import pytest
from PIL import Image

from tests.browser.driver import DRAWN, SECOND, Desk, expect

COUNT_APPLIED = """() => {
    window.applied = new Set();
    const note = () => {
        const said = document.querySelector("#merge_desk_mix_apply_response [data-merge-desk]");
        if (said) window.applied.add(said.dataset.at);
    };
    const all = { subtree: true, childList: true, attributes: true };
    new MutationObserver(note).observe(document.querySelector("#merge_desk_payloads"), all);
}"""
HOST_LIST = """document.body.insertAdjacentHTML(
    "beforeend",
    `<div class="model_selection"><input id="host-input">
    <ul><li id="host-entry" class="active" aria-selected="true">base</li></ul></div>`
)"""


def pixels(picture: Any) -> bytes:
    return pixels_of(picture.get_attribute("src"))


def pixels_of(source: str) -> bytes:
    with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) as picture:
        return picture.convert("RGB").tobytes()


@pytest.mark.slow
def test_letting_go_of_a_fader_swaps_and_draws_and_restore_takes_it_back(desk: Desk) -> None:
    desk.begin("base", "pastel", live=True)
    desk.drag("OUT05", 0.9)
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    expect(desk.part("status")).to_contain_text("Loaded: base + pastel (unsaved)")
    first = desk.picture().get_attribute("src")
    desk.page.locator('[data-preset="ALL_B"]').click()
    expect(desk.picture("before")).to_be_visible(timeout=DRAWN)
    assert desk.picture("before").get_attribute("src") == first
    changed = desk.picture().get_attribute("src")
    assert pixels_of(changed) != pixels_of(first)
    desk.act("undo").click()
    desk.page.wait_for_function(
        "([frame, other]) => document.querySelector(frame).src !== other",
        arg=["[data-frame=now] img", changed],
        timeout=DRAWN,
    )
    # the same settings, the same picture, though it tells its files' hashes by now
    assert pixels(desk.picture()) == pixels_of(first)
    expect(desk.part("status")).to_contain_text("blocks changed in")
    # Live follows the picture's own fields, too
    shown = desk.picture().get_attribute("src")
    desk.write("seed", "-1")
    expect(desk.picture()).not_to_have_attribute("src", shown, timeout=DRAWN)
    assert re.search(r"Seed: \d+", desk.part("infotext").text_content())
    desk.act("unload").click()
    expect(desk.part("status")).to_have_text("Loaded: base (original).", timeout=DRAWN)
    expect(desk.page.locator("[data-act=generate].md-pending")).to_be_visible()
    assert desk.complaints == []


@pytest.mark.slow
def test_a_drag_of_an_overridden_fader_names_the_rule_that_overrides_it(desk: Desk) -> None:
    desk.begin("base", "pastel")
    desk.show("weights")
    desk.part("rules").fill("OUT: 0.9")
    desk.act("use-rules").check()
    desk.show("mix")
    desk.act("generate").click()
    expect(desk.part("status")).to_contain_text("blocks changed in", timeout=DRAWN)
    desk.idle()
    desk.drag("OUT05", 0.3)
    desk.act("generate").click()
    expect(desk.part("status")).to_contain_text("OUT05 is set to 0.9 by the rule OUT: 0.9", timeout=DRAWN)
    expect(desk.part("status")).not_to_contain_text("Nothing changed")
    desk.idle()
    desk.page.evaluate("window.dispatchEvent(new Event('focus'))")  # nor later
    desk.page.wait_for_timeout(2 * SECOND)
    expect(desk.part("status")).to_contain_text("OUT05 is set to 0.9")
    # the selected entry of a WebUI's list, of which Gradio tells nothing when it is selected again
    desk.page.evaluate(HOST_LIST)
    desk.page.locator("#host-entry").dispatch_event("mousedown")
    expect(desk.part("status")).to_contain_text("(original)", timeout=DRAWN)
    desk.idle()
    desk.act("generate").click()
    expect(desk.part("status")).to_contain_text("(unsaved)", timeout=DRAWN)
    desk.idle()
    desk.page.locator("#host-input").press("Enter")
    expect(desk.part("status")).to_contain_text("(original)", timeout=DRAWN)


def held_merge(desk: Desk) -> None:
    """Base and other, with a fader, a rule and Adjust, drawn."""
    desk.begin("base", "other")
    desk.show("weights")
    desk.part("rules").fill("IN: 0.2")
    desk.act("use-rules").check()
    contrast = desk.page.locator("[data-adjust=contrast] input")
    contrast.focus()
    contrast.press("ArrowRight")
    desk.show("mix")
    desk.choose("vae", "B's")
    desk.drag("OUT05", 0.5)
    desk.act("generate").click()
    expect(desk.part("status")).to_contain_text("Loaded: base + other (unsaved)", timeout=DRAWN)
    desk.idle()


@pytest.mark.slow
def test_a_page_that_is_opened_again_continues_with_the_merge_in_memory_and_draws_nothing(desk: Desk) -> None:
    """F4: a reload lost the whole desk."""
    held_merge(desk)
    there = desk.at("OUT05")
    drawn = desk.picture().get_attribute("src")
    prompt = desk.setting("prompt")
    desk.fill("prompt", "a blue square")
    desk.kept()
    desk.open_again()
    expect(desk.fader("OUT05")).to_have_value(f"{there:g}")
    expect(desk.picture()).to_have_attribute("src", drawn)
    expect(prompt).to_have_value("a blue square")
    expect(desk.act("live")).not_to_be_checked()
    desk.act("undo").click()
    expect(prompt).to_have_value("a red circle")
    desk.act("undo").click()
    expect(desk.fader("OUT05")).to_have_value("0")
    desk.act("redo").click()
    expect(desk.fader("OUT05")).to_have_value(f"{there:g}")
    desk.act("redo").click()
    expect(prompt).to_have_value("a blue square")
    expect(desk.page.locator("[data-act=generate].md-pending")).to_be_visible()  # for the new prompt
    expect(desk.page.locator("#merge_desk_b input")).to_have_value("other")
    expect(desk.page.locator("#merge_desk_vae input")).to_have_value("B's")
    expect(desk.part("effects")).to_contain_text("rules IN: 0.2")
    expect(desk.part("effects")).to_contain_text("Adjust contrast 0.1")
    expect(desk.part("status")).to_contain_text("Loaded: base + other (unsaved)")
    desk.page.wait_for_timeout(SECOND)
    assert not desk.page.locator("[data-frame=now].md-busy").is_visible()
    desk.show("weights")
    expect(desk.part("rules")).to_have_value("IN: 0.2")
    assert desk.act("use-rules").is_checked()
    assert desk.complaints == []


@pytest.mark.slow
def test_of_two_windows_each_says_when_the_other_changed_the_merge(
    desk: Desk, chromium: Any, address: str
) -> None:
    held_merge(desk)
    other = Desk(chromium, address)
    expect(other.fader("OUT05")).to_have_value(f"{desk.at('OUT05'):g}")
    other.act("live").press("Space")
    other.drag("IN00", 0.9)
    other.drag("M00", 0.8)
    other.act("generate").click()
    other.idle()
    theirs, mine = other.part("status").text_content(), desk.at("OUT05")
    # a move of the first page says so, and replaces nothing
    desk.drag("OUT05", 0.9)
    desk.act("generate").click()
    expect(desk.part("engaged-notice")).to_contain_text(re.compile("changed elsewhere: .*(IN00|M00) is"))
    assert theirs.startswith(desk.part("status").text_content())
    assert desk.at("OUT05") != mine  # nor is what was set here lost
    desk.act("load-engaged").click()
    expect(desk.fader("M00")).to_have_value(f"{other.at('M00'):g}")
    expect(desk.part("engaged-notice")).to_be_empty()
    # and back again: the second page sees it when it comes into sight
    desk.drag("M00", 0.1)
    desk.act("generate").click()
    desk.idle()
    other.page.wait_for_timeout(SECOND)
    other.page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(other.part("engaged-notice")).to_contain_text(re.compile("changed elsewhere: .*M00 is"))
    other.act("keep-mine").click()
    other.act("generate").click()
    other.idle()
    expect(other.part("engaged-notice")).to_be_empty()
    assert [*desk.complaints, *other.complaints] == []
    other.page.close()


@pytest.mark.slow
def test_holding_the_button_shows_a_and_letting_go_the_merge(desk: Desk) -> None:
    desk.begin("base", "pastel", live=True)
    desk.page.locator('[data-preset="ALL_B"]').click()
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    desk.idle()
    mine = desk.picture().get_attribute("src")
    desk.act("hold").hover()
    desk.page.mouse.down()
    expect(desk.page.locator("[data-frame=now].md-of-a")).to_be_visible(timeout=DRAWN)
    assert desk.picture().get_attribute("src") != mine
    desk.page.mouse.up()
    expect(desk.picture()).to_have_attribute("src", mine)
    expect(desk.part("status")).to_contain_text("base + pastel (unsaved)")


@pytest.mark.slow
def test_stop_ends_the_drawing_and_is_no_error(desk: Desk) -> None:
    """F20: the status named the old merge until the picture was there."""
    desk.write("steps", "900")  # a drawing that is longer than the wait below
    desk.begin("base", "pastel", live=True)
    desk.drag("OUT05", 0.4)
    expect(desk.act("stop")).to_be_enabled()
    expect(desk.part("busy")).to_contain_text(re.compile(r"step \d+ of 900, about \d+ s left"))
    expect(desk.part("status")).to_contain_text("1 block changed in")  # the merge is done before its picture
    desk.act("stop").click()
    expect(desk.part("problem").locator(".md-calm")).to_contain_text("Stopped", timeout=DRAWN)
    expect(desk.act("stop")).to_be_disabled()


@pytest.mark.slow
def test_moves_during_a_drawing_are_drawn_once_as_they_end(desk: Desk) -> None:
    desk.write("steps", "150")  # a drawing that is longer than three drags
    desk.begin("base", "pastel", live=True)
    desk.page.evaluate(COUNT_APPLIED)
    desk.drag("IN00", 0.5)
    expect(desk.act("stop")).to_be_enabled()
    for slot in ("IN01", "IN02", "IN03"):
        desk.drag(slot, 0.5)
    expect(desk.picture("before")).to_be_visible(timeout=DRAWN)
    desk.idle()
    assert desk.page.evaluate("window.applied.size") == 2


@pytest.mark.slow
def test_without_live_nothing_is_drawn_until_it_is_asked_for(desk: Desk) -> None:
    desk.begin("base", "pastel")
    desk.drag("IN00", 0.5)
    expect(desk.page.locator("[data-act=generate].md-pending")).to_be_visible()
    desk.page.wait_for_timeout(SECOND)
    assert not desk.picture().is_visible()
    desk.act("generate").click()
    expect(desk.picture()).to_be_visible(timeout=DRAWN)


@pytest.mark.slow
def test_a_saved_merge_shows_its_facts_and_is_in_the_lists(desk: Desk) -> None:
    """F16: Save did not say where, and went on overwriting."""
    desk.begin("ink", "pastel")
    desk.drag("ALL", 0.5)
    desk.page.locator("#merge_desk_saving :is(button, .label-wrap)").first.click()
    desk.page.locator("#merge_desk_name :is(textarea, input)").fill("my mix")
    desk.page.locator("#merge_desk_mix_save").click()
    expect(desk.part("fact-sheet")).to_contain_text("my mix.safetensors", timeout=DRAWN)
    expect(desk.part("fact-sheet")).to_contain_text("ink.safetensors, pastel.safetensors")
    expect(desk.part("fact-sheet")).to_contain_text(re.compile(rf"Folder\s*[^/]+/{desk.saves_in}"))
    expect(desk.part("fact-sheet")).to_contain_text("no picture was generated with these weights")
    desk.choose("b", "my mix")
    expect(desk.page.locator("#merge_desk_b input")).to_have_value("my mix")
    desk.page.locator("#merge_desk_mix_save").click()
    problem = desk.part("fact-sheet").get_by_role("alert")
    expect(problem).to_contain_text("choose another name, or allow overwriting", timeout=DRAWN)
    overwrite = desk.page.locator("#merge_desk_overwrite input")
    desk.choose("b", "pastel")  # a file is never written over its own ingredient
    overwrite.check()
    desk.page.locator("#merge_desk_mix_save").click()
    expect(desk.part("fact-sheet")).to_contain_text("ink.safetensors, pastel.safetensors", timeout=DRAWN)
    expect(overwrite).not_to_be_checked()  # it was allowed for that file
    desk.page.get_by_label("U-Net from EMA weights").check()
    desk.page.locator("#merge_desk_name :is(textarea, input)").fill("without")
    desk.page.locator("#merge_desk_mix_save").click()
    expect(problem).to_contain_text("no model contains any", timeout=DRAWN)


@pytest.mark.slow
def test_sliders_that_mix_nothing_in_are_said_to_do_so(desk: Desk) -> None:
    """F32: a merge with every slider at 0 was named like any other."""
    desk.begin("base", "pastel")
    desk.act("generate").click()
    expect(desk.part("status")).to_contain_text("which equals base: nothing is mixed in", timeout=DRAWN)
    desk.idle()
    desk.drag("OUT05", 0.5)
    desk.act("generate").click()
    expect(desk.part("status")).to_contain_text("1 block changed", timeout=DRAWN)
    expect(desk.part("status")).not_to_contain_text("nothing is mixed in")


def test_a_refused_save_leaves_no_progress_bar_of_the_webui(desk: Desk) -> None:
    desk.begin("base", "pastel")
    desk.page.evaluate("""() => {  // as AUTOMATIC1111's page does it: the bar goes when its task has ended
        window.randomId = () => `task(${Math.random()})`;
        window.requestProgress = (task, place) => {
            const bar = document.createElement("div");
            bar.className = "progressDiv";
            bar.textContent = "Waiting...";
            place.parentNode.insertBefore(bar, place);
        };
    }""")
    desk.page.locator("#merge_desk_saving :is(button, .label-wrap)").first.click()
    desk.page.locator("#merge_desk_name :is(textarea, input)").fill("a/b")
    desk.page.locator("#merge_desk_mix_save").click()
    expect(desk.part("fact-sheet").get_by_role("alert")).to_contain_text("no folders")
    expect(desk.page.locator(".progressDiv")).to_have_count(0)
    desk.write("steps", "-3")
    desk.act("generate").click()  # and so does a refused move
    expect(desk.part("problem").get_by_role("alert")).to_contain_text("steps")
    expect(desk.page.locator(".progressDiv")).to_have_count(0)
