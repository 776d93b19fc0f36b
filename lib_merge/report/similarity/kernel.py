"""Sums over one chunk of two tensors, within 1e-9 of the results of float64, in as few passes as possible.

Sums in float32 are not exact enough: squares of fp16 numbers are exact in float32, but their sum is biased
(rows of 256, added up in float64: 6e-8 on noise, 9e-7 on a constant tensor). So every sum is computed in
float64, over buffers that stay in the cache. Per element and thread: fp16 to float32 0.07 ns, float32
to float64 0.14 ns (fp16 straight to float64: 0.6 ns), the difference in float32 0.11 ns and its extremes
0.13 ns, a dot product of float64 0.18 ns (torch 2.13 with MKL, one core of an AMD EPYC).

For two large 16-bit tensors, A and the difference D = B - A are converted to float64, and not B:

    B.B = A.A + 2 A.D + D.D     A.B = A.A + A.D

This is as exact while |B| is not far below |A|: the terms have relative errors of 1e-15.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.report.similarity.values import PairSums, similar_magnitude, sum_parts
from lib_merge.report.stream import split_views
from lib_merge.tensors import extremes, torch

if TYPE_CHECKING:
    from torch import Tensor

# Elements from which a difference of 16-bit numbers may be rounded to float32 (24 bits, of 11 or 8 each:
# exact but for numbers 2^13 apart): such errors, below 2^-25, average out.
LARGE = 1 << 16
# Elements that go through the buffers at a time; with the buffers 4 MB, which fit into a shared cache.
KERNEL_STEP = 1 << 17
RUN = 1 << 13  # elements of one dot product: from 10 000 on OpenBLAS shares it among threads of its own


@dataclass(frozen=True)
class _Buffers:
    """The buffers cut to one step's length; slicing them again for each step took a tenth of the time."""

    narrow: tuple[Tensor, ...]
    wide: tuple[Tensor, ...]
    same: Tensor

    def cut(self, count: int) -> _Buffers:
        if count == self.same.numel():
            return self
        narrow, wide = (tuple(buffer[:count] for buffer in buffers) for buffers in (self.narrow, self.wide))
        return _Buffers(narrow, wide, self.same[:count])


class PairKernel:
    """Computes sums over chunks of any length, step by step, in reused buffers; for one thread."""

    def __init__(self, step: int = KERNEL_STEP) -> None:
        from lib_merge.report.similarity.loop import fast_pair_sums

        self._step, self._loop = step, fast_pair_sums()
        self._buffers = _Buffers(
            tuple(torch.empty(step, dtype=torch.float32) for _ in range(3)),
            tuple(torch.empty(step, dtype=torch.float64) for _ in range(4)),
            torch.empty(step, dtype=torch.bool),
        )
        flags = torch.empty(step, dtype=torch.int16)
        self._loop_buffers = (
            *self._buffers.narrow[:2],
            *self._buffers.wide[:2],
            flags,
            flags.view(torch.int64),
        )

    def sums(self, a: Tensor, b: Tensor, c: Tensor | None = None) -> PairSums:
        """The sums of A and B, with C also those of A - C and B - C; flat, of equal length, of any dtypes."""
        if c is None and a.dtype == b.dtype and a.element_size() == 2:
            sums = self._by_difference(a, b)
            if similar_magnitude(sums.aa, sums.bb) and math.isfinite(sums.dd):
                return sums
        views = (a, b) if c is None else (a, b, c)
        return sum_parts(self._of_step(*step) for step in split_views(views, self._step))

    def _by_difference(self, a: Tensor, b: Tensor) -> PairSums:
        """The sums of two 16-bit tensors from A and D = B - A; see the module's docstring."""
        aa, ad, dd, most, equal = self._loop(a, b, bits(a), bits(b), *self._loop_buffers, a.numel() >= LARGE)
        return PairSums(a.numel(), aa, aa + 2 * ad + dd, aa + ad, dd, most, equal)

    def _of_step(self, a: Tensor, b: Tensor, c: Tensor | None = None) -> PairSums:
        buffers = self._buffers.cut(a.numel())
        bit_views = (bits(a), bits(b)) if a.dtype == b.dtype else None
        if bit_views and torch.equal(*bit_views):
            return _equal_step(a, c, buffers)
        return _general_step(a, b, c, bit_views, buffers)


