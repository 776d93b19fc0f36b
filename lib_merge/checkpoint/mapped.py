"""Open safetensors files, memory-mapped or read in chunks.

A tensor of a mapped file is a view of the mapping: nothing is copied, and pages are read when they are used.
The mapping is private (copy-on-write), as torch's own is: torch accepts such memory without a warning, and
the file cannot be changed through it. The mapping exists as long as any tensor or view of it.

madvise is not called: over 1 GiB, read once in chunks of 256 KB, no advice, SEQUENTIAL, WILLNEED and
POPULATE_READ took 0.21, 0.19, 0.18 and 0.23 s from the page cache and 0.57, 0.60, 0.53 and 0.66 s from the
disk (medians of 6 and 4; the ranges overlap).

If a file is truncated while it is mapped, reading a missing page kills the whole process (SIGBUS), and the
WebUI with it; so does a remote disk that disconnects. Therefore:

- A file is mapped only where its size is that of its header, and the size is checked again before every view
  (`tensor`, `bytes`) and before each chunk of one (`check_size`).
- On a remote disk (`linux.REMOTE`) files are not mapped but read, so that a failure is an OSError.
- Merges to files and reports, which take seconds to minutes, read in any case
  (`open_from_header_as(mapped=False)`).
- Windows does not allow truncating a mapped file.

The remaining risks: live swaps and aligning use mapped local files, and one that is truncated between the
check and the end of that chunk (milliseconds in a swap) still kills the process; so does a truncated `.ckpt`,
which is mapped for merges to files too, and on macOS and Windows a remote disk that disconnects during a
swap.
"""

from __future__ import annotations

import mmap
import os
import threading
import warnings
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.checkpoint.checkpoint import Checkpoint, closed_error, tensor_bytes, torch_dtype
from lib_merge.checkpoint.header import Header
from lib_merge.checkpoint.state import changed_error
from lib_merge.checkpoint.system_errors import read_failure

if TYPE_CHECKING:
    import torch

# Held while warnings are suppressed: catch_warnings changes the filters of the whole process.
_WARNINGS = threading.Lock()


class MappedCheckpoint(Checkpoint):
    """A memory-mapped safetensors file."""

    def __init__(self, header: Header, mapping: mmap.mmap, descriptor: int) -> None:
        super().__init__(header)
        self._mapping: mmap.mmap | None = mapping
        self._descriptor = os.dup(descriptor)

    def tensor(self, key: str) -> torch.Tensor:
        """A view of the mapping; a copy only where the data is not aligned to its item size."""
        import torch

        info = self.info(key)
        dtype = torch_dtype(info.dtype, key, self.header.path)
        if info.nbytes == 0:
            return torch.empty(info.shape, dtype=dtype)
        mapping = self._open_mapping()
        return mapped_elements(mapping, dtype, info.start, info.numel).reshape(info.shape)

    def bytes(self, key: str) -> memoryview:
        """A view of the mapping."""
        info = self.info(key)
        return memoryview(self._open_mapping())[info.start : info.start + info.nbytes].toreadonly()

    def check_size(self) -> None:
        """Raise CheckpointError where the file was truncated; one system call (fstat)."""
        if self._mapping is not None and os.fstat(self._descriptor).st_size < self.header.file_size:
            raise changed_error(self.header.path)

    def close(self) -> None:
        """Release the mapping; the system unmaps it with the last tensor that is a view of it."""
        if self._mapping is not None:
            self._mapping = None
            os.close(self._descriptor)

    def __del__(self) -> None:
        """Close the file where `close` was not called."""
        if hasattr(self, "_descriptor"):
            self.close()

    def unmapped(self) -> Checkpoint:
        """The same open file, read instead of mapped; this object is closed."""
        if not hasattr(os, "pread"):
            return self
        checkpoint = ReadCheckpoint(self.header, self._descriptor)
        self.close()
        return checkpoint

    def _open_mapping(self) -> mmap.mmap:
        mapping = self._mapping
        if mapping is None:
            raise closed_error(self.header)
        self.check_size()
        return mapping


