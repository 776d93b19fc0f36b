"""Checkpoints open for reading: tensors by canonical key, straight from the file's pages.

A safetensors file is mapped, and a tensor is a view of the mapping: nothing is read before it is used
and nothing is copied. The mapping is private (copy on write), as torch's own is: torch takes such
memory without complaint, and the file cannot be changed through it. It lives as long as any tensor
or view of it.

No advice is given to the system (madvise): over 1 GiB, read once in pieces of 256 KB, no advice,
SEQUENTIAL, WILLNEED and POPULATE_READ took 0.21, 0.19, 0.18 and 0.23 s from the page cache and 0.57,
0.60, 0.53 and 0.66 s from the disk (medians of 6 and 4; the ranges overlap).

A file that is cut short while it is mapped has no page behind some addresses, and a touch of one ends the
whole process (SIGBUS), a WebUI with it; so does a remote disk that drops out. Hence:

- A file is mapped only where its size is what its header says, and the size is looked at again before every
  view (`tensor`, `bytes`) and before each piece of one (`check`).
- On a remote disk (`linux.REMOTE`) nothing is mapped: what is asked for is read, and an error is an error.
- Merges to files and reports take seconds to minutes, and read in any case (`open_planned(mapped=False)`).
- Windows does not let a mapped file be cut short.

What is left: live swaps and aligning look into mapped local files; one that is cut short between the look at
its size and the end of that piece, which takes milliseconds in a swap, still ends the process, and so does
a `.ckpt`, which is mapped for merges to files too, or a remote disk that drops out under a swap on macOS and
Windows.
"""

from __future__ import annotations

import mmap
import os
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lib_merge.checkpoint.header import Header, Kind, TensorInfo, kind_of, open_file, read_safetensors_header
from lib_merge.checkpoint.legacy import MappedTensors, read_legacy
from lib_merge.checkpoint.linux import is_remote
from lib_merge.checkpoint.state import changed, check_unchanged, state_of
from lib_merge.checkpoint.words import read_failure
from lib_merge.errors import CheckpointError, did_you_mean

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self

# catch_warnings changes the whole process for a moment.
_WARNINGS = threading.Lock()


class Checkpoint(ABC):
    """A checkpoint that is open for reading, by any number of threads at once.

    Tensors are shared, not copied: who wants to change one makes a copy first.
    """

    def __init__(self, header: Header) -> None:
        self.header = header

    @abstractmethod
    def tensor(self, key: str) -> torch.Tensor:
        """The tensor under a canonical key, on the CPU, in the file's number format."""

    @abstractmethod
    def bytes(self, key: str) -> memoryview:
        """The same tensor's bytes, row by row, as a file stores them; read-only."""

    @abstractmethod
    def close(self) -> None:
        """Lets the file go; tensors that were handed out stay valid."""

    @property
    def mapped(self) -> bool:
        """Whether `tensor` costs nothing until its numbers are looked at; otherwise `stretch` reads less."""
        return True

    def stretch(self, key: str, start: int, room: Callable[[int], torch.Tensor]) -> torch.Tensor:
        """The flat tensor from element `start` on, read into room(most elements), which is of its format."""
        raise NotImplementedError(f"{type(self).__name__} is mapped")

    def unmapped(self) -> Checkpoint:
        """The same file, to be read where this one is mapped and the system has a call for that."""
        return self

    def part(self, key: str, start: int, count: int) -> bytes:
        """Up to `count` of the tensor's bytes, from byte `start` on."""
        return bytes(self.bytes(key)[start : start + count])

    def check(self) -> None:
        """CheckpointError where the file behind what was handed out has been cut short."""
        return

    def info(self, key: str) -> TensorInfo:
        """What the header says of a tensor; an unknown key is answered with the nearest ones."""
        found = self.header.tensors.get(key)
        if found is None:
            hint = did_you_mean(key, self.header.tensors)
            what = f"{self.header.name} has no tensor '{key}'"
            raise CheckpointError(what, where=str(self.header.path), hint=hint)
        return found

    def __enter__(self) -> Self:
        """The checkpoint itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it; CheckpointError where the file was changed meanwhile and nothing else went wrong."""
        self.close()
        if kind is None:
            check_unchanged(self.header.path, self.header.state)


