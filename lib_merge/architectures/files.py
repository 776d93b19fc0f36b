"""Opens checkpoints under canonical keys: the names that the families have for tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lib_merge.architectures.aliases import canonical_names
from lib_merge.architectures.openclip import joined_tensors
from lib_merge.checkpoint import (
    Checkpoint,
    EqualTensors,
    Header,
    JoinedTensor,
    Shapes,
    TensorInfo,
    open_checkpoint_as,
    open_from_header_as,
    read_header_as,
)


class Canonical:
    """The Naming that maps every supported naming scheme to canonical keys."""

    def names(self, shapes: Shapes, *, where: str, same: EqualTensors | None) -> dict[str, str]:
        """Name in the file -> canonical key (see `canonical_names`)."""
        return canonical_names(shapes, where=where, same=same)

    def joined(self, tensors: Mapping[str, TensorInfo], where: str) -> dict[str, JoinedTensor]:
        """Tensors of OpenCLIP text encoders that the file stores in parts (see `joined_tensors`)."""
        return joined_tensors(tensors, where)


CANONICAL = Canonical()


def read_header(path: Path) -> Header:
    """The header of a checkpoint of any format, with canonical keys; torch is not loaded.

    The format is detected by the file's content, not by its suffix. CheckpointError where it cannot be read.
    """
    return read_header_as(path, CANONICAL)


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint of any format, with canonical keys; CheckpointError where it cannot be read."""
    return open_checkpoint_as(path, CANONICAL)


def open_from_header(header: Header, *, mapped: bool = True) -> Checkpoint:
    """Open the file of a header from `read_header`, with the header's aliases.

    mapped  memory-map the file where possible; False reads safetensors files instead, where the system
            supports positional reads
    Raises CheckpointError where the file changed since the header was read.
    """
    return open_from_header_as(header, CANONICAL, mapped=mapped)
