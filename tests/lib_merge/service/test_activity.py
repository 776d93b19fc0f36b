"""What a job does now, in the words that a page shows."""

from __future__ import annotations

import pytest

from lib_merge.service.activity import GENERATING, LOADING, Activity


class Bar:
    """A host's progress that counts what reaches it."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def start(self, total: int, what: str) -> None:
        self.heard.append((total, what))

    def advance(self, amount: int) -> None:
        self.heard.append(amount)

    def stopped(self) -> bool:
        return len(self.heard) > 3


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def bar() -> Bar:
    return Bar()


@pytest.fixture
def activity(bar: Bar, clock: list[float]) -> Activity:
    return Activity(bar, lambda: clock[0])


def test_a_merge_is_shown_in_percent_and_reported_to_the_host(activity: Activity, bar: Bar) -> None:
    activity.begin(LOADING)
    assert (activity.text(), bar.heard) == ("loading the checkpoint", [])
    activity.start(200, "merging")
    assert activity.text() == "merging"
    activity.advance(50)
    activity.advance(40)
    assert activity.text() == "merging, 45 %"
    assert bar.heard == [(200, "merging"), 50, 40]
    assert not activity.stopped()
    activity.advance(500)
    assert activity.text() == "merging, 100 %"
    assert activity.stopped()


def test_a_picture_is_shown_by_its_steps_with_the_time_left(activity: Activity, clock: list[float]) -> None:
    activity.begin(GENERATING, 15)
    assert activity.text(0) == "generating"
    clock[0] = 3.5
    assert activity.text(7) == "step 7 of 15, about 4 s left"
    clock[0] = 4.0
    assert activity.text(15) == "step 15 of 15"


def test_steps_of_another_picture_are_not_shown(activity: Activity) -> None:
    activity.begin(GENERATING, 15)
    assert activity.text(20) == "generating"


def test_the_share_is_that_of_the_work_that_is_said(activity: Activity) -> None:
    assert activity.share() == 0
    activity.start(200, "merging")
    activity.advance(50)
    assert activity.share() == 0.25
    activity.advance(500)
    assert activity.share() == 1
    activity.begin(GENERATING, 10)
    assert (activity.share(0), activity.share(4), activity.share(12)) == (0, 0.4, 1)


def test_long_work_says_the_time_that_is_left(activity: Activity, clock: list[float]) -> None:
    activity.start(100, "aligning")
    clock[0] = 20.0
    activity.advance(25)
    assert activity.text() == "aligning, 25 %, about 60 s left"
    clock[0] = 400.0
    assert activity.text() == "aligning, 25 %, about 20 min left"
    activity.advance(75)
    assert activity.text() == "aligning, 100 %"
