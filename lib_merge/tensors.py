"""Tensor arithmetic that merge methods, reports and the execution engine share.

`torch` below is the real module, imported at its first use, so that a process can make a plan or list the
methods without loading torch.
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


LARGEST_FREED_BLOCK = (32 << 20) - (64 << 10)  # bytes; glibc ignores blocks of 32 MB and more


class _Lazy:
    """A module that is imported when one of its attributes is first used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        self.__dict__[attribute] = value
        return value


if not TYPE_CHECKING:
    torch = _Lazy("torch")


def working_dtype(dtypes: Sequence[torch.dtype], out: torch.dtype) -> torch.dtype:
    """The dtype to compute in, whose rounding errors are far below the precision of the output dtype.

    float32 (24 bits of precision) for 16-bit and 8-bit outputs (at most 11 bits). float64 where the output
    and an input are float32 or float64: in float32 the rounding errors of the sum would be visible in the
    output, above all where terms cancel.
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
    """Write (1 - alpha) A + alpha B into `out`, rounded once.

    The same result as `combine`. Uses torch.lerp, which takes a third of the time, where it computes 16-bit
    floats in float32.
    """
    if a.dtype == b.dtype == out.dtype and lerp_rounds_once(out.dtype, out.device.type):
        torch.lerp(a, b, alpha, out=out)
    else:
        combine((a, b), (1 - alpha, alpha), out, scratch)


@functools.cache
def lerp_rounds_once(dtype: torch.dtype, device: str) -> bool:
    """Whether torch.lerp of this 16-bit dtype on this device equals torch.lerp in float32, rounded at the
    end.

    Found by trying it on values where a second rounding would show, since torch versions and devices differ.
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
    """Buffers that one thread reuses: allocating fresh memory pages takes longer than the arithmetic."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}

    def take(self, name: str, dtype: torch.dtype, like: Tensor) -> Tensor:
        """A buffer with the shape and device of `like`; its content is undefined."""
        return self.buffer(name, dtype, like.numel(), like.device).view(like.shape)

    def buffer(self, name: str, dtype: torch.dtype, count: int, device: torch.device | str = "cpu") -> Tensor:
        """A flat buffer of `count` elements; its content is undefined."""
        slot = (name, dtype, torch.device(device))
        pool = self._pools.get(slot)
        if pool is None or pool.numel() < count:
            pool = self._pools[slot] = torch.empty(count, dtype=dtype, device=device)
        return pool[:count]

    def pair(self, dtype: torch.dtype, like: Tensor) -> tuple[Tensor, Tensor]:
        """Two buffers with the shape and device of `like`: for a running total and for the next term."""
        return self.take("total", dtype, like), self.take("term", dtype, like)


def all_finite(tensor: Tensor) -> bool:
    """Whether no element is NaN or infinite; one pass without a mask, since both show in the minimum or
    maximum."""
    return all(map(math.isfinite, extremes(tensor))) if tensor.numel() else True


def extremes(tensor: Tensor) -> tuple[float, float]:
    """The minimum and the maximum, both NaN where any element is NaN; by torch.aminmax where it supports the
    dtype."""
    if _has_aminmax(tensor.dtype, tensor.device):
        low, high = tensor.aminmax()
    else:
        low, high = tensor.min(), tensor.max()
    return low.item(), high.item()


def equal(one: Tensor, other: Tensor) -> bool:
    """torch.equal of tensors of one dtype and device. Compares fp8 as bytes, since older torch lacks it for
    fp8."""
    return torch.equal(_fp8_as_bytes(one), _fp8_as_bytes(other))


def index_select(tensor: Tensor, axis: int, index: Tensor) -> Tensor:
    """torch.index_select. Selects fp8 as bytes, since older torch lacks it for fp8."""
    return _fp8_as_bytes(tensor).index_select(axis, index).view(tensor.dtype)


def _fp8_as_bytes(tensor: Tensor) -> Tensor:
    """An fp8 tensor as a uint8 view of the same memory; any other tensor unchanged."""
    is_fp8 = tensor.dtype.is_floating_point and tensor.element_size() == 1
    return tensor.view(torch.uint8) if is_fp8 else tensor


@functools.cache
def _has_aminmax(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether torch.aminmax supports this dtype on this device; before torch 2.2 it lacks fp16 on the CPU."""
    try:
        torch.zeros(1, dtype=dtype, device=device).aminmax()
    except (NotImplementedError, RuntimeError):  # "not implemented for 'Half'"
        return False
    return True


def decimal_fraction(number: float) -> Fraction:
    """The number as the decimal fraction that prints it: 0.15 is 15/100, not the nearest binary fraction."""
    return Fraction(repr(float(number)))


def keep_freed_memory() -> None:
    """Keep glibc from returning freed memory to the system between two steps.

    glibc returns free memory above its trim threshold, which is twice the largest block below 32 MB freed so
    far (mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD). Steps that allocate and free a few megabytes then
    return all of it each time, and the system has to zero it again. Allocating and freeing one large block,
    without touching it, raises the threshold: a merge of two full-size SD1.5 files by
    similarity_add_difference fell from 23.4 to 9.9 s of CPU time. With another C library nothing happens.
    """
    torch.empty(LARGEST_FREED_BLOCK, dtype=torch.uint8)


@contextmanager
def torch_single_threaded() -> Generator[None]:
    """Make torch compute each operation in one thread, for callers that spread chunks over threads of their
    own.

    torch's threads wait for each other at the end of every operation, which stalls on a busy machine. The
    setting belongs to the process, so the caller's value is restored at the end.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
