"""Tensors of legacy files, as views of the mapped file; and checkpoints whose tensors are in memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.checkpoint.checkpoint import Checkpoint, closed_error, tensor_bytes, torch_dtype
from lib_merge.checkpoint.header import Header
from lib_merge.checkpoint.mapped import mapped_elements
from lib_merge.checkpoint.state import changed_error
from lib_merge.dtypes import Dtype

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TensorLocation:
    """A tensor's location in a file.

    start          byte offset of its first element
    shape, stride  as of a torch tensor; stride in elements
    """

    dtype: Dtype
    start: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def extent(self) -> int:
        """The number of elements from its first to its last in memory."""
        return extent(self.shape, self.stride)


def extent(shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """The number of elements from a tensor's first to its last in memory; 0 for an empty tensor."""
    if 0 in shape:
        return 0
    return 1 + sum((axis - 1) * step for axis, step in zip(shape, stride, strict=True))


class MappedTensors(Mapping[str, "torch.Tensor"]):
    """The tensors of a legacy file by their keys; each access creates a view of the mapped file."""

    def __init__(self, locations: Mapping[str, TensorLocation], mapping: mmap.mmap, path: Path) -> None:
        self._locations, self._mapping, self._path = locations, mapping, path

    def check_size(self) -> None:
        """Raise CheckpointError where the file was truncated after it was mapped."""
        if self._mapping.size() < len(self._mapping):
            raise changed_error(self._path)

    def __getitem__(self, key: str) -> torch.Tensor:
        """The tensor with the stride it was saved with; a copy where its data is not aligned to its item
        size."""
        import torch

        location = self._locations[key]
        dtype = torch_dtype(location.dtype, key, self._path)
        if location.extent == 0:
            return torch.empty(location.shape, dtype=dtype)
        self.check_size()
        flat = mapped_elements(self._mapping, dtype, location.start, location.extent)
        return flat.as_strided(location.shape, location.stride)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the canonical keys."""
        return iter(self._locations)

    def __len__(self) -> int:
        """The number of tensors."""
        return len(self._locations)


class LoadedCheckpoint(Checkpoint):
    """A legacy file, whose tensors are views of the mapped file; or tensors that are in memory."""

    def __init__(self, header: Header, tensors: Mapping[str, torch.Tensor]) -> None:
        super().__init__(header)
        self._tensors: Mapping[str, torch.Tensor] | None = tensors

    def tensor(self, key: str) -> torch.Tensor:
        """The tensor with the stride it was saved with."""
        self.info(key)
        if self._tensors is None:
            raise closed_error(self.header)
        return self._tensors[key]

    def bytes(self, key: str) -> memoryview:
        """The tensor's bytes; a copy only where the tensor is not contiguous."""
        return tensor_bytes(self.tensor(key)).toreadonly()

    def check_size(self) -> None:
        """For a mapped file, one system call (fstat)."""
        if isinstance(self._tensors, MappedTensors):
            self._tensors.check_size()

    def close(self) -> None:
        """Release the tensors."""
        self._tensors = None
