"""The room History in a real browser: what was merged is there, is restored, and recipes set the desk up."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib_merge.hosts.pictures import png_facts
from lib_merge.recipe import in_infotext
from samples.assemble import assemble
from tests.browser.driver import DRAWN, SECOND, Desk, expect, start, stop, sync_api
from tests.browser.test_desk import NOISE

pytest.importorskip("gradio", reason="Gradio is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RECIPE = 'merge-desk recipe 2\nA = "ink.safetensors"\nB = "base.safetensors"\n' + (
    "M = weighted_sum(A, B, alpha = {OUT05: 0.7, *: 0.2})\nsave M, dtype = fp16\n"
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Generator[Desk]:
    folder = tmp_path_factory.mktemp("history") / "models"
    assemble(folder)
    server, address = start(sys.executable, folder, folder.parent / "output")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = Desk(browser, address)
        opened.begin()
        yield opened
        browser.close()
    stop(server)
    assert [said for said in opened.complaints if not NOISE.search(said)] == []


def room(desk: Desk, name: str) -> None:
    desk.page.locator(f"#merge_desk_room_{name}-button").click()


def test_an_applied_merge_is_in_the_history_named_starred_found_and_restored(desk: Desk) -> None:
    desk.drag("OUT05", 0.5)
    wanted = desk.at("OUT05")
    desk.act("draw").click()
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    desk.idle()
    desk.drag("OUT05", 0.1)
    room(desk, "history")
    entry = desk.page.locator("[data-entry]")
    expect(entry).to_have_count(1, timeout=20 * SECOND)
    expect(entry.locator("img")).to_be_visible()
    entry.locator("input").fill("my favourite")
    entry.locator("input").press("Enter")
    entry.locator("input").blur()
    entry.locator("[data-act=history-star]").click()
    expect(desk.page.locator("[data-entry] [aria-pressed=true]")).to_be_visible(timeout=20 * SECOND)
    desk.part("history-query").fill("favourite")
    desk.part("history-query").press("Enter")
    expect(desk.page.locator("[data-entry] input")).to_have_value("my favourite", timeout=20 * SECOND)
    desk.page.locator("[data-act=history-restore]").click()
    expect(desk.fader("OUT05")).to_be_visible(timeout=20 * SECOND)
    expect(desk.fader("OUT05")).to_have_value(str(wanted), timeout=20 * SECOND)


def test_pasted_text_sets_lists_and_faders(desk: Desk) -> None:
    room(desk, "history")
    desk.part("history-text").fill(RECIPE)
    desk.page.locator("[data-act=history-read]").click()
    expect(desk.fader("OUT05")).to_have_value("0.7", timeout=30 * SECOND)
    expect(desk.page.locator("#merge_desk_b input")).to_have_value("base")
    assert (desk.at("IN00"), desk.at("OUT05")) == (0.2, 0.7)


def test_a_picture_with_a_recipe_sets_the_desk_up(desk: Desk, tmp_path: Path) -> None:
    picture = tmp_path / "drawn.png"
    told = f"a red circle\nSteps: 3, {in_infotext(RECIPE.replace('0.7', '0.4').replace('base', 'other'))}"
    Image.new("RGB", (16, 16)).save(picture, pnginfo=png_facts(told))
    room(desk, "history")
    desk.page.locator("[data-part=history-file]").set_input_files(picture)
    expect(desk.fader("OUT05")).to_have_value("0.4", timeout=30 * SECOND)
    expect(desk.page.locator("#merge_desk_b input")).to_have_value("other")


def test_a_chain_is_swapped_in_as_it_is_and_a_mistake_is_pointed_at(desk: Desk) -> None:
    room(desk, "history")
    desk.part("history-text").fill("ink + base = X\nX x 0.5 + pastel x 0.5 = Y")
    desk.page.locator("[data-act=history-read]").click()
    expect(desk.part("history-recipe")).to_contain_text("Y = weighted_sum(X, pastel", timeout=20 * SECOND)
    desk.page.locator("[data-act=history-apply]").click()
    expect(desk.part("history-done")).to_contain_text("is in memory", timeout=DRAWN)
    desk.part("history-text").fill("ink x 0.5 + = M")
    desk.page.locator("[data-act=history-read]").click()
    problem: Any = desk.part("history-told").get_by_role("alert")
    expect(problem).to_contain_text(re.compile("model is expected"), timeout=20 * SECOND)
    expect(problem).to_contain_text("line 1, column 13")
