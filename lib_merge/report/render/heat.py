"""The scale of similarity for pictures and tables: how many nines a value has.

Fine-tunes of one base are between 99 and 99.99 % similar, unrelated models near 0. So axes and colors show
the logarithm of the difference to 100 %.
"""

from __future__ import annotations

import math

LEAST = 1e-5  # smaller differences to 1 are treated as this one
DIFFERENT = 0.5  # similarity
ALIKE = 0.9999


def nines(value: float) -> float:
    """0 for 0, 1 for 0.9, 2 for 0.99; at most 5; NaN for NaN."""
    return -math.log10(max(1 - value, LEAST)) if not math.isnan(value) else value


def color_position(value: float) -> float:
    """The position of a similarity on the color scale: 0 up to DIFFERENT, 1 from ALIKE."""
    share = (nines(value) - nines(DIFFERENT)) / (nines(ALIKE) - nines(DIFFERENT))
    return min(max(share, 0.0), 1.0) if not math.isnan(share) else share
