"""What one comparison of weights yields: sums that add up, and the numbers people read off them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Sums:
    """Everything that is added up while two tensors (or any number of pairs) stream by.

    count  elements
    aa     sum of squares of A
    bb     sum of squares of B
    ab     sum of products of A and B
    dd     sum of squares of B - A
    most   largest |B - A|
    equal  elements with the same bits (the same value, where the two files' number formats differ)
    ca     sum of squares of A - C, and
    cb     sum of squares of B - C, and
    cab    sum of their products, where a base C was given; else None

    NaN in a file makes the sums NaN, and every number that is read off them.
    """

    count: int = 0
    aa: float = 0.0
    bb: float = 0.0
    ab: float = 0.0
    dd: float = 0.0
    most: float = 0.0
    equal: int = 0
    ca: float | None = None
    cb: float | None = None
    cab: float | None = None

    @property
    def cosine(self) -> float:
        """<A,B> / (|A| |B|), clamped to -1..1; of a zero tensor 1 to an equal one, 0 to any other.

        Source: algorithms.md 4.1.
        """
        return _cosine(self.aa, self.bb, self.ab, self.dd)

    @property
    def one_minus_cosine(self) -> float:
        """1 - cosine without cancellation, for fine-tunes of one base, whose cosine is 0.9999...

        (|B-A|^2 - (|A| - |B|)^2) / (2 |A| |B|)     where A and B are of a size
        """
        return _one_minus_cosine(self.aa, self.bb, self.ab, self.dd)

    @property
    def relative_l2(self) -> float:
        """|B-A| / |A|: 0 for equal tensors, infinite where A alone is zero. Source: algorithms.md 4.3."""
        return _ratio(math.sqrt(self.dd), math.sqrt(self.aa))

    @property
    def apart(self) -> float:
        """|B-A| / sqrt(|A| |B|), the same for (A, B) and (B, A); what colours the faders."""
        return 0.0 if self.dd == 0 else math.sqrt(self.dd) / max((self.aa * self.bb) ** 0.25, 1e-30)

    @property
    def rms(self) -> float:
        """Root of the mean square of B - A, in the weights' own unit."""
        return math.sqrt(self.dd / self.count) if self.count else 0.0

    @property
    def equal_share(self) -> float:
        """Share of elements with equal bits, 0..1."""
        return self.equal / self.count if self.count else 1.0

    @property
    def cosine_of_differences(self) -> float | None:
        """<A-C,B-C> / (|A-C| |B-C|); None without a base C. Unlike the cosine it tells fine-tunes apart."""
        if self.ca is None or self.cb is None or self.cab is None:
            return None
        return _cosine(self.ca, self.cb, self.cab, self.dd)


def added(parts: Iterable[Sums]) -> Sums:
    """The sums over several pairs, rounded once (math.fsum), so that no order of them changes a digit."""
    parts = list(parts)
    based = bool(parts) and all(part.ca is not None for part in parts)
    return Sums(
        count=sum(part.count for part in parts),
        aa=math.fsum(part.aa for part in parts),
        bb=math.fsum(part.bb for part in parts),
        ab=math.fsum(part.ab for part in parts),
        dd=math.fsum(part.dd for part in parts),
        most=_largest(part.most for part in parts),
        equal=sum(part.equal for part in parts),
        ca=math.fsum(part.ca or 0.0 for part in parts) if based else None,
        cb=math.fsum(part.cb or 0.0 for part in parts) if based else None,
        cab=math.fsum(part.cab or 0.0 for part in parts) if based else None,
    )


@dataclass(frozen=True)
class Group:
    """The keys of one slot, or of one component, taken together."""

    keys: Mapping[str, Sums]

    @cached_property
    def sums(self) -> Sums:
        """All keys as one long vector: `sums.cosine` is the *concatenated* cosine, ruled by large tensors."""
        return added(self.keys.values())

    @property
    def mean_cosine(self) -> float:
        """The plain mean of the keys' cosines: a bias counts as much as a convolution (SuperMerger: Mean)."""
        return math.fsum(self._cosines) / len(self._cosines)

    @property
    def min_cosine(self) -> float:
        """The least of the keys' cosines (SuperMerger's Min)."""
        return math.nan if any(map(math.isnan, self._cosines)) else min(self._cosines)

    @cached_property
    def _cosines(self) -> list[float]:
        return [sums.cosine for sums in self.keys.values()]

    @property
    def measures(self) -> dict[str, float]:
        """Every number of the group under the name that CSV and JSON give it."""
        sums = self.sums
        measures = {
            "cosine_concatenated": sums.cosine,
            "cosine_mean": self.mean_cosine,
            "cosine_min": self.min_cosine,
            "one_minus_cosine": sums.one_minus_cosine,
            "relative_l2": sums.relative_l2,
            "apart": sums.apart,
            "rms": sums.rms,
            "max": sums.most,
            "equal_share": sums.equal_share,
        }
        differences = sums.cosine_of_differences
        return measures if differences is None else {**measures, "cosine_of_differences": differences}


@dataclass(frozen=True)
class WeightComparison:
    """How the weights of B differ from A's: per key, per slot, per component.

    left_out  keys that only one file has, or that have another shape in the other
    """

    keys: Mapping[str, Sums]
    slots: Mapping[str, Group]
    components: Mapping[str, Group]
    left_out: tuple[str, ...] = ()


def of_a_size(aa: float, bb: float) -> bool:
    """Whether two squares are near enough that a difference tells as much as a product."""
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
    if aa == 0 or bb == 0 or not of_a_size(aa, bb):
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
    found = 0.0
    for number in numbers:
        if math.isnan(number):
            return number
        found = max(found, number)
    return found
