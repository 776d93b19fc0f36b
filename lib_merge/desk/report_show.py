"""From comparisons and findings to what the room *Report* shows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lib_merge.desk.report_view import NO_HEAT, Act, Cell, Checked, Kind, Rank, Report, Row, Said, Table
from lib_merge.report.attention import FORMS
from lib_merge.report.comparison import (
    INPUT,
    KINDS,
    OUTPUT,
    TOTALS,
    WEIGHTS,
    Comparison,
    Model,
    comparison_as_data,
)
from lib_merge.report.finding import Finding
from lib_merge.report.health import Health
from lib_merge.report.heat import likeness
from lib_merge.report.tables import MID, as_csv, comparison_as_text, ranking

TITLES = {
    WEIGHTS: "Weights",
    "attention": "Attention similarity (16 blocks, with totals)",
    "sdsim": "Attention, as the package sdsim",
    "supermerger": "Attention, as SuperMerger",
    "asim2": "Attention with heads, whatever the width",
}
PARTS = {"input": INPUT, "output": OUTPUT}
# What another model's block mends; the other kinds of damage a merge mends by itself, or no block can.
MENDED = ("missing", "misshapen", "not_finite", "zero", "constant", "outlier", "scale", "broken_block")


@dataclass(frozen=True)
class Column:
    """A measure of `weights`: what it is called, and its cell."""

    title: str
    cell: Callable[[float], Cell]


def _percent(digits: int, *, heat: bool = True) -> Callable[[float], Cell]:
    def cell(value: float) -> Cell:
        if math.isnan(value):
            return Cell("not a number", 1.0)
        return Cell(f"{100 * value:.{digits}f}", 1 - likeness(value) if heat else NO_HEAT)

    return cell


def _short(value: float) -> Cell:
    return Cell("" if math.isnan(value) else f"{value:.3e}")


def _apart(value: float) -> Cell:
    """A relative difference: 1 % and less is green, 100 % red."""
    shade = 1.0 if math.isnan(value) else min(max(1 + math.log10(max(value, 1e-9)) / 2, 0.0), 1.0)
    return Cell("not a number" if math.isnan(value) else f"{100 * value:.4f}", shade)


MEASURES: Mapping[str, Column] = {
    "cosine_concatenated": Column("Cosine, %", _percent(4)),
    "cosine_of_differences": Column("Cosine of differences, %", _percent(4)),
    "cosine_mean": Column("Mean of its keys, %", _percent(4)),
    "cosine_min": Column("Least of its keys, %", _percent(4)),
    "one_minus_cosine": Column("1 - cosine", _short),
    "relative_l2": Column("Relative L2, %", _apart),
    "rms": Column("RMS of B - A", _short),
    "max": Column("Largest |B - A|", _short),
    "equal_share": Column("Equal elements, %", _percent(2, heat=False)),
}


def kinds() -> tuple[Kind, ...]:
    """Every way to compare, in the order of the command line."""
    return tuple(Kind(id, TITLES[id], FORMS[id].seed if id in FORMS else None) for id in KINDS)


def report_of(comparison: Comparison, a: str, b: str) -> Report:
    """A comparison as the page shows it; a and b are the checkpoints that the desk mixes."""
    tables = _of_weights(comparison) if comparison.kind == WEIGHTS else (_percentages(comparison),)
    seed = "" if comparison.seed is None else f", seed {comparison.seed}"
    return Report(
        f"{_capital(comparison.value)}, in percent, beside {comparison.name}{seed}",
        (*tables, *_page_tables(comparison)),
        _ranks(comparison),
        tuple(
            Said(found.text, _acts(found, model.name, a, b, comparison.name))
            for model in comparison.models
            for found in model.findings
        ),
        tuple(_left_out(model) for model in comparison.models if model.left_out),
        comparison_as_text(comparison),
        as_csv(comparison),
        json.dumps(comparison_as_data(comparison), indent=2, ensure_ascii=False),
    )


def checked_of(health: Health, a: str, b: str) -> Checked:
    """A file's health as the page shows it."""
    count = len(health.findings)
    things = "1 thing looks" if count == 1 else f"{count} things look"
    words = f"{things} wrong" if count else "nothing is wrong"
    told = tuple(Said(found.text, _acts(found, health.name, a, b)) for found in health.findings)
    return Checked(health.name, f"{health.title}, {health.tensors} tensors, {words}", told)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _left_out(model: Model) -> str:
    return f"{model.name}: {len(model.left_out)} tensors are not in both files with one shape, and left out"


