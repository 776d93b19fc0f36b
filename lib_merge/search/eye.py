"""The eye as a scorer: a study whose trials are ranked by which of two pictures the user likes better.

Trials are drawn as those of any study, with a score of 0 (`EYE`), and are compared in pairs. The clicks are
kept with the study, each under a name of its own, so that the next process knows them; `preference.py` makes
utilities of them, and proposes the next pair: two trials, or one and a point that is not drawn yet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lib_merge.errors import RecipeError, StoreError
from lib_merge.parameters import seed_for
from lib_merge.search.bound import BoundSpace, Dimension
from lib_merge.search.preference import (
    Answer,
    Click,
    Floats,
    Preference,
    best_trial,
    chance_of_best,
    learn,
    next_pair,
    next_point,
)
from lib_merge.search.ranges import Choices, NumberRange
from lib_merge.search.scorers.scorer import Scorer, ScorerContext, ScorerKind
from lib_merge.search.spec import EYE_SCORE, StudySpec
from lib_merge.search.storage import storage_errors, without_password
from lib_merge.search.study import SearchStudy, StartPoint, TrialRow
from lib_merge.search.summary import done_trials
from lib_merge.search.targets import Point, PointValue

if TYPE_CHECKING:
    from PIL.Image import Image

CLICK_PREFIX = "click "  # of the attribute of a study that holds one
ORIGIN_OF_PAIR = "to be compared"
ANYWHERE, NEARBY = 48, 48  # points that may be drawn next: anywhere in the space, and near the best trial
NEAR = 0.15  # the standard deviation of the near ones, as a share of a range
KEEPS_CHOICE = 0.8  # how often a near point has the best trial's word


@dataclass(frozen=True)
class Liking:
    """What is known of a trial.

    utility    the expected utility; of two that differ by 2 the higher one wins 3 of 4 times
    deviation  its standard deviation
    """

    number: int
    utility: float
    deviation: float


@dataclass(frozen=True)
class PicturePair:
    """Two trials to compare, by number; `point` is to be drawn in the place of the one that is None."""

    left: int | None
    right: int | None
    point: Point | None = None


def is_eye(spec: StudySpec) -> bool:
    """Whether a study is scored by the user's eye."""
    return spec.objectives == (EYE_SCORE,)


_State = tuple[tuple[int, ...], tuple[Click, ...]]  # the trials that are drawn, and the clicks


