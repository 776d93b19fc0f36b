"""The room Report in a real browser: what is asked, what is shown, and what a click does to the faders."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.browser.driver import VIEW, Desk, expect, start, stop
from tests.support.gradio_env import PINS, python_with_gradio
from tests.support.merging import rewrite


@pytest.fixture(scope="module")
def models(models: Path) -> Path:
    """The samples, and pastel with a damaged middle block."""
    pastel = load_file(models / "pastel.safetensors")
    draw = torch.Generator().manual_seed(1)
    damage = {
        key: (x + torch.randn(x.shape, generator=draw) * x.float().std() * 2).to(x.dtype)
        for key, x in pastel.items()
        if ".middle_block." in key and x.ndim > 1
    }
    rewrite(models / "pastel.safetensors", damage, models / "torn.safetensors")
    return models


@pytest.fixture(scope="module")
def server_words() -> tuple[str, ...]:
    return ("--paper",)


def opened(chromium: Any, address: str, theme: str = "light") -> Desk:
    """The desk with ink and torn on it, its room Report in front."""
    desk = Desk(chromium, f"{address}?__theme={theme}")
    desk.begin("ink", "torn")
    desk.page.locator("#merge_desk_tabs button:visible", has_text="Report").last.click()
    expect(desk.act("report-compare")).to_be_enabled()
    return desk


@pytest.fixture
def desk(chromium: Any, address: str) -> Generator[Desk]:
    found = opened(chromium, address)
    yield found
    found.page.close()


def compare(desk: Desk, kind: str = "weights", *models: str) -> None:
    for name in models:
        desk.page.locator(f'[data-model="{name}"]').check()
    desk.page.locator("[data-report=kind]").select_option(kind)
    desk.act("report-compare").click()
    expect(desk.act("report-stop")).to_be_disabled()
    expect(desk.page.locator(".md-title")).to_be_visible()


def pressed(desk: Desk, slot: str, kind: str) -> bool:
    found = desk.page.locator(f"[data-slot={slot}] [data-kind={kind}]")
    return found.get_attribute("aria-pressed") == "true"


def test_a_broken_block_is_named_and_a_click_takes_as(desk: Desk) -> None:
    compare(desk)
    finding = desk.page.locator(".md-findings li")
    expect(finding).to_have_count(1)
    expect(finding).to_contain_text("M00 of torn looks broken")
    finding.get_by_role("button", name="Take ink's M00").click()
    assert pressed(desk, "M00", "mute")
    desk.part("report-status").get_by_role("button").click()
    expect(desk.fader("M00")).to_be_visible()
    assert desk.complaints == []


def test_a_click_on_a_bar_or_a_row_solos_its_fader(desk: Desk) -> None:
    compare(desk)
    desk.page.locator("[data-bar=M00]").click()
    assert pressed(desk, "M00", "solo")
    desk.part("report-tables").locator("summary").click()
    desk.page.locator("[data-row=OUT05]").click()
    assert pressed(desk, "OUT05", "solo")
    expect(desk.part("report-status")).to_contain_text("OUT05 is soloed")
    desk.page.locator("[data-row=IN02]").press("Enter")
    assert (pressed(desk, "OUT05", "solo"), pressed(desk, "IN02", "solo")) == (False, True)


def test_many_models_are_ranked_by_the_total_that_is_clicked(desk: Desk) -> None:
    compare(desk, "attention", "pastel", "base")
    places = desk.page.locator(".md-ranking tbody th")
    assert places.all_inner_texts()[-1] == "3. torn"
    desk.page.locator("[data-rank=output]").click()
    assert desk.page.locator("[data-rank=output]").get_attribute("aria-pressed") == "true"
    expect(desk.page.locator(".md-title")).to_contain_text("seed 114514")
    expect(desk.page.locator(".md-model-line")).to_have_count(3)
    expect(desk.page.locator("[data-unet=torn] [data-bar=OUT05]")).to_be_visible()
    desk.part("report-tables").locator("summary").click()
    table = desk.page.locator("[data-report=table]")
    table.select_option(label="Table by model (inputs)")
    heads = desk.part("report-table").locator("thead th").all_inner_texts()
    assert heads == ["model", "IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "MID0", "total"]


def test_the_files_that_it_hands_out_hold_the_report(desk: Desk) -> None:
    compare(desk, "asim2")
    with desk.page.expect_download() as got:
        desk.act("report-json").click()
    assert got.value.suggested_filename == "report-asim2.json"
    data = json.loads(Path(got.value.path()).read_text())
    assert (data["kind"], data["reference"]["name"], data["models"][0]["name"]) == ("asim2", "ink", "torn")
    desk.act("report-plot").click()
    expect(desk.page.locator(".md-plot")).to_be_visible()


def test_health_is_checked_and_a_wish_without_models_is_refused(desk: Desk) -> None:
    desk.act("report-check").click()
    expect(desk.page.locator("[data-health=ink]")).to_contain_text("nothing is wrong")
    desk.page.locator('[data-model="torn"]').uncheck()
    assert desk.act("report-compare").is_disabled()


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_tab_in_both_themes(chromium: Any, address: str, theme: str, cache: Path) -> None:
    desk = opened(chromium, address, theme)
    compare(desk)
    desk.page.mouse.move(0, 0)
    desk.page.screenshot(path=cache / f"report-{theme}.png", full_page=True)
    wide = desk.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= VIEW["width"]
    desk.page.close()


@pytest.mark.slow
@pytest.mark.parametrize("version", PINS)
def test_the_tab_works_on_the_gradio_of_a_webui(
    version: str, chromium: Any, models: Path, cache: Path, tmp_path: Path
) -> None:
    server, address = start(python_with_gradio(version, cache), models, tmp_path / "out", "--paper")
    try:
        desk = opened(chromium, address)
        expect(desk.page.locator('[data-model="torn"]')).to_be_checked()
        desk.page.locator("[data-report=seed]").wait_for(state="detached")
        desk.page.locator("[data-report=kind]").select_option("sdsim")
        expect(desk.page.locator("[data-report=seed]")).to_have_value("114514")
        desk.act("report-compare").click()  # there is no torch beside these Gradios, which is said
        expect(desk.part("report-problem").get_by_role("alert")).to_contain_text(re.compile("torch"))
        desk.page.evaluate("mergeDesk.open('mix')")
        expect(desk.fader("M00")).to_be_visible()
    finally:
        stop(server)
