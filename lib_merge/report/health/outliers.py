"""Outliers among the blocks of a model, by a robust z-score that damage itself does not distort.

    z = 0.6745 (x - median) / MAD     an outlier has |z| > 3.5     (Iglewicz and Hoaglin 1993)

x is the logarithm of a size, so that twice and half are equally far. The spread has a lower bound, because
the blocks of a model may be so similar that a harmless one would be an outlier.
Source: docs/references.md#broken-blocks.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence

from lib_merge.report.health.finding import Finding

MAX_ROBUST_SCORE = 3.5
CONSISTENT = 0.6745  # MAD of a normal distribution of spread 1
# The lower bounds of the spread of log sizes between blocks. A block must differ by 3.5 times this: by a
# factor of 2.5 for differences to a related model, of 4.1 for the weights themselves (blocks of trained
# models differ by up to 2).
SPREAD_OF_DIFFERENCES = math.log(1.3)
SPREAD_OF_SIZES = math.log(1.5)
NOTICEABLE = 1.5  # times the median difference; an unusual difference may still be small
FEWEST = 5  # blocks; with fewer a median is not meaningful

BLOCK_SLOT = re.compile(r"IN\d+|M\d+|OUT\d+")


def robust_scores(numbers: Mapping[str, float], spread: float) -> dict[str, float]:
    """The robust z-score of the logarithm of each positive number.

    spread  lower bound of the standard deviation
    Numbers that are zero or not finite are left out; with fewer than FEWEST numbers there are no scores.
    """
    logs = {name: math.log(number) for name, number in numbers.items() if 0 < number < math.inf}
    if len(logs) < FEWEST:
        return {}
    middle = statistics.median(logs.values())
    deviation = statistics.median(abs(x - middle) for x in logs.values()) / CONSISTENT
    return {name: (x - middle) / max(deviation, spread) for name, x in logs.items()}


def broken_blocks(
    apart: Mapping[str, float], name: str, reference: str, others: Sequence[Mapping[str, float]] = ()
) -> tuple[Finding, ...]:
    """Blocks of a model that differ from the reference far more than its other blocks do.

    apart   slot -> |B - A| / |A|
    others  the same of further models; a block's usual difference is divided out first
    Only blocks that differ more are reported (equal blocks come from a merge), and only where at least half
    of the blocks differ: a model with one block from another model is not damaged.
    """
    blocks = {slot: number for slot, number in apart.items() if BLOCK_SLOT.fullmatch(slot)}
    differing = [number for number in blocks.values() if number > 0]
    if 2 * len(differing) < len(blocks):
        return ()
    usual = {slot: _usual(slot, others) for slot in blocks}
    scores = robust_scores(
        {slot: number / usual[slot] for slot, number in blocks.items()}, SPREAD_OF_DIFFERENCES
    )
    return tuple(
        Finding(
            "broken_block",
            slot,
            f"{slot} of {name} looks broken: it differs from {reference}'s by {_percent(blocks[slot])}, "
            f"the blocks around it by {_percent(statistics.median(differing))} (z = {score:.1f})",
            f"take {reference}'s?",
        )
        for slot, score in scores.items()
        if score > MAX_ROBUST_SCORE and blocks[slot] > NOTICEABLE * statistics.median(differing)
    )


def _usual(slot: str, others: Sequence[Mapping[str, float]]) -> float:
    """This block's difference relative to its model's median, the median over `others`; 1 without others."""
    shares: list[float] = []
    for other in others:
        blocks = [n for name, n in other.items() if BLOCK_SLOT.fullmatch(name) and 0 < n < math.inf]
        if blocks and 0 < other.get(slot, 0) < math.inf:
            shares.append(other[slot] / statistics.median(blocks))
    return statistics.median(shares) if shares else 1.0


def _percent(number: float) -> str:
    return f"{100 * number:.3g} %"
