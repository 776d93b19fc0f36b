"""Progress bars on a terminal with tqdm; none where the output goes to a file or a program."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Generator
from typing import Any

from lib_merge.progress import NoProgress, Progress


@contextlib.contextmanager
def progress_bar() -> Generator[Progress]:
    """A bar on standard error if it is a terminal."""
    if not sys.stderr.isatty():
        yield NoProgress()
        return
    bar = Bar()
    try:
        yield bar
    finally:
        bar.close()


class Bar:
    """One tqdm bar in bytes."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._lock = threading.Lock()

    def start(self, total: int, what: str) -> None:
        """Start a bar, and close the one before."""
        from tqdm import tqdm

        self.close()
        self._bar = tqdm(total=total, desc=what, unit="B", unit_scale=True, leave=False)

    def advance(self, amount: int) -> None:
        """Advance the bar."""
        with self._lock:
            if self._bar is not None:
                self._bar.update(amount)

    def stopped(self) -> bool:
        """False: Ctrl-C is raised as an exception."""
        return False

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
