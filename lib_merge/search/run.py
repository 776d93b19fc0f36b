"""Runs trials of a study in one job of the host: merge, draw, score. A failure affects its trial alone."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lib_merge.errors import MergeError, StoppedError
from lib_merge.grid import GridRenderer, Speeds
from lib_merge.grid.edit import checkpoint_recipe
from lib_merge.grid.plan import drawing_cost
from lib_merge.grid.run import RendererLostError
from lib_merge.picture import Picture
from lib_merge.progress import Progress
from lib_merge.recipe import Recipe
from lib_merge.search.scorers.scorer import Scorer
from lib_merge.search.spec import Budget, View
from lib_merge.search.storage import retry_storage
from lib_merge.search.study import OpenTrial, ScoredTrial, SearchStudy, TrialRow

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")
log = logging.getLogger(__name__)

MOST_EQUAL_FAILURES = 3  # in a row, after which the search ends: it would only fail again
MOST_REPEATED = 50  # trials in a row that were scored before: the space has no others


@dataclass(frozen=True)
class Objectives:
    """The scorers of a study: one for each objective, and those of the held-out prompts."""

    scorers: tuple[Scorer, ...]
    held_out: tuple[Scorer, ...] = ()


@dataclass(frozen=True)
class TrialResult:
    """A trial that has ended, with its recipe and pictures; no pictures where they were drawn before."""

    row: TrialRow
    recipe: Recipe | None = None
    pictures: tuple[Picture, ...] = ()


@dataclass
class SearchRun:
    """How a run ended.

    trials   how many trials it ended
    reason   a sentence about the end
    stopped  whether the user stopped it
    spoiled  whether the host's job was interrupted to end a trial that took too long; another job goes on
    seconds  of drawing, of all pictures
    cost     of the same pictures, in steps of one megapixel
    """

    trials: int = 0
    reason: str = ""
    stopped: bool = False
    spoiled: bool = False
    seconds: float = 0.0
    cost: float = 0.0

    @property
    def speeds(self) -> Speeds:
        """What was measured."""
        return Speeds(draw=self.seconds / self.cost if self.cost else None)


OnTrial = Callable[[TrialResult], None]


class _TooLongError(MergeError):
    """A trial took longer than its time limit."""


class TrialRunner:
    """Runs trials with one renderer.

    interrupt  ends the picture that is being drawn, as the host's *Interrupt* does
    began      when the run began, by `clock`: of its minutes
    """

    def __init__(
        self,
        study: SearchStudy,
        renderer: GridRenderer,
        objectives: Objectives,
        progress: Progress,
        *,
        on_trial: OnTrial = lambda result: None,
        interrupt: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        began: float | None = None,
    ) -> None:
        self._study, self._renderer, self._objectives = study, renderer, objectives
        self._progress, self._on_trial, self._interrupt = progress, on_trial, interrupt
        self._clock = clock
        self._began = clock() if began is None else began
        self._failures: list[str] = []
        self._repeated = 0
        self._seconds, self._cost = 0.0, 0.0  # of the pictures that were drawn
        self._spoiled = False  # the host's job, by the interrupt that ended a trial

    def run(self, budget: Budget) -> SearchRun:
        """Trial after trial until the budget is spent, the user stops it, or nothing but failures comes."""
        run = SearchRun()
        while not run.reason:
            run.reason = self._persist(lambda: self._end(budget))
            if run.reason:
                break
            if self._progress.stopped():
                run.stopped, run.reason = True, "stopped"
                break
            trial = self._persist(self._study.ask)
            try:
                result = self._try(trial)
            except (StoppedError, RendererLostError, KeyboardInterrupt) as stop:
                self._persist(lambda trial=trial: self._study.give_back(trial, "the search was stopped"))
                if not isinstance(stop, StoppedError):
                    raise
                run.stopped, run.reason = True, "stopped"
                break
            run.trials += 1
            self._on_trial(result)
            if self._spoiled:
                run.spoiled, run.reason = True, "a trial took too long"
        run.seconds, run.cost = self._seconds, self._cost
        return run

    def _end(self, budget: Budget) -> str:
        """Why no other trial is made, "" for another one."""
        if budget.minutes is not None and self._clock() - self._began >= 60 * budget.minutes:
            return f"{budget.minutes:g} minutes are over"
        if budget.trials is not None and self._study.count_taken() >= budget.trials:
            return f"{budget.trials} trials are done"
        last = self._failures[-MOST_EQUAL_FAILURES:]
        if len(last) == MOST_EQUAL_FAILURES and len(set(last)) == 1:
            return f"{MOST_EQUAL_FAILURES} trials in a row failed: {last[0]}"
        if self._repeated >= MOST_REPEATED:
            return "every point that the sampler proposes has been scored"
        return ""

    def _persist(self, action: Callable[[], T]) -> T:
        """Do this with the storage; where it is away, again until it is back."""
        return retry_storage(action, self._progress.stopped, self._clock)

    # --- one trial ---

    def _try(self, trial: OpenTrial) -> TrialResult:
        began = time.perf_counter()
        earlier = self._persist(lambda: self._study.same_point(trial.point))
        if earlier is not None:
            self._repeated += 1
            same = ScoredTrial(earlier.scores, earlier.held_out, 0.0, earlier.number)
            return TrialResult(self._persist(lambda: self._study.finish(trial, same)))
        self._repeated = 0
        recipe: Recipe | None = None
        pictures: list[Picture] = []
        try:
            recipe = self._study.space.recipe(trial.point)
            scored = self._scored(trial, recipe, pictures)
        except (StoppedError, RendererLostError):
            raise
        except Exception as failure:
            log.info("trial %d has failed", trial.number, exc_info=failure)
            problem = _sentence(failure)
            self._failures.append(problem)
            seconds = time.perf_counter() - began
            return TrialResult(self._persist(lambda: self._study.fail(trial, problem, seconds)), recipe)
        seconds = time.perf_counter() - began
        if scored is None:
            row = self._persist(lambda: self._study.prune(trial, seconds))
        else:
            timed = ScoredTrial(scored.scores, scored.held_out, seconds)
            row = self._persist(lambda: self._study.finish(trial, timed))
        if row.problem:
            self._failures.append(row.problem)
        else:
            self._failures.clear()
        return TrialResult(row, recipe, tuple(pictures))

    def _scored(self, trial: OpenTrial, recipe: Recipe, pictures: list[Picture]) -> ScoredTrial | None:
        """The scores of a trial; None where it is pruned. Its pictures are added to `pictures`."""
        spec, views = self._study.spec, self._study.spec.views
        with self._time_limit():
            if not self._renderer.holds(recipe):
                self._renderer.merge(recipe, self._progress)
            pictures += self._drawn(views[: spec.prune_after] if spec.prune_after else views)
        if spec.prune_after:
            first = _score(self._objectives.scorers[0], pictures, views)
            if not math.isfinite(first):
                raise MergeError(f"the score of the first pictures is {first}")
            if self._persist(lambda: self._study.is_pruned(trial, first)):
                return None
            with self._time_limit():
                pictures += self._drawn(views[spec.prune_after :])
        scores = tuple(_score(scorer, pictures, views) for scorer in self._objectives.scorers)
        return ScoredTrial(scores, self._held_out(trial, scores))

    def _held_out(self, trial: OpenTrial, scores: Sequence[float]) -> tuple[float, ...]:
        """The scores on the held-out prompts, of a trial that is the best so far."""
        views = self._study.spec.held_out_views
        if not views or not self._persist(lambda: self._study.improves(trial, scores)):
            return ()
        with self._time_limit():
            pictures = self._drawn(views)
        return tuple(_score(scorer, pictures, views) for scorer in self._objectives.held_out)

    def _drawn(self, views: Sequence[View]) -> list[Picture]:
        pictures: list[Picture] = []
        for view in views:
            if self._progress.stopped():
                raise StoppedError("stopped")
            settings, began = self._study.spec.settings(view), time.perf_counter()
            pictures.append(self._renderer.draw(settings))
            self._seconds += time.perf_counter() - began
            self._cost += drawing_cost(settings)
        return pictures

    @contextmanager
    def _time_limit(self) -> Generator[None]:
        """Interrupt what the block does after the time limit; _TooLongError then."""
        seconds = self._study.spec.time_limit
        over = threading.Event()

        def end() -> None:
            over.set()
            self._interrupt()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except StoppedError as stop:
            if not over.is_set():
                raise
            self._spoiled = True
            raise _TooLongError(f"the trial took more than {seconds:g} s") from stop
        finally:
            timer.cancel()
        if over.is_set():
            self._spoiled = True


def _score(scorer: Scorer, pictures: Sequence[Picture], views: Sequence[View]) -> float:
    """The score of the pictures of the first views."""
    prompts = [view.prompt for view in views[: len(pictures)]]
    return scorer.score([picture.image for picture in pictures], prompts)


def _sentence(failure: Exception) -> str:
    """An error in one line."""
    if isinstance(failure, MergeError):
        return failure.what.splitlines()[0] + (f" ({failure.where})" if failure.where else "")
    return f"{type(failure).__name__}: {failure}".splitlines()[0]


def draw_model(
    file: str, views: Sequence[View], study: SearchStudy, renderer: GridRenderer, progress: Progress
) -> tuple[Image, ...]:
    """What a checkpoint draws for these views, merged with nothing."""
    recipe = checkpoint_recipe(file)
    if not renderer.holds(recipe):
        renderer.merge(recipe, progress)
    return tuple(renderer.draw(study.spec.settings(view)).image for view in views)
