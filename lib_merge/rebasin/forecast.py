"""How far a search for an arrangement is: of all its sweeps, whose number nobody knows before it has ended.

What is done is in bytes of the groups that were solved. What is left is an estimate: in the first sweep from
the share of groups that moved, each of which wakes its neighbours for the sweeps after it; later from the
gain of the sweep before, which about halves from one sweep to the next until it is too small for another one.
Both are by the samples: *other* aligned to *base* takes 2.5 times the work of the groups that move in its
first sweep, 60 % of all, in the sweeps after that.
"""

from __future__ import annotations

import math

from lib_merge.progress import Progress

LATER_PER_MOVED = 2.5  # work of all later sweeps, over that of the groups that moved in the first one
GUESSED_SHARE = 0.1  # of the first sweep: the weight of the guess that half of it moves


class Forecast:
    """Reports the share of the whole search that is done; the share never falls, and ends at 1.

    enough  the gain of a sweep that no other one follows
    """

    def __init__(self, progress: Progress, sweeps: int, enough: float) -> None:
        self._progress, self._sweeps_left, self._enough = progress, sweeps, enough
        self._first = 0  # bytes of the first sweep, which all reports are scaled to
        self._reported, self._share = 0, 0.0
        self._in_sweep, self._solved, self._moved = 0, 0, 0  # bytes of this sweep
        self._swept: list[int] = []  # bytes of the sweeps after the first
        self._gain = 0.0  # of the last sweep, 0 before it is known

    def begin_sweep(self, nbytes: int) -> None:
        """A sweep over groups of this size begins."""
        if not self._first:
            self._first = max(1, nbytes)
            self._progress.start(self._first, "aligning")
        else:
            self._swept.append(nbytes)
        self._sweeps_left -= 1
        self._in_sweep, self._solved, self._moved = nbytes, 0, 0

    def solve(self, nbytes: int, *, moved: bool) -> None:
        """A group of this size is solved."""
        self._solved += nbytes
        self._moved += nbytes if moved else 0
        left = max(0, self._in_sweep - self._solved) + self._later()
        self._share += (1 - self._share) * nbytes / (nbytes + left) if nbytes else 0.0
        now = round(self._share * self._first)
        self._progress.advance(now - self._reported)
        self._reported = now

    def end_sweep(self, gain: float) -> None:
        """A sweep has ended with this gain of similarity."""
        self._gain = gain

    def _later(self) -> float:
        """An estimate of the work of the sweeps after this one."""
        if not self._swept:
            guess = GUESSED_SHARE * self._in_sweep
            moves = (self._moved + guess / 2) / (self._solved + guess) if self._in_sweep else 0.0
            moves = moves if self._solved < self._in_sweep else self._moved / max(1, self._in_sweep)
            return LATER_PER_MOVED * moves * self._in_sweep if self._sweeps_left else 0.0
        halvings = math.log2(self._gain / 2 / self._enough) if self._gain > self._enough else 0.0
        more = min(self._sweeps_left, max(0.0, halvings))
        return more * sum(self._swept) / len(self._swept)
