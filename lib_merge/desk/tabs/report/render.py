"""From comparisons and findings to what the tab *Report* shows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lib_merge.desk.tabs.report.drawing import report_drawing
from lib_merge.desk.tabs.report.view import (
    NO_HEAT,
    FaderAction,
    FindingView,
    HealthView,
    KindView,
    Rank,
    Report,
    ReportCell,
    ReportRow,
    ReportTable,
)
from lib_merge.report.health.check import Health
from lib_merge.report.health.finding import Finding
from lib_merge.report.render.heat import color_position
from lib_merge.report.render.tables import MID, comparison_to_csv, ranking, render_comparison
from lib_merge.report.similarity.comparison import (
    INPUT_SLOT,
    OUTPUT_SLOT,
    TOTALS,
    ComparedModel,
    Comparison,
    comparison_to_dict,
)
from lib_merge.report.similarity.kinds import REPORT_KINDS

TOTAL_PATTERNS = {"input": INPUT_SLOT, "output": OUTPUT_SLOT}
# damage that the other model's block repairs; the other kinds a merge repairs by itself, or no block does
REPLACEABLE = ("missing", "misshapen", "not_finite", "zero", "constant", "outlier", "scale", "broken_block")


@dataclass(frozen=True)
class Column:
    """A measure of a slot: what it is called, and its cell."""

    title: str
    cell: Callable[[float], ReportCell]


def _percent(digits: int, *, heat: bool = True) -> Callable[[float], ReportCell]:
    def cell(value: float) -> ReportCell:
        if math.isnan(value):
            return ReportCell("NaN", 1.0)
        return ReportCell(f"{100 * value:.{digits}f}", 1 - color_position(value) if heat else NO_HEAT)

    return cell


def _short(value: float) -> ReportCell:
    return ReportCell("" if math.isnan(value) else f"{value:.3e}")


def _difference(value: float) -> ReportCell:
    """A relative difference: no heat up to 1 %, all of it from 100 %."""
    shade = 1.0 if math.isnan(value) else min(max(1 + math.log10(max(value, 1e-9)) / 2, 0.0), 1.0)
    return ReportCell("NaN" if math.isnan(value) else f"{100 * value:.4f}", shade)


MEASURES: Mapping[str, Column] = {
    "cosine_concatenated": Column("Cosine, %", _percent(4)),
    "cosine_of_differences": Column("Cosine of differences, %", _percent(4)),
    "cosine_mean": Column("Mean of keys, %", _percent(4)),
    "cosine_min": Column("Lowest key, %", _percent(4)),
    "one_minus_cosine": Column("1 - cosine", _short),
    "relative_l2": Column("Relative L2, %", _difference),
    "rms": Column("RMS of B - A", _short),
    "max": Column("Largest |B - A|", _short),
    "equal_share": Column("Equal elements, %", _percent(2, heat=False)),
}


def kind_views() -> tuple[KindView, ...]:
    """Every way to compare, in the order of the command line."""
    return tuple(KindView(kind.id, kind.title, kind.seed, kind.takes_base) for kind in REPORT_KINDS)


def report_view(comparison: Comparison, a: str, b: str) -> Report:
    """A comparison as the page shows it; a and b are the checkpoints that the desk mixes."""
    tables = _of_weights(comparison) if comparison.measured else (_percentages(comparison),)
    seed = "" if comparison.seed is None else f", seed {comparison.seed}"
    return Report(
        f"{_capitalised(comparison.value)}, in percent, compared with {comparison.name}{seed}",
        report_drawing(comparison),
        (*tables, *_page_tables(comparison)),
        _ranks(comparison),
        tuple(
            FindingView(finding.text, _fader_actions(finding, model.name, a, b, comparison.name))
            for model in comparison.models
            for finding in model.findings
        ),
        tuple(note for model in comparison.models for note in _notes(comparison, model)),
        render_comparison(comparison),
        comparison_to_csv(comparison),
        json.dumps(comparison_to_dict(comparison), indent=2, ensure_ascii=False),
    )


def health_view(health: Health, a: str, b: str) -> HealthView:
    """A file's health as the page shows it."""
    count = len(health.findings)
    things = "1 thing looks" if count == 1 else f"{count} things look"
    verdict = f"{things} wrong" if count else "nothing is wrong"
    views = tuple(
        FindingView(finding.text, _fader_actions(finding, health.name, a, b)) for finding in health.findings
    )
    return HealthView(health.name, f"{health.title}, {health.tensors} tensors, {verdict}", views)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _notes(comparison: Comparison, model: ComparedModel) -> Iterable[str]:
    if comparison.base and comparison.base == model.file:
        yield f"{model.name} is the base: its difference to itself is zero, and like no other"
    if model.left_out:
        yield (
            f"{model.name}: {len(model.left_out)} tensors are left out: not in both files, or with another "
            "shape"
        )


# --- tables ---


