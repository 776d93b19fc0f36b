"""One scale of likeness for every picture and table: how many nines a value has.

Fine-tunes of one base lie between 99 and 99.99 %, unrelated models near 0: what lacks to 100 % is drawn, and
coloured, by its logarithm.
"""

from __future__ import annotations

import math

LEAST = 1e-5  # what lacks to 1 is not told apart below this
REDDEST = 0.5  # of likeness, and
GREENEST = 0.9999


def nines(value: float) -> float:
    """0 for 0, 1 for 0.9, 2 for 0.99; at most 5; NaN for NaN."""
    return -math.log10(max(1 - value, LEAST)) if not math.isnan(value) else value


def likeness(value: float) -> float:
    """A similarity (1 for equal) on the scale of colours: 0 up to REDDEST, 1 from GREENEST."""
    share = (nines(value) - nines(REDDEST)) / (nines(GREENEST) - nines(REDDEST))
    return min(max(share, 0.0), 1.0) if not math.isnan(share) else share
