"""The WebUI's own state of its running job, and its progress bar."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from lib_merge.hosts.webui_modules import part

GRAIN = 1000  # steps of the host's progress bar


class JobProgress:
    """Progress shown in the host's progress bar, stopped by its *Interrupt*.

    silent  leaves the bar alone, which belongs to the job around this one
    """

    def __init__(self, state: Any, *, silent: bool = False) -> None:
        self._state, self._silent = state, silent
        self._total, self._done = 1, 0
        self._lock = threading.Lock()

    def start(self, total: int, what: str) -> None:
        """Restart the bar."""
        self._total, self._done = max(total, 1), 0
        if not self._silent:
            self._state.textinfo = what
            self._state.job_count, self._state.sampling_steps, self._state.sampling_step = 1, GRAIN, 0

    def advance(self, amount: int) -> None:
        """Advance the bar."""
        with self._lock:
            self._done += amount
            if not self._silent:
                self._state.sampling_step = GRAIN * self._done // self._total

    def stopped(self) -> bool:
        """Whether *Interrupt* was pressed."""
        state = self._state
        return bool(getattr(state, "interrupted", False) or getattr(state, "stopping_generation", False))


def job_state() -> Any:
    """The host's state of its running job; an empty object where it has none."""
    return part("shared", "state") or SimpleNamespace()


def begin_job(state: Any, job: str) -> None:
    if hasattr(state, "begin"):
        state.begin(job)


def end_job(state: Any) -> None:
    if hasattr(state, "end"):
        state.end()
    state.skipped = state.interrupted = state.stopping_generation = False


def update_task(module: str, name: str, task: str) -> None:
    """Call a function of the host's task list, if the page gave this job an id."""
    tell = part(module, name)
    if task and tell is not None:
        tell(task)
