"""Several models beside one reference, in numbers: one value a slot and model, totals, findings."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lib_merge.checkpoint import Header
from lib_merge.errors import MergeError, did_you_mean
from lib_merge.progress import Progress
from lib_merge.report.attention import FORMS, attention_similarity
from lib_merge.report.finding import Finding
from lib_merge.report.outliers import broken_blocks
from lib_merge.report.weights import compare_weights

WEIGHTS = "weights"
KINDS = (WEIGHTS, *FORMS)
TOTALS = ("input", "output", "overall")

INPUT = re.compile(r"IN\d+|M\d+")
OUTPUT = re.compile(r"OUT\d+")


@dataclass(frozen=True)
class Model:
    """One model beside the reference.

    values    slot -> similarity, 1 for equal blocks; NaN where a file holds NaN
    measures  slot -> every other number of the slot (kind `weights` alone)
    parts     component -> the same numbers
    left_out  keys that could not be compared
    findings  what looks wrong
    """

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
        inputs = [value for slot, value in self.values.items() if INPUT.fullmatch(slot)]
        outputs = [value for slot, value in self.values.items() if OUTPUT.fullmatch(slot)]
        found = zip(TOTALS, (inputs, outputs, inputs + outputs), strict=True)
        return {name: _mean(values) for name, values in found if values}


@dataclass(frozen=True)
class Comparison:
    """Models beside a reference.

    kind   one of KINDS
    seed   of the noise that attention was asked about; None for `weights`
    base   the file that differences were taken to, or ""
    """

    kind: str
    name: str
    file: str
    models: tuple[Model, ...]
    seed: int | None = None
    base: str = ""

    @property
    def value(self) -> str:
        """What the models' `values` are, in words."""
        if self.kind != WEIGHTS:
            return f"attention similarity, form {self.kind}"
        return (
            f"cosine of the differences to {Path(self.base).stem}" if self.base else "cosine of the weights"
        )


def compare(
    reference: Header,
    others: Sequence[Header],
    kind: str = WEIGHTS,
    *,
    base: Header | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare each of the others with the reference.

    kind  weights: the cosine of each slot's weights taken as one vector or, with a base, of their differences
          to it; attention, sdsim, supermerger, asim2: see report.attention
    seed  for the attention kinds; None for the kind's own
    Raises MergeError for settings that do not go together, FamilyError and StoppedError as its parts do.
    """
    seed = settled_seed(kind, base, seed)
    models = [
        compare_one(reference, other, kind, base=base, seed=seed, progress=progress) for other in others
    ]
    return gathered(reference, models, kind, base=base, seed=seed)


def compare_one(
    reference: Header,
    other: Header,
    kind: str,
    *,
    base: Header | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Model:
    """One model beside the reference, not judged yet."""
    name, file = other.name, str(other.path)
    if kind != WEIGHTS:
        return Model(name, file, attention_similarity(reference, other, kind, seed, progress))
    seen = compare_weights(reference, other, base, progress)
    measures = {slot: group.measures for slot, group in seen.slots.items()}
    value = "cosine_concatenated" if base is None else "cosine_of_differences"
    return Model(
        name,
        file,
        values={slot: numbers[value] for slot, numbers in measures.items()},
        measures=measures,
        parts={part: group.measures for part, group in seen.components.items()},
        left_out=seen.left_out,
    )


def gathered(
    reference: Header, models: Sequence[Model], kind: str, *, base: Header | None, seed: int | None
) -> Comparison:
    """The models as one comparison, each judged beside the others."""
    apart = [{slot: found["relative_l2"] for slot, found in model.measures.items()} for model in models]
    judged = [
        replace(
            model,
            findings=broken_blocks(own, model.name, reference.name, apart[:number] + apart[number + 1 :]),
        )
        for number, (model, own) in enumerate(zip(models, apart, strict=True))
    ]
    path = str(base.path) if base else ""
    return Comparison(kind, reference.name, str(reference.path), tuple(judged), seed, path)


def settled_seed(kind: str, base: Header | None, seed: int | None) -> int | None:
    """The seed to use; MergeError for a kind, a base or a seed that do not go together."""
    if kind not in KINDS:
        raise MergeError(f"there is no comparison of kind '{kind}'", hint=did_you_mean(kind, KINDS))
    if kind != WEIGHTS and base is not None:
        raise MergeError(f"'{kind}' compares models without a base", where="--base", hint="--kind weights")
    if kind == WEIGHTS and seed is not None:
        raise MergeError("weights are compared without a seed", where="--seed", hint="--kind attention")
    return FORMS[kind].seed if kind in FORMS and seed is None else seed


def _mean(values: Sequence[float]) -> float:
    """numpy's, whose last digit is that of the scripts."""
    import numpy as np

    return float(np.mean(values)) if values else math.nan


def comparison_as_data(comparison: Comparison) -> dict[str, Any]:
    """For JSON: a list of models, each with one object a slot and its totals, in percent.

    What is no number (NaN, infinity) is None there, as JSON has no name for it.
    """
    return {
        "kind": comparison.kind,
        "value": comparison.value,
        "seed": comparison.seed,
        "reference": {"name": comparison.name, "file": comparison.file},
        "base": comparison.base or None,
        "models": [_model_as_data(model) for model in comparison.models],
    }


def _model_as_data(model: Model) -> dict[str, Any]:
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
        data["findings"] = [finding.as_data() for finding in model.findings]
    return data


def _number(number: float) -> float | None:
    return number if math.isfinite(number) else None
