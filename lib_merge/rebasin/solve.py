"""Finds the arrangement of B's channels in which its weights are most like A's.

    maximise L = sum over tensors of <A, arranged(B)>,  which is to say: minimise |A - arranged(B)|

Coordinate descent (Ainsworth, Hayase, Srinivasa, "Git Re-Basin", 2022, weight matching): one group at a
time gets its best arrangement while the others stay, in a random order. No step lowers L and there are
finitely many arrangements, so it ends; where it ends nothing gains by moving one group alone. A group
whose neighbours have not moved since its last visit is not visited again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from lib_merge.architectures import Family
from lib_merge.checkpoint import Checkpoint
from lib_merge.parameters import seed_for
from lib_merge.progress import Progress
from lib_merge.rebasin.arrange import Arrangement, Arrangements
from lib_merge.rebasin.assign import TIE, best
from lib_merge.rebasin.forecast import Forecast
from lib_merge.rebasin.gains import Pair
from lib_merge.rebasin.groups import Group, groups_of
from lib_merge.rebasin.options import Options
from lib_merge.tensors import torch_single_threaded

# The least gain of similarity of a sweep that another one follows. Unrelated models go on for dozens of
# sweeps in which a handful of channels swap for a negligible gain.
ENOUGH = 1e-5
ALIGN_THREADS = 2  # for the matrix products; each needs memory for its operands


@dataclass(frozen=True, kw_only=True)
class Solution:
    """The arrangement of B that a search found, with figures of the search.

    arrangements  part id -> its arrangement; other parts stay as they are
    similarity    L / (|A| |B|), before and after every sweep that changed something: 1 for equal weights
    distance      |A - B| / |A|, before and after
    visits        how often a group was solved
    settled       whether the search converged; else `sweeps`, `limit` or the user ended it
    stopped       whether the user ended it: then this is the best so far
    left_out      groups that could not be aligned, with the reason
    """

    groups: tuple[Group, ...]
    arrangements: Arrangements
    similarity: tuple[float, ...] = (1.0,)
    distance: tuple[float, float] = (0.0, 0.0)
    visits: int = 0
    settled: bool = True
    stopped: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def moved(self) -> tuple[Group, ...]:
        """The groups that are rearranged."""
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
    Raises NumericalError for NaN and infinity. A stop asked for by `progress` gives the best so far.
    """
    grouping = groups_of(family, b.header.tensors, a.header.tensors, options)
    unsolved = Solution(groups=grouping.groups, arrangements={}, left_out=grouping.left_out)
    if not grouping.groups:
        return unsolved
    with torch_single_threaded(), ThreadPoolExecutor(ALIGN_THREADS) as pool:
        forecast = Forecast(progress, options.sweeps, ENOUGH)
        pair = Pair(a, b, grouping.groups, pool, device)
        search = _Search(pair, grouping.groups, options, progress, forecast)
        return replace(search.run(unsolved), groups=grouping.groups)


@dataclass
class _Search:
    """The state of one descent."""

    pair: Pair
    groups: Sequence[Group]
    options: Options
    progress: Progress
    forecast: Forecast
    arrangements: dict[str, Arrangement] = field(default_factory=dict[str, Arrangement])
    visits: int = 0
    stopped: bool = False

    def run(self, unsolved: Solution) -> Solution:
        """Sweeps until nothing moves, or until `sweeps`, `limit` or the user ends it."""
        a, b, product = self.pair.products({})
        similarity = [_over(product, a, b)]
        waiting = {group.id for group in self.groups}
        for sweep in range(self.options.sweeps):
            if not waiting or self._must_end():
                break
            if self._sweep(sweep, waiting):
                similarity.append(_over(self.pair.products(self.arrangements)[2], a, b))
                gain = similarity[-1] - similarity[-2]
                self.forecast.end_sweep(gain)
                if gain < ENOUGH and not self._must_end():
                    waiting.clear()
        last = similarity[-1] * math.sqrt(a * b)
        before = similarity[0] * math.sqrt(a * b)
        return replace(
            unsolved,
            arrangements=dict(self.arrangements),
            similarity=tuple(similarity),
            distance=(_apart(a, b, before), _apart(a, b, last)),
            visits=self.visits,
            settled=not waiting,
            stopped=self.stopped,
        )

    def _must_end(self) -> bool:
        self.stopped = self.stopped or self.progress.stopped()
        return self.stopped or 0 < self.options.limit <= self.visits

    def _sweep(self, sweep: int, waiting: set[str]) -> bool:
        """Solves every waiting group; returns whether any moved."""
        order = [group for group in self.groups if group.id in waiting]
        random.Random(seed_for(self.options.seed, sweep)).shuffle(order)
        sizes = {group.id: sum(self.pair.a.info(key).nbytes for key in group.keys) for group in order}
        self.forecast.begin_sweep(sum(sizes.values()))
        moved = False
        for group in order:
            if self._must_end():
                break
            waiting.discard(group.id)
            moves = self._solve(group)
            if moves:
                moved = True
                waiting |= {neighbour.id for neighbour in self.groups if neighbour.keys & group.keys} - {
                    group.id
                }
            self.visits += 1
            self.forecast.solve(sizes[group.id], moved=moves)
        return moved

    def _solve(self, group: Group) -> bool:
        """Gives the group its best arrangement; returns whether it has changed."""
        if self.pair.same(group, self.arrangements):
            return False
        gains = [self.pair.gains(part, group, self.arrangements) for part in group.parts]
        now = [self.arrangements.get(part.id) for part in group.parts]
        new = best(group.structure, group.heads, tuple(gains), procrustes=self.options.procrustes)
        won = sum(
            part_gains.of(other) - part_gains.of(held)
            for part_gains, other, held in zip(gains, new, now, strict=True)
        )
        if won <= TIE * sum(part_gains.size for part_gains in gains):
            return False
        for part, arrangement in zip(group.parts, new, strict=True):
            self.arrangements.pop(part.id, None)
            if arrangement.moved:
                self.arrangements[part.id] = arrangement
        return True


def _over(product: float, a: float, b: float) -> float:
    return product / math.sqrt(a * b) if a and b else 1.0


def _apart(a: float, b: float, product: float) -> float:
    """|A - B| / |A| from the products <A, A>, <B, B> and <A, B>."""
    return math.sqrt(max(0.0, a + b - 2 * product) / a) if a else 0.0
