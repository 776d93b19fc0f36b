"""What a job does now, for pages that ask while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from lib_merge.progress import Progress

LOADING = "loading the checkpoint"
GENERATING = "generating"
LONG = 90  # seconds from which the time left is said in minutes


class Activity:
    """The progress of a job: hands every report on to the host's, and remembers the last one."""

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress, self._clock = progress, clock
        self._lock = threading.Lock()
        self._what, self._total, self._done, self._since = "", 0, 0, clock()

    def start(self, total: int, what: str) -> None:
        """Work of `total` bytes (or steps) begins."""
        self.begin(what, total)
        self._progress.start(total, what)

    def advance(self, amount: int) -> None:
        """`amount` more bytes (or steps) are done."""
        with self._lock:
            self._done += amount
        self._progress.advance(amount)

    def stopped(self) -> bool:
        """Whether the user asked the host to stop."""
        return self._progress.stopped()

    def begin(self, what: str, total: int = 0) -> None:
        """The same as `start` without a report to the host, which shows this work itself."""
        with self._lock:
            self._what, self._total, self._done, self._since = what, total, 0, self._clock()

    def share(self, step: int = 0) -> float:
        """How much of this work is done, from 0 to 1; `step` as of `text`."""
        with self._lock:
            done = step if self._what == GENERATING else self._done
            return min(1.0, max(0, done) / self._total) if self._total else 0.0

    def text(self, step: int = 0) -> str:
        """What is done now: "merging, 45 %, about 9 s left" or "step 7 of 15, about 4 s left".

        step  how many steps of a picture are done, by the host
        """
        with self._lock:
            what, total, done, seconds = self._what, self._total, self._done, self._clock() - self._since
        if what != GENERATING and total and done:
            return f"{what}, {min(100, 100 * done // total)} %{_render_left(seconds, done, total)}"
        if what != GENERATING or not 0 < step <= total:
            return what
        return f"step {step} of {total}{_render_left(seconds, step, total)}"


def _render_left(seconds: float, done: int, total: int) -> str:
    """The time left, where the rest takes as long as what is done; "" for less than a second."""
    left = seconds / done * (total - done)
    if left < 1:
        return ""
    return f", about {left:.0f} s left" if left < LONG else f", about {left / 60:.0f} min left"
