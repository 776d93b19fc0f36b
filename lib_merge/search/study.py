"""A study in its storage: made, found again, asked for trials, and given their scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lib_merge.search.bound import BoundSpace, Dimension
from lib_merge.search.claims import GIVEN_BACK, ORIGIN, PROBLEM, Claims
from lib_merge.search.ranges import Choices, NumberRange
from lib_merge.search.spec import StudySpec
from lib_merge.search.storage import one_process, storage_errors
from lib_merge.search.targets import Point, PointValue

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

BUDGET_ATTRIBUTE = "budget"  # of a study
RESULT = "result"  # the attribute of a trial with these
SCORES, HELD_OUT, SECONDS, SAME_AS = "scores", "held_out", "seconds", "same_as"
DONE, FAILED, PRUNED, RUNNING, WAITING = "done", "failed", "pruned", "running", "waiting"
GIVEN_BACK_STATE = "given back"  # its worker died or was stopped, and a later trial has its values
STATES: Mapping[str, str] = {
    "COMPLETE": DONE,
    "FAIL": FAILED,
    "PRUNED": PRUNED,
    "RUNNING": RUNNING,
    "WAITING": WAITING,
}


@dataclass(frozen=True)
class StartPoint:
    """A trial that is made before the sampler chooses.

    origin  where it is from: "preset GRAD_V"
    """

    point: Point
    origin: str


@dataclass(frozen=True)
class TrialRow:
    """One trial of a study.

    state     a value of STATES, or GIVEN_BACK_STATE
    values    what is maximized: the objectives, less the penalty; empty unless it is done
    scores    the objectives themselves
    held_out  the objectives on the held-out prompts; empty where they were not drawn
    origin    where its values are from, "" for the sampler
    problem   why it failed, "" otherwise
    same_as   the number of the trial with the same values whose score it has; -1 for its own
    """

    number: int
    state: str
    point: Point
    values: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    held_out: tuple[float, ...] = ()
    origin: str = ""
    problem: str = ""
    seconds: float = 0.0
    same_as: int = -1


@dataclass(frozen=True)
class ScoredTrial:
    """What a trial has come to.

    scores    the objectives
    held_out  the same on the held-out prompts, empty where they were not drawn
    """

    scores: tuple[float, ...]
    held_out: tuple[float, ...] = ()
    seconds: float = 0.0
    same_as: int = -1


@dataclass
class OpenTrial:
    """A trial that this process works on."""

    number: int
    point: dict[str, PointValue]
    handle: Trial
    claim: ExitStack = field(default_factory=ExitStack)


class SearchStudy:
    """A study; made by `studies.create_study` and `studies.load_study`."""

    def __init__(self, study: Study, spec: StudySpec, space: BoundSpace, address: str) -> None:
        self._study, self.spec, self.space, self.address = study, spec, space, address
        self.claims = Claims(study, address)
        self._start = space.point_of(space.base.cell.recipe)

    @property
    def name(self) -> str:
        """Its name in the storage."""
        return self._study.study_name

    def set_start(self, point: Point) -> None:
        """The point that the distance is measured from."""
        self._start = dict(point)

    # --- trials ---

    def enqueue(self, starts: Iterable[StartPoint]) -> int:
        """Let these trials be the next, but for those that are there already; returns how many are new."""
        with storage_errors(self.address):
            there = [trial.system_attrs.get("fixed_params", trial.params) for trial in self._trials()]
            count = 0
            for start in starts:
                point = dict(start.point)
                if point and point not in there:
                    there.append(point)
                    self._study.enqueue_trial(dict(point), user_attrs={ORIGIN: start.origin})
                    count += 1
            return count

    def ask(self) -> OpenTrial:
        """The next trial, which is this process's until it ends; lost trials of others come first."""
        with storage_errors(self.address):
            self.claims.give_back_lost()
            with one_process(self.address):
                handle = self._study.ask(fixed_distributions=self._distributions)
            point = {part.name: part.number_of(handle.params[part.name]) for part in self.space.dimensions}
            trial = OpenTrial(handle.number, point, handle)
            trial.claim.enter_context(self.claims.beating(handle._trial_id))  # pyright: ignore
            return trial

    def is_pruned(self, trial: OpenTrial, score: float) -> bool:
        """Whether a trial with this score of its first pictures is clearly worse than the others were."""
        with storage_errors(self.address):
            trial.handle.report(self._penalized(trial.point, (score,))[0], self.spec.prune_after)
            return trial.handle.should_prune()

    def finish(self, trial: OpenTrial, result: ScoredTrial) -> TrialRow:
        """Keep the scores of a trial; one that is no number fails it."""
        odd = next((score for score in (*result.scores, *result.held_out) if not math.isfinite(score)), None)
        if odd is not None:
            return self.fail(trial, f"its score is {odd}", result.seconds)
        content = {
            SCORES: list(result.scores),
            HELD_OUT: list(result.held_out),
            SECONDS: round(result.seconds, 4),
            SAME_AS: result.same_as,
        }
        return self._tell(trial, {RESULT: content}, self._penalized(trial.point, result.scores))

    def fail(self, trial: OpenTrial, problem: str, seconds: float = 0.0) -> TrialRow:
        """Keep a trial as failed, with the sentence that says why."""
        return self._tell(trial, {PROBLEM: problem, RESULT: {SECONDS: round(seconds, 4)}}, None, "FAIL")

    def prune(self, trial: OpenTrial, seconds: float = 0.0) -> TrialRow:
        """Keep a trial that ended after its first pictures."""
        return self._tell(trial, {RESULT: {SECONDS: round(seconds, 4)}}, None, "PRUNED")

    def give_back(self, trial: OpenTrial, why: str) -> None:
        """Leave a trial to the next worker."""
        trial.claim.close()
        with storage_errors(self.address):
            self.claims.give_back(trial.number, why)

    def _tell(
        self, trial: OpenTrial, attributes: Mapping[str, Any], values: Sequence[float] | None, state: str = ""
    ) -> TrialRow:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        trial.claim.close()
        with storage_errors(self.address):
            # where this process was silent for too long, another one has given the trial back, and makes it
            with suppress(UpdateFinishedTrialError):
                for name, value in attributes.items():
                    trial.handle.set_user_attr(name, value)
                with one_process(self.address):
                    self._study.tell(trial.handle, values, TrialState[state] if state else None)
            return self._row(self._study.get_trials(deepcopy=False)[trial.number])

    def _penalized(self, point: Point, scores: Sequence[float]) -> list[float]:
        penalty = self.spec.penalty * self.space.distance(point, self._start) if self.spec.penalty else 0.0
        return [score - penalty for score in scores]

    # --- what is known ---

    def rows(self) -> tuple[TrialRow, ...]:
        """All trials, by number."""
        with storage_errors(self.address):
            return tuple(self._row(trial) for trial in self._trials())

    def same_point(self, point: Point) -> TrialRow | None:
        """The finished trial with these values: the pictures of a point are the same every time."""
        return next(
            (
                row
                for row in self.rows()
                if row.state == DONE and row.same_as < 0 and dict(row.point) == point
            ),
            None,
        )

    def improves(self, trial: OpenTrial, scores: Sequence[float]) -> bool:
        """Whether no finished trial is better; of several objectives, whether none is in all of them."""
        values = self._penalized(trial.point, scores)
        return not any(
            all(old >= new for old, new in zip(row.values, values, strict=True))
            for row in self.rows()
            if row.state == DONE
        )

    def count_taken(self) -> int:
        """How many trials have ended, or are in the hands of a worker that lives."""
        with storage_errors(self.address):
            self.claims.give_back_lost()
            return sum(row.state not in (GIVEN_BACK_STATE, WAITING) for row in self.rows())

    @property
    def budget(self) -> str:
        """The budget that the study was last run with, which workers take; "" for none."""
        with storage_errors(self.address):
            return str(self._study.user_attrs.get(BUDGET_ATTRIBUTE, ""))

    @budget.setter
    def budget(self, text: str) -> None:
        with storage_errors(self.address):
            self._study.set_user_attr(BUDGET_ATTRIBUTE, text)

    @property
    def handle(self) -> Study:
        """Optuna's own study, for plots and importances."""
        return self._study

    def _trials(self) -> Sequence[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _row(self, trial: FrozenTrial) -> TrialRow:
        attributes = trial.user_attrs
        result: Mapping[str, Any] = attributes.get(RESULT, {})
        params = trial.params or trial.system_attrs.get("fixed_params", {})
        return TrialRow(
            trial.number,
            GIVEN_BACK_STATE if attributes.get(GIVEN_BACK) else STATES[trial.state.name],
            {
                part.name: part.number_of(params[part.name])
                for part in self.space.dimensions
                if part.name in params
            },
            tuple(trial.values) if trial.state.name == "COMPLETE" and trial.values else (),
            tuple(result.get(SCORES, ())),
            tuple(result.get(HELD_OUT, ())),
            str(attributes.get(ORIGIN, "")),
            str(attributes.get(PROBLEM, "")),
            float(result.get(SECONDS, 0.0)),
            int(result.get(SAME_AS, -1)),
        )

    # --- Optuna's side ---

    @cached_property
    def _distributions(self) -> dict[str, BaseDistribution]:
        return {dimension.name: distribution(dimension) for dimension in self.space.dimensions}


def distribution(dimension: Dimension) -> BaseDistribution:
    """A dimension as Optuna has it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = dimension.values
    if isinstance(values, NumberRange):
        if dimension.integer:
            return IntDistribution(round(values.low), round(values.high), step=round(values.step or 1))
        return FloatDistribution(values.low, values.high, step=values.step)
    assert isinstance(values, Choices)
    return CategoricalDistribution([dimension.number_of(option) for option in values.options])
