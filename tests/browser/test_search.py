"""The tab *Search* in a real browser: what is searched, trials as they end, pause, go on, stop, take, F5."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

from tests.browser.driver import DRAWN, Desk, expect


@pytest.fixture(scope="module")
def desk(chromium: Any, address: str) -> Desk:
    opened = Desk(chromium, address)
    opened.begin()
    for field in ("width", "height"):
        opened.fill(field, "64")
    opened.page.locator("#merge_desk_tab_search-button").click()
    expect(opened.part("search-wrong")).to_contain_text("2 things are missing")
    return opened


def field(desk: Desk, name: str) -> Any:
    return desk.page.locator(f"[data-field={name}]")


def target(desk: Desk, name: str) -> Any:
    return desk.page.locator(f'[data-target="{name}"]')


def trials(desk: Desk, state: str = "done") -> Any:
    return desk.page.locator(f".md-trial-card[data-state={state}]")


def test_blocks_are_picked_and_the_text_follows_both_ways(desk: Desk) -> None:
    text = desk.part("search-space")
    target(desk, "IN").click()
    target(desk, "OUT05").click()
    expect(text).to_have_value("IN: 0..1 step 0.05\nOUT05: 0..1 step 0.05")
    expect(target(desk, "IN")).to_have_attribute("aria-pressed", "true")
    desk.page.locator("[data-space=IN] [data-part=search-tie]").select_option("tied")
    expect(text).to_have_value("IN: tied 0..1 step 0.05\nOUT05: 0..1 step 0.05")
    target(desk, "OUT05").click()
    expect(text).to_have_value("IN: tied 0..1 step 0.05")
    text.fill("IN: tied 0..1\nM00: 0..1\nOUT: by level 0..1")
    expect(desk.page.locator("[data-space]")).to_have_count(3)
    expect(target(desk, "M00")).to_have_attribute("aria-pressed", "true")


def test_the_plan_is_shown_before_the_start_and_so_are_mistakes(desk: Desk) -> None:
    desk.part("search-add-score-0").select_option("contrast")
    field(desk, "trials").fill("6")
    field(desk, "seeds").fill("1, often")
    expect(desk.part("search-wrong")).to_contain_text("'often' is no number")
    expect(desk.act("search-start")).to_be_disabled()
    field(desk, "seeds").fill("1")
    expect(desk.part("search-plan")).to_contain_text("7 numbers to find, 1 picture per trial, 6 trials")
    expect(desk.part("search-wrong")).to_be_empty()
    expect(desk.act("search-start")).to_be_enabled()


def test_trials_come_as_they_end_and_a_pause_gives_the_model_back(desk: Desk) -> None:
    desk.act("search-start").click()
    expect(trials(desk).first).to_be_visible(timeout=DRAWN)
    desk.act("search-pause").click()
    expect(desk.part("search-status")).to_contain_text("Paused.", timeout=DRAWN)
    expect(desk.part("search-best-title")).to_contain_text("Best so far: trial")
    assert not desk.part("status").text_content().count("(unsaved)")


def test_a_page_that_is_opened_again_shows_the_study_and_goes_on(desk: Desk) -> None:
    before = trials(desk).count()
    desk.open_again()
    expect(desk.page.locator("[data-mount=faders][data-resumed]")).to_be_attached()
    desk.page.locator("#merge_desk_tab_search-button").click()
    expect(trials(desk)).to_have_count(before)
    expect(desk.part("search-status")).to_contain_text("Paused.")
    expect(field(desk, "trials")).to_have_value("6")
    desk.act("search-go").click()
    expect(desk.part("search-status")).to_have_text("The search has ended: 6 trials are done.", timeout=DRAWN)
    expect(trials(desk)).to_have_count(6)


def test_a_trial_is_taken_to_the_desk_and_undone(desk: Desk) -> None:
    value = re.search(r"IN (\S+),", desk.part("search-changed").text_content())
    assert value, desk.part("search-changed").text_content()
    desk.act("search-take").click()
    expect(desk.page.locator("#merge_desk_tab_mix-button")).to_have_attribute("aria-selected", "true")
    number = desk.page.locator("[data-slot=IN03] .md-number")
    shown = f"{round(float(value[1]), 3):g}"  # a box has three decimals
    expect(number).to_have_value(shown)
    desk.act("undo").click()
    expect(number).not_to_have_value(shown)


def test_a_search_is_stopped_and_its_trials_are_kept(desk: Desk) -> None:
    desk.page.locator("#merge_desk_tab_search-button").click()
    desk.page.get_by_text("What to search, and by which score").click()
    field(desk, "trials").fill("500")
    desk.act("search-go").click()
    expect(trials(desk)).not_to_have_count(6, timeout=DRAWN)
    desk.act("search-stop").click()
    expect(desk.part("search-status")).to_have_text("The search has ended: stopped.", timeout=DRAWN)
    assert trials(desk).count() > 6
    desk.page.locator("#merge_desk_tab_history-button").click()
    expect(desk.page.locator("[data-entry]").first).to_contain_text("searched")


def test_a_search_waits_behind_a_grid_and_is_shown_when_it_begins(desk: Desk) -> None:
    desk.show("grid")
    expect(desk.act("grid-add")).to_be_enabled()
    desk.page.locator("[data-values=x]").fill("0-1 [9]")
    desk.act("grid-start").click()
    expect(desk.act("grid-stop")).to_be_enabled()
    desk.page.locator("#merge_desk_tab_search-button").click()
    desk.page.get_by_text("What to search, and by which score").click()
    desk.part("search-space").fill("OUT: tied 0..1")
    field(desk, "trials").fill("2")
    field(desk, "study").fill("behind a grid")
    expect(desk.act("search-add")).to_be_enabled()
    desk.act("search-add").click()
    expect(desk.part("search-queue")).to_contain_text("Waiting:")
    expect(desk.part("search-studies")).to_have_value("behind a grid", timeout=DRAWN)
    expect(desk.part("search-status")).to_have_text("The search has ended: 2 trials are done.", timeout=DRAWN)
    expect(trials(desk)).to_have_count(2)
    expect(desk.part("search-queue")).to_be_empty()
    assert desk.complaints == []
