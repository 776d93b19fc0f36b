"""Which worker has a trial, and how a trial of a worker that died is given back.

Each worker writes a beat into its trial every few seconds, with the name of its process. A trial is given
back when its process is on this machine and gone, or when its beat has not changed for STALE seconds of
this process's own clock, so that the clocks of two machines need not agree. Given back means: the trial is
kept as failed, and another one with its values waits for a worker.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.search.storage import one_process

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

BEAT_SECONDS = 10.0
STALE_SECONDS = 120.0
BEAT, WORKER, ORIGIN, PROBLEM, GIVEN_BACK = "beat", "worker", "origin", "problem", "given_back"  # of a trial
DIED = "its worker died"
NAMESPACE = Path("/proc/self/ns/pid")  # of process ids, on Linux


@dataclass(frozen=True)
class WorkerName:
    """A process on a machine.

    machine  the machine's name and, on Linux, its namespace of process ids: containers share names
    """

    machine: str
    process: int

    def __str__(self) -> str:
        return f"{self.machine}:{self.process}"


def this_worker() -> WorkerName:
    """The name of this process."""
    namespace = ""
    with suppress(OSError):
        namespace = f"/{NAMESPACE.stat().st_ino}"
    return WorkerName(f"{platform.node()}{namespace}", os.getpid())


def worker_of_text(text: object) -> WorkerName | None:
    """The worker that `str` has written, None for anything else."""
    machine, _, process = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    return WorkerName(machine, int(process)) if machine and process.isdigit() else None


def is_gone(worker: WorkerName, here: WorkerName) -> bool:
    """Whether a process of this machine no longer runs; False where that cannot be known."""
    if worker.machine != here.machine or os.name == "nt":
        return False
    try:
        os.kill(worker.process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


class Claims:
    """The trials of a study that workers have, as this process sees them."""

    def __init__(self, study: Study, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._study, self._address, self._clock = study, address, clock
        self._here = this_worker()
        self._seen: dict[int, tuple[object, float]] = {}  # trial -> its beat, and when that was new

    @contextmanager
    def beating(self, trial_id: int) -> Generator[None]:
        """Claim a trial for this process, and write its beats until the block ends."""
        storage = self._study._storage  # pyright: ignore[reportPrivateUsage]
        storage.set_trial_user_attr(trial_id, WORKER, str(self._here))
        ended = threading.Event()

        def beat() -> None:
            count = 0
            while not ended.wait(BEAT_SECONDS):
                count += 1
                with suppress(Exception):  # the trial was given back, or the database is away for a while
                    storage.set_trial_user_attr(trial_id, BEAT, count)

        thread = threading.Thread(target=beat, name="merge-desk-beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def give_back_lost(self) -> int:
        """Give back the trials of workers that died; returns how many."""
        from optuna.trial import TrialState

        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        lost = [trial for trial in running if self._is_lost(trial)]
        return sum(self.give_back(trial.number, DIED) for trial in lost)

    def give_back(self, number: int, why: str) -> bool:
        """Keep a trial as failed, and let its values wait for a worker; False where it has ended."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        trial = next(trial for trial in self._study.get_trials(deepcopy=False) if trial.number == number)
        storage = self._study._storage  # pyright: ignore[reportPrivateUsage]
        try:
            storage.set_trial_user_attr(trial._trial_id, PROBLEM, why)  # pyright: ignore[reportPrivateUsage]
            storage.set_trial_user_attr(trial._trial_id, GIVEN_BACK, True)  # pyright: ignore[reportPrivateUsage]
            with one_process(self._address):
                storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)  # pyright: ignore[reportPrivateUsage]
        except UpdateFinishedTrialError:  # it has ended, or another worker gave it back
            return False
        origin = str(trial.user_attrs.get(ORIGIN, "")) or f"trial {number} again: {why}"
        point = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        self._study.enqueue_trial(point, user_attrs={ORIGIN: origin})
        return True

    def _is_lost(self, trial: FrozenTrial) -> bool:
        worker = worker_of_text(trial.user_attrs.get(WORKER))
        if worker is not None and is_gone(worker, self._here):
            return True
        beat, now = (str(worker), trial.user_attrs.get(BEAT)), self._clock()
        if trial.number not in self._seen or self._seen[trial.number][0] != beat:
            self._seen[trial.number] = beat, now
        return now - self._seen[trial.number][1] > STALE_SECONDS
