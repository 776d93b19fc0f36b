"""The room *Report*: how models differ, and what is broken. Its script draws everything but the wires."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib_merge.desk.report_handlers import ReportDesk
from lib_merge.desk.tab.parts import PREFIX, QUIET, Page, Room, bind, choice_of, gr, mount, silent
from lib_merge.desk.view import carrier


def _place(page: Page) -> ReportDesk:
    gr.HTML(mount("report"), elem_id=f"{PREFIX}report_place")
    return ReportDesk(page.desk.mixer)


def _wire(page: Page, desk: ReportDesk, ends: Mapping[str, Any]) -> None:
    def ask(text: str, *chosen: str | None) -> str:
        return carrier(desk.ask(text, choice_of(chosen)))

    def far() -> str:
        return carrier(desk.far())

    bind(page, "report", ends["report"], ask, page.lists.inputs, [ends["report_answer"]])
    # in no queue: these are for while the other is under way
    ends["report_far"].click(fn=far, inputs=[], outputs=[ends["report_progress"]], queue=False, **QUIET)
    ends["report_stop"].click(fn=silent(desk.stop), inputs=[], outputs=[], queue=False, **QUIET)


REPORT = Room(
    "report",
    "Report",
    ("report_answer", "report_progress"),
    ("report", "report_far", "report_stop"),
    _place,
    _wire,
)
