"""The handlers of the tab *Search* for your eye as the score."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

from lib_merge.desk.tabs.search.eye import EyeView
from tests.lib_merge.desk.tabs.search.test_search_tab import page_of, start
from tests.support.desk_page import DeskPage
from tests.support.grid_host import Bench

pytestmark = pytest.mark.newest_only

BY_EYE = {"score": ["eye"], "budget": "3 trials"}


def pair(page: DeskPage) -> EyeView:
    """What the page shows, once there is a pair."""
    for _ in range(600):
        view = page.data("search.eye")
        if view.left >= 0:
            return view
        time.sleep(0.2)
    raise AssertionError("no pair comes")


def test_clicks_on_pairs_are_the_score_and_go_on_after_a_restart(bench: Bench) -> None:
    page = page_of(bench)
    assert start(page, **BY_EYE).running
    first = pair(page)
    assert {trial.number for trial in first.trials} >= {first.left, first.right}
    assert all(trial.urls[0].startswith("data:image/webp") for trial in first.trials)
    there = tuple(trial.number for trial in first.trials)
    click = {"left": first.left, "right": first.right, "answer": "right", "clicks": 0, "pictures": there}
    second = page.data("search.eye_click", **click)
    assert (second.clicks, second.goal, second.best) == (1, 3, first.right)
    assert not {trial.number for trial in second.trials} & set(there), "what the page has is not sent again"
    back = page.data("search.eye_back", pictures=there)
    assert (back.clicks, back.left, back.right) == (0, first.left, first.right)
    page.data("search.eye_click", **click)
    update = page.data("search.poll")
    assert update.best == first.right
    assert update.trials[first.right].values > update.trials[first.left].values
    page.data("search.stop")
    assert page.services.searches.wait(60)
    assert page.problem("search.eye_click", **click).what == "No search by eye is running"

    again = page_of(bench)
    assert page.data("search.eye").clicks == 1
    again.data("search.go_on", budget="2 trials")
    last = pair(again)
    again.data("search.eye_click", left=last.left, right=last.right, answer="left", clicks=1)
    assert again.services.searches.wait(60)
    assert again.data("search.poll").message == "The search has ended: 2 clicks are done."


def test_a_trial_is_sent_once_its_pictures_are_kept_and_not_without_them(bench: Bench) -> None:
    page = page_of(bench)
    start(page, **BY_EYE)
    first = pair(page)
    shown = page.services.searches.shown()
    assert shown is not None
    (file,) = shown.pictures.folder.glob(f"{first.left:05}-*.webp")
    content = file.read_bytes()
    file.unlink()  # as a moment after its score, and before its picture
    assert first.left not in {trial.number for trial in page.data("search.eye").trials}
    file.write_bytes(content)
    sent = {trial.number: trial.urls for trial in page.data("search.eye").trials}
    assert sent[first.left] == {trial.number: trial.urls for trial in first.trials}[first.left]
    page.data("search.stop")
    assert page.services.searches.wait(60)


def test_the_queue_does_not_wait_for_clicks(bench: Bench) -> None:
    page = page_of(bench)
    start(page, **BY_EYE)
    assert page.services.queue.is_idle
    assert page.problem("search.start", options={"space": "IN00: 0..1", "score": ["eye"]}).what.startswith(
        "A search is running already"
    )
    page.data("search.stop")
    assert page.services.searches.wait(60)


@pytest.mark.parametrize(
    "options", [{"score": ["eye + contrast"]}, {"score": ["eye", "contrast"]}, {"score": ["2*eye"]}]
)
def test_your_eye_is_a_score_of_its_own(options: dict[str, object], bench: Bench) -> None:
    page = page_of(bench)
    asked = {"space": "IN00: 0..1", "sampler": "random", **options}
    problem = page.data("search.plan", options=asked, parameters={"alpha": 0.5}).problem
    assert "our eye is a score of its own" in f"{problem.what} {problem.more}"
