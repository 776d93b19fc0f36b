"""The desk on the page of a real WebUI: its Gradio, its theme, its own lists and progress bar beside ours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lib_merge.desk.table import TABS
from tests.browser.driver import DRAWN, OUTPUTS, SECOND, WAIT, Desk, chromium_browser, expect, needs_chromium
from tests.webui.kinds import kind
from tests.webui.server import WebUI

GERMAN = {
    "Unload merge": "Entladen",
    "Presets": "Vorlagen",
    "B, mix in": "B, dazu",
    "Undo (Ctrl+Z)": "Zurück",
    "IN05": "Eingang 5",
}
# the words of our buttons that the WebUI's own progress bar lies over, once it is there
UNDER_THE_BAR = """() => {
    const box = (each) => each.getBoundingClientRect();
    const bar = document.querySelector("[data-part=progress] .progressDiv");
    if (!bar || !box(bar).width) return null;
    const over = (each) => box(bar).top < box(each).bottom && box(bar).bottom > box(each).top;
    const buttons = [...document.querySelectorAll("#merge_desk_right button")];
    return { words: buttons.filter((each) => box(each).width && over(each)).map((each) => each.textContent) };
}"""
THEIRS = re.compile(r"font|ERR_NAME_NOT_RESOLVED|ERR_INTERNET|ERR_NETWORK|preload|manifest", re.IGNORECASE)

pytestmark = [
    pytest.mark.webui,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    needs_chromium,
]


@pytest.fixture(scope="module")
def server(webui: Path, stage: Path) -> Iterator[WebUI]:
    """A WebUI that knows a language in which we speak four words, and which knows a block's name."""
    words = stage / "localizations"
    words.mkdir(exist_ok=True)
    (words / "german.json").write_text(json.dumps(GERMAN), encoding="utf-8")
    flags = [flag.format(webui=webui) for flag in kind(webui).page.split()]
    with WebUI(webui, stage, "float32", "--localizations-dir", str(words), *flags) as running:
        running.load("ink")
        OUTPUTS[running.url] = running.data / "merge-desk"
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with chromium_browser() as browser:
        yield browser


@pytest.fixture
def desk(ui: WebUI, chromium: Any) -> Iterator[Desk]:
    opened = Desk(chromium, ui.url, "Merge Desk", dark=True)
    yield opened
    opened.page.close()


def ours(desk: Desk) -> list[str]:
    """What the page complained of that is not the lack of an internet."""
    return [said for said in desk.complaints if not THEIRS.search(said)]


def open_tab(page: Any, name: str) -> None:
    """One of the host's own tabs; their role differs between Gradio 3 and 4, their names' case in Forge."""
    tabs = page.locator("#tabs > .tab-nav button")
    tabs.filter(has_text=re.compile(rf"^\s*{re.escape(name)}\s*$", re.IGNORECASE)).click()


def choose_a_small_picture(desk: Desk) -> None:
    """On the host's own txt2img tab."""
    page = desk.page
    open_tab(page, "txt2img")
    page.locator("#txt2img_prompt textarea").fill("a red circle")
    for name, value in (("steps", 4), ("width", 128), ("height", 128)):
        page.locator(f"#txt2img_{name} input[type=number]").fill(str(value))
    open_tab(page, "Merge Desk")
    page.wait_for_timeout(2 * SECOND)
    desk.complaints.clear()  # the WebUI's own page complains when width and height are typed, without us too


def set_steps(desk: Desk, steps: int) -> None:
    """On the host's own txt2img tab."""
    open_tab(desk.page, "txt2img")
    desk.page.locator("#txt2img_steps input[type=number]").fill(str(steps))
    open_tab(desk.page, "Merge Desk")


def open_page_again(desk: Desk, before_the_tab: Callable[[], None] = lambda: None) -> None:
    """Reload the page, and come back to our tab."""
    desk.page.wait_for_timeout(SECOND)  # until the last change is kept
    desk.open_again()
    desk.page.wait_for_selector("#txt2img_prompt textarea")
    before_the_tab()
    open_tab(desk.page, "Merge Desk")
    expect(desk.page.locator("[data-mount=faders][data-resumed]")).to_be_attached()


