"""SuperMerger's smooth add: a difference through a median filter and a Gaussian."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Annotated

from lib_merge.methods.medians import Workspace, median_of_kernels, median_of_neighbours
from lib_merge.registry import Knob, end, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 1 << 16  # numbers whose windows are sorted together: some fifty such buffers stay in the cache
DEVICE_CHUNK = 1 << 22
KERNELS = 1 << 13  # whose windows are sorted together
RADIUS = 4  # of the Gaussian of standard deviation 1: scipy's truncate of 4
WEIGHTS = tuple(math.exp(-(n**2) / 2) for n in range(RADIUS + 1))


@merge_method(
    "smooth_add",
    title="Smooth add",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, calcmode 'smoothAdd'",
    purpose="difference",
    elementwise=False,
    ends=[end(0, alpha=0)],
)
def smooth_add(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Knob(0, 2, help="0 keeps A, 1 adds the smoothed difference")] = 1.0,
) -> Tensor:
    """Add to A what is left of B's difference from C when its neighbouring numbers are evened out.

        out = A + alpha gauss(median(B - C))

    median over three numbers in every axis, gauss of standard deviation 1; at a border the last number is
    repeated, and the Gaussian mirrored, as in scipy.ndimage. alpha 0 is A, to the bit. Neighbouring channels
    have nothing to do with each other: it shrinks what a model learnt (white noise to a quarter) more than
    it removes noise from it.
    """
    delta = b - c
    axes = [axis for axis in range(delta.ndim) if delta.shape[axis] > 1]
    if not axes or not delta.numel():
        return torch.add(a, delta, alpha=alpha)
    shape = [delta.shape[axis] for axis in axes]
    # small axes first (a kernel's), so that what is cut from the two large ones lies together in memory
    order = [*range(2, len(axes)), *range(min(2, len(axes)))]
    laid = delta.reshape(shape).permute(order).contiguous()
    rows = max(len(axes) - 2, 0)
    kernels = laid.ndim == 4 and laid.shape[:2] == (3, 3)
    smoothed = _gauss(median_in_kernels(laid) if kernels else _median(laid, rows))
    back = [order.index(axis) for axis in range(len(axes))]
    return torch.add(a, smoothed.permute(back).reshape(a.shape), alpha=alpha)


def _median(delta: Tensor, rows: int) -> Tensor:
    """The median over three in every axis, some of the axis `rows` at a time."""
    out = torch.empty_like(delta)
    chunk = CHUNK if delta.device.type == "cpu" else DEVICE_CHUNK
    count = delta.shape[rows]
    step = max(1, chunk * count // delta.numel())
    axes = [axis for axis in range(delta.ndim) if axis != rows]
    for start in range(0, count, step):
        stop = min(count, start + step)
        low, high = max(0, start - 1), min(count, stop + 1)
        part = delta.narrow(rows, low, high - low)
        for axis in axes:
            part = _repeated(part, axis, before=True, after=True)
        part = _repeated(part, rows, before=start == 0, after=stop == count)
        out.narrow(rows, start, stop - start).copy_(median_of_neighbours(part, [*axes, rows]))
    return out


def median_in_kernels(delta: Tensor) -> Tensor:
    """The same of 3x3 kernels, their axes first, some rows of the channels at a time."""
    planes = delta.view(9, *delta.shape[2:])
    out, space = torch.empty_like(planes), Workspace()
    count, width = planes.shape[1:]
    step = max(1, (KERNELS if delta.device.type == "cpu" else DEVICE_CHUNK // 9) // width)
    for start in range(0, count, step):
        stop = min(count, start + step)
        low, high = max(0, start - 1), min(count, stop + 1)
        part = _repeated(planes[:, low:high], 2, before=True, after=True)
        part = _repeated(part, 1, before=start == 0, after=stop == count)
        for plane, median in zip(out, median_of_kernels(part, space), strict=True):
            plane[start:stop] = median
    return out.view(delta.shape)


def _repeated(tensor: Tensor, axis: int, *, before: bool, after: bool) -> Tensor:
    """With the first and the last number along an axis once more."""
    size = tensor.shape[axis]
    first = [tensor.narrow(axis, 0, 1)] if before else []
    last = [tensor.narrow(axis, size - 1, 1)] if after else []
    return torch.cat([*first, tensor, *last], axis) if first or last else tensor


def _gauss(tensor: Tensor) -> Tensor:
    """A Gaussian of standard deviation 1 along every axis."""
    for axis in range(tensor.ndim):
        size = tensor.shape[axis]
        if size <= 2 * RADIUS:
            matrix = torch.tensor(_matrix(size), dtype=tensor.dtype, device=tensor.device)
            flat = tensor.reshape(math.prod(tensor.shape[:axis]), size, -1)
            tensor = torch.matmul(matrix, flat).view(tensor.shape)
        else:
            tensor = _taps(tensor, axis)
    return tensor


def _mirrored(place: int, size: int) -> int:
    """Where a place beyond an axis is found in it: d c b a | a b c d | d c b a."""
    place %= 2 * size
    return place if place < size else 2 * size - 1 - place


@functools.cache
def _matrix(size: int) -> list[list[float]]:
    """The Gaussian along a short axis as a matrix, mirrored places added up."""
    rows = [[0.0] * size for _ in range(size)]
    total = WEIGHTS[0] + 2 * sum(WEIGHTS[1:])
    for row in range(size):
        for shift in range(-RADIUS, RADIUS + 1):
            rows[row][_mirrored(row + shift, size)] += WEIGHTS[abs(shift)] / total
    return rows


def _taps(tensor: Tensor, axis: int) -> Tensor:
    """The Gaussian along a long axis: nine shifted copies, one stretch of the axes before it at a time."""
    size = tensor.shape[axis]
    total = WEIGHTS[0] + 2 * sum(WEIGHTS[1:])
    places = [_mirrored(place, size) for place in range(-RADIUS, size + RADIUS)]
    index = torch.tensor(places, device=tensor.device)
    blocks = tensor.view(math.prod(tensor.shape[:axis]), size, -1)
    out = torch.empty_like(blocks)
    step = max(1, (1 << 20) // (blocks.shape[1] * blocks.shape[2]))
    for start in range(0, len(blocks), step):
        wide = blocks[start : start + step].index_select(1, index)
        part = torch.mul(wide.narrow(1, RADIUS, size), WEIGHTS[0] / total, out=out[start : start + step])
        for shift in range(1, RADIUS + 1):
            for place in (RADIUS - shift, RADIUS + shift):
                part.add_(wide.narrow(1, place, size), alpha=WEIGHTS[shift] / total)
    return out.view(tensor.shape)
