"""The preference model: the formulas of its page, the laws of a comparison, and simulated users."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.errors import RecipeError
from lib_merge.search.preference import (
    Answer,
    Click,
    Floats,
    answer_probabilities,
    best_trial,
    information,
    learn,
    likelihood_slopes,
    log_likelihood,
    next_pair,
    posterior,
)

ANSWERS: tuple[Answer, ...] = ("left", "right", "neither", "both bad")
MIRRORED: dict[Answer, Answer] = {"left": "right", "right": "left"}
TRIALS = 5


@st.composite
def clicks(draw: st.DrawFn) -> list[Click]:
    pair = st.lists(st.integers(0, TRIALS - 1), min_size=2, max_size=2, unique=True)
    answers = st.sampled_from(ANSWERS)
    drawn = draw(st.lists(st.tuples(pair, answers), min_size=1, max_size=12))
    return [Click(left, right, answer) for (left, right), answer in drawn]


def trials(seed: int = 0, count: int = TRIALS, width: int = 3) -> Floats:
    return np.random.default_rng(seed).random((count, width))


@given(st.floats(-60, 60))
def test_the_probabilities_of_an_answer_add_up_to_1_and_mirror(difference: float) -> None:
    likely = answer_probabilities(difference)
    assert likely.sum() == pytest.approx(1)
    assert answer_probabilities(-difference) == pytest.approx(likely[::-1])


def test_of_two_equal_pictures_a_fifth_of_the_answers_is_neither() -> None:
    assert answer_probabilities(0.0) == pytest.approx([0.4, 0.2, 0.4])


@given(clicks(), st.integers(0, 9))
def test_slopes_are_the_derivatives_of_the_log_likelihood(said: list[Click], seed: int) -> None:
    utility = np.random.default_rng(seed).normal(size=TRIALS) * 2
    slope, curvature = likelihood_slopes(utility, said)
    small = 1e-5
    for index in range(TRIALS):
        step = np.zeros(TRIALS)
        step[index] = small
        rise = log_likelihood(utility + step, said) - log_likelihood(utility - step, said)
        assert slope[index] == pytest.approx(rise / (2 * small), abs=1e-6)
        bend = likelihood_slopes(utility + step, said)[0] - likelihood_slopes(utility - step, said)[0]
        assert curvature[index] == pytest.approx(-bend / (2 * small), abs=1e-6)
    assert np.linalg.eigvalsh(curvature).min() > -1e-12


@given(clicks())
def test_the_order_of_clicks_and_the_side_of_a_picture_change_nothing(said: list[Click]) -> None:
    points = trials()
    turned = [Click(each.right, each.left, MIRRORED.get(each.answer, each.answer)) for each in reversed(said)]
    one, other = posterior(points, said, 0.4, 2.0), posterior(points, turned, 0.4, 2.0)
    assert one.evidence == pytest.approx(other.evidence)
    assert one.utilities(points)[0] == pytest.approx(other.utilities(points)[0], abs=1e-6)


@given(clicks())
def test_the_posterior_stands_at_its_mode_and_is_never_wider_than_the_prior(said: list[Click]) -> None:
    points = trials()
    found = posterior(points, said, 0.4, 2.0)
    means, covariance = found.utilities(points)
    assert likelihood_slopes(means, said)[0] == pytest.approx(
        found.slope, abs=1e-3
    )  # K^-1 f = the slope at f
    assert np.linalg.eigvalsh(covariance).min() > -1e-6
    assert np.diag(covariance).max() <= 4 + 1e-9
    far = found.utilities(np.full((1, 3), 50.0))
    assert far[0] == pytest.approx([0])
    assert far[1][0] == pytest.approx([4.0])


def test_what_won_is_ranked_above_what_lost_and_their_neighbours_follow() -> None:
    points = np.array([[0.1], [0.5], [0.9]])
    found = learn(points, [Click(2, 1, "left"), Click(0, 1, "right"), Click(0, 2, "right")])
    means, _ = found.utilities(np.array([[0.1], [0.15], [0.5], [0.85], [0.9]]))
    assert list(np.argsort(means)) == [0, 1, 2, 3, 4]
    assert best_trial(found, points) == 2


def test_neither_holds_two_trials_together_and_both_bad_pushes_them_down() -> None:
    points = np.array([[0.0], [1.0]])
    same = learn(points, [Click(0, 1, "neither")] * 5).utilities(points)[0]
    bad = learn(points, [Click(0, 1, "both bad")] * 5).utilities(points)[0]
    assert same == pytest.approx([0, 0], abs=1e-9)
    assert (bad < -0.5).all()


@given(st.floats(-5, 5), st.floats(0, 5))
def test_an_answer_tells_nothing_of_what_is_known_and_never_less_than_nothing(
    mean: float, width: float
) -> None:
    gains = information(np.array([mean, mean]), np.array([0.0, width]))
    assert gains[0] == pytest.approx(0, abs=1e-12)
    assert -1e-12 <= gains[1] <= np.log(3)


def test_a_pair_is_asked_once_and_one_of_its_pictures_is_there() -> None:
    points = trials(count=6)
    asked: set[tuple[int, int]] = set()
    found = learn(points, [])
    while pair := next_pair(found, points, ready={0, 1}, compared=asked):
        assert {0, 1} & set(pair)
        assert pair not in asked
        assert pair[::-1] not in asked
        asked.add(pair)
    assert len(asked) == 9  # 0 with 1, and each of them with 4 others


@pytest.mark.parametrize(("left", "right", "answer"), [(1, 1, "left"), (0, -1, "left"), (0, 1, "better")])
def test_a_click_that_says_nothing_is_refused(left: int, right: int, answer: Answer) -> None:
    with pytest.raises(RecipeError):
        Click(left, right, answer)


def test_a_click_on_a_trial_that_is_not_there_and_weights_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(RecipeError, match="there are 2"):
        learn(np.zeros((2, 1)), [Click(0, 2, "left")])
    for points in (np.zeros(3), np.zeros((0, 2)), np.array([[np.nan]])):
        with pytest.raises(RecipeError, match="finite"):
            learn(points, [])


def simulated(seed: int, clicks_made: int = 30, wrong: float = 0.1) -> tuple[float, float]:
    """A user with a hidden optimum, of whose clicks some are wrong: distances of the first and the last best.

    Only one new picture is made between two clicks.
    """
    rng = np.random.default_rng(seed)
    hidden = rng.random(4)

    def distance(point: Floats) -> float:
        return float(np.sqrt(((point - hidden) ** 2).mean()))

    points = rng.random((2, 4))
    first = min(distance(point) for point in points)
    said: list[Click] = []
    found = learn(points, said)
    for _ in range(clicks_made):
        top = points[best_trial(found, points)]
        near = np.clip(top + rng.normal(size=(24, 4)) * 0.15, 0, 1)
        pool = np.concatenate([points, rng.random((24, 4)), near])
        asked = {(each.left, each.right) for each in said}
        pair = next_pair(found, pool, range(len(points)), asked)
        assert pair is not None
        made = next((index for index in pair if index >= len(points)), None)
        if made is not None:
            pair = tuple(len(points) if index == made else index for index in pair)
            points = np.concatenate([points, pool[made : made + 1]])
        left = distance(points[pair[0]]) < distance(points[pair[1]])
        if rng.random() < wrong:
            left = not left
        said.append(Click(pair[0], pair[1], "left" if left else "right"))
        found = learn(points, said)
    return first, distance(points[best_trial(found, points)])


@pytest.mark.slow
def test_thirty_clicks_of_which_three_are_wrong_come_near_a_hidden_preference() -> None:
    ended = [simulated(seed) for seed in range(10)]
    assert sum(last < first for first, last in ended) >= 8
    assert max(last for _, last in ended) < 0.3  # two points drawn at random are 0.4 apart
    assert np.median([last for _, last in ended]) < 0.2