# --- tables ---


def _of_weights(comparison: Comparison) -> tuple[Table, ...]:
    """One model: all its measures beside each other. Several: a table for each measure."""
    known = [name for name in MEASURES if any(name in _first(model) for model in comparison.models)]
    model, *more = comparison.models
    if more:
        return (_percentages(comparison), *(_of_measure(comparison, name) for name in known))
    main = "cosine_of_differences" if comparison.base else "cosine_concatenated"

    def measures(slot: str) -> Row:
        return Row(slot, tuple(MEASURES[name].cell(model.measures[slot][name]) for name in known), slot)

    def total(name: str) -> Row:
        before = [None] * known.index(main)
        return _row(f"{name} total", [*before, model.totals.get(name)], _percent(4))

    columns = tuple(MEASURES[name].title for name in known)
    rows = _with_totals(model.values, measures, total)
    return (Table(f"Everything about {model.name}", "slot", columns, rows),)


def _first(model: Model) -> Mapping[str, float]:
    return next(iter(model.measures.values()), dict[str, float]())


def _percentages(comparison: Comparison) -> Table:
    """A row a slot, a column a model, with the totals."""
    models = comparison.models

    def values(slot: str) -> Row:
        return _row(slot, [model.values.get(slot) for model in models], _percent(4), slot)

    def total(name: str) -> Row:
        return _row(f"{name} total", [model.totals.get(name) for model in models], _percent(4))

    rows = _with_totals(_slots(comparison), values, total)
    return Table(f"{_capital(comparison.value)}, %", "slot", tuple(model.name for model in models), rows)


def _of_measure(comparison: Comparison, name: str) -> Table:
    column, models = MEASURES[name], comparison.models
    rows = [
        _row(slot, [model.measures.get(slot, {}).get(name) for model in models], column.cell, slot)
        for slot in _slots(comparison)
    ]
    return Table(column.title, "slot", tuple(model.name for model in models), tuple(rows))


def _page_tables(comparison: Comparison) -> tuple[Table, ...]:
    """The two tables of the chillyMixBase page: a row a model, M00 as MID0 the last of the inputs."""
    tables: list[Table] = []
    for total, pattern in PARTS.items():
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
            tables.append(Table(f"By model: {total}s, as chillyMixBase has them", "model", columns, rows))
    return tuple(tables)


def _with_totals(
    slots: Iterable[str], row: Callable[[str], Row], total: Callable[[str], Row]
) -> tuple[Row, ...]:
    """A row a slot: inputs, outputs, each with its total; the total of both; what lies outside."""
    rows: list[Row] = []
    outside = list(slots)
    for name, pattern in PARTS.items():
        inside = [slot for slot in outside if pattern.fullmatch(slot)]
        outside = [slot for slot in outside if slot not in inside]
        rows += [*map(row, inside), *([total(name)] if inside else [])]
    return (*rows, *([total("overall")] if rows else []), *map(row, outside))


def _row(name: str, found: Iterable[float | None], cell: Callable[[float], Cell], slot: str = "") -> Row:
    return Row(name, tuple(Cell("") if each is None else cell(each) for each in found), slot)


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


def _acts(found: Finding, model: str, a: str, b: str, reference: str = "") -> tuple[Act, ...]:
    """What the desk can do about damage in A or in B: hear the block alone, or take the other's.

    reference  the sound model that a finding was made beside; another than A and B has no fader
    """
    if found.slot == "" or found.kind not in MENDED or not a or not b or a == b:
        return ()
    if model not in (a, b):
        return ()
    other, do = (a, "mute") if model == b else (b, "whole")
    alone = Act(f"Solo {found.slot}", "solo", found.slot)
    if reference and reference != other:
        return (alone,)
    return (Act(f"Take {other}'s {found.slot}", do, found.slot), alone)