class MappedCheckpoint(Checkpoint):
    """A safetensors file, mapped."""

    def __init__(self, header: Header, mapping: mmap.mmap, descriptor: int) -> None:
        super().__init__(header)
        self._mapping: mmap.mmap | None = mapping
        self._descriptor = os.dup(descriptor)

    def tensor(self, key: str) -> torch.Tensor:
        """A view of the mapping; a copy only where the data is not aligned to its own item size."""
        import torch

        info = self.info(key)
        dtype = torch_dtype(self.header, key)
        if info.nbytes == 0:
            return torch.empty(info.shape, dtype=dtype)
        mapping = self._open_mapping()
        if info.start % info.dtype.itemsize == 0:  # the mapping itself begins on a page
            flat = torch.frombuffer(mapping, dtype=dtype, count=info.numel, offset=info.start)
            return flat.reshape(info.shape)
        raw = torch.frombuffer(mapping, dtype=torch.uint8, count=info.nbytes, offset=info.start)
        return raw.clone().view(dtype).reshape(info.shape)

    def bytes(self, key: str) -> memoryview:
        """A view of the mapping."""
        info = self.info(key)
        return memoryview(self._open_mapping())[info.start : info.start + info.nbytes].toreadonly()

    def check(self) -> None:
        """One call of the system."""
        if self._mapping is not None and os.fstat(self._descriptor).st_size < self.header.file_size:
            raise changed(self.header.path)

    def close(self) -> None:
        """Forgets the mapping; the system drops it with the last tensor that looks into it."""
        if self._mapping is not None:
            self._mapping = None
            os.close(self._descriptor)

    def __del__(self) -> None:
        """What was never closed is closed with the last reference."""
        if hasattr(self, "_descriptor"):
            self.close()

    def unmapped(self) -> Checkpoint:
        """The same open file, to be read instead of mapped; this one is closed."""
        if not hasattr(os, "pread"):
            return self
        checkpoint = ReadCheckpoint(self.header, self._descriptor)
        self.close()
        return checkpoint

    def _open_mapping(self) -> mmap.mmap:
        mapping = self._mapping
        if mapping is None:
            raise CheckpointError(f"{self.header.name} is closed already", where=str(self.header.path))
        self.check()
        return mapping


class ReadCheckpoint(Checkpoint):
    """A safetensors file that is read piece by piece, into memory of ours."""

    def __init__(self, header: Header, descriptor: int) -> None:
        super().__init__(header)
        self._descriptor = os.dup(descriptor)
        self._open = True

    @property
    def mapped(self) -> bool:
        """It is not."""
        return False

    def tensor(self, key: str) -> torch.Tensor:
        """The tensor in memory of its own."""
        import torch

        info, dtype = self.info(key), torch_dtype(self.header, key)
        flat = torch.empty(info.numel, dtype=dtype)
        self._read(flat, info.start)
        return flat.reshape(info.shape)

    def stretch(self, key: str, start: int, room: Callable[[int], torch.Tensor]) -> torch.Tensor:
        """What fits into room(...) of the tensor from element `start` on."""
        info = self.info(key)
        flat = room(info.numel - start)
        self._read(flat, info.start + start * info.dtype.itemsize)
        return flat

    def part(self, key: str, start: int, count: int) -> bytes:
        """Read from its place."""
        import torch

        info = self.info(key)
        out = torch.empty(max(0, min(count, info.nbytes - start)), dtype=torch.uint8)
        self._read(out, info.start + start)
        return bytes(tensor_bytes(out))

    def bytes(self, key: str) -> memoryview:
        """The tensor's bytes, read."""
        return tensor_bytes(self.tensor(key)).toreadonly()

    def close(self) -> None:
        """Lets the file go."""
        if self._open:
            self._open = False
            os.close(self._descriptor)

    def __del__(self) -> None:
        """What was never closed is closed with the last reference."""
        if hasattr(self, "_open"):
            self.close()

    def _read(self, out: torch.Tensor, at: int) -> None:
        """Fills `out` from the file's bytes at `at` on."""
        if not self._open:
            raise CheckpointError(f"{self.header.name} is closed already", where=str(self.header.path))
        if out.numel() == 0:
            return
        room = tensor_bytes(out)
        try:
            while room.nbytes:
                count = _read_into(self._descriptor, room, at)
                if count == 0:
                    raise changed(self.header.path)
                room, at = room[count:], at + count
        except OSError as error:
            raise read_failure(error, self.header.path) from error


