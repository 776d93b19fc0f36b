"""A model in memory for tests: parameters under file keys, and a record of all calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from lib_merge.live import MergeIdent, Place


class Memory:
    """A LiveModel over plain tensors; `before_write` is called with every key whose tensors are requested."""

    def __init__(self, path: Path, dtype: torch.dtype = torch.float16, *, strided: bool = False) -> None:
        form = torch.channels_last if strided else torch.contiguous_format
        self.weights = {
            key: value.to(dtype, copy=True, memory_format=form if value.ndim == 4 else torch.preserve_format)
            for key, value in load_file(path).items()
            if value.is_floating_point()
        }
        self.identity: object = object()
        self.named: list[MergeIdent | None] = []
        self.prepared: list[set[str]] = []
        self.requested_keys: list[str] = []
        self.before_write: Callable[[str], None] = lambda key: None

    def token(self) -> object:
        """An object that a test replaces, as a reload by the host would."""
        return self.identity

    def keys(self) -> Collection[str]:
        """The keys of the file."""
        return self.weights.keys()

    def prepare(self, keys: Collection[str]) -> None:
        """Records the keys, and clears the keys that the probe requested before."""
        self.prepared.append(set(keys))
        self.requested_keys.clear()

    def places(self, key: str) -> Sequence[Place]:
        """The one tensor of a key."""
        if self.prepared:
            self.before_write(key)
        self.requested_keys.append(key)
        return (Place(self.weights[key]),)

    def commit(self, ident: MergeIdent | None, keys: Collection[str]) -> None:
        """Records the name."""
        self.named.append(ident)

    def copy(self) -> dict[str, Tensor]:
        """A copy of the current weights."""
        return {key: value.clone() for key, value in self.weights.items()}