def _general_step(
    a: Tensor, b: Tensor, c: Tensor | None, bit_views: tuple[Tensor, Tensor] | None, buffers: _Buffers
) -> PairSums:
    """The sums of tensors of any dtypes, all converted to float64."""
    wide_a, wide_b = _wide(0, a, buffers), _wide(1, b, buffers)
    aa, bb = _square(wide_a), _square(wide_b)
    ca, cb, cab = (None, None, None) if c is None else _to_base(wide_a, wide_b, c, buffers)
    ab = None if similar_magnitude(aa, bb) else _dot(wide_a, wide_b)
    difference = wide_b.sub_(wide_a)
    dd = _square(difference)
    if ab is None:  # exact enough, and a pass less
        ab = (aa + bb - dd) / 2
    equal = _equal(*bit_views, buffers) if bit_views else a.numel() - int(torch.count_nonzero(difference))
    return PairSums(a.numel(), aa, bb, ab, dd, _max_difference(difference, dd), equal, ca, cb, cab)


def _equal_step(a: Tensor, c: Tensor | None, buffers: _Buffers) -> PairSums:
    """The sums of two tensors with the same bytes, such as a shared VAE's; NaN makes them NaN too."""
    wide = _wide(0, a, buffers)
    aa = _square(wide)
    apart = 0.0 if aa == aa else aa
    base = None if c is None else _square(wide.sub_(_wide(2, c, buffers)))
    return PairSums(a.numel(), aa, aa, aa, apart, apart, a.numel(), base, base, base)


def _to_base(a: Tensor, b: Tensor, c: Tensor, buffers: _Buffers) -> tuple[float, float, float]:
    """The sums of squares of A - C and of B - C, and of their products; A and B are not changed."""
    base = _wide(2, c, buffers)
    from_b = torch.sub(b, base, out=buffers.wide[3])
    from_a = torch.sub(a, base, out=base)
    return _square(from_a), _square(from_b), _dot(from_a, from_b)


def _wide(slot: int, x: Tensor, buffers: _Buffers) -> Tensor:
    """The tensor in float64; 16-bit dtypes by way of float32, which is four times as fast in torch."""
    if x.element_size() < 4:
        x = buffers.narrow[slot].copy_(x)
    return buffers.wide[slot].copy_(x)


def _equal(a: Tensor, b: Tensor, buffers: _Buffers) -> int:
    """The number of equal integers; numpy takes a sixth of torch's time for this."""
    import numpy as np

    same = buffers.same.numpy()
    np.equal(a.numpy(), b.numpy(), out=same)
    return int(np.count_nonzero(same))


INTEGER_DTYPES = {1: "uint8", 2: "int16", 4: "int32", 8: "int64"}


def bits(tensor: Tensor) -> Tensor:
    """A view of the tensor's memory as integers, where NaN equals itself and -0 differs from 0."""
    return tensor.view(getattr(torch, INTEGER_DTYPES[tensor.element_size()]))


def _max_difference(difference: Tensor, dd: float) -> float:
    low, high = extremes(difference)
    return max(-low, high) if dd == dd else dd


def _square(x: Tensor) -> float:
    return _dot(x, x)


def _dot(x: Tensor, y: Tensor) -> float:
    """The dot product in float64, computed in runs by one call of numpy's matmul."""
    import numpy as np

    one, other = x.numpy(), y.numpy()
    whole = len(one) - len(one) % RUN
    if whole == 0:
        return float(np.dot(one, other))
    runs = one[:whole].reshape(-1, 1, RUN) @ other[:whole].reshape(-1, RUN, 1)
    rest = np.dot(one[whole:], other[whole:]) if whole < len(one) else 0.0
    return float(np.add.reduce(runs, None) + rest)