def _read_into(descriptor: int, room: memoryview, at: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [room], at)
    piece = os.pread(descriptor, room.nbytes, at)  # an older macOS
    room[: len(piece)] = piece
    return len(piece)


def torch_dtype(header: Header, key: str) -> torch.dtype:
    """The torch dtype of a tensor; torch 2.1 lacks a few that a file may use."""
    import torch

    info = header.tensors[key]
    dtype = getattr(torch, info.dtype.torch, None)
    if dtype is None:
        raise CheckpointError(
            f"torch {torch.__version__} has no number format {info.dtype.label}, which '{key}' is in",
            where=str(header.path),
            hint="use a newer torch, or leave this tensor out",
        )
    return dtype


class LoadedCheckpoint(Checkpoint):
    """A legacy file, whose tensors are views of its mapping; or tensors that lie in memory anyway."""

    def __init__(self, header: Header, tensors: Mapping[str, torch.Tensor]) -> None:
        super().__init__(header)
        self._tensors: Mapping[str, torch.Tensor] | None = tensors

    def tensor(self, key: str) -> torch.Tensor:
        """A view of the mapping, as it was saved: it may be strided."""
        self.info(key)
        if self._tensors is None:
            raise CheckpointError(f"{self.header.name} is closed already", where=str(self.header.path))
        return self._tensors[key]

    def bytes(self, key: str) -> memoryview:
        """The tensor's bytes, copied only where they do not lie row by row."""
        return tensor_bytes(self.tensor(key)).toreadonly()

    def check(self) -> None:
        """One call of the system, for a mapped file."""
        if isinstance(self._tensors, MappedTensors):
            self._tensors.check()

    def close(self) -> None:
        """Forgets the tensors."""
        self._tensors = None


class AliasedCheckpoint(Checkpoint):
    """A checkpoint of which some keys are read from other tensors: training averages, another VAE's names."""

    def __init__(self, inner: Checkpoint, aliases: Mapping[str, str]) -> None:
        own = inner.header.tensors
        renamed = {stored for key, stored in aliases.items() if key not in own}
        keys = [*(key for key in own if key not in renamed), *(key for key in aliases if key not in own)]
        tensors = {key: inner.info(aliases.get(key, key)) for key in keys}
        super().__init__(replace(inner.header, tensors=tensors, aliases=aliases))
        self._inner = inner

    def tensor(self, key: str) -> torch.Tensor:
        """What stands for the key."""
        return self._inner.tensor(self.header.aliases.get(key, key))

    def bytes(self, key: str) -> memoryview:
        """What stands for the key."""
        return self._inner.bytes(self.header.aliases.get(key, key))

    @property
    def mapped(self) -> bool:
        """As the file is."""
        return self._inner.mapped

    def part(self, key: str, start: int, count: int) -> bytes:
        """Of what stands for the key."""
        return self._inner.part(self.header.aliases.get(key, key), start, count)

    def stretch(self, key: str, start: int, room: Callable[[int], torch.Tensor]) -> torch.Tensor:
        """Of what stands for the key."""
        return self._inner.stretch(self.header.aliases.get(key, key), start, room)

    def check(self) -> None:
        """Of the file."""
        self._inner.check()

    def close(self) -> None:
        """Lets the file go."""
        self._inner.close()


