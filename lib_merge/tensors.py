"""Numerics that methods, reports and the engine share.

`torch` below is the real module, imported at its first use: a plan or a list of methods is made by
a process that never loads it.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch as torch
    from torch import Tensor


LARGEST_PIECE = (32 << 20) - (64 << 10)  # bytes; from a piece of 32 MB on glibc learns nothing


class _Lazy:
    """A module that is imported when something of it is first wanted."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        self.__dict__[attribute] = value
        return value


if not TYPE_CHECKING:
    torch = _Lazy("torch")


def working_dtype(dtypes: Sequence[torch.dtype], out: torch.dtype) -> torch.dtype:
    """The format to compute in: one that rounds far below what the output can hold.

    float32 (24 bits) for outputs of at most 11 bits. A float32 output made of float32 inputs would
    show every rounding of a float32 sum, above all where terms cancel: it is computed in float64.
    """
    wide = (torch.float32, torch.float64)
    return torch.float64 if out in wide and any(dtype in wide for dtype in dtypes) else torch.float32


def combine(tensors: Sequence[Tensor], coefficients: Sequence[float], out: Tensor, scratch: Scratch) -> None:
    """Write the sum of c_i x_i into `out`, rounded once, to its dtype.

        out = round(c_0 x_0 + c_1 x_1 + ...)

    tensors  same shape and device, any float dtypes;  out  that shape, any float dtype
    """
    working = working_dtype([tensor.dtype for tensor in tensors], out.dtype)
    total, term = scratch.pair(working, out)
    total.copy_(tensors[0])
    if coefficients[0] != 1:
        total.mul_(coefficients[0])
    for tensor, coefficient in zip(tensors[1:], coefficients[1:], strict=True):
        operand = tensor if tensor.dtype == working else term.copy_(tensor)
        total.add_(operand, alpha=coefficient)
    out.copy_(total)


def interpolate(a: Tensor, b: Tensor, alpha: float, out: Tensor, scratch: Scratch) -> None:
    """Write (1 - alpha) A + alpha B into `out`, rounded once: `combine` for the commonest merge.

    torch.lerp does it in a third of the time where it computes 16-bit numbers in float32.
    """
    if a.dtype == b.dtype == out.dtype and lerp_rounds_once(out.dtype, out.device.type):
        torch.lerp(a, b, alpha, out=out)
    else:
        combine((a, b), (1 - alpha, alpha), out, scratch)


@functools.cache
def lerp_rounds_once(dtype: torch.dtype, device: str) -> bool:
    """Whether torch.lerp on this 16-bit format, on this device, equals float32 rounded at the end.

    Asked of torch itself, on numbers where a second rounding shows: versions and devices differ.
    """
    if dtype not in (torch.float16, torch.bfloat16):
        return False
    a = torch.linspace(-1, 1, 4001, device=device).to(dtype)
    b = torch.linspace(0.7, -0.3, 4001, device=device).to(dtype)
    try:
        return all(
            torch.equal(torch.lerp(a, b, alpha), torch.lerp(a.float(), b.float(), alpha).to(dtype))
            for alpha in (0.1, 0.37, 0.8)
        )
    except RuntimeError:  # "not implemented for 'Half'" in older versions
        return False


class Scratch:
    """Buffers that one thread uses again and again: fresh pages cost more than arithmetic."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}

    def take(self, name: str, dtype: torch.dtype, like: Tensor) -> Tensor:
        """A buffer of `like`'s shape and device; what it holds is whatever was left in it."""
        return self.room(name, dtype, like.numel(), like.device).view(like.shape)

    def room(self, name: str, dtype: torch.dtype, count: int, device: torch.device | str = "cpu") -> Tensor:
        """A flat buffer of so many elements."""
        slot = (name, dtype, torch.device(device))
        pool = self._pools.get(slot)
        if pool is None or pool.numel() < count:
            pool = self._pools[slot] = torch.empty(count, dtype=dtype, device=device)
        return pool[:count]

    def pair(self, dtype: torch.dtype, like: Tensor) -> tuple[Tensor, Tensor]:
        """A buffer for a running total and one for the next term."""
        return self.take("total", dtype, like), self.take("term", dtype, like)


def all_finite(tensor: Tensor) -> bool:
    """Whether no element is NaN or infinite, in one pass without a mask: both reach the extremes."""
    return all(map(math.isfinite, extremes(tensor))) if tensor.numel() else True


def extremes(tensor: Tensor) -> tuple[float, float]:
    """The smallest and the largest element, both NaN where any is; one pass where this torch has one."""
    if _has_aminmax(tensor.dtype, tensor.device):
        low, high = tensor.aminmax()
    else:
        low, high = tensor.min(), tensor.max()
    return low.item(), high.item()


def equal(one: Tensor, other: Tensor) -> bool:
    """torch.equal for one format and device; floats of eight bits, which older ones lack, by codes."""
    return torch.equal(_codes(one), _codes(other))


def picked(tensor: Tensor, axis: int, index: Tensor) -> Tensor:
    """torch.index_select; floats of eight bits, which older ones lack, by codes."""
    return _codes(tensor).index_select(axis, index).view(tensor.dtype)


def _codes(tensor: Tensor) -> Tensor:
    """Floats of eight bits as whole numbers over the same memory; any other tensor as it is."""
    eight = tensor.dtype.is_floating_point and tensor.element_size() == 1
    return tensor.view(torch.uint8) if eight else tensor


@functools.cache
def _has_aminmax(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether torch.aminmax takes this format on this device: before 2.2 not fp16 on the CPU."""
    try:
        torch.zeros(1, dtype=dtype, device=device).aminmax()
    except (NotImplementedError, RuntimeError):  # "not implemented for 'Half'"
        return False
    return True


def exact(number: float) -> Fraction:
    """The decimal number that a person wrote: 0.15 is 15/100, not the nearest binary fraction."""
    return Fraction(repr(float(number)))


def keep_freed_memory() -> None:
    """Keep the C library from handing memory back to the system between one step and the next.

    glibc hands back what is free above a bound, twice the largest piece that it has freed so far, of 32 MB
    at most; where a step takes and frees a few megabytes, that is all of it at every step, to be asked for
    again and filled with zeros. One piece taken and freed, never touched, raises the bound: a merge of two
    full-size SD1.5 files by similarity_add_difference fell from 23.4 to 9.9 s of one processor. Elsewhere
    nothing happens.
    """
    torch.empty(LARGEST_PIECE, dtype=torch.uint8)


@contextmanager
def one_thread_each() -> Generator[None]:
    """Keep torch from splitting a piece among threads of its own while ours share out the pieces.

    Its threads wait for each other at the end of every operation, which stalls on a busy machine.
    The setting is the process's, so the caller's is put back.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
