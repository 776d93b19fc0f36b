"""The inner loop of comparing weights, compiled by TorchScript so that two threads can run it at once.

A chunk takes a dozen calls of torch, and a Python thread must acquire the interpreter's lock again after each
of them: two threads wait for each other more than they compute. TorchScript runs the same loop without the
lock: comparing two full-size SD1.5 files takes 2.5 s of CPU time, not 3.6 (tests/bench/similarity.py). It is
deprecated; where torch no longer has it, the loop runs as Python.

The loop has its own module because TorchScript resolves names in the module's namespace, where `torch` must
be the real module and not the lazy one of lib_merge.tensors.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Tuple, cast  # noqa: UP035  all versions of TorchScript know this name

import torch
from torch import Tensor

Loop = Callable[..., "tuple[float, float, float, float, int]"]
Switch = Callable[[bool], AbstractContextManager[None]]


def pair_sums(
    a: Tensor,
    b: Tensor,
    bits_a: Tensor,
    bits_b: Tensor,
    x: Tensor,
    y: Tensor,
    wide: Tensor,
    apart: Tensor,
    same: Tensor,
    lanes: Tensor,
    narrow: bool,
) -> Tuple[float, float, float, float, int]:  # noqa: UP006
    """A.A, A.D, D.D, the largest |D| and the number of equal elements, where D = B - A.

    a, b            flat, of one length and one 16-bit format;  bits_a, bits_b  the same memory as int16
    x, y            float32 buffers, of one step's length: a multiple of 4, and below 2^18
    wide, apart     float64 buffers of that length;  same  an int16 one;  lanes  its memory as int64
    narrow          take the difference in float32, which is the faster, and not in float64

    Where the sums are not finite, the largest |D| is undefined.
    """
    step = x.numel()
    flags = same
    aa, ad, dd, most, equal = 0.0, 0.0, 0.0, 0.0, 0
    for start in range(0, a.numel(), step):
        end = min(start + step, a.numel())
        if end - start < step:
            count = end - start
            x, y, wide, apart, flags = x[:count], y[:count], wide[:count], apart[:count], same[:count]
            same[count:].zero_()
        torch.eq(bits_a[start:end], bits_b[start:end], out=flags)
        ones = int(torch.sum(lanes))  # four counters of 16 bits in one number: a quarter of the additions
        equal += (ones & 65535) + (ones >> 16 & 65535) + (ones >> 32 & 65535) + (ones >> 48 & 65535)
        wide.copy_(x.copy_(a[start:end]))
        y.copy_(b[start:end])
        if narrow:
            apart.copy_(y.sub_(x))
        else:
            apart.copy_(y).sub_(wide)
        aa += float(torch.dot(wide, wide))
        ad += float(torch.dot(wide, apart))
        dd += float(torch.dot(apart, apart))
        low, high = torch.aminmax(y if narrow else apart)
        most = max(most, -float(low), float(high))
    return aa, ad, dd, most, equal


@functools.cache
def fast_pair_sums() -> Loop:
    """`pair_sums`, compiled where this torch can compile it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            compiled = cast(Loop, torch.jit.script(pair_sums))
            set_optimized = cast(Switch, getattr(torch.jit, "optimized_execution"))  # noqa: B009  untyped
        except (AttributeError, OSError, RuntimeError, TypeError):  # removed, no source file, not supported
            return pair_sums

    def run(*arguments: Tensor | bool) -> tuple[float, float, float, float, int]:
        with set_optimized(False):  # optimising takes 40 ms and saves nothing here
            return compiled(*arguments)

    return run
