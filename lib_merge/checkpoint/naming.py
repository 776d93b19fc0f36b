"""The interface by which a caller maps the names in a file to canonical keys; this package knows no model
family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from lib_merge.checkpoint.info import TensorInfo

Shapes = Mapping[str, tuple[int, ...]]
EqualTensors = Callable[[str, str], bool]


@dataclass(frozen=True)
class JoinedTensor:
    """A tensor that a file stores in parts: concatenated from several tensors, or transposed.

    parts       key -> TensorInfo of each part, in the order of their rows in the joined tensor
    transposed  whether the single part is the transpose of the joined tensor
    info        TensorInfo of the joined tensor
    """

    parts: Mapping[str, TensorInfo]
    transposed: bool
    info: TensorInfo


class Naming(Protocol):
    """Maps the names in a file to canonical keys."""

    def names(self, shapes: Shapes, *, where: str, same: EqualTensors | None) -> Mapping[str, str]:
        """Name in the file -> canonical key, in the file's order; a tensor that is left out is missing.

        same   whether two tensors of the file have equal values; None where they cannot be compared
        where  the file, for error messages
        Raises CheckpointError for a file that cannot be merged.
        """
        ...

    def joined(self, tensors: Mapping[str, TensorInfo], where: str) -> Mapping[str, JoinedTensor]:
        """The tensors that are joined from others, by their canonical keys."""
        ...


class AsStored:
    """A Naming that keeps the names in the file."""

    def names(self, shapes: Shapes, *, where: str, same: EqualTensors | None) -> Mapping[str, str]:
        """Every name, mapped to itself."""
        return {name: name for name in shapes}

    def joined(self, tensors: Mapping[str, TensorInfo], where: str) -> Mapping[str, JoinedTensor]:
        """An empty mapping, since no tensors are joined."""
        return {}


def with_joined(
    tensors: Mapping[str, TensorInfo], joined: Mapping[str, JoinedTensor]
) -> dict[str, TensorInfo]:
    """The tensors with each joined tensor at the position of its first part, and without the parts."""
    key_of_part = {part: key for key, tensor in joined.items() for part in tensor.parts}
    result: dict[str, TensorInfo] = {}
    for name, info in tensors.items():
        key = key_of_part.get(name, name)
        result.setdefault(key, joined[key].info if key in joined else info)
    return result


def without_joined(
    tensors: Mapping[str, TensorInfo], joined: Mapping[str, JoinedTensor]
) -> dict[str, TensorInfo]:
    """The tensors that are stored in the file, with the parts at the position of their joined tensor."""
    return {
        name: info
        for key, own in tensors.items()
        for name, info in (joined[key].parts if key in joined else {key: own}).items()
    }
