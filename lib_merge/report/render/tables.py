"""A comparison as pandas tables, CSV, and text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lib_merge.report.similarity.comparison import INPUT_SLOT, OUTPUT_SLOT, TOTALS, Comparison

if TYPE_CHECKING:
    from pandas import DataFrame

MID = "MID0"  # what the chillyMixBase page calls M00


def percent_frame(comparison: Comparison) -> DataFrame:
    """One row for each model, one column for each slot, then the totals, in percent."""
    import pandas as pd

    rows = {
        model.name: {name: 100 * value for name, value in {**model.values, **model.totals}.items()}
        for model in _distinct(comparison).models
    }
    frame: Any = pd.DataFrame.from_dict(rows, orient="index")
    slots = [name for name in frame.columns if name not in TOTALS]
    return frame[[*slots, *(name for name in TOTALS if name in frame.columns)]].rename_axis("model")


def long_frame(comparison: Comparison) -> DataFrame:
    """One row for each model and slot with all measures; the totals last, as slots of that name."""
    import pandas as pd

    rows: list[dict[str, object]] = []
    for model in comparison.models:
        common: dict[str, object] = {"model": model.name, "file": model.file, "kind": comparison.kind}
        if comparison.seed is not None:
            common["seed"] = comparison.seed
        for slot, value in model.values.items():
            rows.append({**common, "slot": slot, "percent": 100 * value, **model.measures.get(slot, {})})
        rows += [{**common, "slot": name, "percent": 100 * value} for name, value in model.totals.items()]
    return pd.DataFrame(rows)


def ranking(comparison: Comparison, by: str = "overall") -> DataFrame:
    """The models' totals in percent, the most similar first; `by` is input, output or overall."""
    frame: Any = percent_frame(comparison)
    totals = frame[[name for name in TOTALS if name in frame.columns]]
    return totals.sort_values(by, ascending=False, kind="stable")


def comparison_to_csv(comparison: Comparison) -> str:
    """`long_frame` with every digit (repr), so that reading it back gives the same numbers.

    Lines end in CR LF (RFC 4180), so that a CR or LF in a model's name is quoted.
    """
    return long_frame(comparison).to_csv(index=False, lineterminator="\r\n")


def page_tables(comparison: Comparison) -> str:
    """The two tables of the chillyMixBase page: inputs and outputs, each with its plain mean, four decimals.

    Source: docs/references.md#the-chillymixbase-table; the page lists M00 as MID0, last of the inputs.
    """
    frame: Any = percent_frame(comparison)
    parts: list[str] = []
    for pattern, total in ((INPUT_SLOT, "input"), (OUTPUT_SLOT, "output")):
        slots = [name for name in frame.columns if pattern.fullmatch(name)]
        if slots:
            names = {slot: MID if slot == "M00" else slot for slot in slots}
            part = frame[[*slots, total]].rename(columns={**names, total: "total"})
            parts.append(_table(part.reset_index(), 4))
    return "\n\n".join(parts)


def render_comparison(comparison: Comparison) -> str:
    """What `compare` prints, as text."""
    head = f"{comparison.value}, in percent, compared with {comparison.name}"
    lines = [head if comparison.seed is None else f"{head}, seed {comparison.seed}", ""]
    if comparison.measured:
        lines += [
            part for model in _distinct(comparison).models for part in (_weights(comparison, model.name), "")
        ]
    else:
        lines += [page_tables(comparison), ""]
    if len(comparison.models) > 1 or not comparison.measured:
        lines += ["totals" if len(comparison.models) == 1 else "totals, the most similar first"]
        lines += [_table(ranking(comparison).reset_index(), 4), ""]
    for model in comparison.models:
        lines += [finding.text for finding in model.findings]
        if model.left_out:
            count = len(model.left_out)
            lines.append(
                f"{model.name}: {count} tensors are left out: they are not in both files with the same shape"
            )
    return "\n".join(lines).rstrip()


def _weights(comparison: Comparison, name: str) -> str:
    """A table of one model's slots with all measures."""
    import pandas as pd

    (model,) = (model for model in _distinct(comparison).models if model.name == name)
    rows = [
        {
            name: slot,
            "cosine": f"{100 * measures['cosine_concatenated']:.4f}",
            "mean": f"{100 * measures['cosine_mean']:.4f}",
            "min": f"{100 * measures['cosine_min']:.4f}",
            "1-cos": f"{measures['one_minus_cosine']:.3e}",
            **(
                {"of diff.": f"{100 * measures['cosine_of_differences']:.4f}"}
                if "cosine_of_differences" in measures
                else {}
            ),
            "rel. L2": f"{100 * measures['relative_l2']:.4f}",
            "RMS": f"{measures['rms']:.3e}",
            "max": f"{measures['max']:.3e}",
            "equal": f"{100 * measures['equal_share']:.2f}",
        }
        for slot, measures in model.measures.items()
    ]
    totals = ", ".join(f"{total} {100 * value:.4f}" for total, value in model.totals.items())
    return _table(pd.DataFrame(rows), 4) + (f"\ntotals: {totals}" if totals else "")


def _table(frame: Any, digits: int) -> str:
    """A text table; the first column is left-aligned, the others right-aligned."""
    columns = [[str(name), *(_cell(cell, digits) for cell in frame[name])] for name in frame.columns]
    widths = [max(map(len, column)) for column in columns]
    rows: list[str] = []
    for cells in zip(*columns, strict=True):
        first, *rest = zip(cells, widths, strict=True)
        rows.append(
            "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip()
        )
    return "\n".join(rows)


def _cell(cell: object, digits: int) -> str:
    if isinstance(cell, float):
        return "-" if math.isnan(cell) else f"{cell:.{digits}f}"
    return str(cell)


def _distinct(comparison: Comparison) -> Comparison:
    """The comparison with unique names of models: files in several folders may have one name."""
    from dataclasses import replace

    names = _distinct_names([model.name for model in comparison.models])
    models = tuple(replace(model, name=name) for model, name in zip(comparison.models, names, strict=True))
    return replace(comparison, models=models)


def _distinct_names(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    distinct: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return distinct
