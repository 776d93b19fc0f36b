"""The topology of one part of a checkpoint: the protocol, the layers, and parts that are lists of keys.

The published parts (U-Net, CLIP, VAE) are in topology.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, runtime_checkable

from lib_merge.checkpoint import TensorInfo

ShapeMap = dict[str, tuple[int, ...]]
Tensors = Mapping[str, TensorInfo]


@runtime_checkable
class PartTopology(Protocol):
    """The topology of one part of a checkpoint: a U-Net, a text encoder or a VAE."""

    def shapes(self) -> ShapeMap:
        """Key, without the part's prefix -> shape."""
        ...

    def narrow(self) -> PartTopology:
        """The same part with minimal sizes, for small test files that have all keys."""
        ...

    def with_file_sizes(self, tensors: Tensors, prefix: str) -> PartTopology:
        """The same part with the numbers of tokens and positions of the file's part at `prefix`, if
        larger."""
        ...


L = TypeVar("L", int, "int | str")


def norm(name: str, width: L) -> dict[str, tuple[L, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def linear(name: str, out: L, into: L) -> dict[str, tuple[L, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def conv(name: str, out: int, into: int, size: int = 3) -> ShapeMap:
    return {f"{name}.weight": (out, into, size, size), f"{name}.bias": (out,)}


def conv_1x1(name: str, out: int, into: int) -> ShapeMap:
    return conv(name, out, into, 1)


V = TypeVar("V")


def under(prefix: str, shapes: Mapping[str, V]) -> dict[str, V]:
    return {prefix + key: shape for key, shape in shapes.items()}


# key -> lengths of its axes: each a number, the name of a size, or a multiple of one ("3 width")
AxisLengths = Mapping[str, tuple["int | str", ...]]
NARROW = {"context": 3, "pooled": 5, "head": 2}  # sizes of a narrow part; all others are NARROW_WIDTH
NARROW_WIDTH = 4


@dataclass(frozen=True)
class KeyShapes:
    """Keys and shapes of a part, repeated for a range of blocks.

    shapes  key -> lengths of its axes
    block   prefix of the blocks, with a dot; "" for keys that occur once
    blocks  numbers of the blocks
    """

    shapes: AxisLengths
    block: str = ""
    blocks: range = range(0)

    def resolve(self, sizes: Mapping[str, int]) -> ShapeMap:
        """Key -> shape for these values of the sizes."""
        prefixes = [f"{self.block}{number}." for number in self.blocks] if self.block else [""]
        shapes = {key: tuple(_length(axis, sizes) for axis in shape) for key, shape in self.shapes.items()}
        return {prefix + key: shape for prefix in prefixes for key, shape in shapes.items()}


@dataclass(frozen=True)
class ListedTopology:
    """A part given by lists of its keys, in the order of its files: sufficient for most new architectures.

        once, block = linear("in", "width", 16), norm("norm", "width")
        Listed({"width": 512}, (Rows(once), Rows(block, "blocks.", range(12))))

    sizes  name -> length, so that a narrow part can be created from the same rows
    """

    sizes: Mapping[str, int]
    rows: tuple[KeyShapes, ...]

    def shapes(self) -> ShapeMap:
        """Key -> shape."""
        return {key: shape for row in self.rows for key, shape in row.resolve(self.sizes).items()}

    def narrow(self) -> ListedTopology:
        """The same part with small sizes; lengths that are numbers stay."""
        return replace(self, sizes={name: NARROW.get(name, NARROW_WIDTH) for name in self.sizes})

    def with_file_sizes(self, tensors: Tensors, prefix: str) -> ListedTopology:
        """The same part, since it has no tokens."""
        return self


def _length(length: int | str, sizes: Mapping[str, int]) -> int:
    if isinstance(length, int):
        return length
    times, _, name = length.rpartition(" ")
    return int(times or 1) * sizes[name]
