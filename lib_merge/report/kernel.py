"""The sums of one piece of two tensors, good to 1e-9 of what float64 gives, in the fewest passes.

Sums of float32 will not do: squares of fp16 numbers are exact in float32, but adding them up is biased
(rows of 256, added up in float64: 6e-8 on noise, 9e-7 on a constant tensor). So every sum is one of
float64, over buffers that stay in the cache. Per element and thread: fp16 to float32 0.07 ns, float32
to float64 0.14 ns (fp16 straight to float64: 0.6 ns), the difference in float32 0.11 ns and its extremes
0.13 ns, a dot product of float64 0.18 ns (torch 2.13 with MKL, one core of an AMD EPYC).

Of two large tensors of a 16-bit format A and the difference D = B - A are widened, and not B:

    B.B = A.A + 2 A.D + D.D     A.B = A.A + A.D

Nothing is lost by that while |B| is not far below |A|: the terms are good to 1e-15.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.report.stream import in_steps
from lib_merge.report.values import Sums, added, of_a_size
from lib_merge.tensors import extremes, torch

if TYPE_CHECKING:
    from torch import Tensor

# Elements from which a difference of 16-bit numbers may be rounded to float32 (24 bits, of 11 or 8 each:
# exact but for numbers 2^13 apart): such errors, below 2^-25, average out.
LARGE = 1 << 16
STEP = 1 << 17  # elements that go through the buffers at a time: with these 4 MB, which a shared cache holds
RUN = 1 << 13  # elements of one dot product: from 10 000 on OpenBLAS shares it among threads of its own


@dataclass(frozen=True)
class _Room:
    """The buffers cut to one step's length; cutting them anew for each step took a tenth of the time."""

    narrow: tuple[Tensor, ...]
    wide: tuple[Tensor, ...]
    same: Tensor

    def cut(self, count: int) -> _Room:
        if count == self.same.numel():
            return self
        narrow, wide = (tuple(each[:count] for each in some) for some in (self.narrow, self.wide))
        return _Room(narrow, wide, self.same[:count])


class PairKernel:
    """Adds up pieces of any length, step by step, in buffers that it uses again; for one thread."""

    def __init__(self, step: int = STEP) -> None:
        from lib_merge.report.loop import fast_pair_sums

        self._step, self._loop = step, fast_pair_sums()
        self._room = _Room(
            tuple(torch.empty(step, dtype=torch.float32) for _ in range(3)),
            tuple(torch.empty(step, dtype=torch.float64) for _ in range(4)),
            torch.empty(step, dtype=torch.bool),
        )
        flags = torch.empty(step, dtype=torch.int16)
        self._loop_room = *self._room.narrow[:2], *self._room.wide[:2], flags, flags.view(torch.int64)

    def sums(self, a: Tensor, b: Tensor, c: Tensor | None = None) -> Sums:
        """The sums of A, B and, with a base, C: flat and of one length, in any number formats."""
        if c is None and a.dtype == b.dtype and a.element_size() == 2:
            found = self._by_difference(a, b)
            if of_a_size(found.aa, found.bb) and math.isfinite(found.dd):
                return found
        views = (a, b) if c is None else (a, b, c)
        return added(self._of_step(*step) for step in in_steps(views, self._step))

    def _by_difference(self, a: Tensor, b: Tensor) -> Sums:
        """As the module tells; for 16-bit numbers, and the same as whole ones."""
        aa, ad, dd, most, equal = self._loop(a, b, bits(a), bits(b), *self._loop_room, a.numel() >= LARGE)
        return Sums(a.numel(), aa, aa + 2 * ad + dd, aa + ad, dd, most, equal)

    def _of_step(self, a: Tensor, b: Tensor, c: Tensor | None = None) -> Sums:
        room = self._room.cut(a.numel())
        words = (bits(a), bits(b)) if a.dtype == b.dtype else None
        if words and torch.equal(*words):
            return _of_equals(a, c, room)
        return _of_any(a, b, c, words, room)


def _of_any(a: Tensor, b: Tensor, c: Tensor | None, words: tuple[Tensor, Tensor] | None, room: _Room) -> Sums:
    """Everything in float64."""
    wide_a, wide_b = _wide(0, a, room), _wide(1, b, room)
    aa, bb = _square(wide_a), _square(wide_b)
    ca, cb, cab = (None, None, None) if c is None else _to_base(wide_a, wide_b, c, room)
    ab = None if of_a_size(aa, bb) else _dot(wide_a, wide_b)
    difference = wide_b.sub_(wide_a)
    dd = _square(difference)
    if ab is None:  # exact enough, and a pass less
        ab = (aa + bb - dd) / 2
    equal = _equal(*words, room) if words else a.numel() - int(torch.count_nonzero(difference))
    return Sums(a.numel(), aa, bb, ab, dd, _most(difference, dd), equal, ca, cb, cab)


def _of_equals(a: Tensor, c: Tensor | None, room: _Room) -> Sums:
    """The same bytes, as a shared VAE's; NaN still makes the sums NaN."""
    wide = _wide(0, a, room)
    aa = _square(wide)
    apart = 0.0 if aa == aa else aa
    base = None if c is None else _square(wide.sub_(_wide(2, c, room)))
    return Sums(a.numel(), aa, aa, aa, apart, apart, a.numel(), base, base, base)


def _to_base(a: Tensor, b: Tensor, c: Tensor, room: _Room) -> tuple[float, float, float]:
    """The squares and the product of A - C and B - C; A and B stay as they are."""
    base = _wide(2, c, room)
    from_b = torch.sub(b, base, out=room.wide[3])
    from_a = torch.sub(a, base, out=base)
    return _square(from_a), _square(from_b), _dot(from_a, from_b)


def _wide(slot: int, x: Tensor, room: _Room) -> Tensor:
    """float64, by way of float32 where that loses nothing: torch is four times as fast at it."""
    if x.element_size() < 4:
        x = room.narrow[slot].copy_(x)
    return room.wide[slot].copy_(x)


def _equal(a: Tensor, b: Tensor, room: _Room) -> int:
    """Equal whole numbers; by numpy, which does both steps in a sixth of torch's time."""
    import numpy as np

    same = room.same.numpy()
    np.equal(a.numpy(), b.numpy(), out=same)
    return int(np.count_nonzero(same))


WHOLE = {1: "uint8", 2: "int16", 4: "int32", 8: "int64"}


def bits(tensor: Tensor) -> Tensor:
    """The same memory as whole numbers: NaN equals itself there, and -0 is not 0."""
    return tensor.view(getattr(torch, WHOLE[tensor.element_size()]))


def _most(difference: Tensor, dd: float) -> float:
    low, high = extremes(difference)
    return max(-low, high) if dd == dd else dd


def _square(x: Tensor) -> float:
    return _dot(x, x)


def _dot(x: Tensor, y: Tensor) -> float:
    """The dot product of float64, in runs that numpy hands to its BLAS one by one, without Python."""
    import numpy as np

    one, other = x.numpy(), y.numpy()
    whole = len(one) - len(one) % RUN
    if whole == 0:
        return float(np.dot(one, other))
    runs = one[:whole].reshape(-1, 1, RUN) @ other[:whole].reshape(-1, RUN, 1)
    rest = np.dot(one[whole:], other[whole:]) if whole < len(one) else 0.0
    return float(np.add.reduce(runs, None) + rest)
