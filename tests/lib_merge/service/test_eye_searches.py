"""A search by eye draws ahead of the clicks, is ended and continued, and leaves the model as it was."""

# pyright: basic
from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

from lib_merge.picture import DrawSettings
from lib_merge.recipe import print_recipe
from lib_merge.search.spec import Budget, StudySpec
from lib_merge.search.studies import create_study, load_study
from lib_merge.search.study import DONE
from lib_merge.service.eye_searches import AHEAD, EyeSearch
from lib_merge.service.grids import GridBackend
from lib_merge.service.search_pictures import TrialPictures
from lib_merge.service.searches import bind_study_space
from tests.support.grid_host import SIDE, Bench

SPACE = "IN00: 0..1; OUT00: 0..1"
LIKED = {"IN00": 0.8, "OUT00": 0.2}


class Comparing:
    """A bench, a study that is scored by eye, and a user who likes one point of it."""

    def __init__(self, bench: Bench, folder: Path, space: str = SPACE) -> None:
        self.bench, self.address = bench, str(folder / "study.db")
        bench.host.load(next(file for file in bench.host.checkpoints() if file.name == "a"))
        with bench.service.job("load"):
            bench.host.model()
        self.backend = GridBackend(bench.service)
        drawing = DrawSettings(steps=2, width=SIDE, height=SIDE)
        recipe = print_recipe(bench.recipe(alpha=0.5))
        self.spec = StudySpec(recipe=recipe, space=space, objectives=("eye",), drawing=drawing, seed=3)
        self.pictures = TrialPictures(folder, self.address, "study")
        create_study(self.address, "study", self.spec, bind_study_space(self.spec, self.backend))

    def job(self, clicks: int = 30) -> EyeSearch:
        """The search as a desk begins it, also after a restart."""
        study = load_study(self.address, "study", bind_study_space(self.spec, self.backend))
        return EyeSearch(
            self.bench.service,
            study,
            self.backend,
            Budget(trials=clicks),
            on_trial=lambda result: self.pictures.add(result.row.number, result.pictures),
            has_picture=lambda number: self.pictures.count(number) > 0,
        )

    def weights(self) -> dict[str, bytes]:
        memory = self.bench.host.memory
        assert memory is not None
        return {key: tensor.numpy().tobytes() for key, tensor in memory.weights.items()}

    def distance(self, job: EyeSearch, number: int) -> float:
        point = job.study.rows()[number].point
        return sum((float(point[name]) - liked) ** 2 for name, liked in LIKED.items()) ** 0.5

    def compare(self, job: EyeSearch) -> None:
        """Click on the better one of the pair that is there."""
        look = job.look()
        assert look.pair is not None
        left, right = look.pair
        better = "left" if self.distance(job, left) < self.distance(job, right) else "right"
        job.answer(left, right, better, look.clicks)


def wait_for(condition: Callable[[], bool]) -> None:
    """At most two minutes; a look costs what the search could do meanwhile."""
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.fixture
def comparing(bench: Bench, tmp_path: Path) -> Comparing:
    return Comparing(bench, tmp_path)


def is_ready(job: EyeSearch) -> bool:
    look = job.look()
    return look.pair is not None and len(look.ahead) >= AHEAD


def test_the_next_pair_is_there_with_its_pictures_when_a_click_is_answered(comparing: Comparing) -> None:
    before = comparing.weights()
    job = comparing.job()
    job.start()
    for _ in range(3):
        wait_for(lambda: is_ready(job))
        first = job.look().pair
        comparing.compare(job)
        second = job.look().pair
        assert second is not None
        assert second != first
        assert all(comparing.pictures.read(number, 0) for number in second)
    wait_for(lambda: is_ready(job))
    with comparing.bench.service.job("the user's"):  # the host is free while the user looks
        assert comparing.weights() == before
    job.stop()
    assert job.wait(60)
    assert job.failure is None
    assert comparing.weights() == before


def test_a_pair_stays_while_other_trials_come_and_a_click_that_was_made_twice_counts_once(
    comparing: Comparing,
) -> None:
    job = comparing.job()
    job.start()
    wait_for(lambda: job.look().pair is not None)
    pair = job.look().pair
    wait_for(lambda: is_ready(job))
    assert job.look().pair == pair
    assert pair is not None
    for _ in range(2):
        job.answer(*pair, "left", 0)
    assert job.look().clicks == 1
    job.take_back()
    assert (job.look().clicks, job.look().pair) == (0, pair)
    job.stop()
    assert job.wait(60)


def test_it_ends_after_its_clicks_and_goes_on_after_a_restart_without_drawing_again(
    comparing: Comparing,
) -> None:
    job = comparing.job(clicks=4)
    job.start()
    for count in range(4):
        wait_for(lambda: job.look().pair is not None)
        assert job.look().clicks == count
        comparing.compare(job)
    assert job.wait(60)
    assert job.end_message == "The search has ended: 4 clicks are done."
    assert job.look().pair is None
    trials = len(job.study.rows())
    again = comparing.job(clicks=6)
    assert again.look().clicks == 4
    again.start()
    wait_for(lambda: again.look().pair is not None)
    for _ in range(2):
        wait_for(lambda: again.look().pair is not None)
        comparing.compare(again)
    assert again.wait(60)
    assert again.look().clicks == 6
    assert len(again.study.rows()) <= trials + AHEAD


def test_the_best_of_twelve_clicks_is_near_to_what_the_user_likes(comparing: Comparing) -> None:
    job = comparing.job(clicks=12)
    job.start()
    for _ in range(12):
        wait_for(lambda: job.look().pair is not None)
        comparing.compare(job)
    assert job.wait(60)
    look = job.look()
    distances = sorted(comparing.distance(job, row.number) for row in job.study.rows() if row.state == DONE)
    assert comparing.distance(job, look.best) < comparing.distance(job, 0)
    assert comparing.distance(job, look.best) <= distances[len(distances) // 2]
    assert 0 < look.chance < 1


def test_a_small_space_ends_when_all_pairs_were_compared(bench: Bench, tmp_path: Path) -> None:
    comparing = Comparing(bench, tmp_path, "IN00: 0..1 step 0.5; OUT00: 0.2")
    job = comparing.job()
    job.start()
    for _ in range(3):
        wait_for(lambda: job.look().pair is not None)
        pair = job.look().pair
        assert pair is not None
        job.answer(*pair, "neither", job.look().clicks)
    assert job.wait(60)
    assert job.end_message == "The search has ended: every pair was compared."


def test_three_trials_that_fail_end_it_with_a_sentence(comparing: Comparing) -> None:
    comparing.bench.host.broken = lambda settings: True
    job = comparing.job()
    job.start()
    assert job.wait(60)
    assert "3 trials in a row failed: this model draws nothing but NaN" in str(job.failure)
