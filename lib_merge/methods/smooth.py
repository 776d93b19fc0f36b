"""SuperMerger's smooth add: a difference through a median filter and a Gaussian."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Annotated

from lib_merge.methods.medians import Workspace, median_of_kernels, median_of_neighbours
from lib_merge.parameters import Range
from lib_merge.registry import exact_at, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

WINDOW_CHUNK = 1 << 16  # elements sorted together: some fifty such buffers stay in the cache
DEVICE_WINDOW_CHUNK = 1 << 22
KERNELS = 1 << 13  # whose windows are sorted together
RADIUS = 4  # of the Gaussian of standard deviation 1, scipy.ndimage's truncate=4
WEIGHTS = tuple(math.exp(-(n**2) / 2) for n in range(RADIUS + 1))


@merge_method(
    "smooth_add",
    title="Smooth add",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, calcmode 'smoothAdd'",
    purpose="difference",
    elementwise=False,
    exact=[exact_at(0, alpha=0)],
)
def smooth_add(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Range(0, 2, help="0 keeps A, 1 adds the smoothed difference")] = 1.0,
) -> Tensor:
    """Add the difference of B and C to A after a median filter and a Gaussian filter.

        out = A + alpha gauss(median(B - C))

    median of size 3 in every axis, with mode 'nearest'; gauss of standard deviation 1, with mode 'reflect',
    as in scipy.ndimage. alpha 0 is A, to the bit. Neighbouring channels are unrelated, so that the filters
    shrink the difference (white noise to a quarter) rather than remove noise from it.
    """
    delta = b - c
    axes = [axis for axis in range(delta.ndim) if delta.shape[axis] > 1]
    if not axes or not delta.numel():
        return torch.add(a, delta, alpha=alpha)
    shape = [delta.shape[axis] for axis in axes]
    # small axes first (a kernel's), so that slices of the two large ones are contiguous
    order = [*range(2, len(axes)), *range(min(2, len(axes)))]
    laid = delta.reshape(shape).permute(order).contiguous()
    rows = max(len(axes) - 2, 0)
    kernels = laid.ndim == 4 and laid.shape[:2] == (3, 3)
    smoothed = _gauss(median_in_kernels(laid) if kernels else _median(laid, rows))
    back = [order.index(axis) for axis in range(len(axes))]
    return torch.add(a, smoothed.permute(back).reshape(a.shape), alpha=alpha)


def _median(delta: Tensor, rows: int) -> Tensor:
    """The median of size 3 in every axis, computed in slices of the axis `rows`."""
    out = torch.empty_like(delta)
    chunk = WINDOW_CHUNK if delta.device.type == "cpu" else DEVICE_WINDOW_CHUNK
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
    """The median of size 3 in every axis of 3x3 kernels, whose axes come first, in slices of the channels."""
    planes = delta.view(9, *delta.shape[2:])
    out, space = torch.empty_like(planes), Workspace()
    count, width = planes.shape[1:]
    step = max(1, (KERNELS if delta.device.type == "cpu" else DEVICE_WINDOW_CHUNK // 9) // width)
    for start in range(0, count, step):
        stop = min(count, start + step)
        low, high = max(0, start - 1), min(count, stop + 1)
        part = _repeated(planes[:, low:high], 2, before=True, after=True)
        part = _repeated(part, 1, before=start == 0, after=stop == count)
        for plane, median in zip(out, median_of_kernels(part, space), strict=True):
            plane[start:stop] = median
    return out.view(delta.shape)


def _repeated(tensor: Tensor, axis: int, *, before: bool, after: bool) -> Tensor:
    """The tensor with the first and the last slice along an axis repeated."""
    size = tensor.shape[axis]
    first = [tensor.narrow(axis, 0, 1)] if before else []
    last = [tensor.narrow(axis, size - 1, 1)] if after else []
    return torch.cat([*first, tensor, *last], axis) if first or last else tensor


def _gauss(tensor: Tensor) -> Tensor:
    """A Gaussian filter of standard deviation 1 along every axis."""
    for axis in range(tensor.ndim):
        size = tensor.shape[axis]
        if size <= 2 * RADIUS:
            matrix = torch.tensor(_matrix(size), dtype=tensor.dtype, device=tensor.device)
            flat = tensor.reshape(math.prod(tensor.shape[:axis]), size, -1)
            tensor = torch.matmul(matrix, flat).view(tensor.shape)
        else:
            tensor = _taps(tensor, axis)
    return tensor


def _reflect(index: int, size: int) -> int:
    """The index within an axis of one beyond its ends: d c b a | a b c d | d c b a."""
    index %= 2 * size
    return index if index < size else 2 * size - 1 - index


@functools.cache
def _matrix(size: int) -> list[list[float]]:
    """The Gaussian along a short axis as a matrix, with reflected weights added."""
    rows = [[0.0] * size for _ in range(size)]
    total = WEIGHTS[0] + 2 * sum(WEIGHTS[1:])
    for row in range(size):
        for shift in range(-RADIUS, RADIUS + 1):
            rows[row][_reflect(row + shift, size)] += WEIGHTS[abs(shift)] / total
    return rows


def _taps(tensor: Tensor, axis: int) -> Tensor:
    """The Gaussian along a long axis: a sum of nine shifted copies, in slices of the axes before it."""
    size = tensor.shape[axis]
    total = WEIGHTS[0] + 2 * sum(WEIGHTS[1:])
    indices = [_reflect(index, size) for index in range(-RADIUS, size + RADIUS)]
    index = torch.tensor(indices, device=tensor.device)
    blocks = tensor.view(math.prod(tensor.shape[:axis]), size, -1)
    out = torch.empty_like(blocks)
    step = max(1, (1 << 20) // (blocks.shape[1] * blocks.shape[2]))
    for start in range(0, len(blocks), step):
        wide = blocks[start : start + step].index_select(1, index)
        part = torch.mul(wide.narrow(1, RADIUS, size), WEIGHTS[0] / total, out=out[start : start + step])
        for shift in range(1, RADIUS + 1):
            for offset in (RADIUS - shift, RADIUS + shift):
                part.add_(wide.narrow(1, offset, size), alpha=WEIGHTS[shift] / total)
    return out.view(tensor.shape)
