"""The sums of one piece of two tensors, good to 1e-9 of what float64 gives, in the fewest passes.

Sums of float32 will not do: squares of fp16 numbers are exact in float32, but adding them up is biased
(rows of 256, added up in float64: 6e-8 on noise, 9e-7 on a constant tensor). So every sum is one of
float64, over buffers that stay in the cache. Per element and thread: fp16 to float32 0.07 ns, float32
to float64 0.16 ns (fp16 straight to float64: 0.6 ns), the difference in float32 0.15 ns and its extremes
0.12 ns (in float64 0.30 and 0.25 ns), equal bits 0.11 ns, a dot product of float64 0.11 ns by numpy's
OpenBLAS and 0.18 ns by torch's MKL on an AMD processor.

Of two large tensors of a 16-bit format A and the difference D = B - A are widened, and not B:

    B.B = A.A + 2 A.D + D.D     A.B = A.A + A.D

Nothing is lost by that while |B| is not far below |A|: the terms are good to 1e-15.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lib_merge.report.values import Sums, of_a_size
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

# Elements from which a difference of 16-bit numbers may be rounded to float32 (24 bits, of 11 or 8 each:
# exact but for numbers 2^13 apart): such errors, below 2^-25, average out.
LARGE = 1 << 16
RUN = 1 << 13  # elements of one dot product: from 10 000 on OpenBLAS shares it among threads of its own


class PairKernel:
    """Adds up pieces of at most `most` elements, in buffers that it uses again; for one thread."""

    def __init__(self, most: int) -> None:
        self._narrow_buffers = [torch.empty(most, dtype=torch.float32) for _ in range(3)]
        self._wide_buffers = [torch.empty(most, dtype=torch.float64) for _ in range(4)]
        self._same = torch.empty(most, dtype=torch.bool)

    def sums(self, a: Tensor, b: Tensor, c: Tensor | None = None) -> Sums:
        """The sums of A, B and, with a base, C: flat and of one length, in any number formats."""
        count, same_format = a.numel(), a.dtype == b.dtype
        if same_format and torch.equal(bits(a), bits(b)):
            return self._of_equals(a, c)
        if same_format and a.element_size() == 2 and count >= LARGE and c is None:
            found = self._by_difference(a, b)
            if of_a_size(found.aa, found.bb) and math.isfinite(found.dd):
                return found
        wide_a, wide_b = self._wide(0, a), self._wide(1, b)
        aa, bb = _square(wide_a), _square(wide_b)
        ca, cb, cab = (None, None, None) if c is None else self._to_base(wide_a, wide_b, c)
        ab = None if of_a_size(aa, bb) else _dot(wide_a, wide_b)
        difference = wide_b.sub_(wide_a)
        dd = _square(difference)
        if ab is None:  # exact enough, and a pass less
            ab = (aa + bb - dd) / 2
        equal = self._equal(a, b) if same_format else count - int(torch.count_nonzero(difference))
        return Sums(count, aa, bb, ab, dd, _most(difference, dd), equal, ca, cb, cab)

    def _by_difference(self, a: Tensor, b: Tensor) -> Sums:
        """As the module tells; for 16-bit numbers."""
        wide_a = self._wide(0, a)
        narrow_a, difference = (buffer[: a.numel()] for buffer in self._narrow_buffers[:2])
        difference.copy_(b).sub_(narrow_a)
        wide = self._wide_buffers[1][: a.numel()].copy_(difference)
        aa, ad, dd = _square(wide_a), _dot(wide_a, wide), _square(wide)
        most, equal = _most(difference, dd), self._equal(a, b)
        return Sums(a.numel(), aa, aa + 2 * ad + dd, aa + ad, dd, most, equal)

    def _of_equals(self, a: Tensor, c: Tensor | None) -> Sums:
        """The same bytes, as a shared VAE's; NaN still makes the sums NaN."""
        wide = self._wide(0, a)
        aa = _square(wide)
        apart = 0.0 if aa == aa else aa
        base = None if c is None else _square(wide.sub_(self._wide(2, c)))
        return Sums(a.numel(), aa, aa, aa, apart, apart, a.numel(), base, base, base)

    def _to_base(self, a: Tensor, b: Tensor, c: Tensor) -> tuple[float, float, float]:
        """The squares and the product of A - C and B - C; A and B stay as they are."""
        base = self._wide(2, c)
        from_b = torch.sub(b, base, out=self._wide_buffers[3][: c.numel()])
        from_a = torch.sub(a, base, out=base)
        return _square(from_a), _square(from_b), _dot(from_a, from_b)

    def _wide(self, slot: int, x: Tensor) -> Tensor:
        """float64, by way of float32 where that loses nothing: torch is four times as fast at it."""
        if x.element_size() < 4:
            x = self._narrow_buffers[slot][: x.numel()].copy_(x)
        return self._wide_buffers[slot][: x.numel()].copy_(x)

    def _equal(self, a: Tensor, b: Tensor) -> int:
        """Elements of equal bits; by numpy, which does both steps in a sixth of torch's time."""
        import numpy as np

        same = self._same[: a.numel()].numpy()
        np.equal(bits(a).numpy(), bits(b).numpy(), out=same)
        return int(np.count_nonzero(same))


def bits(tensor: Tensor) -> Tensor:
    """The same memory as whole numbers: NaN equals itself there, and -0 is not 0."""
    return tensor.view(
        {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    )


def _most(difference: Tensor, dd: float) -> float:
    low, high = difference.aminmax()
    return max(-low.item(), high.item()) if dd == dd else dd


def _square(x: Tensor) -> float:
    return _dot(x, x)


def _dot(x: Tensor, y: Tensor) -> float:
    """The dot product of float64, in runs that numpy hands to its BLAS one by one, without Python."""
    import numpy as np

    one, other = x.numpy(), y.numpy()
    whole = len(one) // RUN * RUN
    runs = one[:whole].reshape(-1, 1, RUN) @ other[:whole].reshape(-1, RUN, 1)
    return float(runs.sum() + np.dot(one[whole:], other[whole:]))
