"""The search whose score is the user's eye, in a thread: draws what is compared next, ahead of the clicks.

Each trial is drawn in a job of the host's of its own, after which the model is the user's again. While the
user looks at a pair some trials more are drawn, so that a click is answered with a pair that is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from lib_merge.errors import MergeError
from lib_merge.search.eye import ORIGIN_OF_PAIR, EyeStudy
from lib_merge.search.preference import Answer, Click
from lib_merge.search.run import SearchRun, TrialResult
from lib_merge.search.spec import Budget
from lib_merge.search.study import FAILED, WAITING, StartPoint, TrialRow
from lib_merge.search.summary import done_trials
from lib_merge.service.searches import SearchJob, run_search_job

AHEAD = 2  # trials that are drawn and were not shown yet
MOST_FAILURES = 3  # in a row, after which the search ends: it would only fail again
LOOK_AGAIN = 0.2  # seconds until the thread sees that it was stopped, where nothing else wakes it

TrialPair = tuple[int, int]  # the numbers of the left and the right one


@dataclass(frozen=True)
class EyeLook:
    """What the user is to compare, and what the clicks say so far.

    clicks  how many there are
    goal    after how many the search ends; None for no end
    drawn   how many trials have pictures
    pair    None while it is being drawn, and where the search has ended
    ahead   the trials that were not shown yet
    best    the trial that is liked best, -1 for none
    chance  how probable it is that none of the others is better
    """

    clicks: int
    goal: int | None
    drawn: int
    pair: TrialPair | None = None
    ahead: tuple[int, ...] = ()
    best: int = -1
    chance: float = 0.0


@dataclass
class EyeSearch(SearchJob):
    """A search by eye. The trials of its budget are clicks: it ends after so many of them.

    has_picture  whether the pictures of a trial are kept; others are not shown
    """

    has_picture: Callable[[int], bool] = lambda number: True
    _pair: TrialPair | None = None
    _no_more: bool = False  # points: the space has no others
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.eye = EyeStudy(self.study)

    # --- what the user does ---

    def answer(self, left: int, right: int, answer: Answer, clicks: int) -> None:
        """Keep a click on a pair, and choose the next one.

        clicks  how many the page knew of: one that was made twice, or on an older page, is ignored
        """
        with self._changed:
            if clicks != len(self.eye.clicks()):
                return
            self.eye.add(Click(left, right, answer))
            self._pair = self._proposed()
            self._changed.notify_all()

    def take_back(self) -> None:
        """Take the last click back, and show its pair again."""
        with self._changed:
            click = self.eye.take_back()
            if click is not None:
                self._pair = click.left, click.right
            self._changed.notify_all()

    def look(self) -> EyeLook:
        """What the page shows."""
        with self._changed:
            pair = self._pair if self.running else None
        clicks, ready = self.eye.clicks(), self._ready()
        best = self.eye.best() or (-1, 0.0)
        ahead = self._ahead(ready, clicks, pair)
        return EyeLook(len(clicks), self.budget.trials, len(ready), pair, ahead, *best)

    # --- the thread ---

    def _search(self, task: str) -> SearchRun:
        """Draw trials as they are needed until it is over; see SearchJob."""
        trials = 0
        with self._changed:
            self._pair = self._proposed()
        while not (reason := self._reason()):
            if self.ending:
                return SearchRun(trials, "stopped", stopped=True)
            if not self._needs_another() or not self._has_point():
                with self._changed:
                    self._changed.wait(LOOK_AGAIN)
                continue
            run = self._drawn_one(task)
            trials += run.trials
            if run.stopped:
                return SearchRun(trials, run.reason, stopped=True)
        return SearchRun(trials, reason)

    def _drawn_one(self, task: str) -> SearchRun:
        """Draw the next trial in a job of the host."""
        run = run_search_job(
            self.service,
            self.study,
            self.backend,
            Budget(trials=self.study.count_taken() + 1),
            task=task,
            on_trial=self._keep,
            stopped=self._is_stopping,
            folder=self.folder,
        )
        self._in_job.clear()  # what is drawn now is the user's, and not ours to interrupt
        last = [result.row for result in self.results[-MOST_FAILURES:]]
        if len(last) == MOST_FAILURES and all(row.state == FAILED for row in last):
            raise MergeError(f"{MOST_FAILURES} trials in a row failed: {last[-1].problem}")
        return run

    def _keep(self, result: TrialResult) -> None:
        super()._keep(result)
        with self._changed:
            if self._pair is None:
                self._pair = self._proposed()

    def _reason(self) -> str:
        """Why it is over, "" where it is not."""
        goal, minutes, clicks = self.budget.trials, self.budget.minutes, len(self.eye.clicks())
        if goal is not None and clicks >= goal:
            return f"{goal} clicks are done"
        if minutes is not None and self.minutes >= minutes:
            return f"{minutes:g} minutes are over"
        with self._changed:
            if self._no_more and self._pair is None and self._proposed() is None:
                return "every pair was compared"
        return ""

    def _needs_another(self) -> bool:
        """Whether a trial is to be drawn now."""
        clicks, ready = self.eye.clicks(), self._ready()
        if len(ready) < 2 or self._pair is None:
            return True
        goal = self.budget.trials
        left = AHEAD if goal is None else max(0, goal - len(clicks) - 1)  # after the pair that is shown
        return len(self._ahead(ready, clicks, self._pair)) < min(AHEAD, left)

    def _has_point(self) -> bool:
        """Let the point that tells most be the next trial, unless others wait; False where there is none."""
        if any(row.state == WAITING for row in self.study.rows()):
            return True
        point = None if self._no_more else self.eye.next_point()
        if point is None:
            self._no_more = True
            return False
        self.study.enqueue([StartPoint(point, ORIGIN_OF_PAIR)])
        return True

    def _ready(self) -> list[int]:
        """The trials that can be shown."""
        rows: Sequence[TrialRow] = done_trials(self.study.rows())
        return [row.number for row in rows if self.has_picture(row.number)]

    def _proposed(self) -> TrialPair | None:
        return self.eye.next_drawn_pair(self._ready())

    def _ahead(
        self, ready: Collection[int], clicks: Sequence[Click], pair: TrialPair | None
    ) -> tuple[int, ...]:
        shown = {number for click in clicks for number in (click.left, click.right)} | set(pair or ())
        return tuple(number for number in ready if number not in shown)
