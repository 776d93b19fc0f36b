"""The desk in a real browser: the standalone host on the samples, and the Gradio of WebUIs."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.browser.driver import DRAWN, OFFLINE, SECOND, VIEW, Desk, expect, start, stop
from tests.support.full_size import write_tiny
from tests.support.gradio_env import PINS, python_with_gradio

LIST = ", ".join(f"{n / 25:g}" for n in range(26))
COUNT_APPLIED = """() => {
    window.applied = new Set();
    const note = () => {
        const said = document.querySelector("#merge_desk_mix_apply_response [data-merge-desk]");
        if (said) window.applied.add(said.dataset.at);
    };
    const all = { subtree: true, childList: true, attributes: true };
    new MutationObserver(note).observe(document.querySelector("#merge_desk_payloads"), all);
}"""


@pytest.fixture(scope="module")
def models(models: Path) -> Path:
    """The samples, one of another family and one with numbers that are none."""
    write_tiny(models / "xl.safetensors", "sdxl")
    broken = load_file(models / "ink.safetensors")
    broken["model.diffusion_model.output_blocks.5.0.in_layers.0.weight"][0] = float("nan")
    save_file(broken, models / "broken.safetensors")
    return models


@pytest.fixture
def desk(chromium: Any, address: str) -> Generator[Desk]:
    opened = Desk(chromium, address)
    yield opened
    opened.take_out()
    opened.page.close()


# --- without a picture: faders and numbers ---


def test_rules_are_tried_and_drawn_numbers_go_onto_the_faders(desk: Desk) -> None:
    desk.page.locator("#merge_desk_tab_weights-button").click()
    expect(desk.page.locator("[data-adjust=contrast]")).to_be_visible()
    desk.part("rules").fill("0.5*GRAD_V + 0.5*COSINE; OUT: 0.7; exclude FINAL")
    desk.act("test-rules").click()
    expect(desk.part("rule-test")).to_contain_text("OUT: 0.7")
    desk.act("roll").click()
    assert desk.part("rules").input_value() == "uniform(0, 1, seed = 1)"
    desk.page.locator("#merge_desk_tab_mix-button").click()
    expect(desk.part("numbers")).to_have_value(re.compile(r"^0\.\d+, 0\.\d+, "))
    assert desk.complaints == []


def test_what_is_in_effect_stands_above_the_board_and_held_faders_say_so(desk: Desk) -> None:
    desk.begin("base", "pastel")
    desk.page.locator("#merge_desk_tab_weights-button").click()
    desk.part("rules").fill("OUT: 0.9")
    desk.act("use-rules").check()
    contrast = desk.page.locator("[data-adjust=contrast] input")
    contrast.focus()
    contrast.press("ArrowRight")
    desk.page.locator("#merge_desk_tab_mix-button").click()
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


def test_a_method_without_block_weights_disables_the_faders_and_says_why(desk: Desk) -> None:
    desk.begin()
    desk.drag("OUT05", 0.7)
    for title in ("TIES", "DARE", "Adjust", "Model stock"):
        desk.choose("method", title)
        expect(desk.part("no-block-weights")).to_contain_text(f"{title} has no block weights")
        for slot in ("ALL", "IN03", "OUT05"):
            expect(desk.fader(slot)).to_be_disabled()
            expect(desk.fader(slot)).to_have_attribute("aria-disabled", "true")
        assert desk.part("numbers").is_disabled()
    desk.choose("method", "Weighted sum")
    expect(desk.part("no-block-weights")).to_be_hidden()
    assert desk.at("OUT05") == pytest.approx(0.7, abs=0.02)  # nothing is lost
    assert desk.complaints == []


def test_sliders_of_a_method_that_scales_start_where_it_keeps_a(desk: Desk) -> None:
    desk.begin("base", "pastel", live=True)
    desk.choose("method", "Scale (self)")
    expect(desk.page.locator(".md-tips")).to_contain_text("1 keeps A")
    assert desk.text() == [1.0] * 26
    desk.fader("OUT05").press("ArrowLeft")
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    expect(desk.part("problem")).to_have_text("")
    desk.choose("method", "Rotate (Procrustes)")
    expect(desk.page.locator(".md-tips")).to_contain_text("No amount keeps A")
    expect(desk.page.locator("[data-slot=OUT05] [data-kind=solo]")).to_be_disabled()
    assert desk.complaints == []


def test_nothing_hangs_out_of_a_narrow_page(desk: Desk) -> None:
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
    desk.page.locator("#merge_desk_tab_history-button").click()
    expect(desk.part("history-query")).to_be_visible()
    desk.page.set_viewport_size(narrow)
    assert desk.page.evaluate(out, ".merge-desk-history") == []


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


def test_a_method_is_chosen_by_its_card(desk: Desk) -> None:
    desk.page.locator("#merge_desk_tab_methods-button").click()
    expect(desk.page.locator("[data-method=weighted_models]")).to_be_disabled()
    desk.page.locator("[data-method=extract]").click()
    expect(desk.page.locator("#merge_desk_method input")).to_have_value("Extract")
    expect(desk.page.locator("[data-param=beta]")).to_be_visible()
    assert desk.complaints == []


def test_the_tick_aligns_b_to_a_and_says_what_moved(desk: Desk) -> None:
    desk.begin(a="base", b="other")
    desk.page.locator("#merge_desk_align input").check()
    note = desk.page.locator("#merge_desk_align_note")
    expect(note).to_contain_text("groups moved")
    expect(note).to_contain_text("LoRAs trained on B do not fit the result")
    desk.choose("b", "ink")
    expect(note).to_contain_text("already aligned")
    desk.page.locator("#merge_desk_align input").uncheck()
    expect(note).to_be_empty()
    assert desk.complaints == []


def test_the_tab_opens_without_complaints_and_says_what_to_do(desk: Desk) -> None:
    expect(desk.part("next-step")).to_contain_text("Choose B to begin")
    assert desk.fader("OUT05").is_disabled()
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


def test_a_request_without_an_answer_is_shown_and_repeated_by_a_click(desk: Desk) -> None:
    desk.begin()
    desk.page.locator("#merge_desk_tab_weights-button").click()
    expect(desk.page.locator("[data-name=GRAD_V]")).to_be_visible()
    desk.part("rules").fill("OUT: 0.7")
    events = re.compile(r"/queue/join")
    desk.page.route(events, lambda route: route.fulfill(status=503, json={"detail": "Queue is full."}))
    desk.act("test-rules").click()
    failure = desk.page.locator("[data-failed='weights.test']")
    expect(failure).to_contain_text("No response from the server")
    desk.page.unroute(events)
    failure.get_by_role("button", name="Try again").click()
    expect(desk.part("rule-test")).to_contain_text("OUT: 0.7")
    expect(failure).to_be_hidden()
    desk.complaints.clear()  # of the browser, about the connection


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
    desk.begin("base", "pastel")
    method, seed = (desk.page.locator(f"#merge_desk_{name} input") for name in ("method", "seed"))
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


def test_a_method_with_three_models_asks_for_c_and_has_two_sets_of_faders(desk: Desk) -> None:
    desk.begin()
    desk.choose("method", "Triple sum")
    expect(desk.part("next-step")).to_contain_text("Choose C")
    desk.choose("c", "base")
    expect(desk.part("next-step")).to_be_hidden()
    desk.drag("IN00", 0.4)
    desk.page.locator("[data-param=beta]").click()
    assert desk.at("IN00") == 0
    desk.page.locator("[data-param=alpha]").click()
    assert desk.at("IN00") == pytest.approx(0.4, abs=0.02)


def test_swapping_a_and_b_swaps_the_lists(desk: Desk) -> None:
    desk.begin()
    desk.page.locator("#merge_desk_lists_swap").click()
    expect(desk.page.locator("#merge_desk_a input")).to_have_value("pastel")
    expect(desk.page.locator("#merge_desk_b input")).to_have_value("ink")


# --- with pictures ---


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
    desk.page.locator("#merge_desk_seed input").fill("-1")
    desk.page.locator("#merge_desk_seed input").press("Tab")
    expect(desk.picture()).not_to_have_attribute("src", shown, timeout=DRAWN)
    assert re.search(r"Seed: \d+", desk.part("infotext").text_content())
    desk.act("unload").click()
    expect(desk.part("status")).to_have_text("Loaded: base (original).", timeout=DRAWN)
    expect(desk.page.locator("[data-act=generate].md-pending")).to_be_visible()
    assert desk.complaints == []


HOST_LIST = """document.body.insertAdjacentHTML(
    "beforeend",
    `<div class="model_selection"><input id="host-input">
    <ul><li id="host-entry" class="active" aria-selected="true">base</li></ul></div>`
)"""


@pytest.mark.slow
def test_a_drag_of_an_overridden_fader_names_the_rule_that_overrides_it(desk: Desk) -> None:
    desk.begin("base", "pastel")
    desk.page.locator("#merge_desk_tab_weights-button").click()
    desk.part("rules").fill("OUT: 0.9")
    desk.act("use-rules").check()
    desk.page.locator("#merge_desk_tab_mix-button").click()
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
    desk.page.locator("#merge_desk_tab_weights-button").click()
    desk.part("rules").fill("IN: 0.2")
    desk.act("use-rules").check()
    contrast = desk.page.locator("[data-adjust=contrast] input")
    contrast.focus()
    contrast.press("ArrowRight")
    desk.page.locator("#merge_desk_tab_mix-button").click()
    desk.choose("vae", "B's")
    desk.drag("OUT05", 0.5)
    desk.act("generate").click()
    expect(desk.part("status")).to_contain_text("Loaded: base + other (unsaved)", timeout=DRAWN)
    desk.idle()


@pytest.mark.slow
def test_a_page_that_is_opened_again_continues_with_the_merge_in_memory_and_draws_nothing(desk: Desk) -> None:
    held_merge(desk)
    there = desk.at("OUT05")
    drawn = desk.picture().get_attribute("src")
    prompt = desk.page.locator("#merge_desk_prompt textarea")
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
    desk.page.locator("#merge_desk_tab_weights-button").click()
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
    desk.page.locator("#merge_desk_steps input").fill("900")  # a drawing that is longer than the wait below
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
    desk.page.locator("#merge_desk_steps input").fill("150")  # a drawing that is longer than three drags
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
    desk.begin("ink", "pastel")
    desk.drag("ALL", 0.5)
    desk.page.locator("#merge_desk_saving button").first.click()
    desk.page.locator("#merge_desk_name :is(textarea, input)").fill("my mix")
    desk.page.locator("#merge_desk_mix_save").click()
    expect(desk.part("fact-sheet")).to_contain_text("my mix.safetensors", timeout=DRAWN)
    expect(desk.part("fact-sheet")).to_contain_text("ink.safetensors, pastel.safetensors")
    expect(desk.part("fact-sheet")).to_contain_text(re.compile(r"Folder\s*[^/]+/output"))
    expect(desk.part("fact-sheet")).to_contain_text("no picture was generated with these weights")
    desk.choose("b", "my mix")
    expect(desk.page.locator("#merge_desk_b input")).to_have_value("my mix")
    desk.page.locator("#merge_desk_mix_save").click()
    problem = desk.part("fact-sheet").get_by_role("alert")
    expect(problem).to_contain_text("choose another name, or allow overwriting", timeout=DRAWN)


def test_a_b_with_nan_shows_no_marks_of_the_pair_before_and_says_where_it_is(desk: Desk) -> None:
    desk.begin("base", "pastel")
    desk.choose("b", "broken")
    expect(desk.part("legend")).to_contain_text("NaN or infinity in A or B: OUT05")
    expect(desk.page.locator("[data-slot=OUT05].md-not-finite")).to_be_visible()
    expect(desk.page.locator("[data-slot=OUT05].md-marked")).to_have_count(0)
    expect(desk.page.locator("[data-slot=OUT04].md-marked")).to_be_visible()
    assert desk.complaints == []


@pytest.mark.parametrize(("field", "value", "told"), [("steps", "-3", "-3"), ("width", "100", "100")])
def test_a_field_that_nothing_can_be_drawn_with_is_refused_in_one_sentence(
    desk: Desk, field: str, value: str, told: str
) -> None:
    desk.begin("base", "pastel")
    desk.page.locator(f"#merge_desk_{field} input").fill(value)
    desk.page.keyboard.press("Tab")
    desk.drag("OUT05", 0.5)
    desk.act("generate").click()
    problem = desk.part("problem").get_by_role("alert")
    expect(problem).to_contain_text(f"{field} cannot be {told}")
    expect(problem).not_to_contain_text("nternal error")
    expect(desk.part("status")).to_have_text("Loaded: base (original).")


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
    desk.page.locator("#merge_desk_saving button").first.click()
    desk.page.locator("#merge_desk_name :is(textarea, input)").fill("a/b")
    desk.page.locator("#merge_desk_mix_save").click()
    expect(desk.part("fact-sheet").get_by_role("alert")).to_contain_text("no folders")
    expect(desk.page.locator(".progressDiv")).to_have_count(0)
    desk.page.locator("#merge_desk_steps input").fill("-3")
    desk.page.keyboard.press("Tab")
    desk.act("generate").click()  # and so does a refused move
    expect(desk.part("problem").get_by_role("alert")).to_contain_text("steps")
    expect(desk.page.locator(".progressDiv")).to_have_count(0)


@pytest.mark.slow
def test_a_long_name_widens_no_tab_and_the_buttons_of_a_card_are_on_one_line(desk: Desk) -> None:
    desk.begin("base", "pastel")
    desk.drag("ALL", 0.5)
    desk.page.locator("#merge_desk_saving button").first.click()
    desk.page.locator("#merge_desk_name :is(textarea, input)").fill("long" * 37)
    desk.page.locator("#merge_desk_mix_save").click()
    expect(desk.part("fact-sheet")).to_contain_text("longlong", timeout=DRAWN)
    for room in ("mix", "history", "report"):
        desk.page.locator(f"#merge_desk_tab_{room}-button").click()
        expect(desk.page.get_by_text("longlong").locator("visible=true").first).to_be_visible()
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= VIEW["width"]
        if room == "history":
            card = desk.page.locator("[data-entry]").first
            tops = [each.bounding_box()["y"] for each in card.locator("button").all()]
            assert len(tops) == 4
            assert max(tops) - min(tops) < 8


def test_models_that_do_not_fit_are_refused_in_plain_words(desk: Desk) -> None:
    desk.choose("b", "xl")
    expect(desk.part("next-step")).to_be_hidden()
    problem = desk.part("problem").get_by_role("alert")
    expect(problem).to_contain_text("they cannot be merged")  # before any move
    desk.drag("OUT05", 0.5)
    expect(problem).to_contain_text("they cannot be merged")
    expect(problem).to_contain_text("choose models of one family")
    assert desk.at("OUT05") == pytest.approx(0.5, abs=0.02)  # nothing is lost


def test_a_file_that_vanished_is_named(desk: Desk, models: Path) -> None:
    gone = models / "going.safetensors"
    write_tiny(gone)
    desk.page.locator("#merge_desk_lists_refresh").click()
    desk.choose("b", "going")
    expect(desk.part("next-step")).to_be_hidden()
    gone.unlink()
    desk.drag("OUT05", 0.5)
    expect(desk.part("problem").get_by_role("alert")).to_contain_text("going")
    expect(desk.part("problem")).to_contain_text("refresh the list")


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


# --- the Gradio of WebUIs ---


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
