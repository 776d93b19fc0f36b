"""Where the chunks of a result go: a file, or memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lib_merge.checkpoint import StreamingWriter
from lib_merge.dtypes import to_torch
from lib_merge.plan import KeyPlan, Plan
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor


class Sink(Protocol):
    """Takes finished chunks; called from several threads, once for each chunk.

    keeps_device  whether it takes chunks on the device of the arithmetic, or else on the CPU
    """

    keeps_device: bool

    def buffer(self, entry: KeyPlan, start: int, count: int) -> Tensor | None:
        """The memory of `count` elements from `start`, flat and in the entry's dtype, on the device of the
        arithmetic, to compute the chunk in place; None where the sink has none, and takes it by `accept`."""
        ...

    def accept(self, entry: KeyPlan, start: int, chunk: Tensor) -> None:
        """Take a chunk: flat, contiguous, in the entry's dtype, beginning at element `start`.

        It may be a buffer that is reused: copy what is to be kept.
        """
        ...


class FileSink:
    """Writes each chunk to its offset in a file."""

    keeps_device = False

    def __init__(self, writer: StreamingWriter) -> None:
        self._writer = writer

    def buffer(self, entry: KeyPlan, start: int, count: int) -> Tensor | None:
        """None: writing from a buffer is faster than a mapped output."""
        return None

    def accept(self, entry: KeyPlan, start: int, chunk: Tensor) -> None:
        """Write from the tensor's own memory, without a copy."""
        self._writer.write(entry.key, start * entry.dtype.itemsize, chunk.view(torch.uint8).numpy().data)


class MemorySink:
    """Collects the result as a state dict on the CPU."""

    keeps_device = False

    def __init__(self, plan: Plan) -> None:
        self.tensors: dict[str, Tensor] = {
            entry.key: torch.empty(entry.shape, dtype=to_torch(entry.dtype)) for entry in plan.keys
        }

    def buffer(self, entry: KeyPlan, start: int, count: int) -> Tensor | None:
        """The chunk's part of the result tensor."""
        return self.tensors[entry.key].view(-1)[start : start + count]

    def accept(self, entry: KeyPlan, start: int, chunk: Tensor) -> None:
        """Copy the chunk into the result tensor, unless it was computed there."""
        target = self.buffer(entry, start, chunk.numel())
        if target is not None and target.data_ptr() != chunk.data_ptr():
            target.copy_(chunk)
