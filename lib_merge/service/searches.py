"""Searches over the model in memory: a trial costs its pictures and the blocks that differ."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid import GridBase, GridCell, GridRenderer, ModelCatalog, save_speeds
from lib_merge.library.history import SEARCHED, Entry, History
from lib_merge.progress import Progress
from lib_merge.recipe import Recipe, parse_recipe
from lib_merge.search.bound import BoundSpace, bind_space
from lib_merge.search.neighbours import neighbour_order
from lib_merge.search.run import Objectives, SearchRun, TrialResult, TrialRunner, draw_model
from lib_merge.search.scorers.closeness import MODEL_NAMES
from lib_merge.search.scorers.plugins import all_scorers, make_scorer
from lib_merge.search.scorers.scorer import Scorer, ScorerContext, parse_score
from lib_merge.search.scorers.settings import read_scorer_settings
from lib_merge.search.scorers.timed import TimedScorer
from lib_merge.search.space import parse_space
from lib_merge.search.spec import Budget, StudySpec, View
from lib_merge.search.study import DONE, SearchStudy, StartPoint
from lib_merge.service.grids import CombinedProgress

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_HISTORY_STARTS = 50  # starred merges that are tried first
log = logging.getLogger(__name__)

OnTrialResult = Callable[[TrialResult], None]
OnSearchEnd = Callable[[bool], None]


class SearchBackend(ModelCatalog, GridRenderer, Protocol):
    """The files and the pictures of a search: service.grids.GridBackend, or a WebUI on another machine."""


class SearchHost(Protocol):
    """What a search needs of a host."""

    def model(self) -> object:
        """Inside a job: the model in memory, loaded where none is; HostError where that cannot be."""
        ...

    def interrupt(self) -> None:
        """Stop the running job."""
        ...

    def data_dir(self) -> Path:
        """Merge Desk's own folder, with its scorers."""
        ...


class ModelJob(Protocol):
    """What a search needs of a job."""

    @property
    def progress(self) -> Progress:
        """The host's progress bar and *Interrupt*."""
        ...

    def preserving(self) -> AbstractContextManager[None]:
        """Afterwards the model is what it was before."""
        ...


class SearchService(Protocol):
    """What a search needs of a service: service.merging.MergeService, or a WebUI on another machine."""

    @property
    def host(self) -> SearchHost:
        """The program with the model."""
        ...

    @property
    def history(self) -> History:
        """Where finished trials are kept."""
        ...

    def job(self, label: str, task: str = "") -> AbstractContextManager[ModelJob]:
        """Exclusive use of the model."""
        ...


def bind_study_space(spec: StudySpec, backend: SearchBackend) -> BoundSpace:
    """The space of a study over its recipe, whose files the backend finds."""
    base = GridBase(GridCell(parse_recipe(spec.recipe), spec.drawing), backend)
    return bind_space(parse_space(spec.space), base)


def starting_points(space: BoundSpace, presets: Sequence[str], entries: Sequence[Entry]) -> list[StartPoint]:
    """The trials that are made first: the recipe, then presets, merges of the history with the same files.

    They are in an order in which neighbours share blocks.

    RecipeError for a preset that there is not.
    """
    recipe = space.base.cell.recipe
    origin = "the recipe as it was" if space.has(recipe) else "near the recipe as it was"
    starts = [StartPoint(space.point_of(recipe), origin)]
    starts += [StartPoint(space.point_of_preset(name), f"preset {name}") for name in presets]
    files = sorted(recipe.files)
    for entry in entries[:MOST_HISTORY_STARTS]:
        try:
            other = parse_recipe(entry.recipe)
        except MergeError:  # of a newer version
            continue
        if sorted(other.files) == files:
            starts.append(StartPoint(space.point_of(other), f"history {entry.id}"))
    starts = [start for start in starts if start.point]
    return [starts[index] for index in neighbour_order([start.point for start in starts], space)]


def run_search_job(
    service: SearchService,
    study: SearchStudy,
    backend: SearchBackend,
    budget: Budget,
    *,
    task: str = "",
    on_trial: OnTrialResult = lambda result: None,
    stopped: Callable[[], bool] = lambda: False,
    folder: Path = Path(),
) -> SearchRun:
    """Run a study in the host's jobs; afterwards the model is what it was before, however it ends.

    folder  relative paths of scores start here
    A trial that is interrupted because it takes too long ends the host's job: the search goes on in another.
    """
    total, began = SearchRun(), time.monotonic()
    while True:
        with service.job("search", task) as job:
            service.host.model()  # loads the checkpoint where none is loaded, or raises HostError
            with job.preserving():
                progress = CombinedProgress(job.progress, stopped)
                objectives = make_objectives(service, study, backend, progress, folder)
                runner = TrialRunner(
                    study,
                    backend,
                    objectives,
                    progress,
                    on_trial=lambda result: _tell(service, study, result, on_trial),
                    interrupt=service.host.interrupt,
                    began=began,
                )
                run = runner.run(budget)
        total = replace(
            run,
            trials=total.trials + run.trials,
            seconds=total.seconds + run.seconds,
            cost=total.cost + run.cost,
        )
        if not run.spoiled:
            return total


def _tell(service: SearchService, study: SearchStudy, result: TrialResult, on_trial: OnTrialResult) -> None:
    """Write a finished trial into the history, and hand it on."""
    if result.row.state == DONE and result.recipe is not None and result.pictures:
        first = result.pictures[0]
        try:
            service.history.add(result.recipe, SEARCHED, picture=first.image, infotext=first.infotext)
        except MergeError as problem:
            log.warning("%s", problem)
    on_trial(result)


# --- scorers ---


