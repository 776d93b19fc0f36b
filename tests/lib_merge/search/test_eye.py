"""A study that is scored by comparing pictures: clicks are kept, and thirty find what the user likes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

from lib_merge.errors import RecipeError, StoreError
from lib_merge.search.eye import EYE, EyeStudy, PicturePair, coordinates
from lib_merge.search.preference import Click
from lib_merge.search.scorers.scorer import ScorerContext
from lib_merge.search.study import StartPoint
from lib_merge.search.summary import LEAST_TRIALS, best_row, dimension_importances
from tests.support.grid_host import Bench
from tests.support.search_bench import HIDDEN, SearchBench, sqlite

EYE_SCORER = EYE.make("", ScorerContext(()))


class User:
    """Draws and compares as the desk and its user do."""

    def __init__(self, bench: Bench, folder: Path, space: str = "") -> None:
        self.search = SearchBench(bench, sqlite(folder), **({"space": space} if space else {}))
        self.eye = EyeStudy(self.search.study(objectives=("eye",), seed=4))

    def draw(self, trials: int = 1) -> None:
        """So many trials more, of the points that wait first."""
        goal = len(self.eye.study.rows()) + trials
        waiting = sum(row.state == "waiting" for row in self.eye.study.rows())
        self.search.run(self.eye.study, goal - waiting, EYE_SCORER.score)

    def compare(self, pair: PicturePair) -> tuple[int, int]:
        """The numbers of the two trials, once both are drawn."""
        self.eye.enqueue(pair)
        if pair.point is not None:
            self.draw()
        last = self.eye.study.rows()[-1].number
        return last if pair.left is None else pair.left, last if pair.right is None else pair.right

    def distance(self, number: int) -> float:
        """How far a trial is from what the user likes best."""
        point = self.eye.study.rows()[number].point
        return sum((float(point[name]) - want) ** 2 for name, want in zip(point, HIDDEN, strict=True)) ** 0.5


@pytest.fixture
def user(bench: Bench, tmp_path: Path) -> User:
    return User(bench, tmp_path)


def test_clicks_are_kept_with_the_study_and_the_last_one_can_be_taken_back(user: User) -> None:
    user.draw(3)
    clicks = [Click(0, 1, "left"), Click(1, 2, "neither"), Click(2, 0, "both bad")]
    for click in clicks:
        user.eye.add(click)
    again = EyeStudy(user.search.again())
    assert list(again.clicks()) == clicks
    assert again.take_back() == clicks[2]
    again.add(Click(0, 2, "right"))
    assert list(EyeStudy(user.search.again()).clicks()) == [*clicks[:2], Click(0, 2, "right")]
    assert [again.take_back() for _ in range(4)] == [Click(0, 2, "right"), clicks[1], clicks[0], None]


def test_a_click_on_what_was_not_drawn_is_refused_and_one_that_cannot_be_read_is_named(user: User) -> None:
    user.draw(2)
    with pytest.raises(RecipeError, match="trial 2 of the study 'study' has no pictures"):
        user.eye.add(Click(1, 2, "left"))
    user.eye.study.handle.set_user_attr("click 000000", ["one", 2])
    with pytest.raises(StoreError, match="a click of the study 'study' cannot be read"):
        user.eye.clicks()


def test_an_empty_study_asks_for_two_trials_and_the_same_clicks_for_the_same_pair(user: User) -> None:
    first = user.eye.next_pair()
    assert first is not None
    assert (first.left, first.right) == (None, None)
    assert user.eye.likings() == ()
    user.draw(4)
    user.eye.add(Click(0, 1, "left"))
    pair = user.eye.next_pair()
    assert pair == EyeStudy(user.search.again()).next_pair()
    assert pair is not None
    assert (pair.left is None) + (pair.right is None) == (pair.point is not None) <= 1


def test_two_words_are_as_far_apart_as_the_two_ends_of_a_range(bench: Bench, tmp_path: Path) -> None:
    user = User(bench, tmp_path, "preset: GRAD_V | GRAD_A | ALL_B; OUT00: 0..2")
    here, there, high = coordinates(
        user.search.space,
        [
            {"preset": "GRAD_V", "OUT00": 0.0},
            {"preset": "ALL_B", "OUT00": 0.0},
            {"preset": "GRAD_V", "OUT00": 2.0},
        ],
    )
    assert np.linalg.norm(here - there) == pytest.approx(1)
    assert np.linalg.norm(here - high) == pytest.approx(1)
    user.draw(3)
    assert user.eye.next_pair() is not None


def test_a_small_space_ends_when_every_pair_was_compared(bench: Bench, tmp_path: Path) -> None:
    user = User(bench, tmp_path, "OUT00: 0..1 step 0.5")
    for _ in range(3):
        pair = user.eye.next_pair()
        assert pair is not None
        if pair.left is None:
            user.draw()
            pair = user.eye.next_pair()
            assert pair is not None
        left, right = user.compare(pair)
        user.eye.add(Click(left, right, "left"))
    assert user.eye.next_pair() is None
    assert len(user.eye.study.rows()) == 3


def test_a_pair_of_drawn_trials_is_proposed_without_drawing_until_all_were_compared(user: User) -> None:
    user.draw(3)
    assert user.eye.next_drawn_pair([0]) is None
    pairs: set[frozenset[int]] = set()
    while (pair := user.eye.next_drawn_pair([0, 1, 2])) is not None:
        assert frozenset(pair) not in pairs
        pairs.add(frozenset(pair))
        user.eye.add(Click(*pair, "neither"))
    assert len(pairs) == 3
    assert len(user.eye.study.rows()) == 3


def test_points_that_are_drawn_ahead_are_new_and_not_alike(user: User) -> None:
    user.draw(3)
    user.eye.add(Click(0, 1, "left"))
    points: list[dict[str, float]] = []
    for _ in range(2):
        point = user.eye.next_point()
        assert point is not None
        assert dict(point) not in [dict(row.point) for row in user.eye.study.rows()]
        points.append({name: float(value) for name, value in point.items()})
        user.eye.study.enqueue([StartPoint(point, "ahead")])
        user.draw()
    assert max(abs(points[0][name] - points[1][name]) for name in points[0]) > 0.1


def test_what_matters_and_which_trial_is_best_follow_the_clicks(bench: Bench, tmp_path: Path) -> None:
    user = User(bench, tmp_path, "OUT00: 0..1; OUT01: 0..1")
    user.draw(LEAST_TRIALS + 8)
    rows = user.eye.study.rows()
    assert dimension_importances(user.eye.study, user.eye.liked_rows()) == {}, "no click says anything"
    order = sorted(rows, key=lambda row: float(row.point["OUT01"]))
    for worse, better in pairwise(order):
        user.eye.add(Click(worse.number, better.number, "right"))
    liked = user.eye.liked_rows()
    best = best_row(liked)
    assert best is not None
    assert best.number in [row.number for row in order[-2:]]
    importances = dimension_importances(user.eye.study, liked)
    assert importances["OUT01"] > 2 * importances["OUT00"]


def test_the_best_trial_is_surer_the_more_clicks_say_so(user: User) -> None:
    assert user.eye.best() is None
    user.draw(3)
    chances: list[float] = []
    for _ in range(4):
        user.eye.add(Click(2, 0, "left"))
        user.eye.add(Click(2, 1, "left"))
        best = user.eye.best()
        assert best is not None
        assert best[0] == 2
        chances.append(best[1])
    assert chances == sorted(chances)
    assert 0.4 < chances[0] < chances[-1] < 1


@pytest.mark.slow
def test_thirty_clicks_with_three_wrong_ones_move_the_best_toward_what_the_user_likes(user: User) -> None:
    random = np.random.default_rng(1)
    user.draw(2)
    first = min(user.distance(0), user.distance(1))
    for count in range(30):
        pair = user.eye.next_pair()
        assert pair is not None
        left, right = user.compare(pair)
        likes_left = user.distance(left) < user.distance(right)
        wrong = count % 10 == int(random.integers(10))
        user.eye.add(Click(left, right, "left" if likes_left is not wrong else "right"))
    best = user.eye.likings()[0].number
    assert user.distance(best) < 0.6 * first
    assert user.distance(best) < 0.3