class EyeStudy:
    """A study whose score is the user's eye; thread-safe where its study is."""

    def __init__(self, study: SearchStudy) -> None:
        self.study = study
        self._learnt_last: tuple[_State, Preference] | None = None
        self._best_last: tuple[_State, tuple[int, float]] | None = None

    # --- clicks ---

    def clicks(self) -> tuple[Click, ...]:
        """All clicks, oldest first, with the numbers of their trials; StoreError for what is none."""
        return tuple(click for _, click in self._clicks() if click is not None)

    def add(self, click: Click) -> None:
        """Keep a click on two finished trials; RecipeError where one is not finished."""
        numbers = {row.number for row in self._drawn()}
        for number in (click.left, click.right):
            if number not in numbers:
                what = f"trial {number} of the study '{self.study.name}' has no pictures to compare"
                raise RecipeError(what, hint="compare two of its finished trials")
        name = f"{CLICK_PREFIX}{len(self._clicks()):06d}"
        self._keep(name, [click.left, click.right, click.answer])

    def take_back(self) -> Click | None:
        """Take the last click back, and return it; None where there is none."""
        for name, click in reversed(self._clicks()):
            if click is not None:
                self._keep(name, [])
                return click
        return None

    def _keep(self, name: str, value: Sequence[int | str]) -> None:
        with storage_errors(self.study.address):
            self.study.handle.set_user_attr(name, list(value))

    def _clicks(self) -> list[tuple[str, Click | None]]:
        """Name and click of all that were kept; None for one that was taken back."""
        with storage_errors(self.study.address):
            attributes: Mapping[str, Any] = self.study.handle.user_attrs
        names = sorted(name for name in attributes if name.startswith(CLICK_PREFIX))
        return [(name, self._click(attributes[name])) for name in names]

    def _click(self, data: object) -> Click | None:
        if data == []:
            return None
        try:
            left, right, answer = cast("Sequence[Any]", data)
            return Click(int(left), int(right), cast("Answer", str(answer)))
        except (TypeError, ValueError, RecipeError) as cause:
            where = without_password(self.study.address)
            what = f"a click of the study '{self.study.name}' cannot be read"
            raise StoreError(what, where=where, hint="update Merge Desk") from cause

    # --- what they say ---

    def likings(self) -> tuple[Liking, ...]:
        """What is known of each finished trial, the best first."""
        rows = self._drawn()
        if not rows:
            return ()
        points = self._coordinates(rows)
        means, covariance = self._learnt(rows, points).utilities(points)
        deviations = np.sqrt(np.maximum(np.diag(covariance), 0))
        likings = [
            Liking(row.number, float(mean), float(deviation))
            for row, mean, deviation in zip(rows, means, deviations, strict=True)
        ]
        return tuple(sorted(likings, key=lambda one: (-one.utility, one.number)))

    def liked_rows(self) -> tuple[TrialRow, ...]:
        """All trials of the study, each finished one with its expected utility as its score."""
        utilities = {liking.number: liking.utility for liking in self.likings()}

        def liked(row: TrialRow) -> TrialRow:
            utility = utilities.get(row.number, utilities.get(row.same_as))
            return row if utility is None else replace(row, values=(utility,), scores=(utility,))

        return tuple(map(liked, self.study.rows()))

    def best(self) -> tuple[int, float] | None:
        """The trial that is liked best, and how probable it is that none of the others is better."""
        rows = self._drawn()
        if not rows:
            return None
        state = self._state(rows, self.clicks())
        if self._best_last is None or self._best_last[0] != state:
            points = self._coordinates(rows)
            preference = self._learnt(rows, points)
            index = best_trial(preference, points)
            self._best_last = state, (rows[index].number, chance_of_best(preference, points, index))
        return self._best_last[1]

    def next_drawn_pair(self, numbers: Collection[int]) -> tuple[int, int] | None:
        """The pair of trials among these that tells most; None where all pairs of them were compared."""
        rows = self._drawn()
        ready = [place for place, row in enumerate(rows) if row.number in numbers]
        if len(ready) < 2:
            return None
        points = self._coordinates(rows)
        preference = self._learnt(rows, points)
        places = {ready_place: n for n, ready_place in enumerate(ready)}
        compared = [
            (places[left], places[right])
            for left, right in self._compared(rows)
            if left in places and right in places
        ]
        pair = next_pair(preference, points[ready], range(len(ready)), compared)
        return None if pair is None else (rows[ready[pair[0]]].number, rows[ready[pair[1]]].number)

    def next_point(self) -> Point | None:
        """The point to be drawn ahead of the next clicks; None where the space has no other.

        What was drawn and not compared yet is taken to lose against the best, so that two points that are
        drawn ahead are not alike.
        """
        rows = self._drawn()
        if not rows:
            return next(iter(self._candidates(rows)), None)
        drawn = self._coordinates(rows)
        best = best_trial(self._learnt(rows, drawn), drawn)
        seen = {number for click in self.clicks() for number in (click.left, click.right)}
        expected = [
            Click(rows[best].number, row.number, "left")
            for place, row in enumerate(rows)
            if row.number not in seen and place != best
        ]
        candidates = self._candidates(rows, rows[best].point)
        if not candidates:
            return None
        preference = self._learnt(rows, drawn, expected)
        points = np.concatenate([drawn, coordinates(self.study.space, candidates)])
        place = next_point(preference, points, range(len(rows)))
        return None if place is None else candidates[place - len(rows)]

    def next_pair(self) -> PicturePair | None:
        """The pair that tells most; None where every pair of this space was compared.

        The same clicks and trials propose the same pair.
        """
        rows = self._drawn()
        if len(rows) < 2:
            return self._first_pair(rows, self._candidates(rows))
        drawn = self._coordinates(rows)
        preference = self._learnt(rows, drawn)
        candidates = self._candidates(rows, rows[best_trial(preference, drawn)].point)
        points = np.concatenate([drawn, coordinates(self.study.space, candidates)])
        pair = next_pair(preference, points, range(len(rows)), self._compared(rows))
        if pair is None:
            return None
        left, right = (rows[place].number if place < len(rows) else None for place in pair)
        drawn_next = next((candidates[place - len(rows)] for place in pair if place >= len(rows)), None)
        return PicturePair(left, right, drawn_next)

    def _first_pair(self, rows: Sequence[TrialRow], candidates: Sequence[Point]) -> PicturePair | None:
        left = rows[0].number if rows else None
        return PicturePair(left, None, candidates[0]) if candidates else None

    def enqueue(self, pair: PicturePair) -> None:
        """Let the point of a pair be the study's next trial."""
        if pair.point is not None:
            self.study.enqueue([StartPoint(pair.point, ORIGIN_OF_PAIR)])

    # --- the parts of it ---

    def _drawn(self) -> list[TrialRow]:
        return done_trials(self.study.rows())

    def _coordinates(self, rows: Sequence[TrialRow]) -> Floats:
        return coordinates(self.study.space, [row.point for row in rows])

    def _state(self, rows: Sequence[TrialRow], clicks: tuple[Click, ...]) -> _State:
        return tuple(row.number for row in rows), clicks

    def _compared(self, rows: Sequence[TrialRow]) -> list[tuple[int, int]]:
        """The pairs that were compared, by the places of their trials."""
        index = {row.number: place for place, row in enumerate(rows)}
        return [(index[click.left], index[click.right]) for click in self.clicks()]

    def _learnt(self, rows: Sequence[TrialRow], points: Floats, expected: Sequence[Click] = ()) -> Preference:
        """What the clicks say, and those that are expected; computed once for the same."""
        state = self._state(rows, (*self.clicks(), *expected))
        last = self._learnt_last
        if last is not None and last[0] == state:
            return last[1]
        index = {row.number: place for place, row in enumerate(rows)}
        preference = learn(points, [Click(index[one.left], index[one.right], one.answer) for one in state[1]])
        if not expected:
            self._learnt_last = state, preference
        return preference

    def _candidates(self, rows: Sequence[TrialRow], centre: Point | None = None) -> list[Point]:
        """Points that are no trial yet, anywhere and near the centre."""
        random = np.random.default_rng(seed_for(self.study.spec.seed, f"{len(rows)} {len(self.clicks())}"))
        space = self.study.space
        points = [_random_point(space, random) for _ in range(ANYWHERE)]
        if centre is not None:
            points += [_near_point(space, centre, random) for _ in range(NEARBY)]
        there = [dict(row.point) for row in self.study.rows()]
        fresh: list[Point] = []
        for point in points:
            if point not in there and point not in fresh:
                fresh.append(point)
        return fresh


