"""Statistics of whole tensors that several methods need, and device-independent random numbers.

Sums are accumulated in float64. Tensors may have any floating dtype and are processed in chunks that stay in
a core's cache, so that a file's tensor is never copied as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from lib_merge.parameters import seed_for
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 1 << 17  # elements: half a megabyte of float32
DEVICE_CHUNK = 1 << 24
SAMPLE = 1 << 14  # elements from which the range of a quantile is estimated first
BITS = 16  # of one random number: probabilities are multiples of 1 / 65536
OFFSET = 1 << (BITS - 1)  # of signed integers of so many bits
LANES = 64 // BITS
NORMAL_BLOCK = 1 << 14  # normal random numbers that are drawn from one seed
SQRT_2 = math.sqrt(2.0)
POWER_BLOCK = 64  # elements: a multiple of every processor's vector


def chunks(tensors: Sequence[Tensor], dtype: torch.dtype) -> Iterator[list[Tensor]]:
    """The same chunk of each tensor, flat and in `dtype`, from the first to the last.

    Read-only: a tensor that has `dtype` already is not copied.
    """
    flat = [tensor.reshape(-1) for tensor in tensors]
    size = CHUNK if flat[0].device.type == "cpu" else DEVICE_CHUNK
    for start in range(0, flat[0].numel(), size):
        yield [tensor[start : start + size].to(dtype) for tensor in flat]


def power_(values: Tensor, exponent: float) -> Tensor:
    """Powers of non-negative values, in place; 1 for the exponent 0.

    The power of an element does not depend on its position. PyTorch computes whole vectors with one function
    and the elements after the last of them with another, whose last bit may differ: a tensor would have other
    bits in two pieces than in one. So the last elements are computed within a block of their own.
    """
    if exponent == 0:
        return values.fill_(1)
    if not values.is_contiguous():
        return values.copy_(power_(values.contiguous(), exponent))
    flat = values.view(-1)
    tail = flat.numel() % POWER_BLOCK
    if tail:
        block = flat.new_ones(POWER_BLOCK)
        block[:tail] = flat[-tail:]
        flat[-tail:] = block.pow_(exponent)[:tail]
    flat[: flat.numel() - tail].pow_(exponent)
    return values


def gram(models: Sequence[Tensor], base: Tensor | None = None) -> list[list[float]]:
    """The Gram matrix: dot products of every two models, or of their differences from a base."""
    count = len(models)
    total = torch.zeros(count, count, dtype=torch.float64, device=models[0].device)
    for chunk in chunks([*models, *([] if base is None else [base])], torch.float64):
        rows = torch.stack(chunk[:count])
        if base is not None:
            rows -= chunk[count]
        total += rows @ rows.T
    return [[float(product) for product in row] for row in total.cpu()]


def kth_smallest(
    tensors: Sequence[Tensor], function: Callable[..., Tensor], dtype: torch.dtype, k: int
) -> float:
    """The k-th smallest (from 1) of the values that an elementwise function has on the tensors.

    A sample gives two bounds for it; the few values between the bounds are sorted. The result is that of
    torch.kthvalue, in a quarter of its time and without a temporary tensor of the full size.
    """
    flat = [tensor.reshape(-1) for tensor in tensors]
    count = flat[0].numel()
    if count > 8 * SAMPLE:
        sample = function(*(tensor[:: count // SAMPLE].to(dtype) for tensor in flat))
        low, high = _bracket(sample, k / count)
        below = 0
        parts: list[Tensor] = []
        for chunk in chunks(flat, dtype):
            smaller, part = _partition(function(*chunk), low, high)
            below += smaller
            parts.append(part)
        between = torch.cat(parts)
        if 1 <= k - below <= between.numel():
            return float(torch.kthvalue(between, k - below).values)
    return float(torch.kthvalue(function(*(tensor.to(dtype) for tensor in flat)), k).values)


def _partition(values: Tensor, low: float, high: float) -> tuple[int, Tensor]:
    """The number of values below `low`, and the values from `low` to `high`; numpy is four times as fast."""
    if values.device.type != "cpu":
        under = values < low
        return int(under.count_nonzero()), values[under.logical_xor_(values <= high)]
    import numpy as np

    numbers = values.numpy()
    under = numbers < low
    count = int(np.count_nonzero(under))
    return count, torch.from_numpy(numbers[np.logical_xor(under, numbers <= high, out=under)])


def _bracket(sample: Tensor, quantile: float) -> tuple[float, float]:
    """Two values of the sample that enclose the quantile of all values with high probability."""
    middle = quantile * sample.numel()
    margin = 2 + 5 * math.sqrt(sample.numel() * quantile * (1 - quantile))
    return (
        _order_statistic(sample, math.floor(middle - margin), -math.inf),
        _order_statistic(sample, math.ceil(middle + margin), math.inf),
    )


def _order_statistic(sample: Tensor, rank: int, default: float) -> float:
    return float(torch.kthvalue(sample, rank).values) if 1 <= rank <= sample.numel() else default


def num_kept(density: float, count: int) -> int:
    """How many of `count` values a density keeps, rounded; at least one of any."""
    return min(count, max(1, math.floor(density * count + 0.5)))


def prev_float(value: float, dtype: torch.dtype) -> float:
    """The next representable number of the dtype, towards zero."""
    return float(torch.nextafter(torch.tensor(value, dtype=dtype), torch.zeros((), dtype=dtype)))


def random_u16(seed: int, start: int, count: int, like: Tensor) -> Tensor:
    """Random integers from 0 to 65535 for elements `start` to `start + count`, in the dtype of `like`.

    Drawn on the CPU by position: an element gets the same number on every device and with every chunk size.
    """
    first = start // CHUNK * CHUNK
    blocks = [_random_block(seed, at, start + count) for at in range(first, max(start + count, 1), CHUNK)]
    integers = torch.cat(blocks) if len(blocks) > 1 else blocks[0]
    return integers[start - first : start - first + count].to(like.device, like.dtype).add_(OFFSET)


def _random_block(seed: int, at: int, stop: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed_for(seed, at))
    integers = torch.empty(-(-min(CHUNK, stop - at) // LANES), dtype=torch.int64)
    return integers.random_(-(1 << 63), None, generator=generator).view(torch.int16)


def bernoulli_mask(seed: int, start: int, density: float, like: Tensor) -> tuple[Tensor, float]:
    """1 with probability `density` and 0 elsewhere, in the shape of `like`; and the exact probability."""
    threshold = min(1 << BITS, max(1, round(density * (1 << BITS))))
    mask = random_u16(seed, start, like.numel(), like).neg_().add_(threshold).clamp_(0, 1)
    return mask.view(like.shape), threshold / (1 << BITS)


def normal(seed: int, start: int, like: Tensor) -> Tensor:
    """Standard normal random numbers by position, drawn on the CPU in float64, in the shape of `like`."""
    stop = start + like.numel()
    first = start // NORMAL_BLOCK * NORMAL_BLOCK
    blocks = [_normal_block(seed, at) for at in range(first, stop, NORMAL_BLOCK)]
    flat = torch.cat(blocks)[start - first : stop - first] if blocks else torch.empty(0)
    return flat.to(like.device, like.dtype).view(like.shape)


def _normal_block(seed: int, at: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed_for(seed, at))
    integers = torch.empty(NORMAL_BLOCK, dtype=torch.int64).random_(0, 1 << 52, generator=generator)
    # the middle of one of 2^52 equal parts of (-1, 1): never -1 or 1, where erfinv is infinite
    return torch.erfinv((integers.double() + 0.5) * 2.0**-51 - 1) * SQRT_2
