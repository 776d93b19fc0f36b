"""Whether everybody can use the page: axe-core in every tab, headings, the keyboard, 200 % zoom."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib_merge.library.history import History
from lib_merge.recipe import parse_recipe
from tests.browser.driver import VIEW, Desk, expect

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
RECIPE = 'merge-desk recipe 2\nA = "ink.safetensors"\nB = "base.safetensors"\n' + (
    "M = weighted_sum(A, B, alpha = {OUT05: 0.7, *: 0.2})\nsave M, dtype = fp16\n"
)
TABS = ("mix", "weights", "grid", "search", "report", "methods", "history")
# what is wrong by axe-core's rules, within what this project draws: what Gradio draws is not ours
FINDINGS = """() => axe.run({ include: ".merge-desk" }, {
    rules: { "label-content-name-mismatch": { enabled: true }, "target-size": { enabled: true } },
}).then(({ violations }) => violations
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .flatMap(({ id, nodes }) => nodes.map(({ html, any }) =>
        `${id}: ${html.slice(0, 150)} ${any[0]?.message ?? ""}`)))"""
HEADINGS = """() => [...document.querySelectorAll(".merge-desk :is(h2, h3)")]
    .filter((each) => each.offsetParent).map((each) => each.textContent)"""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"

pytestmark = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there: npm ci")


@pytest.fixture(scope="module")
def server_words() -> tuple[str, ...]:
    return ("--paper",)


@pytest.fixture(scope="module")
def models(models: Path) -> Path:
    """The samples, and a history with a merge in it."""
    output = models.parent / "output"
    output.mkdir()
    History(output).add(parse_recipe(RECIPE), picture=Image.new("RGB", (64, 64)))
    return models


@pytest.fixture(scope="module")
def desk(chromium: Any, address: str) -> Generator[Desk]:
    opened = Desk(chromium, address)
    opened.begin("ink", "pastel")
    opened.page.emulate_media(reduced_motion="reduce")  # else a colour is measured on its way
    opened.page.add_script_tag(path=AXE)
    yield opened
    opened.page.close()


def show(desk: Desk, tab: str) -> None:
    """A tab with something in it."""
    desk.show(tab)
    if tab == "weights":
        desk.part("rules").fill("OUT: 0.5")
        desk.act("test-rules").click()
        expect(desk.part("rule-test").locator("table").first).to_be_visible()
    elif tab == "report":
        desk.act("report-compare").click()
        expect(desk.page.locator(".md-title")).to_be_visible()
    elif tab == "grid":
        expect(desk.part("grid-plan")).to_contain_text("cells")
    elif tab == "search":
        expect(desk.part("search-wrong")).to_contain_text("2 things are missing")
        desk.page.locator("[data-target=IN]").click()
        expect(desk.page.locator("[data-space=IN]")).to_be_visible()
        desk.part("search-add-score-0").select_option("closeness")
        expect(desk.page.locator("[data-scorer=closeness]")).to_be_visible()
    elif tab == "methods":
        desk.part("methods-query").fill("weighted")
        expect(desk.page.locator("[data-method=weighted_sum]")).to_be_visible()
        expect(desk.page.locator("[data-method=ties]")).to_be_hidden()
        desk.part("methods-query").fill("")
        expect(desk.page.locator("[data-method=ties]")).to_be_visible()
    elif tab == "history":
        expect(desk.page.locator("[data-entry]")).to_be_visible()
    desk.page.mouse.move(0, 0)


def test_every_tab_can_be_read_and_hit_in_light_and_dark_and_at_twice_the_size(desk: Desk) -> None:
    """One page for all: a tab in each theme by axe-core's rules, its headings, and no scroll to the side."""
    found: dict[str, list[str]] = {}
    for tab in TABS:
        show(desk, tab)
        for theme in ("light", "dark"):
            desk.page.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
            found[f"{tab} {theme}"] = desk.page.evaluate(FINDINGS)
        headings = desk.page.evaluate(HEADINGS)
        assert len(headings) > 1, f"{tab} has a heading for itself and for its parts"
        desk.page.set_viewport_size({side: size // 2 for side, size in VIEW.items()})
        assert desk.page.evaluate(WIDER) <= 0, f"{tab} at 200 %"
        desk.page.set_viewport_size(VIEW)
    assert {place: what for place, what in found.items() if what} == {}


def test_one_key_passes_the_board(desk: Desk) -> None:
    """A link before the faders leads to the pictures: beyond some 70 stops of faders and presets."""
    show(desk, "mix")
    desk.page.locator(".md-skip").focus()
    desk.page.keyboard.press("Enter")
    desk.page.keyboard.press("Tab")
    within = "document.querySelector('#merge_desk_preview').contains(document.activeElement)"
    assert desk.page.evaluate(within)
