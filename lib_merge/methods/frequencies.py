"""A tensor's slow and fast changes along its axes.

A filter with real shares h of the frequencies is linear, and the transform and its inverse undo each other:

    inverse((1 - h) F(A) + h F(B)) = A + inverse(h F(B - A))

so that one transform there and one back do for two models, and what rounding costs is small as B - A is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

Filter = Callable[["Tensor"], "Tensor"]
MEAN_AND_REST = 3  # an axis of so many numbers has two frequencies: its mean's, and of all that is left


def apply_filter(tensor: Tensor, response: Filter) -> Tensor:
    """A real tensor with each frequency over all axes multiplied by a share.

    response  function from frequencies, 0 to 1, to their shares
    """
    if tensor.ndim == 4 and tensor.shape[2:] == (MEAN_AND_REST, MEAN_AND_REST):
        return _filter_kernels(tensor, response)
    h = response(_frequency(tensor.shape).to(tensor.device)).to(tensor.dtype)
    return irfftn(rfftn(tensor).mul_(h), tensor.shape)


def _filter_kernels(tensor: Tensor, response: Filter) -> Tensor:
    """`apply_filter` of 3x3 kernels, whose own axes need no transform.

    Along three numbers frequency 1 and its mirror image have one share, so that the filter sees the mean
    and the rest alone: in any real orthonormal basis that begins with the mean, each of a kernel's nine
    numbers is one plane over the channels with its own frequencies.
    """
    rows, columns = tensor.shape[:2]
    basis = torch.tensor(_kernel_basis(), dtype=tensor.dtype, device=tensor.device)
    planes = (basis @ tensor.reshape(-1, 9).T).view(9, rows, columns)
    for plane in range(9):
        fixed = float(plane >= 3) + float(plane % 3 > 0)
        frequency = _frequency((rows, columns), fixed, 4).to(tensor.device)
        spectrum = rfftn(planes[plane]).mul_(response(frequency).to(tensor.dtype))
        planes[plane] = irfftn(spectrum, (rows, columns))
    return (planes.view(9, -1).T @ basis).view(tensor.shape)


def _kernel_basis() -> list[list[float]]:
    """Nine orthonormal patterns of a 3x3 kernel: the mean and two others along each axis."""
    along = [
        [math.sqrt(1 / 3)] * 3,
        [math.sqrt(1 / 2), 0.0, -math.sqrt(1 / 2)],
        [math.sqrt(1 / 6), -math.sqrt(2 / 3), math.sqrt(1 / 6)],
    ]
    return [[one * two for one in first for two in second] for first in along for second in along]


def rfftn(tensor: Tensor) -> Tensor:
    """The real Fourier transform of a tensor over all axes."""
    if tensor.device.type != "cpu":
        return cast("Callable[[Tensor], Tensor]", torch.fft.rfftn)(tensor)
    return torch.from_numpy(_scipy().rfftn(tensor.numpy()))


def irfftn(frequencies: Tensor, shape: Sequence[int]) -> Tensor:
    """The tensor with these frequencies, which are overwritten."""
    if frequencies.device.type != "cpu":
        return cast("Callable[..., Tensor]", torch.fft.irfftn)(frequencies, s=tuple(shape))
    return torch.from_numpy(_scipy().irfftn(frequencies.numpy(), tuple(shape), overwrite_x=True))


def _scipy() -> Any:
    """Two or three times as fast along one axis as torch's, and in float32 as exact."""
    import scipy.fft

    return scipy.fft


def _frequency(shape: Sequence[int], fixed: float = 0.0, axes: int = 0) -> Tensor:
    """The frequency, 0 to 1, of each number of a real transform: the root mean square over the axes.

    As in sd-mecha, the frequencies of an axis are spread over the size of the transform.

    fixed  the sum of squares over axes that the shape leaves out
    axes   the number of all axes, those included; 0 for the axes of the shape
    """
    half = [*shape[:-1], shape[-1] // 2 + 1]
    total = torch.full(half, fixed, dtype=torch.float64)
    for axis, size in enumerate(half):
        total += (_along_axis(size, axis == len(half) - 1) ** 2).view(
            [-1 if n == axis else 1 for n in range(len(half))]
        )
    return (total / (axes or len(half))).sqrt_()


def _along_axis(size: int, half: bool) -> Tensor:
    """Frequencies along one axis; the transform holds only half of the last one."""
    if half or size == 1:
        return torch.linspace(0, 1, size, dtype=torch.float64)
    ascending = torch.arange(size, dtype=torch.float64)
    return torch.minimum(ascending, size - ascending) / (size // 2)
