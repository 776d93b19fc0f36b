"""The order of trials whose values are settled before they are made: neighbours share blocks.

A trial costs its pictures and the blocks that differ from the trial before. So starting points, and the
ten random points that `tpe` begins with, and each ten of `random`, are made in an order in which little
changes. Which points they are stays the same, and the order follows from seed and space alone,
so that all workers of a study have the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from lib_merge.grid.order import MergeSignature, merge_order
from lib_merge.search.bound import BoundSpace
from lib_merge.search.targets import Point, SlotTarget

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

BATCH = 10  # points that are drawn at random together
BATCHES: Mapping[str, int | None] = {"tpe": 1, "random": None}  # sampler -> how many batches; None for all


def neighbour_order(points: Sequence[Point], space: BoundSpace) -> tuple[int, ...]:
    """Indices of the points: the first one first, and after each the one with the fewest other blocks."""
    weights = dimension_weights(space)
    signatures = [MergeSignature(point, {name: weights[name] for name in point}) for point in points]
    if not signatures:
        return ()
    return (0, *(index + 1 for index in merge_order(signatures[1:], signatures[0])))


def dimension_weights(space: BoundSpace) -> Mapping[str, int]:
    """Dimension -> the number of blocks that change with it; all of them for what is not of blocks."""
    every = len(space.base.family.slots)
    return {
        part.name: len(part.target.slots) if isinstance(part.target, SlotTarget) else every
        for part in space.dimensions
    }


def changed_blocks(points: Sequence[Point], space: BoundSpace) -> int:
    """The number of blocks that are merged from the first point to the last, but for those of the first."""
    weights = dimension_weights(space)
    return sum(
        weights[name]
        for before, after in pairwise(points)
        for name in after
        if before.get(name) != after[name]
    )


class RandomOrder:
    """Which of the random points of its batch a trial makes, by the trial's number.

    sampler_of  the sampler of a random point, by the point's number
    """

    def __init__(
        self,
        sampler: str,
        sampler_of: Callable[[int], BaseSampler],
        space: BoundSpace,
        distributions: Mapping[str, BaseDistribution],
    ) -> None:
        batches = BATCHES.get(sampler, 0)
        self._ordered_trials = math.inf if batches is None else BATCH * batches
        self._sampler_of = sampler_of
        self._space, self._distributions = space, distributions
        self._orders: dict[tuple[int, int], tuple[int, ...]] = {}
        self._first: int | None = None

    def number_of(self, study: Study, trial: FrozenTrial) -> int:
        """The number of the point that a trial makes: its own where there is no order."""
        if trial.number >= self._ordered_trials:
            return trial.number
        if self._first is None:
            self._first = _queued_first(study)
        if trial.number < self._first:
            return trial.number
        end = trial.number - trial.number % BATCH + BATCH
        start = max(self._first, end - BATCH)
        if (start, end) not in self._orders:
            self._orders[start, end] = self._ordered(study, trial, range(start, end))
        return self._orders[start, end][trial.number - start]

    def _ordered(self, study: Study, trial: FrozenTrial, numbers: range) -> tuple[int, ...]:
        points: list[Point] = []
        for number in numbers:
            sampler = self._sampler_of(number)
            points.append(
                {
                    name: sampler.sample_independent(study, trial, name, distribution)
                    for name, distribution in self._distributions.items()
                }
            )
        return tuple(numbers[index] for index in neighbour_order(points, self._space))


def _queued_first(study: Study) -> int:
    """How many trials were queued before the first one of the sampler."""
    count = 0
    for trial in study.get_trials(deepcopy=False):
        if "fixed_params" not in trial.system_attrs:
            break
        count += 1
    return count
