"""A comparison as bars and lines: how long each is, and where it stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from lib_merge.desk.common import FaderLayout
from lib_merge.desk.tabs.report.view import ReportCell, ReportDrawing
from lib_merge.report.render.heat import color_position
from lib_merge.report.similarity.comparison import INPUT_SLOT, OUTPUT_SLOT, Comparison

TICKS = (50, 80, 90, 95, 98, 99, 99.5, 99.9, 99.99)  # percent


def report_drawing(comparison: Comparison) -> ReportDrawing:
    """What the page draws of a comparison."""
    models = comparison.models
    slots = tuple(dict.fromkeys(slot for model in models for slot in model.values))
    bars = {slot: tuple(_bar(model.values.get(slot)) for model in models) for slot in slots}
    ticks = tuple(ReportCell(f"{percent:g} %", _length(percent / 100)) for percent in TICKS)
    return ReportDrawing(slot_layout(slots), tuple(model.name for model in models), bars, ticks)


def slot_layout(slots: Sequence[str]) -> FaderLayout:
    """Inputs on the left, from above; outputs on the right, from below; the middle below; the rest in a row.

    The blocks of a transformer are in two columns.
    """
    ins = [slot for slot in slots if INPUT_SLOT.fullmatch(slot) and slot.startswith("IN")]
    outs = [slot for slot in slots if OUTPUT_SLOT.fullmatch(slot)]
    middle = [slot for slot in slots if INPUT_SLOT.fullmatch(slot) and slot not in ins]
    rest = tuple(slot for slot in slots if slot not in (*ins, *outs, *middle))
    if ins or outs:
        return FaderLayout((), tuple(sorted(ins)), tuple(middle), tuple(sorted(outs, reverse=True)), rest)
    blocks = tuple(slot for slot in rest if slot[-1:].isdigit())
    half = (len(blocks) + 1) // 2
    return FaderLayout((), blocks[:half], (), blocks[half:], tuple(_without(rest, blocks)))


def _without(slots: Iterable[str], left_out: Sequence[str]) -> Iterable[str]:
    return (slot for slot in slots if slot not in left_out)


def _bar(value: float | None) -> ReportCell:
    if value is None:
        return ReportCell("")
    return ReportCell("NaN" if math.isnan(value) else f"{100 * value:.2f}", _length(value))


def _length(value: float) -> float:
    return 1.0 if math.isnan(value) else 1 - color_position(value)