def _of_weights(comparison: Comparison) -> tuple[ReportTable, ...]:
    """One model: all its measures beside each other. Several: a table for each measure."""
    measure_names = [name for name in MEASURES if any(name in _first(model) for model in comparison.models)]
    model, *more = comparison.models
    if more:
        return (_percentages(comparison), *(_of_measure(comparison, name) for name in measure_names))
    main = "cosine_of_differences" if comparison.base else "cosine_concatenated"

    def measures(slot: str) -> ReportRow:
        return ReportRow(
            slot, tuple(MEASURES[name].cell(model.measures[slot][name]) for name in measure_names), slot
        )

    def total(name: str) -> ReportRow:
        before = [None] * measure_names.index(main)
        return _row(f"{name} total", [*before, model.totals.get(name)], _percent(4))

    columns = tuple(MEASURES[name].title for name in measure_names)
    rows = _with_totals(model.values, measures, total)
    return (ReportTable(f"All measures of {model.name}", "block", columns, rows),)


def _first(model: ComparedModel) -> Mapping[str, float]:
    return next(iter(model.measures.values()), dict[str, float]())


def _percentages(comparison: Comparison) -> ReportTable:
    """A row for each slot and a column for each model, with the totals."""
    models = comparison.models

    def values(slot: str) -> ReportRow:
        return _row(slot, [model.values.get(slot) for model in models], _percent(4), slot)

    def total(name: str) -> ReportRow:
        return _row(f"{name} total", [model.totals.get(name) for model in models], _percent(4))

    rows = _with_totals(_slots(comparison), values, total)
    return ReportTable(
        f"{_capitalised(comparison.value)}, %", "block", tuple(model.name for model in models), rows
    )


def _of_measure(comparison: Comparison, name: str) -> ReportTable:
    column, models = MEASURES[name], comparison.models
    rows = [
        _row(slot, [model.measures.get(slot, {}).get(name) for model in models], column.cell, slot)
        for slot in _slots(comparison)
    ]
    return ReportTable(column.title, "block", tuple(model.name for model in models), tuple(rows))


def _page_tables(comparison: Comparison) -> tuple[ReportTable, ...]:
    """The two tables of the chillyMixBase page: a row for each model; M00 is the last input, as MID0."""
    tables: list[ReportTable] = []
    for total, pattern in TOTAL_PATTERNS.items():
        slots = [slot for slot in _slots(comparison) if pattern.fullmatch(slot)]
        if slots:
            rows = tuple(
                _row(
                    model.name,
                    [*(model.values.get(slot) for slot in slots), model.totals.get(total)],
                    _percent(4),
                )
                for model in comparison.models
            )
            columns = (*(MID if slot == "M00" else slot for slot in slots), "total")
            tables.append(ReportTable(f"Table by model ({total}s)", "model", columns, rows))
    return tuple(tables)


def _with_totals(
    slots: Iterable[str], row: Callable[[str], ReportRow], total: Callable[[str], ReportRow]
) -> tuple[ReportRow, ...]:
    """A row for each slot: inputs and outputs with their totals, the overall total, then the other slots."""
    rows: list[ReportRow] = []
    outside = list(slots)
    for name, pattern in TOTAL_PATTERNS.items():
        inside = [slot for slot in outside if pattern.fullmatch(slot)]
        outside = [slot for slot in outside if slot not in inside]
        rows += [*map(row, inside), *([total(name)] if inside else [])]
    return (*rows, *([total("overall")] if rows else []), *map(row, outside))


def _row(
    name: str, values: Iterable[float | None], cell: Callable[[float], ReportCell], slot: str = ""
) -> ReportRow:
    return ReportRow(name, tuple(ReportCell("") if value is None else cell(value) for value in values), slot)


def _slots(comparison: Comparison) -> tuple[str, ...]:
    """Every slot that any of the models has, in order."""
    return tuple(dict.fromkeys(slot for model in comparison.models for slot in model.values))


def _ranks(comparison: Comparison) -> tuple[Rank, ...]:
    """The most alike first; nothing where no model has a total."""
    if not any(model.totals for model in comparison.models):
        return ()
    frame: Any = ranking(comparison)
    return tuple(
        Rank(str(name), *(_number(row.get(total)) for total in TOTALS)) for name, row in frame.iterrows()
    )


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


# --- what to do ---


def _fader_actions(
    finding: Finding, model: str, a: str, b: str, reference: str = ""
) -> tuple[FaderAction, ...]:
    """What the desk offers for damage in A or B: solo the block, or take the other model's.

    reference  the model that the finding compares with, "" for none; only A and B have faders
    """
    if finding.slot == "" or finding.kind not in REPLACEABLE or not a or not b or a == b:
        return ()
    if model not in (a, b):
        return ()
    other, do = (a, "mute") if model == b else (b, "whole")
    alone = FaderAction(f"Solo {finding.slot}", "solo", finding.slot)
    if reference and reference != other:
        return (alone,)
    return (FaderAction(f"Take {other}'s {finding.slot}", do, finding.slot), alone)
