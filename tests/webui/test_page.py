"""The desk on the page of a real WebUI: its Gradio, its theme, its own lists and progress bar beside ours."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.driver import DRAWN, SECOND, Desk, expect, sync_api
from tests.webui.conftest import WAYS
from tests.webui.server import WebUI

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
GERMAN = {
    "Restore": "Holen",
    "Presets": "Vorlagen",
    "B, mix in": "B, dazu",
    "Undo (Ctrl+Z)": "Zurück",
}
THEIRS = re.compile(r"font|ERR_NAME_NOT_RESOLVED|ERR_INTERNET|ERR_NETWORK|preload|manifest", re.IGNORECASE)

pytestmark = [
    pytest.mark.webui,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def server(webui: Path, stage: Path) -> Iterator[WebUI]:
    """A WebUI that knows a language in which we speak four words."""
    words = stage / "localizations"
    words.mkdir(exist_ok=True)
    (words / "german.json").write_text(json.dumps(GERMAN), encoding="utf-8")
    with WebUI(webui, stage, *WAYS["float32"], "--localizations-dir", str(words)) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def desk(ui: WebUI, chromium: Any) -> Iterator[Desk]:
    opened = Desk(chromium, ui.url, "Merge Desk", dark=True)
    yield opened
    opened.page.close()


def choose_a_small_picture(desk: Desk) -> None:
    """On the host's own txt2img tab."""
    page = desk.page
    tabs = page.locator("#tabs > .tab-nav")
    tabs.get_by_role("button", name="txt2img", exact=True).click()
    page.locator("#txt2img_prompt textarea").fill("a red circle")
    for name, value in (("steps", 4), ("width", 128), ("height", 128)):
        page.locator(f"#txt2img_{name} input[type=number]").fill(str(value))
    tabs.get_by_role("button", name="Merge Desk", exact=True).click()
    page.wait_for_timeout(2 * SECOND)
    desk.complaints.clear()  # the WebUI's own page complains when width and height are typed, without us too


def test_a_fader_swaps_and_draws_with_the_txt2img_tabs_own_settings(desk: Desk, ui: WebUI) -> None:
    choose_a_small_picture(desk)
    desk.begin("ink", "pastel", live=True)
    desk.drag("OUT05", 0.9)
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    expect(desk.part("status")).to_contain_text("ink + pastel (unsaved) is in memory")
    told = desk.part("told").locator("pre").text_content()
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
    assert [said for said in desk.complaints if not THEIRS.search(said)] == []


def test_choosing_the_loaded_checkpoint_in_the_hosts_list_brings_it_back(desk: Desk, ui: WebUI) -> None:
    before = ui.draw()
    choose_a_small_picture(desk)
    desk.begin("ink", "pastel", live=True)
    desk.drag("OUT05", 0.9)
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    assert ui.status()["live"]
    desk.idle()
    desk.page.locator("#setting_sd_model_checkpoint input").click()
    desk.page.locator("ul.options li:visible").filter(has_text="ink.safetensors").first.click()
    for _ in range(40):
        if not ui.status()["live"]:
            break
        desk.page.wait_for_timeout(250)
    assert ui.status()["live"] is None
    assert ui.draw() == before


def test_our_words_go_through_the_hosts_localisation(ui: WebUI, chromium: Any) -> None:
    ui.options(localization="german")
    ui.reload_page()
    try:
        opened = Desk(chromium, ui.url, "Merge Desk")
        expect(opened.act("restore")).to_have_text("Holen", timeout=20 * SECOND)
        expect(opened.part("presets").locator("b")).to_have_text("Vorlagen")
        expect(opened.page.locator("#merge_desk_b")).to_contain_text("B, dazu")
        expect(opened.act("undo")).to_have_attribute("title", "Zurück")
        opened.page.close()
    finally:
        ui.options(localization="None")


def test_a_pasted_picture_of_a_merge_engages_it_as_an_entry_that_can_be_taken_out(
    desk: Desk, ui: WebUI
) -> None:
    ui.desk("apply", method="weighted_sum", a="ink", b="pastel", alpha=0.5)
    told = ui.draw().infotext
    ui.desk("restore")
    page = desk.page
    page.locator("#tabs > .tab-nav").get_by_role("button", name="txt2img", exact=True).click()
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
    expect(info).not_to_contain_text("Merge recipe")


def test_the_card_of_the_checkpoint_under_a_merge_brings_it_back(desk: Desk, ui: WebUI) -> None:
    ui.desk("apply", method="weighted_sum", a="ink", b="pastel", alpha=0.5)
    desk.page.evaluate("selectCheckpoint('ink')")  # what a click on the card does
    for _ in range(100):
        if ui.status()["live"] is None:
            break
        desk.page.wait_for_timeout(SECOND / 5)
    assert (ui.status()["live"], ui.status()["engaged"]) == (None, False)
