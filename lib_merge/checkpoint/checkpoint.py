"""The interface of an open checkpoint, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lib_merge.checkpoint.header import Header
from lib_merge.checkpoint.info import TensorInfo
from lib_merge.checkpoint.state import check_unchanged
from lib_merge.dtypes import Dtype
from lib_merge.errors import CheckpointError, did_you_mean

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self


class Checkpoint(ABC):
    """A checkpoint that is open for reading; several threads may read at once.

    Tensors may share memory with the file: copy one before changing it. Keys are canonical (see `Header`).
    """

    def __init__(self, header: Header) -> None:
        self.header = header

    @abstractmethod
    def tensor(self, key: str) -> torch.Tensor:
        """The tensor of a key, on the CPU, in the file's dtype; CheckpointError for an unknown key."""

    @abstractmethod
    def bytes(self, key: str) -> memoryview:
        """The tensor's bytes in row-major order, as safetensors files store them; read-only."""

    @abstractmethod
    def close(self) -> None:
        """Close the file; tensors that were returned stay valid."""

    @property
    def mapped(self) -> bool:
        """Whether `tensor` returns a view of the mapped file, which is read lazily; if not, use
        `read_chunk`."""
        return True

    def read_chunk(self, key: str, start: int, allocate: Callable[[int], torch.Tensor]) -> torch.Tensor:
        """Elements of the flattened tensor from `start` on, as many as fit into the buffer.

        allocate  returns a flat buffer of the tensor's dtype with at most the given number of elements
        """
        raise NotImplementedError(f"{type(self).__name__} is mapped")

    def unmapped(self) -> Checkpoint:
        """The same checkpoint, read instead of mapped where the system supports positional reads
        (os.pread)."""
        return self

    def read_bytes(self, key: str, start: int, count: int) -> bytes:
        """Up to `count` bytes of the tensor, from its byte `start` on."""
        return bytes(self.bytes(key)[start : start + count])

    def check_size(self) -> None:
        """Raise CheckpointError where the mapped file has been truncated."""
        return

    def keys(self) -> list[str]:
        """The canonical key of every tensor, in the order of their bytes in the file."""
        return list(self.header.tensors)

    def info(self, key: str) -> TensorInfo:
        """A tensor's entry in the header; CheckpointError for an unknown key, with the closest keys as its
        hint."""
        info = self.header.tensors.get(key)
        if info is None:
            hint = did_you_mean(key, self.header.tensors)
            what = f"{self.header.name} has no tensor '{key}'"
            raise CheckpointError(what, where=str(self.header.path), hint=hint)
        return info

    def __enter__(self) -> Self:
        """The checkpoint itself, for the block of a `with` statement."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; CheckpointError where it was changed since it was opened and no other error
        occurred."""
        self.close()
        if kind is None:
            check_unchanged(self.header.path, self.header.state)


def closed_error(header: Header) -> CheckpointError:
    """The error for reading a tensor of a closed checkpoint."""
    return CheckpointError(f"{header.name} is closed already", where=str(header.path))


def torch_dtype(dtype: Dtype, key: str, path: Path) -> torch.dtype:
    """The torch dtype of a tensor; CheckpointError where this torch lacks it (torch 2.1 has no uint16)."""
    import torch

    torch_dtype = getattr(torch, dtype.torch, None)
    if torch_dtype is None:
        raise CheckpointError(
            f"torch {torch.__version__} has no dtype {dtype.label}, which '{key}' has",
            where=str(path),
            hint="use a newer torch, or a file without this tensor",
        )
    return torch_dtype


def tensor_bytes(tensor: torch.Tensor) -> memoryview:
    """A CPU tensor's bytes in row-major order; a view where the tensor is contiguous, else a copy.

    Viewed as uint8, because numpy has no bf16 and fp8.
    """
    import torch

    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
