"""The median of the 3 x 3 x ... neighbours of every number, exactly, by taking minima and maxima alone.

A window of three in each axis is sorted axis by axis: three numbers, then three sorted threes into a
sorted nine, then three nines into 27. Each of these is needed by three windows and made once. Of the
last axis only the middle rank is wanted. The comparators are a network made once for each number of
axes; every step of it is one call over a whole stretch of a tensor, on a processor and on a GPU alike.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

Step = tuple[bool, int, int]  # whether the smaller one, and of which two


@dataclass
class Network:
    """Steps over numbered values: the inputs first, then the result of each step.

    results  the values that are wanted
    """

    inputs: int
    steps: list[Step] = field(default_factory=list[Step])
    results: list[int] = field(default_factory=list[int])

    def value(self, smaller: bool, one: int, two: int) -> int:
        """The smaller or the greater of two values."""
        step = (smaller, min(one, two), max(one, two))
        if step not in self.steps:
            self.steps.append(step)
        return self.inputs + self.steps.index(step)

    def merged(self, one: Sequence[int], two: Sequence[int]) -> list[int]:
        """Two sorted lists as one: Batcher's odd-even merge, for any two lengths."""
        if not one or not two:
            return [*one, *two]
        if len(one) == len(two) == 1:
            return [self.value(True, one[0], two[0]), self.value(False, one[0], two[0])]
        even, odd = self.merged(one[::2], two[::2]), self.merged(one[1::2], two[1::2])
        total = len(one) + len(two)
        out = [even[0]]
        for place in range(max(len(even) - 1, len(odd))):
            if place + 1 < len(even) and place < len(odd):
                pair = odd[place], even[place + 1]
                out += [self.value(True, *pair), self.value(False, *pair)]
            else:
                out += odd[place : place + 1] or even[place + 1 : place + 2]
        assert len(out) == total
        return out

    def ranked(self, one: Sequence[int], two: Sequence[int], rank: int) -> int:
        """The number of that rank (from 1) of two sorted lists: the least of max(one[i], two[rank - i])."""
        found = -1
        for taken in range(max(0, rank - len(two)), min(rank, len(one)) + 1):
            parts = [
                *one[taken - 1 : taken][: taken > 0],
                *two[rank - taken - 1 : rank - taken][: rank > taken],
            ]
            greatest = parts[0] if len(parts) == 1 else self.value(False, parts[0], parts[1])
            found = greatest if found < 0 else self.value(True, found, greatest)
        return found


@functools.cache
def sorting(width: int) -> Network:
    """Three sorted lists of that width into one."""
    network = Network(3 * width)
    first, second, third = (list(range(n * width, (n + 1) * width)) for n in range(3))
    network.results = network.merged(network.merged(first, second), third)
    return network


@functools.cache
def middle(width: int) -> Network:
    """The middle of three sorted lists of that width."""
    network = Network(3 * width)
    first, second, third = (list(range(n * width, (n + 1) * width)) for n in range(3))
    network.results = [network.ranked(network.merged(first, second), third, (3 * width + 1) // 2)]
    return network


def evaluated(network: Network, inputs: Sequence[Tensor], pool: list[Tensor]) -> list[Tensor]:
    """The network's results; buffers are taken from the pool, and given back when nothing needs them."""
    last = _last_uses(network)
    values: dict[int, Tensor] = dict(enumerate(inputs))
    for number, (smaller, one, two) in enumerate(network.steps):
        if network.inputs + number not in last:
            continue  # nothing wants it
        out = pool.pop() if pool else torch.empty_like(inputs[0], memory_format=torch.contiguous_format)
        (torch.minimum if smaller else torch.maximum)(values[one], values[two], out=out)
        values[network.inputs + number] = out
        for used in {one, two}:
            if used >= network.inputs and last[used] == number:
                pool.append(values.pop(used))
    return [values[result] for result in network.results]


def _last_uses(network: Network) -> dict[int, int]:
    """The step that uses each value last; results are used beyond the end, what nothing uses is absent."""
    last = dict.fromkeys(network.results, len(network.steps))
    for number in range(len(network.steps) - 1, -1, -1):
        if network.inputs + number in last:
            for used in network.steps[number][1:]:
                last.setdefault(used, number)
    return last


def median_of_neighbours(padded: Tensor, axes: Sequence[int]) -> Tensor:
    """The median of each window of three in every one of the axes, which get shorter by two."""
    level = [padded]
    for axis in axes:
        size = padded.shape[axis] - 2
        windows = [each.narrow(axis, shift, size) for shift in range(3) for each in level]
        network = middle(len(level)) if axis == axes[-1] else sorting(len(level))
        level = evaluated(network, windows, [])
    return level[0]