class JoinedCheckpoint(Checkpoint):
    """A checkpoint of which some tensors are put together from others (see `openclip`)."""

    def __init__(self, inner: Checkpoint, header: Header) -> None:
        super().__init__(header)
        self._inner = inner

    def unmapped(self) -> Checkpoint:
        """Of the file."""
        return JoinedCheckpoint(self._inner.unmapped(), self.header)

    @property
    def mapped(self) -> bool:
        """It is not: what is put together has no place of its own in the file."""
        return False

    def tensor(self, key: str) -> torch.Tensor:
        """The file's own tensor, or one put together in memory."""
        import torch

        info = self.info(key)
        if key not in self.header.joined:
            return self._inner.tensor(key)
        flat = torch.empty(info.numel, dtype=torch_dtype(self.header, key))
        return self.stretch(key, 0, lambda _: flat).reshape(info.shape)

    def stretch(self, key: str, start: int, room: Callable[[int], torch.Tensor]) -> torch.Tensor:
        """Of each part as much as falls into it; a transposed tensor is read whole."""
        flat = room(self.info(key).numel - start)
        joined = self.header.joined.get(key)
        if joined is None:
            self._fill(flat, key, start)
        elif joined.transposed:
            (part,) = joined.parts
            flat.copy_(self._inner.tensor(part).t().reshape(-1)[start : start + flat.numel()])
        else:
            done = 0
            for part, info in joined.parts.items():
                piece = flat[done : done + max(0, info.numel - start)]
                self._fill(piece, part, start)
                start, done = max(0, start - info.numel), done + piece.numel()
        return flat

    def part(self, key: str, start: int, count: int) -> bytes:
        """Of the file's own tensor without reading the rest."""
        if key in self.header.joined:
            return super().part(key, start, count)
        return self._inner.part(key, start, count)

    def bytes(self, key: str) -> memoryview:
        """The file's own, or of the tensor put together."""
        if key in self.header.joined:
            return tensor_bytes(self.tensor(key)).toreadonly()
        return self._inner.bytes(key)

    def check(self) -> None:
        """Of the file."""
        self._inner.check()

    def close(self) -> None:
        """Lets the file go."""
        self._inner.close()

    def _fill(self, out: torch.Tensor, key: str, start: int) -> None:
        """`out` with the elements from `start` on of one of the file's own tensors."""
        if not out.numel():
            return
        if self._inner.mapped:
            out.copy_(self._inner.tensor(key).reshape(-1)[start : start + out.numel()])
        else:
            self._inner.stretch(key, start, lambda _: out)


def open_planned(header: Header, *, mapped: bool = True) -> Checkpoint:
    """The file behind a header, opened as the header says that its keys are read.

    mapped  where it can be; otherwise a safetensors file is read wherever the system has a call for that
    CheckpointError where it is in another state than when the header was read.
    """
    checkpoint = open_checkpoint(header.path)
    if not mapped:
        checkpoint = checkpoint.unmapped()
    if header.state is not None and checkpoint.header.state != header.state:
        checkpoint.close()
        raise changed(header.path)
    return AliasedCheckpoint(checkpoint, header.aliases) if header.aliases else checkpoint


def open_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint of any kind, open for reading; the kind is told by its content."""
    header, checkpoint = _open_apart(path)
    return JoinedCheckpoint(checkpoint, header) if header.joined else checkpoint


def _open_apart(path: Path) -> tuple[Header, Checkpoint]:
    """A file's header, and its own tensors, nothing put together."""
    with open_file(path) as file:
        state = state_of(file.fileno())
        if kind_of(file, path) is Kind.SAFETENSORS:
            header = replace(read_safetensors_header(file, path), state=state)
            if is_remote(file.fileno()):
                return header, ReadCheckpoint(header.apart(), file.fileno())
            return header, MappedCheckpoint(header.apart(), _map(file, path), file.fileno())
        legacy = read_legacy(file, path)
        header = replace(legacy.header, state=state)
        tensors = MappedTensors(legacy.places, _map(file, path), path)
        return header, LoadedCheckpoint(header.apart(), tensors)


def tensor_bytes(tensor: torch.Tensor) -> memoryview:
    """A CPU tensor's bytes, row by row, without a copy where they lie so already.

    Through uint8, because numpy has no name for bf16 and fp8.
    """
    import torch

    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _map(file: BufferedReader, path: Path) -> mmap.mmap:
    """The whole file in memory's address space: private, else read-only.

    A private mapping is promised memory for every page, though it takes none until it is written to;
    where the system does not promise that much (Windows with a small page file, Linux that does not
    overcommit), a read-only mapping does, at the price of a crash instead of a copy should anyone
    write to a tensor.
    """
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError:
        pass
    try:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise read_failure(error, path) from error
    _hear_the_warning(mapping)
    return mapping


def _hear_the_warning(mapping: mmap.mmap) -> None:
    """Lets torch say, unheard, what it says once in a process: that a buffer is read-only."""
    import torch

    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.frombuffer(mapping, dtype=torch.uint8, count=1)