class ReadCheckpoint(Checkpoint):
    """A safetensors file that is read in chunks instead of mapped."""

    def __init__(self, header: Header, descriptor: int) -> None:
        super().__init__(header)
        self._descriptor = os.dup(descriptor)
        self._open = True

    @property
    def mapped(self) -> bool:
        """Whether tensors are views of a mapping: never, they are read into new memory."""
        return False

    def tensor(self, key: str) -> torch.Tensor:
        """The whole tensor, read into new memory."""
        import torch

        info = self.info(key)
        dtype = torch_dtype(info.dtype, key, self.header.path)
        flat = torch.empty(info.numel, dtype=dtype)
        self._read(flat, info.start)
        return flat.reshape(info.shape)

    def read_chunk(self, key: str, start: int, allocate: Callable[[int], torch.Tensor]) -> torch.Tensor:
        """Elements from `start` on, read into the buffer that `allocate` returns."""
        info = self.info(key)
        flat = allocate(info.numel - start)
        self._read(flat, info.start + start * info.dtype.itemsize)
        return flat

    def read_bytes(self, key: str, start: int, count: int) -> bytes:
        """Up to `count` bytes of the tensor, from its byte `start` on."""
        import torch

        info = self.info(key)
        out = torch.empty(max(0, min(count, info.nbytes - start)), dtype=torch.uint8)
        self._read(out, info.start + start)
        return bytes(tensor_bytes(out))

    def bytes(self, key: str) -> memoryview:
        """The tensor's bytes, read into new memory."""
        return tensor_bytes(self.tensor(key)).toreadonly()

    def close(self) -> None:
        """Close the file."""
        if self._open:
            self._open = False
            os.close(self._descriptor)

    def __del__(self) -> None:
        """Close the file where `close` was not called."""
        if hasattr(self, "_open"):
            self.close()

    def _read(self, out: torch.Tensor, at: int) -> None:
        """Fill `out` with the file's bytes from offset `at` on."""
        if not self._open:
            raise closed_error(self.header)
        if out.numel() == 0:
            return
        buffer = tensor_bytes(out)
        try:
            while buffer.nbytes:
                count = _read_into(self._descriptor, buffer, at)
                if count == 0:
                    raise changed_error(self.header.path)
                buffer, at = buffer[count:], at + count
        except OSError as error:
            raise read_failure(error, self.header.path) from error


def _read_into(descriptor: int, buffer: memoryview, at: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [buffer], at)
    chunk = os.pread(descriptor, buffer.nbytes, at)  # an older macOS
    buffer[: len(chunk)] = chunk
    return len(chunk)


def mapped_elements(mapping: mmap.mmap, dtype: torch.dtype, start: int, count: int) -> torch.Tensor:
    """`count` elements from byte `start` on: a view; a copy where they are not aligned to their size."""
    import torch

    if start % dtype.itemsize == 0:  # the mapping itself is aligned to a page
        return torch.frombuffer(mapping, dtype=dtype, count=count, offset=start)
    raw = torch.frombuffer(mapping, dtype=torch.uint8, count=count * dtype.itemsize, offset=start)
    return raw.clone().view(dtype)


def map_file(file: BufferedReader, path: Path) -> mmap.mmap:
    """The whole file, memory-mapped: private (copy-on-write), or read-only where that is not possible.

    For a private mapping the system reserves memory for every page, although none is used before it is
    written to. Where it refuses (Windows with a small page file, Linux without overcommit), the file is
    mapped read-only; writing to a tensor then crashes the process instead of copying the page.
    """
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError:
        pass
    try:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise read_failure(error, path) from error
    _trigger_read_only_warning(mapping)
    return mapping


def _trigger_read_only_warning(mapping: mmap.mmap) -> None:
    """Suppress torch's warning about read-only buffers, which it gives once per process, by triggering it
    here."""
    import torch

    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.frombuffer(mapping, dtype=torch.uint8, count=1)