def wait_until_unloaded(desk: Desk, ui: WebUI) -> None:
    """Until no merge is in memory."""
    for _ in range(WAIT // SECOND):
        if ui.status()["live"] is None:
            return
        desk.page.wait_for_timeout(SECOND)
    raise AssertionError("the merge stays in memory")


# first: a page that was closed in the middle of an event keeps Gradio 3.41 from stopping, without us too
def test_our_words_go_through_the_hosts_localisation(ui: WebUI, chromium: Any) -> None:
    ui.options(localization="german")
    ui.reload_page()
    try:
        opened = Desk(chromium, ui.url, "Merge Desk")
        expect(opened.act("unload")).to_have_text("Entladen", timeout=20 * SECOND)
        expect(opened.part("presets").locator("h3")).to_have_text("Vorlagen")
        expect(opened.page.locator("#merge_desk_b")).to_contain_text("B, dazu")
        expect(opened.act("undo")).to_have_attribute("title", "Zurück")
        expect(opened.page.locator("[data-slot=IN05] .md-slot")).to_have_text("IN05")
        opened.page.close()
    finally:
        ui.options(localization="None")


def test_a_fader_swaps_and_draws_with_the_txt2img_tabs_own_settings(desk: Desk, ui: WebUI) -> None:
    choose_a_small_picture(desk)
    desk.begin("ink", "pastel", live=True)
    desk.drag("OUT05", 0.9)
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    expect(desk.part("status")).to_contain_text("Loaded: ink + pastel (unsaved)")
    told = desk.part("infotext").locator("pre").text_content()
    assert "a red circle" in told
    assert "Size: 128x128" in told
    assert "Merge recipe:" in told
    amount = desk.at("OUT05")
    saved = {"method": "weighted_sum", "a": "ink", "b": "pastel", "alpha": {"OUT05": amount}}
    ui.desk("save", **saved, name="mix", overwrite=True)
    live = ui.draw()
    ui.desk("restore")
    ui.pick("mix")
    assert ui.draw() == live
    assert ours(desk) == []


def test_choosing_the_loaded_checkpoint_in_the_hosts_list_brings_it_back(desk: Desk, ui: WebUI) -> None:
    before = ui.draw()
    choose_a_small_picture(desk)
    desk.begin("ink", "pastel", live=True)
    desk.drag("OUT05", 0.9)
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    assert ui.status()["live"]
    desk.idle()
    desk.page.locator(ui.kind.chooser).click()
    desk.page.locator("ul.options li:visible").filter(has_text="ink.safetensors").first.click()
    wait_until_unloaded(desk, ui)
    assert ui.draw() == before


def test_enter_on_the_loaded_checkpoint_in_the_hosts_list_brings_it_back(desk: Desk, ui: WebUI) -> None:
    before = ui.draw()
    box = desk.page.locator(ui.kind.chooser)
    if "ink" not in box.input_value():  # Neo's list does not show what its API has chosen
        box.click()
        desk.page.locator("ul.options li:visible").filter(has_text="ink.safetensors").first.click()
        expect(box).to_have_value(re.compile("ink"))
    for _ in range(2):  # at the first time Gradio 4 has an active entry, later none
        ui.desk("apply", method="weighted_sum", a="ink", b="pastel", alpha=0.5)
        box.click()
        expect(desk.page.locator("ul.options li:visible").filter(has_text="ink.safetensors")).to_have_count(1)
        box.press("Enter")
        wait_until_unloaded(desk, ui)
    assert ui.draw() == before


def test_a_page_that_is_opened_again_is_as_it_was_left(desk: Desk, ui: WebUI) -> None:
    choose_a_small_picture(desk)
    desk.begin("ink", "pastel", live=True)
    desk.drag("OUT05", 0.9)
    desk.idle()
    amounts, merge = desk.text(), ui.status()["live"]["id"]
    picture = desk.picture().get_attribute("src")
    open_page_again(desk)
    expect(desk.picture()).to_have_attribute("src", picture)
    assert desk.text() == amounts
    fields = [
        desk.page.locator(f"#txt2img_{name} input[type=number]") for name in ("steps", "width", "height")
    ]
    assert [field.input_value() for field in fields] == ["4", "128", "128"]
    assert desk.page.locator("#txt2img_prompt textarea").input_value() == "a red circle"
    desk.page.wait_for_timeout(3 * SECOND)
    expect(desk.part("busy")).to_be_hidden()  # nothing has changed, so nothing is generated again
    expect(desk.part("status")).to_contain_text("Loaded: ink + pastel (unsaved)")
    assert ui.status()["live"]["id"] == merge
    desk.act("unload").click()
    expect(desk.part("status")).not_to_contain_text("(unsaved)")
    assert ui.status()["live"] is None
    assert ours(desk) == []


def test_a_prompt_that_was_typed_before_our_tab_was_opened_stays(desk: Desk) -> None:
    choose_a_small_picture(desk)
    desk.begin("ink", "pastel")
    desk.drag("OUT05", 0.9)
    prompt = desk.page.locator("#txt2img_prompt textarea")
    open_page_again(desk, lambda: prompt.fill("a blue square"))
    assert desk.at("OUT05") > 0
    desk.page.wait_for_timeout(2 * SECOND)
    assert prompt.input_value() == "a blue square"


def test_undo_brings_the_hosts_prompt_back(desk: Desk) -> None:
    choose_a_small_picture(desk)
    desk.begin("ink", "pastel")
    prompt = desk.page.locator("#txt2img_prompt textarea")
    open_tab(desk.page, "txt2img")
    prompt.fill("a blue square")
    open_tab(desk.page, "Merge Desk")
    expect(desk.act("undo")).to_be_enabled()
    desk.page.wait_for_timeout(2 * SECOND)
    desk.act("undo").click()
    expect(prompt).to_have_value("a red circle")
    desk.act("redo").click()
    expect(prompt).to_have_value("a blue square")


def test_the_page_counts_the_steps_of_a_picture(desk: Desk) -> None:
    choose_a_small_picture(desk)
    set_steps(desk, 60)
    desk.begin("ink", "pastel", live=True)
    desk.drag("OUT05", 0.9)
    covered = desk.page.wait_for_function(UNDER_THE_BAR).json_value()
    expect(desk.part("busy")).to_contain_text(re.compile(r"step \d+ of 60"), timeout=DRAWN)
    assert covered["words"] == []
    desk.idle()
    assert ours(desk) == []


def test_a_pasted_picture_of_a_merge_engages_it_as_an_entry_that_can_be_taken_out(
    desk: Desk, ui: WebUI
) -> None:
    ui.desk("apply", method="weighted_sum", a="ink", b="pastel", alpha=0.5)
    told = ui.draw().infotext
    ui.desk("restore")
    page = desk.page
    open_tab(page, "txt2img")
    page.locator("#txt2img_prompt textarea").fill(told)
    page.locator("#txt2img_tools #paste").click()
    entry = page.locator("#txt2img_override_settings .token").filter(has_text="Merge recipe")
    expect(entry).to_be_visible(timeout=DRAWN)
    info = page.locator("#html_info_txt2img").first
    page.locator("#txt2img_generate").click()
    expect(info).to_contain_text("Model: ink + pastel (unsaved)", timeout=DRAWN)
    entry.locator(".token-remove").click()
    expect(entry).to_have_count(0)
    page.locator("#txt2img_generate").click()
    expect(info).to_contain_text("Model: ink,", timeout=DRAWN)
    last = info.text_content().rpartition("Steps:")[2]  # Neo's page names the picture before, too
    assert "Model: ink," in last
    assert "Merge recipe" not in last


def test_the_card_of_the_checkpoint_under_a_merge_brings_it_back(desk: Desk, ui: WebUI) -> None:
    ui.desk("apply", method="weighted_sum", a="ink", b="pastel", alpha=0.5)
    desk.page.evaluate("selectCheckpoint('ink')")  # what a click on the card does
    wait_until_unloaded(desk, ui)
    assert not ui.status()["engaged"]


def test_a_merge_is_saved_from_the_page(desk: Desk, ui: WebUI) -> None:
    desk.begin("ink", "pastel")
    desk.drag("OUT05", 0.9)
    desk.page.locator("#merge_desk_saving :is(button, .label-wrap)").first.click()
    desk.page.locator("#merge_desk_name :is(textarea, input)").fill("again")
    desk.page.locator("#merge_desk_mix_save").click()
    expect(desk.part("fact-sheet")).to_contain_text("again.safetensors", timeout=60 * SECOND)
    assert "again" in ui.status()["checkpoints"]
    assert (ui.checkpoints / "again.safetensors").is_file()
    assert ours(desk) == []


def test_every_tab_is_drawn(desk: Desk) -> None:
    desk.begin("ink", "pastel")
    buttons = desk.page.locator("#merge_desk_tabs > .tab-nav > button")  # in Gradio 3 without ids
    for number, tab in enumerate(TABS[1:], start=1):
        buttons.nth(number).click()
        expect(desk.page.locator(f"[data-mount={tab.name}]")).to_be_visible(timeout=20 * SECOND)
    assert ours(desk) == []
