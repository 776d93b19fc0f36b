"""Numbers that several methods need of whole tensors, and dice that fall alike everywhere.

Sums are taken in float64. Tensors may be in any float format and are gone over in stretches that
stay in a core's cache, so that a file's tensor is never copied as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from lib_merge.registry import seed_for
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

STRETCH = 1 << 17  # elements: half a megabyte of float32
DEVICE_STRETCH = 1 << 24
SAMPLE = 1 << 14  # elements that a rank is first guessed from
BITS = 16  # of one throw of dice: probabilities are multiples of 1 / 65536
LANES = 64 // BITS
NORMALS = 1 << 14  # normal numbers that are drawn together
SQRT_2 = math.sqrt(2.0)


def stretches(tensors: Sequence[Tensor], dtype: torch.dtype) -> Iterator[list[Tensor]]:
    """The same stretch of each tensor, flat and in `dtype`, from the first to the last.

    Not to be written into: one that is in `dtype` already is no copy.
    """
    flat = [tensor.reshape(-1) for tensor in tensors]
    size = STRETCH if flat[0].device.type == "cpu" else DEVICE_STRETCH
    for start in range(0, flat[0].numel(), size):
        yield [tensor[start : start + size].to(dtype) for tensor in flat]


def gram(models: Sequence[Tensor], base: Tensor | None = None) -> list[list[float]]:
    """The dot products of every two models, or of their differences from a base."""
    count = len(models)
    total = torch.zeros(count, count, dtype=torch.float64, device=models[0].device)
    for stretch in stretches([*models, *([] if base is None else [base])], torch.float64):
        rows = torch.stack(stretch[:count])
        if base is not None:
            rows -= stretch[count]
        total += rows @ rows.T
    return [[float(product) for product in row] for row in total.cpu()]


def kth_smallest(tensors: Sequence[Tensor], made: Callable[..., Tensor], dtype: torch.dtype, k: int) -> float:
    """The k-th smallest (from 1) of the numbers that `made` makes of the tensors, element by element.

    A sample says between which two numbers it must lie; what lies there is little, and is sorted. What
    torch.kthvalue finds, at a quarter of its time and with nothing as large as the tensors in memory.
    """
    flat = [tensor.reshape(-1) for tensor in tensors]
    count = flat[0].numel()
    if count > 8 * SAMPLE:
        sample = made(*(tensor[:: count // SAMPLE].to(dtype) for tensor in flat))
        low, high = _bracket(sample, k / count)
        below = 0
        inside: list[Tensor] = []
        for stretch in stretches(flat, dtype):
            under, found = _between(made(*stretch), low, high)
            below += under
            inside.append(found)
        between = torch.cat(inside)
        if 1 <= k - below <= between.numel():
            return float(torch.kthvalue(between, k - below).values)
    return float(torch.kthvalue(made(*(tensor.to(dtype) for tensor in flat)), k).values)


def _between(values: Tensor, low: float, high: float) -> tuple[int, Tensor]:
    """How many are below `low`, and those from `low` to `high`; on a CPU by numpy, four times as fast."""
    if values.device.type != "cpu":
        under = values < low
        return int(under.count_nonzero()), values[under.logical_xor_(values <= high)]
    import numpy as np

    numbers = values.numpy()
    under = numbers < low
    count = int(np.count_nonzero(under))
    return count, torch.from_numpy(numbers[np.logical_xor(under, numbers <= high, out=under)])


def _bracket(sample: Tensor, share: float) -> tuple[float, float]:
    """Two numbers between which the one at that share of all lies, but for bad luck."""
    middle = share * sample.numel()
    margin = 2 + 5 * math.sqrt(sample.numel() * share * (1 - share))
    return (
        _ranked(sample, math.floor(middle - margin), -math.inf),
        _ranked(sample, math.ceil(middle + margin), math.inf),
    )


def _ranked(sample: Tensor, rank: int, beyond: float) -> float:
    return float(torch.kthvalue(sample, rank).values) if 1 <= rank <= sample.numel() else beyond


def kept(density: float, count: int) -> int:
    """How many of `count` numbers a density keeps: at least one of any."""
    return min(count, max(1, math.floor(density * count + 0.5)))


def just_below(value: float, dtype: torch.dtype) -> float:
    """The next number towards zero that the format holds."""
    return float(torch.nextafter(torch.tensor(value, dtype=dtype), torch.zeros((), dtype=dtype)))


def throws(seed: int, start: int, count: int, like: Tensor) -> Tensor:
    """Whole numbers of 16 random bits, -32768 to 32767, for elements `start` to `start + count`.

    Drawn on the CPU by position: however a tensor is cut, an element has the same number.
    """
    first = start // STRETCH * STRETCH
    drawn = [_throws_of(seed, at, start + count) for at in range(first, max(start + count, 1), STRETCH)]
    lanes = torch.cat(drawn) if len(drawn) > 1 else drawn[0]
    return lanes[start - first : start - first + count].to(like.device, like.dtype)


def _throws_of(seed: int, at: int, stop: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed_for(seed, at))
    words = torch.empty(-(-min(STRETCH, stop - at) // LANES), dtype=torch.int64)
    return words.random_(-(1 << 63), None, generator=generator).view(torch.int16)


def coins(seed: int, start: int, density: float, like: Tensor) -> tuple[Tensor, float]:
    """Ones where an element of `like` is kept and zeros where it is not, and the exact share that is kept."""
    share = min(1 << BITS, max(1, round(density * (1 << BITS))))
    flips = throws(seed, start, like.numel(), like).neg_().add_(share - (1 << (BITS - 1))).clamp_(0, 1)
    return flips.view(like.shape), share / (1 << BITS)


def normals(seed: int, start: int, like: Tensor) -> Tensor:
    """Numbers of the standard normal distribution by position, drawn on the CPU in float64."""
    stop = start + like.numel()
    first = start // NORMALS * NORMALS
    drawn = [_normals_of(seed, at) for at in range(first, stop, NORMALS)]
    flat = torch.cat(drawn)[start - first : stop - first] if drawn else torch.empty(0)
    return flat.to(like.device, like.dtype).view(like.shape)


def _normals_of(seed: int, at: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed_for(seed, at))
    whole = torch.empty(NORMALS, dtype=torch.int64).random_(0, 1 << 52, generator=generator)
    # the middle of one of 2^52 equal parts of (-1, 1): never an end, where erfinv is infinite
    return torch.erfinv((whole.double() + 0.5) * 2.0**-51 - 1) * SQRT_2
