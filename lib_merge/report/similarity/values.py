"""Sums over pairs of tensors, and the similarity measures computed from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class PairSums:
    """Sums over all elements of two tensors, or of any number of pairs.

    count  elements
    aa     sum of squares of A
    bb     sum of squares of B
    ab     sum of products of A and B
    dd     sum of squares of B - A
    max_difference  largest |B - A|
    equal  elements with the same bits (the same value, where the dtypes differ)
    ca     sum of squares of A - C, and
    cb     sum of squares of B - C, and
    cab    sum of their products, where a base C was given; else None

    NaN in a file makes the sums and all measures NaN.
    """

    count: int = 0
    aa: float = 0.0
    bb: float = 0.0
    ab: float = 0.0
    dd: float = 0.0
    max_difference: float = 0.0
    equal: int = 0
    ca: float | None = None
    cb: float | None = None
    cab: float | None = None

    @property
    def cosine(self) -> float:
        """<A,B> / (|A| |B|), clamped to -1..1; of a zero tensor 1 to an equal one, 0 to any other.

        Source: docs/references.md#plain-cosine.
        """
        return _cosine(self.aa, self.bb, self.ab, self.dd)

    @property
    def one_minus_cosine(self) -> float:
        """1 - cosine without cancellation, for fine-tunes of one base, whose cosine is 0.9999...

        (|B-A|^2 - (|A| - |B|)^2) / (2 |A| |B|)     where |A| and |B| are similar
        """
        return _one_minus_cosine(self.aa, self.bb, self.ab, self.dd)

    @property
    def relative_l2(self) -> float:
        """|B-A| / |A|: 0 for equal tensors, infinite where A alone is zero.

        Source: docs/references.md#broken-blocks.
        """
        return _ratio(math.sqrt(self.dd), math.sqrt(self.aa))

    @property
    def symmetric_l2(self) -> float:
        """|B-A| / sqrt(|A| |B|), the same for (A, B) and (B, A); it colours the faders."""
        return 0.0 if self.dd == 0 else math.sqrt(self.dd) / max((self.aa * self.bb) ** 0.25, 1e-30)

    @property
    def rms(self) -> float:
        """Root of the mean square of B - A, in the unit of the weights."""
        return math.sqrt(self.dd / self.count) if self.count else 0.0

    @property
    def equal_share(self) -> float:
        """The share of elements with equal bits, 0 to 1; 1 where there are no elements."""
        return self.equal / self.count if self.count else 1.0

    @property
    def cosine_of_differences(self) -> float | None:
        """<A-C,B-C> / (|A-C| |B-C|); None without a base C. Unlike the cosine it tells fine-tunes apart."""
        if self.ca is None or self.cb is None or self.cab is None:
            return None
        return _cosine(self.ca, self.cb, self.cab, self.dd)


def sum_parts(parts: Iterable[PairSums]) -> PairSums:
    """The sums over several pairs, rounded once (math.fsum), so that their order does not matter."""
    parts = list(parts)
    based = bool(parts) and all(part.ca is not None for part in parts)
    return PairSums(
        count=sum(part.count for part in parts),
        aa=math.fsum(part.aa for part in parts),
        bb=math.fsum(part.bb for part in parts),
        ab=math.fsum(part.ab for part in parts),
        dd=math.fsum(part.dd for part in parts),
        max_difference=_largest(part.max_difference for part in parts),
        equal=sum(part.equal for part in parts),
        ca=math.fsum(part.ca or 0.0 for part in parts) if based else None,
        cb=math.fsum(part.cb or 0.0 for part in parts) if based else None,
        cab=math.fsum(part.cab or 0.0 for part in parts) if based else None,
    )


@dataclass(frozen=True)
class KeyGroup:
    """The keys of one slot or of one component, with the sums of each."""

    keys: Mapping[str, PairSums]

    @cached_property
    def sums(self) -> PairSums:
        """All keys as one long vector: `sums.cosine` is the *concatenated* cosine; large tensors dominate."""
        return sum_parts(self.keys.values())

    @property
    def mean_cosine(self) -> float:
        """The plain mean of the keys' cosines: a bias counts as much as a convolution (SuperMerger: Mean)."""
        return math.fsum(self._cosines) / len(self._cosines)

    @property
    def min_cosine(self) -> float:
        """The lowest of the keys' cosines (SuperMerger's Min); NaN where one of them is NaN."""
        return math.nan if any(map(math.isnan, self._cosines)) else min(self._cosines)

    @cached_property
    def _cosines(self) -> list[float]:
        return [sums.cosine for sums in self.keys.values()]

    @property
    def measures(self) -> dict[str, float]:
        """All measures of the group by their names in CSV and JSON."""
        sums = self.sums
        measures = {
            "cosine_concatenated": sums.cosine,
            "cosine_mean": self.mean_cosine,
            "cosine_min": self.min_cosine,
            "one_minus_cosine": sums.one_minus_cosine,
            "relative_l2": sums.relative_l2,
            "apart": sums.symmetric_l2,
            "rms": sums.rms,
            "max": sums.max_difference,
            "equal_share": sums.equal_share,
        }
        differences = sums.cosine_of_differences
        return measures if differences is None else {**measures, "cosine_of_differences": differences}


@dataclass(frozen=True)
class WeightComparison:
    """How the weights of B differ from A's: per key, per slot, per component.

    left_out  keys that only one file has, or that have another shape in the other
    """

    keys: Mapping[str, PairSums]
    slots: Mapping[str, KeyGroup]
    components: Mapping[str, KeyGroup]
    left_out: tuple[str, ...] = ()


def similar_magnitude(aa: float, bb: float) -> bool:
    """Whether two sums of squares are close enough to compute the cosine from the difference."""
    return aa <= 16 * bb and bb <= 16 * aa


def _cosine(aa: float, bb: float, ab: float, dd: float) -> float:
    if dd == 0:
        return 1.0
    if aa == 0 or bb == 0:
        return 0.0
    cosine = ab / (math.sqrt(aa) * math.sqrt(bb))
    return cosine if math.isnan(cosine) else max(-1.0, min(1.0, cosine))


def _one_minus_cosine(aa: float, bb: float, ab: float, dd: float) -> float:
    if dd == 0:
        return 0.0
    if aa == 0 or bb == 0 or not similar_magnitude(aa, bb):
        return 1.0 - _cosine(aa, bb, ab, dd)
    a, b = math.sqrt(aa), math.sqrt(bb)
    longer = (aa - bb) / (a + b)
    result = (dd - longer * longer) / (2 * a * b)
    return result if math.isnan(result) else max(0.0, min(2.0, result))


def _ratio(part: float, whole: float) -> float:
    if part == 0:
        return 0.0
    return part / whole if whole else math.inf


def _largest(numbers: Iterable[float]) -> float:
    largest = 0.0
    for number in numbers:
        if math.isnan(number):
            return number
        largest = max(largest, number)
    return largest
