"""Blocks that stick out of their own model: robust, so that the damage does not hide itself.

    z = 0.6745 (x - median) / MAD     |z| > 3.5 sticks out     (Iglewicz and Hoaglin 1993)

x is the logarithm of a size, so that twice and half are equally far. The spread has a floor, because the
blocks of a model may be so alike that a harmless one would stick out. Source: algorithms.md 4.3.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence

from lib_merge.report.finding import Finding

LIMIT = 3.5
CONSISTENT = 0.6745  # MAD of a normal distribution of spread 1
# The least spread of log sizes between blocks: a block must be 3.5 times this off, a factor of 2.5 for
# differences to a relative, of 4.1 for the weights' own size (blocks of trained models differ by up to 2).
SPREAD_OF_DIFFERENCES = math.log(1.3)
SPREAD_OF_SIZES = math.log(1.5)
NOTICEABLE = 1.5  # times the median difference; what is unusual for this block alone may still be small
FEWEST = 5  # blocks; below it a median says little

BLOCK = re.compile(r"IN\d+|M\d+|OUT\d+")


def robust_scores(numbers: Mapping[str, float], spread: float) -> dict[str, float]:
    """How many robust standard deviations each positive number's logarithm is off the median.

    spread  the least standard deviation to reckon with
    Numbers that are zero or not finite take no part; with fewer than FEWEST left there are no scores.
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
    """Blocks of a model that differ from the reference's far more than its other blocks do.

    apart   slot -> |B - A| / |A|
    others  the same of further models: what is usual for a block is taken off first
    Only blocks that differ more are named (equal blocks are a merge's), and only where at least half of the
    blocks differ at all: a model with one block of another's is no damage.
    """
    blocks = {slot: number for slot, number in apart.items() if BLOCK.fullmatch(slot)}
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
        if score > LIMIT and blocks[slot] > NOTICEABLE * statistics.median(differing)
    )


def _usual(slot: str, others: Sequence[Mapping[str, float]]) -> float:
    """What other models' block has of their own median; 1 without them."""
    shares: list[float] = []
    for other in others:
        blocks = [n for name, n in other.items() if BLOCK.fullmatch(name) and 0 < n < math.inf]
        if blocks and 0 < other.get(slot, 0) < math.inf:
            shares.append(other[slot] / statistics.median(blocks))
    return statistics.median(shares) if shares else 1.0


def _percent(number: float) -> str:
    return f"{100 * number:.3g} %"
