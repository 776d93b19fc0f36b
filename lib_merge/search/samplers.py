"""The samplers of Optuna, seeded for every trial by its number. Importing this module needs Optuna.

So a study that was interrupted proposes the trials that it would have proposed, and two workers of a study
never draw the same random numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from lib_merge.errors import ExtraError
from lib_merge.limits import MAX_SEED
from lib_merge.parameters import seed_for
from lib_merge.search.storage import EXTRA_HINT

PointNumber = Callable[[Study, FrozenTrial], int]


class PerTrialSampler(BaseSampler):
    """A sampler that is made for each trial, by its number.

    It holds no state of its own: what a sampler learns it reads from the trials in the storage.
    """

    def __init__(self, make: Callable[[int], BaseSampler], number_of: PointNumber) -> None:
        self._make, self._number_of = make, number_of
        self._current: tuple[int, BaseSampler] | None = None

    def _of(self, study: Study, trial: FrozenTrial) -> BaseSampler:
        if self._current is None or self._current[0] != trial.number:
            self._current = trial.number, self._make(self._number_of(study, trial))
        return self._current[1]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See Optuna's BaseSampler."""
        return self._of(study, trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See Optuna's BaseSampler."""
        return self._of(study, trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See Optuna's BaseSampler."""
        return self._of(study, trial).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """See Optuna's BaseSampler."""
        self._of(study, trial).before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """See Optuna's BaseSampler."""
        self._of(study, trial).after_trial(study, trial, state, values)


def random_sampler(seed: int, number: int) -> RandomSampler:
    """The sampler of a random point, by the point's number."""
    return RandomSampler(seed=seed_for(seed, number) % (MAX_SEED + 1))


def make_sampler(name: str, seed: int, *, stepped: bool, number_of: PointNumber) -> BaseSampler:
    """The sampler of one of SAMPLER_TITLES.

    stepped    whether some range has steps, which cma-es then allows for
    number_of  the number of the point that a trial makes
    """
    if name == "cma-es":
        _need_cmaes()

    def make(number: int) -> BaseSampler:
        own = seed_for(seed, number) % (MAX_SEED + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            if name == "tpe":
                return TPESampler(seed=own)
            if name == "gp":
                return GPSampler(seed=own, deterministic_objective=True, warn_independent_sampling=False)
            if name == "cma-es":
                return CmaEsSampler(seed=own, with_margin=stepped, warn_independent_sampling=False)
            return random_sampler(seed, number)

    return PerTrialSampler(make, number_of)


def _need_cmaes() -> None:
    try:
        import cmaes
    except ImportError as missing:
        raise ExtraError(
            "the sampler cma-es needs cmaes, which is not installed", hint=EXTRA_HINT
        ) from missing
    del cmaes
