"""What a study has come to: its best trials, and which dimensions matter."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from lib_merge.recipe import Recipe, print_recipe
from lib_merge.search.study import DONE, SearchStudy, TrialRow

LEAST_TRIALS = 16  # from which importances mean something


def done_trials(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """The finished trials with a score of their own."""
    return [row for row in rows if row.state == DONE and row.same_as < 0]


def best_row(rows: Sequence[TrialRow]) -> TrialRow | None:
    """The best trial, by the first objective; None where none is done.

    Where held-out prompts were drawn, the best on them: the trials that have such a score were each the best
    when they were made, and of these it is the one that is not only good on the prompts it was chosen by.
    """
    done = done_trials(rows)
    held_out = [row for row in done if row.held_out]
    if held_out:
        return max(held_out, key=lambda row: row.held_out[0])
    return max(done, key=lambda row: row.values[0], default=None)


def pareto_front(rows: Sequence[TrialRow]) -> tuple[TrialRow, ...]:
    """The finished trials that no other one beats in every objective, the best by the first one first."""
    done = done_trials(rows)
    front = [row for row in done if not any(_dominates(other.values, row.values) for other in done)]
    return tuple(sorted(front, key=lambda row: (-row.values[0], row.number)))


def _dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    pairs = list(zip(a, b, strict=True))
    return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)


def dimension_importances(study: SearchStudy, rows: Sequence[TrialRow]) -> Mapping[str, float]:
    """Dimension -> the share of the variance of good trials that it explains; empty while unknown.

    rows  the trials of the study, whose first value says which are good
    """
    if len({row.values[0] for row in done_trials(rows)}) < 2 or len(done_trials(rows)) < LEAST_TRIALS:
        return {}
    scores = {row.number: row.values[0] for row in rows if row.values}
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import FrozenTrial

    def loss(trial: FrozenTrial) -> float:
        return -scores.get(trial.number, math.nan)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a loss is minimized, as `loss` is
            return get_param_importances(study.handle, evaluator=PedAnovaImportanceEvaluator(), target=loss)
    except (ValueError, RuntimeError):  # all scores are equal
        return {}


def trial_recipe(study: SearchStudy, row: TrialRow) -> Recipe:
    """The recipe of a trial."""
    return study.space.recipe(row.point)


def row_to_dict(row: TrialRow) -> Mapping[str, Any]:
    """A trial as a dictionary for JSON."""
    return {
        "number": row.number,
        "state": row.state,
        "values": list(row.values),
        "scores": list(row.scores),
        "held_out": list(row.held_out),
        "point": dict(row.point),
        "origin": row.origin,
        "problem": row.problem,
        "seconds": row.seconds,
        "same_as": row.same_as,
    }


def study_to_dict(study: SearchStudy, rows: Sequence[TrialRow]) -> Mapping[str, Any]:
    """A study as a dictionary for JSON: its trials, the best of them with its recipe, what matters."""
    best = best_row(rows)
    several = len(study.spec.objectives) > 1
    return {
        "study": study.name,
        "sampler": study.spec.sampler,
        "space": study.spec.space,
        "objectives": list(study.spec.objectives),
        "best": None if best is None else row_to_dict(best),
        "recipe": "" if best is None else print_recipe(trial_recipe(study, best)),
        "pareto": [row.number for row in pareto_front(rows)] if several else [],
        "importances": dict(dimension_importances(study, rows)),
        "trials": [row_to_dict(row) for row in rows],
    }
