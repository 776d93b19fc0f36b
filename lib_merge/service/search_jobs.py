"""The searches of a desk: started in a background thread, paused, continued, also after a restart.

The service owns the search and not a page, so that it continues when pages are closed and opened. What its
trials have come to is in the study's storage, and nowhere else.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from lib_merge.errors import MergeError, OutputError, RecipeError
from lib_merge.grid.plan import format_duration
from lib_merge.json_data import expect_object, expect_text
from lib_merge.live import ident_of
from lib_merge.picture import DrawSettings
from lib_merge.recipe import parse_recipe
from lib_merge.schema import parse_dataclass
from lib_merge.search.eye import EyeStudy, is_eye
from lib_merge.search.run import TrialResult
from lib_merge.search.spec import DEFAULT_BUDGET, Budget, StudySpec, parse_budget
from lib_merge.search.storage import need_optuna
from lib_merge.search.studies import create_study, has_study, load_study, read_spec, study_names
from lib_merge.search.study import DONE, GIVEN_BACK_STATE, RUNNING, WAITING, SearchStudy, TrialRow
from lib_merge.search.summary import done_trials
from lib_merge.service.eye_searches import EyeSearch
from lib_merge.service.grids import GridBackend
from lib_merge.service.job_queue import JobQueue, Turn
from lib_merge.service.kept_jobs import KeptSearch
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest
from lib_merge.service.search_pictures import TrialPictures
from lib_merge.service.search_plans import (
    SearchOptions,
    SearchPlan,
    SearchPlanner,
    render_search_plan,
)
from lib_merge.service.searches import SearchJob, bind_study_space
from lib_merge.store import JsonFile

SEARCHES_FOLDER = "searches"  # under the host's data_dir()
STORAGE_FILE = "search.db"
SETTINGS = "search.json"  # {"format": "merge-desk search 1", "storage": "postgresql://..."}
DRAFT_FILE = "chosen.json"  # what the page has chosen
LAST_FILE = "last.json"  # the study that the desk has shown last
SEARCH_KIND, GRID_KIND = "search", "grid"  # of jobs in the queue

log = logging.getLogger(__name__)


class Importances:
    """What matters in a study, computed again only when scores are new."""

    def __init__(self) -> None:
        self._scores, self._shares = list[float](), dict[str, float]()

    def of(self, rows: Sequence[TrialRow], compute: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
        """The importances at these trials."""
        scores = [row.values[0] for row in done_trials(rows)]
        if scores != self._scores:
            self._scores, self._shares = scores, dict(compute())
        return self._shares


@dataclass(frozen=True)
class OpenStudy:
    """A study that is shown, with what its trials are made with."""

    study: SearchStudy
    backend: GridBackend
    pictures: TrialPictures
    importances: Importances = field(default_factory=Importances)


@dataclass(frozen=True)
class SearchOrder:
    """A search that is to be started, or continued; it can wait in the queue.

    kept   its values
    start  creates the study where there is none, and starts its thread
    """

    kept: KeptSearch
    start: Callable[[Turn], None]
    kind: str = SEARCH_KIND
    target: Path | None = None

    @property
    def summary(self) -> str:
        """Its plan, in a line."""
        return self.kept.summary

    @property
    def recipe(self) -> str:
        """The text of the recipe that it begins with."""
        return self.kept.recipe

    def begin(self, turn: Turn) -> None:
        """Start its thread."""
        self.start(turn)


class Searches:
    """The searches of one service, one at a time; thread-safe.

    job      the search of this session that was started last
    started  how many searches of this session were started
    failure  why a search that waited in the queue could not begin
    """

    def __init__(self, service: MergeService, queue: JobQueue) -> None:
        self._service, self._queue = service, queue
        self._lock = threading.RLock()
        self._open: OpenStudy | None = None
        self.planner = SearchPlanner(service)
        self.job: SearchJob | None = None
        self.started = 0
        self.failure: Exception | None = None

    # --- what there is ---

    @property
    def storage(self) -> str:
        """Where studies are kept: the address in search.json of the data folder, else a file in it."""
        file = JsonFile(self._service.host.data_dir() / SETTINGS, "the settings of searches", "search")
        address = file.read(lambda content: expect_text(expect_object(content)["storage"]))
        return address or str(self._folder() / STORAGE_FILE)

    def studies(self) -> Sequence[str]:
        """The names of all studies; ExtraError where Optuna is not installed."""
        storage = self.storage
        is_new = "://" not in storage and not Path(storage).exists()
        return () if is_new else study_names(storage)

    def shown(self) -> OpenStudy | None:
        """The study that runs or was opened last, also before a restart; None where there is none."""
        with self._lock:
            if self._open is None:
                name = self._last().read_cached(lambda content: expect_text(expect_object(content)["study"]))
                if name is not None and name in self.studies():
                    self._open = self._load(name)
            return self._open

    def show(self, name: str) -> OpenStudy:
        """Open a study; RecipeError while another one runs."""
        with self._lock:
            if self._open is None or self._open.study.name != name:
                self._check_idle()
                self._set(self._load(name))
            assert self._open is not None
            return self._open

    def rows(self, there: OpenStudy) -> tuple[TrialRow, ...]:
        """The trials of a study; where the score is the eye, with how well each is liked as its score."""
        if not is_eye(there.study.spec):
            return there.study.rows()
        own = isinstance(self.job, EyeSearch) and self.job.study is there.study
        eye = self.job.eye if own and isinstance(self.job, EyeSearch) else EyeStudy(there.study)
        return eye.liked_rows()

    def draft(self) -> SearchOptions | None:
        """What was chosen last, also before a restart."""
        return self._draft().read_cached(
            lambda content: parse_dataclass(SearchOptions, expect_object(content)["options"], "a search")  # type: ignore[arg-type]
        )

    # --- what is asked for ---

    def keep_draft(self, options: SearchOptions) -> None:
        """Remember what is chosen, for a page that is opened later."""
        if options != self.draft():
            self._draft().write_cached({"options": asdict(options)})

    def plan(
        self,
        make_request: Callable[[], MergeRequest],
        options: SearchOptions,
        drawing: DrawSettings,
        *,
        is_starting: bool = False,
    ) -> SearchPlan:
        """The plan of a search; PlanError with all problems, see SearchPlanner."""
        name = options.study.strip()
        return self.planner.plan(make_request, options, drawing, name=name, is_starting=is_starting)

    def start(self, plan: SearchPlan, task: str = "") -> None:
        """Start a search in a thread."""
        with self._queue.lock:
            self._check_idle()
            self._queue.begin(self._order(plan, task))

    def add(self, plan: SearchPlan) -> int:
        """Let a search start when the jobs before it have ended; its number in the queue."""
        return self._queue.add(self._order(plan))

    def go_on(self, study: str = "", budget: str = "", task: str = "") -> None:
        """Continue a study where it was, also after a restart.

        study   the one that is shown, where it is not named
        budget  "" for that of before
        """
        new_budget = parse_budget(budget) if budget.strip() else None
        with self._queue.lock:
            self._check_idle()
            there = self.show(study) if study else self.shown()
            if there is None:
                raise RecipeError("there is no search to continue", hint="Start begins one")
            old = there.study.budget or DEFAULT_BUDGET
            allowed = new_budget or parse_budget(old)
            name, spec = there.study.name, there.study.spec
            recipe = ident_of(there.study.space.base.cell.recipe).recipe
            kept = KeptSearch(recipe, spec, name, str(allowed), summary=f"{name}, {allowed}")
            self._queue.begin(SearchOrder(kept, lambda turn: self._run(there, allowed, task, turn)))

    def pause(self) -> None:
        """Pause the running search after the picture that is being drawn."""
        if self.job is not None and self.job.running:
            self.job.pause()

    def stop(self) -> None:
        """Stop the running search; its finished trials are kept."""
        if self.job is not None and self.job.running:
            self.job.stop()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end; returns whether the search has ended."""
        return self.job is None or self.job.wait(seconds)

    # --- helpers ---

    def _check_idle(self) -> None:
        """RecipeError while a search or a grid runs."""
        if self.job is not None and self.job.ending:
            what = "the search still finishes the picture that is being drawn"
            raise RecipeError(what, hint="try again in a moment")
        if self.job is not None and self.job.running:
            raise RecipeError(
                "a search is running already", hint="Pause or Stop it first; its trials are kept"
            )
        if self._queue.runs(GRID_KIND):
            raise RecipeError("a grid is running", hint="Stop it first, or add the search to the queue")

    def _order(self, plan: SearchPlan, task: str = "") -> SearchOrder:
        recipe = ident_of(plan.space.base.cell.recipe).recipe
        kept = KeptSearch(
            recipe, plan.spec, plan.name, str(plan.budget), plan.starts, render_search_plan(plan)
        )
        return SearchOrder(kept, lambda turn: self._begin(lambda: plan, task, turn))

    def order_of(self, kept: KeptSearch) -> SearchOrder:
        """A search of before a restart; its files are looked for when it begins."""
        return SearchOrder(kept, lambda turn: self._begin(lambda: self._planned_again(kept), "", turn))

    def _planned_again(self, kept: KeptSearch) -> SearchPlan:
        need_optuna()
        self.planner.check_live()
        backend = self._backend(kept.spec)
        space = bind_study_space(kept.spec, backend)
        return SearchPlan(kept.name, kept.spec, space, backend, parse_budget(kept.budget), kept.starts)

    def _begin(self, prepare: Callable[[], SearchPlan], task: str, turn: Turn) -> None:
        """Create the study, and start its thread, while the queue's lock is held."""
        try:
            self.failure = None
            plan = prepare()
            storage, name = self.storage, plan.name or self._free_name()
            self._folder().mkdir(parents=True, exist_ok=True)
            if plan.name and has_study(storage, name):
                hint = "choose it among the studies to go on with it, or take another name"
                raise OutputError(f"there is a study named '{name}' already", hint=hint)
            study = create_study(storage, name, plan.spec, plan.space)
            study.budget = str(plan.budget)
            study.enqueue(plan.starts)
            self._run(OpenStudy(study, plan.backend, self._pictures(name)), plan.budget, task, turn)
        except Exception as error:
            self.failure = error
            raise

    def _run(self, there: OpenStudy, budget: Budget, task: str, turn: Turn) -> None:
        """Start the thread of a study, while the queue's lock is held."""
        turn.take()
        there.study.budget = str(budget)
        self._set(there)

        def keep(result: TrialResult) -> None:
            try:
                there.pictures.add(result.row.number, result.pictures)
            except (MergeError, OSError) as problem:
                log.warning("%s", problem)

        def has_picture(number: int) -> bool:
            return there.pictures.has_all(number, len(there.study.spec.views))

        self.failure = None
        by_eye = is_eye(there.study.spec)
        if by_eye:  # it waits for clicks, and the queue does not wait for it
            turn.end()
        kind = partial(EyeSearch, has_picture=has_picture) if by_eye else SearchJob
        self.job = kind(
            self._service, there.study, there.backend, budget, on_trial=keep, folder=self.planner.references
        )
        self.started += 1
        self.job.start(task, lambda stopped: None if by_eye else turn.end(stopped=stopped))

    def _load(self, name: str) -> OpenStudy:
        """A study of the storage, whose files are found by name and hash."""
        spec = read_spec(self.storage, name)
        backend = self._backend(spec)
        study = load_study(self.storage, name, bind_study_space(spec, backend))
        return OpenStudy(study, backend, self._pictures(name))

    def _backend(self, spec: StudySpec) -> GridBackend:
        return GridBackend(self._service, self._service.locate(parse_recipe(spec.recipe)).files)

    def _set(self, there: OpenStudy) -> None:
        with self._lock:
            self._open = there
            self._last().write_cached({"study": there.study.name})

    def _free_name(self) -> str:
        names, number = self.studies(), 1
        while f"search {number}" in names:
            number += 1
        return f"search {number}"

    def _pictures(self, name: str) -> TrialPictures:
        return TrialPictures(self._folder(), self.storage, name)

    def _last(self) -> JsonFile:
        return JsonFile(self._folder() / LAST_FILE, "the last search", "last search")

    def _draft(self) -> JsonFile:
        return JsonFile(self._folder() / DRAFT_FILE, "the settings of a search", "search settings")

    def _folder(self) -> Path:
        return self._service.host.data_dir() / SEARCHES_FOLDER


def progress_text(rows: Sequence[TrialRow], budget: Budget, minutes: float) -> str:
    """How many trials are done, and the estimated time left.

    minutes  since this run began
    """
    taken = [row for row in rows if row.state not in (GIVEN_BACK_STATE, WAITING)]
    done = sum(row.state != RUNNING for row in taken)
    if budget.trials is None:
        if budget.minutes is None:
            return f"{done} trials"
        most = f"{budget.minutes:g}"
        return f"{done} trials, {minutes:.1f} of {most} minutes"
    seconds = [row.seconds for row in rows if row.state == DONE and row.same_as < 0]
    if not seconds:
        return f"{done} of {budget.trials} trials ..."
    left = sum(seconds) / len(seconds) * max(0, budget.trials - done)
    if budget.minutes is not None:
        left = min(left, max(0.0, 60 * (budget.minutes - minutes)))
    return f"{done} of {budget.trials} trials, about {format_duration(left)} to go"
