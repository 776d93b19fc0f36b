"""Where the pieces of a result go: a file, or memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lib_merge.checkpoint import StreamingWriter
from lib_merge.dtypes import to_torch
from lib_merge.plan import KeyPlan, Plan
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor


class Sink(Protocol):
    """Takes finished pieces; called from several threads, each piece once.

    keeps_device  whether it takes them on the device that computed them, or else on the CPU
    """

    keeps_device: bool

    def room(self, entry: KeyPlan, start: int, count: int) -> Tensor | None:
        """Where `count` elements from `start` may be computed at once, flat and in the entry's dtype, on the
        device of the arithmetic; None where they are to be handed over by `accept` alone."""
        ...

    def accept(self, entry: KeyPlan, start: int, piece: Tensor) -> None:
        """`piece` is flat, contiguous, in the entry's dtype; it begins at element `start`.

        It may be a buffer that is used again: what is to be kept must be copied.
        """
        ...


class FileSink:
    """Writes each piece to its place in a file."""

    keeps_device = False

    def __init__(self, writer: StreamingWriter) -> None:
        self._writer = writer

    def room(self, entry: KeyPlan, start: int, count: int) -> Tensor | None:
        """A mapped output would be slower than a buffer and a write."""
        return None

    def accept(self, entry: KeyPlan, start: int, piece: Tensor) -> None:
        """Straight from the tensor's memory; the system call copies."""
        self._writer.write(entry.key, start * entry.dtype.itemsize, piece.view(torch.uint8).numpy().data)


class MemorySink:
    """Gathers the result as a dictionary of tensors."""

    keeps_device = False

    def __init__(self, plan: Plan) -> None:
        self.tensors: dict[str, Tensor] = {
            entry.key: torch.empty(entry.shape, dtype=to_torch(entry.dtype)) for entry in plan.keys
        }

    def room(self, entry: KeyPlan, start: int, count: int) -> Tensor | None:
        """Its own place."""
        return self.tensors[entry.key].view(-1)[start : start + count]

    def accept(self, entry: KeyPlan, start: int, piece: Tensor) -> None:
        """Copied to its place, unless it was computed there."""
        place = self.room(entry, start, piece.numel())
        if place is not None and place.data_ptr() != piece.data_ptr():
            place.copy_(piece)
