"""Checkpoints that read some keys from other tensors (aliases), or join tensors from several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from lib_merge.checkpoint.checkpoint import Checkpoint, tensor_bytes, torch_dtype
from lib_merge.checkpoint.header import Header

if TYPE_CHECKING:
    import torch


class AliasedCheckpoint(Checkpoint):
    """A checkpoint in which some keys are read from other tensors: EMA weights, or a VAE under another
    prefix.

    aliases  key -> key of the tensor that is read for it
    """

    def __init__(self, inner: Checkpoint, aliases: Mapping[str, str]) -> None:
        own = inner.header.tensors
        renamed = {target for key, target in aliases.items() if key not in own}
        keys = [*(key for key in own if key not in renamed), *(key for key in aliases if key not in own)]
        tensors = {key: inner.info(aliases.get(key, key)) for key in keys}
        super().__init__(replace(inner.header, tensors=tensors, aliases=aliases))
        self._inner = inner

    def tensor(self, key: str) -> torch.Tensor:
        """The tensor of the key or of its alias."""
        return self._inner.tensor(self.header.aliases.get(key, key))

    def bytes(self, key: str) -> memoryview:
        """The bytes of the key's tensor or of its alias."""
        return self._inner.bytes(self.header.aliases.get(key, key))

    @property
    def mapped(self) -> bool:
        """Whether the file is mapped."""
        return self._inner.mapped

    def read_bytes(self, key: str, start: int, count: int) -> bytes:
        """Bytes of the key's tensor or of its alias."""
        return self._inner.read_bytes(self.header.aliases.get(key, key), start, count)

    def read_chunk(self, key: str, start: int, allocate: Callable[[int], torch.Tensor]) -> torch.Tensor:
        """A chunk of the key's tensor or of its alias."""
        return self._inner.read_chunk(self.header.aliases.get(key, key), start, allocate)

    def check_size(self) -> None:
        """Raise CheckpointError where the file was truncated."""
        self._inner.check_size()

    def close(self) -> None:
        """Close the file."""
        self._inner.close()


class JoinedCheckpoint(Checkpoint):
    """A checkpoint in which some tensors are joined from others (see `naming.JoinedTensor`)."""

    def __init__(self, inner: Checkpoint, header: Header) -> None:
        super().__init__(header)
        self._inner = inner

    def unmapped(self) -> Checkpoint:
        """The same checkpoint, its file read instead of mapped."""
        return JoinedCheckpoint(self._inner.unmapped(), self.header)

    @property
    def mapped(self) -> bool:
        """Return False: a joined tensor is not stored in one piece in the file."""
        return False

    def tensor(self, key: str) -> torch.Tensor:
        """The tensor from the file, or the joined tensor in new memory."""
        import torch

        info = self.info(key)
        if key not in self.header.joined:
            return self._inner.tensor(key)
        flat = torch.empty(info.numel, dtype=torch_dtype(info.dtype, key, self.header.path))
        return self.read_chunk(key, 0, lambda _: flat).reshape(info.shape)

    def read_chunk(self, key: str, start: int, allocate: Callable[[int], torch.Tensor]) -> torch.Tensor:
        """A chunk of the tensor, read from the parts that it spans; a transposed part is read whole."""
        flat = allocate(self.info(key).numel - start)
        joined = self.header.joined.get(key)
        if joined is None:
            self._fill(flat, key, start)
        elif joined.transposed:
            (part,) = joined.parts
            flat.copy_(self._inner.tensor(part).t().reshape(-1)[start : start + flat.numel()])
        else:
            done = 0
            for part, info in joined.parts.items():
                chunk = flat[done : done + max(0, info.numel - start)]
                self._fill(chunk, part, start)
                start, done = max(0, start - info.numel), done + chunk.numel()
        return flat

    def read_bytes(self, key: str, start: int, count: int) -> bytes:
        """Bytes of the tensor; of one that is stored in the file, without reading the rest."""
        if key in self.header.joined:
            return super().read_bytes(key, start, count)
        return self._inner.read_bytes(key, start, count)

    def bytes(self, key: str) -> memoryview:
        """The bytes from the file, or those of the joined tensor."""
        if key in self.header.joined:
            return tensor_bytes(self.tensor(key)).toreadonly()
        return self._inner.bytes(key)

    def check_size(self) -> None:
        """Raise CheckpointError where the file was truncated."""
        self._inner.check_size()

    def close(self) -> None:
        """Close the file."""
        self._inner.close()

    def _fill(self, out: torch.Tensor, key: str, start: int) -> None:
        """Fill `out` with elements of a tensor in the file, from element `start` on."""
        if not out.numel():
            return
        if self._inner.mapped:
            out.copy_(self._inner.tensor(key).reshape(-1)[start : start + out.numel()])
        else:
            self._inner.read_chunk(key, start, lambda _: out)