def coordinates(space: BoundSpace, points: Sequence[Point]) -> Floats:
    """Points as numbers, m x d: a range as the share of its width, a choice as one column for each word.

    Two different words are 1 apart, as the ends of a range are.
    """
    columns = sum(_width(dimension) for dimension in space.dimensions)
    table = [
        [number for part in space.dimensions for number in _numbers(part, point[part.name])]
        for point in points
    ]
    return np.array(table, dtype=np.float64).reshape(len(points), columns)


def _width(dimension: Dimension) -> int:
    return len(dimension.values.options) if isinstance(dimension.values, Choices) else 1


def _numbers(dimension: Dimension, value: PointValue) -> list[float]:
    values = dimension.values
    if isinstance(values, NumberRange):
        return [values.share(float(value))]
    assert isinstance(values, Choices)
    return [float(dimension.number_of(option) == value) / 2**0.5 for option in values.options]


def _random_point(space: BoundSpace, random: np.random.Generator) -> Point:
    return {part.name: _drawn_value(part, random) for part in space.dimensions}


def _drawn_value(dimension: Dimension, random: np.random.Generator) -> PointValue:
    values = dimension.values
    if isinstance(values, NumberRange):
        return dimension.number_of(values.low + float(random.random()) * (values.high - values.low))
    assert isinstance(values, Choices)
    return dimension.number_of(values.options[int(random.integers(len(values.options)))])


def _near_point(space: BoundSpace, centre: Point, random: np.random.Generator) -> Point:
    point = dict(centre)
    for part in space.dimensions:
        values = part.values
        if isinstance(values, NumberRange):
            moved = float(centre[part.name]) + float(random.normal()) * NEAR * (values.high - values.low)
            point[part.name] = part.number_of(moved)
        elif random.random() > KEEPS_CHOICE:
            point[part.name] = _drawn_value(part, random)
    return point


class _NoScore:
    """The pictures wait for the eye."""

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> float:
        """0."""
        return 0.0


def _make_eye(argument: str, context: ScorerContext) -> Scorer:
    if argument:
        raise RecipeError(f"the eye takes nothing in brackets: '{argument}'", hint="eye")
    return _NoScore()


EYE = ScorerKind(EYE_SCORE, "your eye: you compare pictures in pairs", _make_eye)
