"""Sessions in which a program on another machine merges into the model in memory and draws with it.

A session is one job of the host, in a thread: the program has the model for itself, and the host's
*Interrupt* ends the session. Afterwards the model is what it was before, however the session ends: by the
program, by *Interrupt*, or because no request has come for PATIENCE seconds (the program or the connection
is gone).
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lib_merge.errors import MergeError, RecipeError, StoppedError
from lib_merge.hosts.host import HostError, ListedFile
from lib_merge.live import SwapReport
from lib_merge.picture import DrawSettings, Picture
from lib_merge.progress import Progress
from lib_merge.service.grids import CombinedProgress, GridBackend
from lib_merge.service.merging import MergeService
from lib_merge.service.render_messages import SessionAnswer
from lib_merge.service.request import Resolved
from lib_merge.service.server_paths import folders_of, without_paths

PATIENCE = 60.0
MOST_WAIT = 10.0  # seconds that a request waits for what it asks for
TICK = 0.25
INTERRUPTED = "the WebUI's job was interrupted there"
SILENT = f"no request has come for {PATIENCE:g} s"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RenderOrder:
    """A merge, and the settings of its picture; None for no picture."""

    number: int
    merge: Resolved[ListedFile]
    drawing: DrawSettings | None


@dataclass(frozen=True)
class RenderResult:
    """What an order has come to: its picture, what the merge wrote (None where it was there), its problem."""

    picture: Picture | None = None
    report: SwapReport | None = None
    problem: MergeError | None = None


class RenderSession:
    """One session; its thread has begun."""

    def __init__(self, service: MergeService, clock: Callable[[], float] = time.monotonic) -> None:
        self.id = secrets.token_hex(16)
        self._service, self._clock = service, clock
        self._changed = threading.Condition()
        self._order: RenderOrder | None = None
        self._result: RenderResult | None = None
        self._ready = self._ended = self._ending = False
        self._problem, self._before, self._restored = "", ("", ""), True
        self._last_request = clock()
        self._thread = threading.Thread(target=self._run, name="merge-desk-render", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended

    def state(self) -> SessionAnswer:
        """Its state; a request that asks for it is heard."""
        with self._changed:
            self._last_request = self._clock()
            held = " ".join(filter(None, self._held()))
            return SessionAnswer(
                self.id, self._ready, self._ended, self._problem, self._restored, held, PATIENCE
            )

    def wait_until_ready(self, seconds: float) -> None:
        """Wait at most so long for the host's job."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended, seconds)

    def end(self, seconds: float) -> None:
        """End it, also in the middle of an order; wait at most so long."""
        with self._changed:
            self._ending, working = True, self._order is not None and self._result is None
            self._changed.notify_all()
        if working and self.running:
            self._service.host.interrupt()
        with self._changed:
            self._changed.wait_for(lambda: self._ended, seconds)

    def carry_out(self, order: RenderOrder, seconds: float) -> RenderResult | None:
        """The result of an order, None while there is none; one of the same number is carried out once."""
        with self._changed:
            self._last_request = self._clock()
            last = self._order.number if self._order else 0
            if order.number == last + 1 and (last == 0 or self._result is not None):
                self._order, self._result = order, None
                self._changed.notify_all()
            elif order.number != last:
                raise RecipeError(f"the order {order.number} does not follow the order {last}")
            self._changed.wait_for(lambda: self._result is not None or self._ended, seconds)
            if self._result is None and self._ended:
                raise HostError(self._problem or "this session has ended")
            return self._result

    # --- in its thread ---

    def _run(self) -> None:
        try:
            with self._service.job("rendering for another program") as job:
                self._service.host.model()  # loads the checkpoint where none is loaded, or raises HostError
                self._before = self._held()
                with job.preserving():
                    self._set_ready()
                    self._serve(CombinedProgress(job.progress, self._is_over))
                    interrupted = job.progress.stopped() and not self._is_over()
            self._problem = INTERRUPTED if interrupted else self._problem
        except Exception as failure:  # the program's next request reports it
            log.info("a session has ended with an error", exc_info=failure)
            self._problem = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
        with self._changed:
            self._restored = not self._ready or self._held() == self._before
            self._ended = True
            self._changed.notify_all()

    def _set_ready(self) -> None:
        with self._changed:
            self._ready = True
            self._changed.notify_all()

    def _held(self) -> tuple[str, str]:
        """The checkpoint and the merge in memory."""
        status = self._service.status()
        return status.base, f"with the merge {status.live.id}" if status.live else ""

    def _is_over(self) -> bool:
        if not self._ending and self._clock() - self._last_request > PATIENCE:
            self._problem = SILENT
            self._ending = True
        return self._ending

    def _serve(self, progress: Progress) -> None:
        while not progress.stopped():
            with self._changed:
                self._changed.wait_for(lambda: self._ending or self._is_waiting(), TICK)
                order = self._order if self._is_waiting() else None
            if order is not None and not self._ending:
                result = self._carried_out(order, progress)
                with self._changed:
                    self._result = result
                    self._changed.notify_all()

    def _is_waiting(self) -> bool:
        return self._order is not None and self._result is None

    def _carried_out(self, order: RenderOrder, progress: Progress) -> RenderResult:
        recipe = order.merge.recipe
        backend = GridBackend(self._service, order.merge.files)
        try:
            report = None if backend.holds(recipe) else backend.merge(recipe, progress)
            return RenderResult(backend.draw(order.drawing) if order.drawing else None, report)
        except MergeError as problem:
            return RenderResult(problem=problem)
        except Exception as failure:  # of the host: it concerns this order alone
            log.warning("an order of another program has failed", exc_info=failure)
            return RenderResult(problem=MergeError(f"{type(failure).__name__}: {failure}".splitlines()[0]))


class RenderSessions:
    """The sessions of one host, one at a time; thread-safe."""

    def __init__(self, service: MergeService) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._last: RenderSession | None = None

    def begin(self) -> SessionAnswer:
        """Begin a session; the answer is of none where another program has one."""
        with self._lock:
            if self._last is not None and self._last.running:
                return SessionAnswer("", patience=PATIENCE)
            session = self._last = RenderSession(self._service)
        session.wait_until_ready(MOST_WAIT)
        return self._state(session)

    def state(self, session: str) -> SessionAnswer:
        """The state of a session, which may have ended."""
        return self._state(self._session(session))

    def end(self, session: str) -> SessionAnswer:
        """End a session; the answer says what the model is then, once it has ended."""
        ending = self._session(session)
        ending.end(MOST_WAIT)
        return self._state(ending)

    def carry_out(self, session: str, order: RenderOrder) -> RenderResult | None:
        """The result of an order, None while there is none; its problem is raised."""
        result = self._session(session).carry_out(order, MOST_WAIT)
        if result is not None and result.problem is not None:
            raise result.problem
        return result

    def _session(self, session: str) -> RenderSession:
        if self._last is None or not secrets.compare_digest(self._last.id, session):
            raise StoppedError("this session has ended", hint="render/begin begins another one")
        return self._last

    def _state(self, session: RenderSession) -> SessionAnswer:
        state = session.state()
        problem = without_paths(state.problem, folders_of(self._service.host)) if state.problem else ""
        return SessionAnswer(
            state.session, state.ready, state.ended, problem, state.restored, state.held, state.patience
        )
