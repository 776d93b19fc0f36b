"""A model in memory for tests: parameters under file keys, and a note of all that was asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from lib_merge.live import MergeIdent


class Memory:
    """A LiveModel over plain tensors; `before_write` is called whenever a key's place is asked for."""

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
        self.asked: list[str] = []
        self.before_write: Callable[[str], None] = lambda key: None

    def token(self) -> object:
        """Changed by hand, as a host's reload would change it."""
        return self.identity

    def keys(self) -> Collection[str]:
        """All of them."""
        return self.weights.keys()

    def prepare(self, keys: Collection[str]) -> None:
        """Noted; what the probe asked for before is forgotten."""
        self.prepared.append(set(keys))
        self.asked.clear()

    def tensors(self, key: str) -> Sequence[Tensor]:
        """One place for each key."""
        if self.prepared:
            self.before_write(key)
        self.asked.append(key)
        return (self.weights[key],)

    def commit(self, ident: MergeIdent | None, keys: Collection[str]) -> None:
        """Noted."""
        self.named.append(ident)

    def copy(self) -> dict[str, Tensor]:
        """What it holds now."""
        return {key: value.clone() for key, value in self.weights.items()}
