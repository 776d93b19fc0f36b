"""Your eye as the score, in a real browser: thirty clicks by keyboard, on a page that stays usable."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

from tests.browser.driver import DRAWN, Desk, expect, start, stop

CLICKS = 30
WRONG = (6, 16, 26)  # every tenth click is a mistake
LIKED = {"IN": 0.8, "OUT": 0.2}  # what the user prefers without knowing it


@pytest.fixture
def address(models: Path, tmp_path: Path) -> Generator[str]:
    """A page of its own for every try: the search of a first one would still wait for its user."""
    server, address = start(sys.executable, models, tmp_path / "output")
    yield address
    stop(server)


class User:
    """Compares two pictures by how near their weights are to LIKED, with the keys alone."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.study: Any = None

    def start(self) -> None:
        """A search of two numbers by eye, with pictures that are cheap."""
        desk = self.desk
        desk.begin()
        for field, value in (("width", "64"), ("height", "64"), ("steps", "1")):
            desk.fill(field, value)
        desk.page.locator("#merge_desk_tab_search-button").click()
        desk.part("search-space").fill("IN: tied 0..1; OUT: tied 0..1")
        desk.part("search-add-score-0").select_option("eye")
        desk.page.locator("[data-field=trials]").fill(str(CLICKS))
        expect(desk.act("search-start")).to_be_enabled()
        desk.act("search-start").click()
        expect(desk.part("eye-pair")).to_be_visible(timeout=DRAWN)
        import optuna

        database = next(desk.output.glob("**/search.db"))
        name = desk.part("search-studies").input_value()
        self.study = optuna.load_study(study_name=name, storage=f"sqlite:///{database}")

    def distance(self, point: Mapping[str, float]) -> float:
        return sum((point[name] - liked) ** 2 for name, liked in LIKED.items()) ** 0.5

    def distances(self) -> list[float]:
        """Of all trials, by number."""
        trials = self.study.get_trials(deepcopy=False)  # one that begins has some of its numbers
        whole = [len(trial.params) == len(LIKED) for trial in trials]
        return [
            self.distance(trial.params) if has_all else float("inf")
            for trial, has_all in zip(trials, whole, strict=True)
        ]

    def side(self, name: str) -> int:
        """The trial that is shown there."""
        return int(self.desk.page.locator(f"[data-eye={name}]").get_attribute("data-of"))

    def compare(self, count: int) -> None:
        """Click number `count`, from 0, once its pair is there."""
        expect(self.desk.part("eye-clicks")).to_contain_text(f"{count} of {CLICKS} clicks")
        expect(self.desk.page.locator("[data-eye=left][data-of] img").first).to_be_visible(timeout=DRAWN)
        distances = self.distances()
        likes_left = distances[self.side("left")] < distances[self.side("right")]
        self.desk.page.keyboard.press("ArrowLeft" if likes_left is not (count in WRONG) else "ArrowRight")

    def clicks(self) -> int:
        return int(self.desk.part("eye-clicks").text_content().split(" ", 1)[0])


def use_the_tab_mix(user: User) -> None:
    """A slider is moved while the search waits for the user, and its keys are no clicks."""
    desk = user.desk
    before = user.clicks()
    desk.page.locator("#merge_desk_tab_mix-button").click()
    desk.drag("OUT05", 0.6)
    assert abs(desk.at("OUT05") - 0.6) < 0.1
    desk.fader("OUT05").press("ArrowLeft")
    desk.page.locator("#merge_desk_tab_search-button").click()
    name = desk.page.locator("[data-field=study]")
    desk.part("search-setup").locator("summary").first.click()
    name.fill("mine")
    name.press("ArrowLeft")
    name.press("Backspace")
    expect(name).to_have_value("mie")
    desk.part("search-setup").locator("summary").first.click()
    assert user.clicks() == before
    desk.part("eye").focus()


def correct_at_once(user: User) -> None:
    """Backspace right behind a click, before it is answered, takes it back."""
    desk = user.desk
    expect(desk.part("eye-clicks")).to_contain_text(f"12 of {CLICKS} clicks")
    expect(desk.page.locator("[data-eye=left][data-of] img").first).to_be_visible(timeout=DRAWN)
    response = "document.querySelector('#merge_desk_search_eye_back_response [data-merge-desk]')"
    before = desk.page.evaluate(f"{response}.dataset.at")
    keys = "key => eye.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
    script = f"eye => ['ArrowLeft', 'Backspace'].forEach({keys})"
    desk.part("eye").evaluate(script)
    desk.page.wait_for_function(f"before => {response}.dataset.at !== before", arg=before)
    expect(desk.part("eye-clicks")).to_contain_text(f"12 of {CLICKS} clicks")


def test_thirty_clicks_with_three_wrong_ones_move_the_best_toward_what_the_user_likes(
    desk: Desk, models: Path
) -> None:
    user = User(desk)
    user.start()
    expect(desk.part("eye")).to_be_focused()
    for count in range(CLICKS):
        if count == 5:
            expect(desk.part("eye-clicks")).to_contain_text(f"5 of {CLICKS} clicks")
            use_the_tab_mix(user)
        if count == 8:
            expect(desk.part("eye-clicks")).to_contain_text(f"8 of {CLICKS} clicks")
            desk.page.keyboard.press("Backspace")
            expect(desk.part("eye-clicks")).to_contain_text(f"7 of {CLICKS} clicks")
            user.compare(7)
        if count == 12:
            correct_at_once(user)
        user.compare(count)
    expect(desk.part("search-status")).to_contain_text(f"{CLICKS} clicks are done")
    expect(desk.part("eye-pair")).to_be_hidden()
    best = int(desk.part("eye-best").get_attribute("data-best"))
    distances = user.distances()
    drawn = sorted(value for value in distances if value < float("inf"))
    assert distances[best] < 0.5 * distances[0], "nearer than the desk as it was"
    assert distances[best] < drawn[len(drawn) // 2], "nearer than the median trial"
    desk.act("eye-take").click()
    expect(desk.page.locator("[data-slot=IN05]")).to_be_visible()
    taken = user.study.get_trials(deepcopy=False)[best].params
    assert abs(desk.at("IN05") - taken["IN"]) < 0.01
    assert abs(desk.at("OUT05") - taken["OUT"]) < 0.01
    assert desk.complaints == []
