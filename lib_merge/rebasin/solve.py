"""Finds the arrangement of B's channels in which its weights are most like A's.

    maximise L = sum over tensors of <A, arranged(B)>,  which is to say: minimise |A - arranged(B)|

Coordinate descent (Ainsworth, Hayase, Srinivasa, "Git Re-Basin", 2022, weight matching): one group at a
time gets its best arrangement while the others stay, in a random order. No step lowers L and there are
finitely many arrangements, so it ends; where it ends nothing gains by moving one group alone. A group
whose neighbours have not moved since its last turn is not looked at again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from lib_merge.architectures import Family
from lib_merge.checkpoint import Checkpoint
from lib_merge.progress import Progress
from lib_merge.rebasin.arrange import Arrangement, Arrangements
from lib_merge.rebasin.assign import TIE, best
from lib_merge.rebasin.gains import Pair
from lib_merge.rebasin.groups import Group, groups_of
from lib_merge.rebasin.options import Options
from lib_merge.registry import seed_for
from lib_merge.tensors import one_thread_each

# Of the likeness: a sweep that gains less is the last. Unrelated models go on for dozens of sweeps in which
# a handful of channels change places for next to nothing.
ENOUGH = 1e-5
THREADS = 2  # for the matrix products; more would each need memory of its own


@dataclass(frozen=True)
class Solution:
    """How B is to be arranged, and what the search saw on its way.

    arrangements  by part; a part that is not in it stays
    likeness      L over |A| |B|, before and after every sweep that changed something: 1 for equal weights
    distance      |A - B| over |A|, before and after
    turns         how many groups had their turn
    settled       nothing moves any more, or next to nothing; else `sweeps` or `limit` ended it, or the user
    stopped       the user asked to stop: this is the best so far
    """

    groups: tuple[Group, ...]
    arrangements: Arrangements
    likeness: tuple[float, ...] = (1.0,)
    distance: tuple[float, float] = (0.0, 0.0)
    turns: int = 0
    settled: bool = True
    stopped: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def moved(self) -> tuple[Group, ...]:
        """The groups that do not stay as they are."""
        return tuple(
            group for group in self.groups if any(part.id in self.arrangements for part in group.parts)
        )


def align(
    family: Family,
    b: Checkpoint,
    a: Checkpoint,
    options: Options,
    progress: Progress,
    *,
    device: str = "cpu",
) -> Solution:
    """The arrangement of B that is most like A; the same files and options give the same one.

    device  where the products are computed; the assignments are solved on the CPU
    Raises NumbersError for NaN and infinity. A stop asked for by `progress` gives the best so far.
    """
    grouping = groups_of(family, b.header.tensors, a.header.tensors, options)
    found = Solution(grouping.groups, {}, left_out=grouping.left_out)
    if not grouping.groups:
        return found
    with one_thread_each(), ThreadPoolExecutor(THREADS) as pool:
        search = _Search(Pair(a, b, grouping.groups, pool, device), grouping.groups, options, progress)
        return replace(search.run(found), groups=grouping.groups)


@dataclass
class _Search:
    """The state of one descent."""

    pair: Pair
    groups: Sequence[Group]
    options: Options
    progress: Progress
    arrangements: dict[str, Arrangement] = field(default_factory=dict[str, Arrangement])
    turns: int = 0
    stopped: bool = False

    def run(self, found: Solution) -> Solution:
        """Sweeps until nothing moves, or until it has to end."""
        a, b, product = self.pair.products({})
        likeness = [_over(product, a, b)]
        waiting = {group.id for group in self.groups}
        for sweep in range(self.options.sweeps):
            if not waiting or self._must_end():
                break
            if self._sweep(sweep, waiting):
                likeness.append(_over(self.pair.products(self.arrangements)[2], a, b))
                if likeness[-1] - likeness[-2] < ENOUGH and not self._must_end():
                    waiting.clear()
        last = likeness[-1] * math.sqrt(a * b)
        before = likeness[0] * math.sqrt(a * b)
        return replace(
            found,
            arrangements=dict(self.arrangements),
            likeness=tuple(likeness),
            distance=(_apart(a, b, before), _apart(a, b, last)),
            turns=self.turns,
            settled=not waiting,
            stopped=self.stopped,
        )

    def _must_end(self) -> bool:
        self.stopped = self.stopped or self.progress.stopped()
        return self.stopped or 0 < self.options.limit <= self.turns

    def _sweep(self, sweep: int, waiting: set[str]) -> bool:
        """One turn for every group that waits for one; whether anything moved."""
        order = [group for group in self.groups if group.id in waiting]
        random.Random(seed_for(self.options.seed, sweep)).shuffle(order)
        sizes = {group.id: sum(self.pair.a.info(key).nbytes for key in group.keys) for group in order}
        self.progress.start(sum(sizes.values()), f"aligning, sweep {sweep + 1}")
        moved = False
        for group in order:
            if self._must_end():
                break
            waiting.discard(group.id)
            if self._solve(group):
                moved = True
                waiting |= {each.id for each in self.groups if each.keys & group.keys} - {group.id}
            self.turns += 1
            self.progress.advance(sizes[group.id])
        return moved

    def _solve(self, group: Group) -> bool:
        """Give the group its best arrangement; whether it got another than it had."""
        if self.pair.same(group, self.arrangements):
            return False
        gains = [self.pair.gains(part, group, self.arrangements) for part in group.parts]
        now = [self.arrangements.get(part.id) for part in group.parts]
        new = best(group.structure, group.heads, tuple(gains), procrustes=self.options.procrustes)
        won = sum(each.of(other) - each.of(held) for each, other, held in zip(gains, new, now, strict=True))
        if won <= TIE * sum(each.size for each in gains):
            return False
        for part, arrangement in zip(group.parts, new, strict=True):
            self.arrangements.pop(part.id, None)
            if arrangement.moved:
                self.arrangements[part.id] = arrangement
        return True


def _over(product: float, a: float, b: float) -> float:
    return product / math.sqrt(a * b) if a and b else 1.0


def _apart(a: float, b: float, product: float) -> float:
    """|A - B| over |A| from the products."""
    return math.sqrt(max(0.0, a + b - 2 * product) / a) if a else 0.0