def check_objectives(service: SearchService, spec: StudySpec, folder: Path = Path()) -> list[MergeError]:
    """What is wrong with the scores of a study, before it is kept: scorers are made, and nothing is drawn."""
    recipe, data = parse_recipe(spec.recipe), service.host.data_dir()
    problems: list[MergeError] = []
    for text in spec.objectives:

        def no_pictures(letter: str, text: str = text) -> Sequence[Image]:
            _model_index(letter, recipe, text)
            return ()

        for views in filter(None, (spec.views, spec.held_out_views)):
            try:
                context = ScorerContext(views, read_scorer_settings(data), folder, no_pictures)
                make_scorer(parse_score(text), all_scorers(data), context)
            except MergeError as problem:
                problems.append(problem)
                break
    return problems


def _model_index(letter: str, recipe: Recipe, score: str) -> int:
    """The place of the model A, B or C in a recipe; RecipeError where it has none."""
    index = MODEL_NAMES.index(letter)
    if index >= len(recipe.ingredients):
        raise RecipeError(f"this merge has no {letter}", where=score, hint="closeness(A)")
    return index


def make_objectives(
    service: SearchService,
    study: SearchStudy,
    backend: SearchBackend,
    progress: Progress,
    folder: Path = Path(),
) -> Objectives:
    """The scorers of a study, inside a job of the host; MergeError where one lacks what it needs."""

    def scorers(views: Sequence[View]) -> tuple[Scorer, ...]:
        return tuple(
            _scorer(text, views, service, study, backend, progress, folder) for text in study.spec.objectives
        )

    held_out = study.spec.held_out_views
    return Objectives(scorers(study.spec.views), scorers(held_out) if held_out else ())


def _scorer(
    text: str,
    views: Sequence[View],
    service: SearchService,
    study: SearchStudy,
    backend: SearchBackend,
    progress: Progress,
    folder: Path,
) -> Scorer:
    data = service.host.data_dir()
    recipe = study.space.base.cell.recipe

    def model_pictures(letter: str) -> Sequence[Image]:
        index = _model_index(letter, recipe, text)
        return draw_model(recipe.ingredients[index].file, views, study, backend, progress)

    context = ScorerContext(tuple(views), read_scorer_settings(data), folder, model_pictures)
    scorer = make_scorer(parse_score(text), all_scorers(data), context)
    return TimedScorer(scorer, study.spec.time_limit, text)


# --- a search in a thread ---


@dataclass
class SearchJob:
    """A search that runs in a thread: started, paused, stopped, and started again to continue.

    While it is paused there is no thread, and the model is the user's again.
    on_trial     hears of every trial that has ended
    folder       relative paths of scores start here
    results      the trials of this job that have ended, in order
    end_message  a sentence about how it ended, "" while it runs
    waiting      whether it is paused: by `pause`, or by the host's *Interrupt*
    failure      what ended it, None for a search that ended by itself or was stopped
    """

    service: SearchService
    study: SearchStudy
    backend: SearchBackend
    budget: Budget
    on_trial: OnTrialResult = lambda result: None
    folder: Path = Path()
    results: list[TrialResult] = field(default_factory=list[TrialResult])
    end_message: str = ""
    waiting: bool = False
    failure: Exception | None = None
    began: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _pause: threading.Event = field(default_factory=threading.Event)
    _in_job: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self, task: str = "", ended: OnSearchEnd = lambda stopped: None) -> None:
        """Start the thread.

        ended  is called at its end, with whether the user ended it
        """
        self.waiting, self.end_message, self.failure = False, "", None
        self.began = time.monotonic()
        for event in (self._stop, self._pause, self._in_job):
            event.clear()
        run = threading.Thread(target=self._run, args=(task, ended), name="merge-desk-search", daemon=True)
        self._thread = run
        run.start()

    @property
    def running(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def minutes(self) -> float:
        """Since it was started."""
        return (time.monotonic() - self.began) / 60

    @property
    def ending(self) -> bool:
        """Whether it was paused or stopped, and still runs."""
        return self.running and (self._stop.is_set() or self._pause.is_set())

    def pause(self) -> None:
        """End the host's job after the picture that is being drawn; the trial is given back."""
        self._pause.set()

    def stop(self) -> None:
        """End the search; its finished trials are kept."""
        self._stop.set()
        if self._in_job.is_set():  # before that another job may be running
            self.service.host.interrupt()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for the end; returns whether it has ended."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.running

    def _is_stopping(self) -> bool:
        self._in_job.set()
        return self._stop.is_set() or self._pause.is_set()

    def _run(self, task: str, ended: OnSearchEnd) -> None:
        try:
            run = self._search(task)
            save_speeds(self.service.host.data_dir(), run.speeds)
            self.waiting = run.stopped and not self._stop.is_set()
            self.end_message = self._how_it_ended(run)
        except Exception as error:  # the status reports it
            log.info("a search has ended with an error", exc_info=error)
            self.failure = error
            self.end_message = "This search ended with an error; its finished trials are kept."
        self._in_job.clear()
        ended(self._stop.is_set() or self._pause.is_set())

    def _search(self, task: str) -> SearchRun:
        """Make trials until the budget is spent or the user ends it; within the thread."""
        return run_search_job(
            self.service,
            self.study,
            self.backend,
            self.budget,
            task=task,
            on_trial=self._keep,
            stopped=self._is_stopping,
            folder=self.folder,
        )

    def _keep(self, result: TrialResult) -> None:
        self.results.append(result)
        self.on_trial(result)

    def _how_it_ended(self, run: SearchRun) -> str:
        if not self.waiting:
            return f"The search has ended: {run.reason}."
        if self._pause.is_set():
            return "Paused. The model is what it was before; Go on continues."
        return "Interrupted by the WebUI. The finished trials are kept; Go on continues."
