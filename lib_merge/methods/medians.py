"""The exact median of the 3 x 3 x ... neighbours of every element, by sorting networks.

A window of size three in each axis is sorted axis by axis: three values, then three sorted threes into a
sorted nine, then three nines into 27. Each of these is shared by three windows and computed once. Of the
last axis only the median is computed. The comparators form a network that is built once for each number of
axes; each of its steps is one call over a whole chunk of a tensor: numpy's on a CPU, which is about twice
as fast as torch's, and torch's on a GPU.

A 3x3 kernel's own axes have three positions, and the windows of the outer ones have the border value twice.
So the axes of the channels come first there, nine sorted values for each of a kernel's nine positions, and
one network of these 81 has the nine medians: that of 2 x + y needs an eighth of the comparisons of x + y +
z.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

Step = tuple[bool, int, int]  # whether it takes the smaller value, and of which two
# steps with their output buffers, the number of buffers, results
Program = tuple[list[tuple[bool, int, int, int]], int, list[int]]
Merge = Callable[[Sequence[int], Sequence[int]], list[int]]


@dataclass
class SortingNetwork:
    """Steps over numbered values: the inputs first, then the result of each step.

    results        the values that are wanted
    value_of_step  the number of the value that a step computes
    """

    inputs: int
    steps: list[Step] = field(default_factory=list[Step])
    results: list[int] = field(default_factory=list[int])
    value_of_step: dict[Step, int] = field(default_factory=dict[Step, int])

    @functools.cached_property
    def program(self) -> Program:
        """The steps that the results need, with as few buffers as possible, of a complete network."""
        return _program(self)

    def value(self, smaller: bool, one: int, two: int) -> int:
        """The smaller or the greater of two values."""
        if one == two:
            return one
        step = (smaller, min(one, two), max(one, two))
        if step not in self.value_of_step:
            self.value_of_step[step] = self.inputs + len(self.steps)
            self.steps.append(step)
        return self.value_of_step[step]

    def merged(self, one: Sequence[int], two: Sequence[int]) -> list[int]:
        """Two sorted lists as one: Batcher's odd-even merge, for any two lengths."""
        if not one or not two:
            return [*one, *two]
        if len(one) == len(two) == 1:
            return [self.value(True, one[0], two[0]), self.value(False, one[0], two[0])]
        even, odd = self.merged(one[::2], two[::2]), self.merged(one[1::2], two[1::2])
        total = len(one) + len(two)
        out = [even[0]]
        for index in range(max(len(even) - 1, len(odd))):
            if index + 1 < len(even) and index < len(odd):
                pair = odd[index], even[index + 1]
                out += [self.value(True, *pair), self.value(False, *pair)]
            else:
                out += odd[index : index + 1] or even[index + 1 : index + 2]
        assert len(out) == total
        return out

    def median(self, one: Sequence[int], two: Sequence[int]) -> list[int]:
        """The middle number of two sorted lists, alone."""
        return [self.ranked(one, two, (len(one) + len(two) + 1) // 2)]

    def ranked(self, one: Sequence[int], two: Sequence[int], rank: int) -> int:
        """The number of that rank (from 1) of two sorted lists: the least of max(one[i], two[rank - i])."""
        least = -1
        most = min(rank, len(one))
        for taken in range(max(0, rank - len(two)), most + 1):
            if 0 < taken < most and one[taken - 1] == one[taken]:
                continue  # an equal number further on needs less of the other list
            parts = [
                *one[taken - 1 : taken][: taken > 0],
                *two[rank - taken - 1 : rank - taken][: rank > taken],
            ]
            greatest = parts[0] if len(parts) == 1 else self.value(False, parts[0], parts[1])
            least = greatest if least < 0 else self.value(True, least, greatest)
        return least


@functools.cache
def sorting(width: int) -> SortingNetwork:
    """Three sorted lists of that width into one."""
    network = SortingNetwork(3 * width)
    first, second, third = (list(range(n * width, (n + 1) * width)) for n in range(3))
    network.results = network.merged(network.merged(first, second), third)
    return network


@functools.cache
def middle(width: int) -> SortingNetwork:
    """The middle of three sorted lists of that width."""
    network = SortingNetwork(3 * width)
    first, second, third = (list(range(n * width, (n + 1) * width)) for n in range(3))
    network.results = [network.ranked(network.merged(first, second), third, (3 * width + 1) // 2)]
    return network


@functools.cache
def kernels() -> SortingNetwork:
    """The medians at a kernel's nine positions, row by row, from nine sorted numbers for each."""
    network = SortingNetwork(81)
    values_by_position = [list(range(9 * position, 9 * position + 9)) for position in range(9)]
    medians: list[list[list[int]]] = []
    for column in range(3):  # column by column, so that few values are in use at once
        lines = [
            _window(values_by_position[3 * row : 3 * row + 3], column, network, network.merged)
            for row in range(3)
        ]
        medians.append([_window(lines, row, network, network.median) for row in range(3)])
    network.results = [medians[column][row][0] for row in range(3) for column in range(3)]
    return network


def _window(lists: Sequence[list[int]], position: int, network: SortingNetwork, joined: Merge) -> list[int]:
    """A window of an axis of three whose border is repeated: 2 x + y, x + y + z, or y + 2 z."""
    first, second, third = lists
    if position == 1:
        return joined(network.merged(first, second), third)
    return joined(_doubled(third if position else first), second)


def _doubled(values: Sequence[int]) -> list[int]:
    return [value for value in values for _ in range(2)]


def evaluate(network: SortingNetwork, inputs: Sequence[Tensor], pool: list[Tensor]) -> list[Tensor]:
    """The network's results; the inputs are of one shape and stay as they are.

    pool  buffers to compute in, made here when too few or of another shape; the results are some of them
    """
    program, count, results = network.program
    like = inputs[0]
    if pool and (pool[0].shape, pool[0].dtype) != (like.shape, like.dtype):
        pool.clear()
    while len(pool) < count:
        pool.append(torch.empty(like.shape, dtype=like.dtype, device=like.device))
    buffers = [*inputs, *pool[:count]]
    if like.device.type == "cpu":
        import numpy as np

        arrays: list[Any] = [buffer.numpy() for buffer in buffers]
        least, greatest = cast("Any", np.minimum), cast("Any", np.maximum)
        for smaller, one, two, out in program:
            (least if smaller else greatest)(arrays[one], arrays[two], out=arrays[out])
    else:
        for smaller, one, two, out in program:
            (torch.minimum if smaller else torch.maximum)(buffers[one], buffers[two], out=buffers[out])
    return [buffers[result] for result in results]


def _program(network: SortingNetwork) -> Program:
    """Steps between numbered buffers, the inputs first; how many more there are; where the results are."""
    last = _last_uses(network)
    buffer_of = {value: value for value in range(network.inputs)}
    free: list[int] = []
    count = 0
    program: list[tuple[bool, int, int, int]] = []
    for number, (smaller, one, two) in enumerate(network.steps):
        if network.inputs + number not in last:
            continue  # no result needs it
        if not free:
            free.append(network.inputs + count)
            count += 1
        out = buffer_of[network.inputs + number] = free.pop()
        program.append((smaller, buffer_of[one], buffer_of[two], out))
        free += [buffer_of[used] for used in {one, two} if used >= network.inputs and last[used] == number]
    return program, count, [buffer_of[result] for result in network.results]


def _last_uses(network: SortingNetwork) -> dict[int, int]:
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
        windows = [tensor.narrow(axis, shift, size) for shift in range(3) for tensor in level]
        network = middle(len(level)) if axis == axes[-1] else sorting(len(level))
        level = evaluate(network, windows, [])
    return level[0]


@dataclass
class Workspace:
    """Buffers that the chunks of one tensor reuse: allocating them costs more than the arithmetic."""

    threes: list[Tensor] = field(default_factory=list["Tensor"])
    nines: list[Tensor] = field(default_factory=list["Tensor"])
    kernels: list[Tensor] = field(default_factory=list["Tensor"])


def median_of_kernels(padded: Tensor, space: Workspace) -> list[Tensor]:
    """The median of the neighbours of every number of 3x3 kernels, whose own borders are repeated.

    padded  (9, rows + 2, columns + 2): a plane of the channels for each position of the kernels

    Returns nine planes of (rows, columns), until the space is used again.
    """
    rows, columns = padded.shape[1] - 2, padded.shape[2] - 2
    threes = evaluate(sorting(1), [padded.narrow(1, shift, rows) for shift in range(3)], space.threes)
    windows = [tensor.narrow(2, shift, columns) for shift in range(3) for tensor in threes]
    nines = evaluate(sorting(3), windows, space.nines)
    return evaluate(kernels(), [tensor[position] for position in range(9) for tensor in nines], space.kernels)
