"""What a job does now, for pages that ask while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from lib_merge.progress import Progress

LOADING = "loading the checkpoint"
GENERATING = "generating"


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

    def text(self, step: int = 0) -> str:
        """What is done now: "merging, 45 %" or "step 7 of 15, about 4 s left".

        step  how many steps of a picture are done, by the host
        """
        with self._lock:
            what, total, done, seconds = self._what, self._total, self._done, self._clock() - self._since
        if what != GENERATING:
            return f"{what}, {min(100, 100 * done // total)} %" if total and done else what
        if not 0 < step <= total:
            return what
        left = seconds / step * (total - step)
        return f"step {step} of {total}" + (f", about {left:.0f} s left" if left >= 1 else "")
