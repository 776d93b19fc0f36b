"""Searches over HTTP, with the names of the command line's options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import cast

from lib_merge.desk.route import route, unknown_names_as_404
from lib_merge.errors import RecipeError
from lib_merge.picture import read_settings
from lib_merge.recipe import print_recipe, without_hashes
from lib_merge.schema import EmptyRequest, parse_dataclass
from lib_merge.search.study import TrialRow
from lib_merge.search.summary import best_row, dimension_importances, pareto_front, trial_recipe
from lib_merge.service.request import MergeRequest
from lib_merge.service.search_jobs import progress_text
from lib_merge.service.search_plans import SearchOptions, SearchPlan
from lib_merge.service.server_paths import folders_of, without_paths
from lib_merge.service.services import Services

SEARCH_ACTIONS = ("start", "plan", "pause", "go_on", "stop")


@dataclass(frozen=True)
class SearchBody:
    """A merge, as for `plan`, and the search that begins with it.

    action        start (default), plan, pause, go_on or stop
    drawing       prompt, negative, sampler, scheduler, steps, cfg, width, height, seed of all pictures
    space         what is searched, "OUT04-OUT11: 0..1; IN: tied 0..1"
    score         a sum of scorers, or a list of two for two objectives
    budget        "50 trials", "10 minutes", or both; go_on takes it too
    prompt        a list of prompts; without any that of `drawing`
    held_out      a list of prompts that no trial is chosen by
    seeds         "1, 2" or "1-4"; without it that of `drawing`
    sampler       tpe, cma-es, gp or random
    sampler_seed  the same seed proposes the same trials
    penalty       subtracted from a score, times the mean square distance to the merge as it is
    prune         end a trial after so many pictures where it is clearly worse; 0 for never
    trial_limit   seconds that the pictures of a trial, or their score, may take
    start         a list of presets that are tried first
    starred       true: starred merges of the history with the same files are tried first
    study         the name of the study; go_on continues it
    """

    merge: MergeRequest
    action: str
    drawing: Mapping[str, object]
    options: SearchOptions

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> SearchBody:
        """Parse the JSON body; raises RecipeError for a field that is not valid."""
        rest = dict(body)
        action = str(rest.pop("action", "") or SEARCH_ACTIONS[0])
        if action not in SEARCH_ACTIONS:
            raise RecipeError(f"a search cannot '{action}'", hint=", ".join(SEARCH_ACTIONS))
        drawing = rest.pop("drawing", None)
        if not isinstance(drawing, Mapping) and drawing is not None:
            raise RecipeError("drawing must be an object", hint='{"prompt": "a cat", "steps": 20}')
        names = [option.name for option in fields(SearchOptions)]
        chosen = {name: rest.pop(name) for name in names if name in rest}
        if isinstance(chosen.get("score"), str):
            chosen["score"] = [chosen["score"]]
        options = parse_dataclass(SearchOptions, chosen, "a search")
        settings = cast("Mapping[str, object]", drawing or {})
        return cls(MergeRequest.from_json(rest), action, settings, options)


@dataclass(frozen=True)
class SearchPlanAnswer:
    """What a search does.

    dimensions  the numbers and words that are searched
    pictures    of each trial
    budget      when it ends
    seconds     how long it takes about, null where nothing was measured yet
    """

    dimensions: tuple[str, ...]
    pictures: int
    budget: str
    seconds: float | None


@dataclass(frozen=True)
class TrialAnswer:
    """A trial of a study.

    state     done, failed, pruned, running, waiting or given back
    values    what is maximized: the objectives less the penalty
    scores    the objectives
    held_out  the objectives on held-out prompts, where they were drawn
    point     dimension -> value
    origin    where its values are from, "" for the sampler
    problem   why it failed
    same_as   the trial with the same values whose score it has, -1 for its own
    """

    number: int
    state: str
    values: tuple[float, ...]
    scores: tuple[float, ...]
    held_out: tuple[float, ...]
    point: Mapping[str, float | str]
    origin: str
    problem: str
    seconds: float
    same_as: int


@dataclass(frozen=True)
class SearchStatus:
    """The study that runs or ran last.

    study        its name, "" for none
    running      whether it runs
    paused       whether it waits for go_on
    message      its progress, or how it ended, in a sentence
    problem      why it has ended early
    best         the number of the best trial, -1 for none
    recipe       the recipe of the best trial
    front        of two objectives: the trials that no other one beats in both
    importances  dimension -> share of the variance of good trials
    studies      the names of all studies
    """

    study: str = ""
    running: bool = False
    paused: bool = False
    message: str = ""
    problem: str = ""
    best: int = -1
    recipe: str = ""
    front: tuple[int, ...] = ()
    importances: Mapping[str, float] = field(default_factory=dict[str, float])
    trials: tuple[TrialAnswer, ...] = ()
    studies: tuple[str, ...] = ()


@route("GET", "search")
def search_status(service: Services, request: EmptyRequest) -> SearchStatus:
    """The study that runs or ran last, and all its trials."""
    return _status(service)


@route("POST", "search")
def search(service: Services, request: SearchBody) -> SearchPlanAnswer | SearchStatus:
    """Plans, starts, pauses, continues or stops a search."""
    with unknown_names_as_404():
        return _act(service, request)


def _act(service: Services, request: SearchBody) -> SearchPlanAnswer | SearchStatus:
    searches = service.searches
    if request.action == "pause":
        searches.pause()
    elif request.action == "stop":
        searches.stop()
    elif request.action == "go_on":
        searches.go_on(request.options.study, request.options.budget)
    else:
        is_starting = request.action == "start"
        settings = read_settings(request.drawing, service.merging.host.default_settings())
        plan = searches.plan(lambda: request.merge, request.options, settings, is_starting=is_starting)
        if is_starting:
            searches.start(plan)
        return _planned(plan)
    return _status(service)


def _planned(plan: SearchPlan) -> SearchPlanAnswer:
    names = tuple(dimension.name for dimension in plan.space.dimensions)
    return SearchPlanAnswer(names, len(plan.spec.views), str(plan.budget), plan.seconds)


def _status(service: Services) -> SearchStatus:
    searches, folders = service.searches, folders_of(service.merging.host)
    there, job, studies = searches.shown(), searches.job, tuple(searches.studies())
    failure = searches.failure or (job.failure if job is not None else None)
    problem = without_paths(str(failure), folders) if failure else ""
    if there is None:
        return SearchStatus(problem=problem, studies=studies)
    rows = searches.rows(there)
    best = best_row(rows)
    is_own = job is not None and job.study is there.study
    running = is_own and job is not None and job.running
    message = ""
    if is_own and job is not None:
        message = progress_text(rows, job.budget, job.minutes) if running else job.end_message
    several = len(there.study.spec.objectives) > 1
    return SearchStatus(
        there.study.name,
        running,
        is_own and job is not None and job.waiting,
        message,
        problem,
        -1 if best is None else best.number,
        "" if best is None else print_recipe(without_hashes(trial_recipe(there.study, best))),
        tuple(row.number for row in pareto_front(rows)) if several else (),
        {} if several else dimension_importances(there.study, rows),
        tuple(_trial(row) for row in rows),
        studies,
    )


def _trial(row: TrialRow) -> TrialAnswer:
    return TrialAnswer(
        row.number,
        row.state,
        row.values,
        row.scores,
        row.held_out,
        row.point,
        row.origin,
        row.problem,
        row.seconds,
        row.same_as,
    )
