"""The handlers of the tab *Search*: plan, start in the background, pause, go on, report trials, take one.

A search keeps running when the page is closed; a page that is opened later, also after a restart, shows the
study that ran last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from lib_merge.desk.common import Problem, data_url, problem_of
from lib_merge.desk.protocol import Action, EmptyRequest, action
from lib_merge.desk.queue.view import QueueState, queue_state
from lib_merge.desk.selection import drawing_settings, merge_request
from lib_merge.desk.tabs.grid.view import CellSetup, cell_setup
from lib_merge.desk.tabs.search.references import keep_reference
from lib_merge.desk.tabs.search.update import study_update
from lib_merge.desk.tabs.search.view import (
    ReferenceInput,
    ReferenceName,
    ScorerView,
    SearchInput,
    SearchMenu,
    SearchPlanned,
    SearchSeen,
    SearchUpdate,
    StudyName,
    TrialNumber,
    TrialPicture,
)
from lib_merge.errors import ExtraError, MergeError, PlanError, RecipeError
from lib_merge.search.spec import SAMPLER_TITLES
from lib_merge.search.storage import need_optuna
from lib_merge.search.summary import trial_recipe
from lib_merge.service.request import MergeRequest
from lib_merge.service.search_jobs import OpenStudy
from lib_merge.service.search_plans import SearchPlan, render_search_plan
from lib_merge.service.services import Services


@action("search.open", status=False)
def open_(service: Services, action: Action[EmptyRequest]) -> SearchMenu:
    """What can be chosen, and the study that runs or ran last."""
    searches, missing = service.searches, _missing()
    studies: Sequence[str] = ()
    update = SearchUpdate()
    if missing is None:
        try:
            studies = searches.studies()
            update = study_update(searches)
        except MergeError as problem:  # the storage is away
            update = SearchUpdate(problem=problem_of(problem))
    samplers = tuple(SAMPLER_TITLES.items())
    return SearchMenu(missing, _scorers(service), samplers, tuple(studies), searches.draft(), update)


@action("search.plan", drawing=True, status=False)
def plan(service: Services, action: Action[SearchInput]) -> SearchPlanned:
    """What a search would do; draws nothing."""
    service.searches.keep_draft(action.data.options)
    try:
        planned = _planned(service, action)
    except PlanError as error:
        return SearchPlanned(problem=_all_problems(error))
    return SearchPlanned(f"{render_search_plan(planned)}.")


@action("search.start", drawing=True)
def start(service: Services, action: Action[SearchInput]) -> SearchUpdate:
    """Starts a search in the background, as a new study."""
    service.searches.start(_planned(service, action, is_starting=True), action.task)
    return study_update(service.searches)


@action("search.add", drawing=True)
def add(service: Services, action: Action[SearchInput]) -> QueueState:
    """Puts a search at the end of the queue."""
    service.searches.add(_planned(service, action, is_starting=True))
    return queue_state(service)


@action("search.go_on")
def go_on(service: Services, action: Action[StudyName]) -> SearchUpdate:
    """Continues a study where it was, also after a restart."""
    service.searches.go_on(action.data.study, action.data.budget, action.task)
    return study_update(service.searches)


@action("search.pause", status=False)
def pause(service: Services, action: Action[EmptyRequest]) -> SearchUpdate:
    """Pauses the search after the picture that is being drawn; the model is what it was before."""
    service.searches.pause()
    return study_update(service.searches)


@action("search.stop", status=False)
def stop(service: Services, action: Action[EmptyRequest]) -> SearchUpdate:
    """Stops the search at once; its finished trials are kept."""
    service.searches.stop()
    return study_update(service.searches)


@action("search.show", status=False)
def show(service: Services, action: Action[StudyName]) -> SearchUpdate:
    """Shows a study of an earlier search."""
    service.searches.show(action.data.study)
    return study_update(service.searches)


@action("search.poll", status=False)
def poll(service: Services, action: Action[SearchSeen]) -> SearchUpdate:
    """The trials since the last poll; does not touch the model."""
    return study_update(service.searches, study=action.data.study, first=max(0, action.data.first))


@action("search.take")
def take(service: Services, action: Action[TrialNumber]) -> CellSetup:
    """The settings of a trial: values for the lists, the faders and the picture's fields."""
    there, number = _shown(service), action.data.number
    row = next((row for row in there.study.rows() if row.number == number), None)
    if row is None or len(row.point) < len(there.study.space.dimensions):
        raise RecipeError(f"the study has no trial {number}", hint="open the tab again")
    spec = there.study.spec
    drawing = asdict(spec.settings(spec.views[0]))
    recipe = there.backend.resolve(trial_recipe(there.study, row))
    return cell_setup(service.merging, recipe, drawing)


@action("search.picture", status=False)
def picture(service: Services, action: Action[TrialNumber]) -> TrialPicture:
    """A picture of a trial, for the large view."""
    there, number, index = _shown(service), action.data.number, action.data.picture
    row = next((row for row in there.study.rows() if row.number == number), None)
    own = row.same_as if row is not None and row.same_as >= 0 else number
    raw = there.pictures.read(own, index)
    if raw is None:
        raise RecipeError(f"trial {number} has no such picture", hint="another machine has drawn it")
    return TrialPicture(number, index, data_url(raw, "image/webp"))


@action("search.reference", status=False)
def reference(service: Services, action: Action[ReferenceInput]) -> ReferenceName:
    """Keeps a picture that scores can be compared with, and names it."""
    folder = service.searches.planner.references
    return ReferenceName(keep_reference(folder, action.data.picture, action.data.name))


# --- helpers ---


def _missing() -> Problem | None:
    try:
        need_optuna()
    except ExtraError as problem:
        return problem_of(problem)
    return None


def _scorers(service: Services) -> tuple[ScorerView, ...]:
    planner = service.searches.planner
    try:
        kinds = planner.scorers()
        missing = {kind.id: planner.missing(kind) for kind in kinds.values()}
    except MergeError:  # scorers.json is damaged: the plan says so
        return ()
    return tuple(
        ScorerView(kind.id, kind.help, kind.argument, _lack(missing[kind.id])) for kind in kinds.values()
    )


def _lack(problem: MergeError | None) -> str:
    return "" if problem is None else problem_of(problem).what


def _planned(service: Services, action: Action[SearchInput], *, is_starting: bool = False) -> SearchPlan:
    def request() -> MergeRequest:
        return merge_request(service.merging, action.selection, action.data.parameters)

    settings = drawing_settings(service.merging, action.drawing)
    return service.searches.plan(request, action.data.options, settings, is_starting=is_starting)


def _all_problems(error: PlanError) -> Problem:
    problem = problem_of(error)
    if not problem.more:
        return problem
    count = len(problem.more)
    return Problem(f"{count} things are missing or wrong for a search", more=problem.more)


def _shown(service: Services) -> OpenStudy:
    there = service.searches.shown()
    if there is None:
        raise RecipeError("there is no search yet", hint="Start begins one")
    return there
