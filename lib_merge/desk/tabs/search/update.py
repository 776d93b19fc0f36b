"""The study of a service as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping

from lib_merge.desk.common import data_url, problem_of
from lib_merge.desk.tabs.search.view import DimensionView, SearchUpdate, TrialView
from lib_merge.errors import MergeError
from lib_merge.search.bound import Dimension
from lib_merge.search.eye import is_eye
from lib_merge.search.ranges import Choices, NumberRange
from lib_merge.search.study import RUNNING, WAITING, TrialRow
from lib_merge.search.summary import best_row, dimension_importances, pareto_front
from lib_merge.search.targets import SlotTarget
from lib_merge.service.eye_searches import EyeSearch
from lib_merge.service.search_jobs import OpenStudy, Searches, progress_text
from lib_merge.service.search_pictures import TrialPictures
from lib_merge.service.search_plans import options_of_study

MOST_TRIALS = 60  # in one response


def study_update(searches: Searches, *, study: str = "", first: int = 0) -> SearchUpdate:
    """The study that is shown.

    study, first  as SearchSeen has them: of another study all trials are sent
    """
    job = searches.job
    try:
        there = searches.shown()
    except MergeError as problem:  # its files or its storage are gone
        return SearchUpdate(problem=problem_of(problem))
    failure = searches.failure or (job.failure if job is not None and not job.running else None)
    if there is None:
        return SearchUpdate(problem=problem_of(failure) if failure else None)
    rows = searches.rows(there)
    by_eye = is_eye(there.study.spec)  # every click changes all scores, so that all trials are sent
    start = first if study == there.study.name and not by_eye else 0
    fresh = rows[start : start + MOST_TRIALS]
    best = best_row(rows)
    is_own = job is not None and job.study is there.study
    running = is_own and job is not None and job.running
    budget = there.study.budget
    spec = there.study.spec
    return SearchUpdate(
        study=there.study.name,
        running=running,
        ending=job is not None and job.ending,
        waiting=is_own and job is not None and job.waiting,
        message=_message(there, rows, searches),
        problem=problem_of(failure) if failure else None,
        options=options_of_study(spec, budget, there.study.name),
        objectives=spec.objectives,
        dimensions=tuple(map(_dimension, there.study.space.dimensions)),
        first=start,
        trials=tuple(_trial(row, there.pictures) for row in fresh),
        more=start + len(fresh) < len(rows),
        best=-1 if best is None else best.number,
        front=tuple(row.number for row in pareto_front(rows)) if len(spec.objectives) > 1 else (),
        importances=_importances(there, rows),
    )


def _message(there: OpenStudy, rows: tuple[TrialRow, ...], searches: Searches) -> str:
    job = searches.job
    if job is None or job.study is not there.study:
        return f"{sum(row.state not in (RUNNING, WAITING) for row in rows)} trials of an earlier search."
    if isinstance(job, EyeSearch) and job.running:
        return ""  # the clicks are counted below the pictures
    if job.running:
        return progress_text(rows, job.budget, job.minutes)
    return job.end_message


def _importances(there: OpenStudy, rows: tuple[TrialRow, ...]) -> Mapping[str, float]:
    if len(there.study.spec.objectives) > 1:
        return {}
    return there.importances.of(rows, lambda: dimension_importances(there.study, rows))


def _dimension(dimension: Dimension) -> DimensionView:
    target, values = dimension.target, dimension.values
    slots = target.slots if isinstance(target, SlotTarget) else ()
    if isinstance(values, NumberRange):
        return DimensionView(dimension.name, values.low, values.high, (), slots)
    choices = values.options if isinstance(values, Choices) else ()
    return DimensionView(dimension.name, None, None, choices, slots)


def _trial(row: TrialRow, pictures: TrialPictures) -> TrialView:
    number = row.number if row.same_as < 0 else row.same_as
    small = pictures.read_small(number)
    return TrialView(
        row.number,
        row.state,
        row.values,
        row.scores,
        row.held_out,
        row.origin,
        row.problem,
        row.seconds,
        row.same_as,
        row.point,
        pictures.count(number) if small else 0,
        data_url(small, "image/webp") if small else "",
    )
