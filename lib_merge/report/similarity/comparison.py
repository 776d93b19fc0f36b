"""Comparison of models with a reference: one value for each slot and model, totals, findings."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lib_merge.checkpoint import Header
from lib_merge.errors import MergeError
from lib_merge.progress import NoProgress, Progress
from lib_merge.report.health.finding import Finding
from lib_merge.report.health.outliers import broken_blocks
from lib_merge.report.similarity.kinds import (
    DEFAULT_KIND,
    ComparisonSettings,
    ReportKind,
    report_kind,
    seed_for_kind,
)

TOTALS = ("input", "output", "overall")

INPUT_SLOT = re.compile(r"IN\d+|M\d+")
OUTPUT_SLOT = re.compile(r"OUT\d+")


@dataclass(frozen=True)
class ComparedModel:
    """One model compared with the reference; `values` to `left_out` are those of Similarity."""

    name: str
    file: str
    values: Mapping[str, float]
    measures: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    parts: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    left_out: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def totals(self) -> dict[str, float]:
        """Plain means of the listed blocks: `input` (IN and M00), `output` (OUT), `overall` (all of these).

        A total without blocks is left out. As on the chillyMixBase page; slots outside of the U-Net's blocks
        (BASE, TIME, OUT, VAE, ...) take no part.
        """
        inputs = [value for slot, value in self.values.items() if INPUT_SLOT.fullmatch(slot)]
        outputs = [value for slot, value in self.values.items() if OUTPUT_SLOT.fullmatch(slot)]
        groups = zip(TOTALS, (inputs, outputs, inputs + outputs), strict=True)
        return {name: _mean(values) for name, values in groups if values}


@dataclass(frozen=True)
class Comparison:
    """Models compared with a reference.

    kind   the id of one of REPORT_KINDS
    seed   of the noise; None for a kind that takes none
    base   the file whose differences to the models are compared, "" for none
    """

    kind: str
    name: str
    file: str
    models: tuple[ComparedModel, ...]
    seed: int | None = None
    base: str = ""

    @property
    def value(self) -> str:
        """The name of the measure in the models' `values`."""
        kind = report_kind(self.kind)
        return kind.value_to_base.format(Path(self.base).stem) if self.base else kind.value

    @property
    def measured(self) -> bool:
        """Whether every slot has further measures."""
        return report_kind(self.kind).measures


def compare(
    reference: Header,
    others: Sequence[Header],
    kind: str = DEFAULT_KIND,
    *,
    base: Header | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare each of the others with the reference.

    kind  the id of one of REPORT_KINDS
    seed  None for the kind's own
    Raises MergeError for settings that do not go together, FamilyError and StoppedError as its parts do.
    """
    chosen = report_kind(kind)
    seed = seed_for_kind(chosen, base, seed)
    check_base(reference, base)
    models = [
        compare_one(reference, other, chosen, base=base, seed=seed, progress=progress) for other in others
    ]
    return build_comparison(reference, models, kind, base=base, seed=seed)


def check_base(reference: Header, base: Header | None) -> None:
    """MergeError where the base is the reference: its difference to itself is like no other."""
    if base is not None and base.path == reference.path:
        raise MergeError(
            f"the base is the reference, {reference.name}: its difference to itself is zero",
            hint="choose another base, or none",
        )


def compare_one(
    reference: Header,
    other: Header,
    kind: ReportKind,
    *,
    base: Header | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> ComparedModel:
    """Compare one model with the reference, without findings."""
    similarity = kind.compare(reference, other, ComparisonSettings(base, seed, progress or NoProgress()))
    name, file = other.name, str(other.path)
    return ComparedModel(
        name, file, similarity.values, similarity.measures, similarity.parts, similarity.left_out
    )


def build_comparison(
    reference: Header, models: Sequence[ComparedModel], kind: str, *, base: Header | None, seed: int | None
) -> Comparison:
    """Combine models to a comparison, and add the findings of each."""
    apart = [{slot: measures["relative_l2"] for slot, measures in model.measures.items()} for model in models]
    judged = [
        replace(
            model,
            findings=broken_blocks(own, model.name, reference.name, apart[:number] + apart[number + 1 :]),
        )
        for number, (model, own) in enumerate(zip(models, apart, strict=True))
    ]
    path = str(base.path) if base else ""
    return Comparison(kind, reference.name, str(reference.path), tuple(judged), seed, path)


def _mean(values: Sequence[float]) -> float:
    """The mean as numpy computes it, to the last digit as the community's scripts do."""
    import numpy as np

    return float(np.mean(values)) if values else math.nan


def comparison_to_dict(comparison: Comparison) -> dict[str, Any]:
    """A dictionary for JSON: a list of models, each with one object a slot and its totals, in percent.

    NaN and infinity are None, because JSON lacks them.
    """
    return {
        "kind": comparison.kind,
        "value": comparison.value,
        "seed": comparison.seed,
        "reference": {"name": comparison.name, "file": comparison.file},
        "base": comparison.base or None,
        "models": [_model_to_dict(model) for model in comparison.models],
    }


def _model_to_dict(model: ComparedModel) -> dict[str, Any]:
    slots = [
        {
            "slot": slot,
            "percent": _number(100 * value),
            **{name: _number(number) for name, number in model.measures.get(slot, {}).items()},
        }
        for slot, value in model.values.items()
    ]
    data: dict[str, Any] = {
        "name": model.name,
        "file": model.file,
        "slots": slots,
        "totals": {name: _number(100 * value) for name, value in model.totals.items()},
    }
    if model.parts:
        data["components"] = {
            part: {name: _number(number) for name, number in measures.items()}
            for part, measures in model.parts.items()
        }
        data["left_out"] = list(model.left_out)
        data["findings"] = [finding.to_dict() for finding in model.findings]
    return data


def _number(number: float) -> float | None:
    return number if math.isfinite(number) else None
