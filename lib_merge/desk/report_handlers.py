"""What the buttons of the room *Report* do: plain values in, plain values out, no Gradio.

One report is made at a time; how far it is can be asked meanwhile, and it can be stopped.
"""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass, replace
from typing import cast

from lib_merge.desk.handlers import Choice
from lib_merge.desk.mixer import Body, Mixer
from lib_merge.desk.report_request import check_named, compare_named
from lib_merge.desk.report_show import checked_of, kinds, report_of
from lib_merge.desk.report_view import Offer, ReportAnswer
from lib_merge.desk.view import Problem, page_number, read_page, said
from lib_merge.errors import RecipeError, StoppedError
from lib_merge.hosts.host import Ckpt, HostError

STOPPED = Problem("Stopped; there is no report.", calm=True)


@dataclass(frozen=True)
class Progressing:
    """How far a report is: in words, and as a share from 0 to 1."""

    running: bool
    what: str = ""
    share: float = 0.0


class Run:
    """A report on its way (a Progress): told of work by several threads, asked by the page."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._what, self._total, self._done, self._stretch = "", 0, 0, 0
        self._stop = threading.Event()

    def start(self, total: int, what: str) -> None:
        """A stretch of work begins."""
        with self._lock:
            self._what, self._total, self._done = what, total, 0
            self._stretch += 1

    def advance(self, amount: int) -> None:
        """More of it is done."""
        with self._lock:
            self._done += amount

    def stopped(self) -> bool:
        """Whether somebody has asked to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ends at the next piece of work."""
        self._stop.set()

    def far(self) -> Progressing:
        """Now."""
        with self._lock:
            share = self._done / self._total if self._total else 0.0
            part = f", part {self._stretch}" if self._stretch > 1 else ""
            return Progressing(True, f"{self._what or 'reading'}{part}", share)


class ReportDesk:
    """The handlers of the room."""

    def __init__(self, mixer: Mixer) -> None:
        self._mixer = mixer
        self._one = threading.Lock()
        self._run: Run | None = None

    def ask(self, text: str, choice: Choice) -> ReportAnswer:
        """Whatever the page asks: `offer`, `compare`, `plot` or `check`; never raises.

        text  the page's JSON: seq, action, and `body` as the API takes it
        """
        answer = ReportAnswer(0, "")
        try:
            asked = read_page(text)
            answer = replace(answer, seq=page_number(asked, "seq"), action=str(asked.get("action", "")))
            if not answer.action:  # a click more than the page meant
                return answer
            body: object = asked.get("body") or {}
            if not isinstance(body, dict):
                raise RecipeError("the page sent something that cannot be read", hint="reload the page")
            done = self._do(answer.action, cast("Body", body), choice)
        except StoppedError:
            return replace(answer, problem=STOPPED)
        except Exception as error:
            return replace(answer, problem=said(error))
        return replace(done, seq=answer.seq, action=answer.action)

    def far(self) -> Progressing:
        """How far the report is that is being made; cheap."""
        run = self._run
        return run.far() if run else Progressing(False)

    def stop(self) -> None:
        """End what is being made."""
        run = self._run
        if run:
            run.stop()

    def _do(self, action: str, body: Body, choice: Choice) -> ReportAnswer:
        if action == "offer":
            return ReportAnswer(0, "", offer=self._offer(choice))
        a, b = self._called(choice.a), self._called(choice.b)
        with self._one:
            self._run = run = Run()
            try:
                if action == "check":
                    found = check_named(self._mixer, body, run)
                    return ReportAnswer(0, "", checked=tuple(checked_of(each, a, b) for each in found))
                comparison = compare_named(self._mixer, body, run)
            finally:
                self._run = None
        if action == "plot":
            from lib_merge.report.plot import plot_png

            picture = base64.b64encode(plot_png(comparison)).decode("ascii")
            return ReportAnswer(0, "", picture=f"data:image/png;base64,{picture}")
        return ReportAnswer(0, "", report=report_of(comparison, a, b))

    def _offer(self, choice: Choice) -> Offer:
        names = tuple(each.name for each in self._known())
        return Offer(names, kinds(), self._called(choice.a), self._called(choice.b))

    def _known(self) -> tuple[Ckpt, ...]:
        return tuple(self._mixer.host.checkpoints())

    def _called(self, name: str) -> str:
        """A checkpoint's own name, from what a list says; "" for none."""
        try:
            return self._mixer.checkpoint(name).name if name else ""
        except HostError:
            return ""
