"""Which channels of a model may be rearranged without changing what it computes, as data.

A *symmetry* names axes of tensors that have to be rearranged alike, wherever a place in the model looks
so, and says which rearrangements are allowed there. What must stay is data too, each with its reason, so
that every axis of a model is one or the other (a test holds the families to that).

Patterns are keys in which `*` stands for one part between dots and `**` for one or more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

# What a user may select, and what it is.
SYMMETRY_KINDS = {
    "resblocks": "channels inside a residual block, between its two convolutions",
    "tokens": "the token stream of a spatial transformer, from proj_in to proj_out",
    "heads": "attention heads, and inside each of them queries with keys, values with the output",
    "geglu": "hidden channels of a U-Net's feed-forward layers, each with its gate",
    "embedding": "the time and label embedding and its hidden layers",
    "mlp": "hidden channels of a text encoder's feed-forward layers",
}


@dataclass(frozen=True)
class Axis:
    """One axis of every tensor that a pattern names, or some of the equal segments that it falls into.

    key       pattern, relative to the symmetry's place
    segments  how many equal segments lie along the axis (query, key and value in one matrix: 3)
    taken     which of them are meant; several are rearranged alike
    optional  the model may lack it
    """

    key: str
    axis: int = 0
    segments: int = 1
    taken: tuple[int, ...] = (0,)
    optional: bool = False


@dataclass(frozen=True)
class Free:
    """Any permutation of the n channels."""


@dataclass(frozen=True)
class InGroups:
    """Whole groups of neighbouring channels may change places, and channels within a group: what a GroupNorm
    leaves. An unstructured permutation would mix the groups' statistics and so change the output.
    """

    count: int = 32


@dataclass(frozen=True)
class Heads:
    """Whole heads may change places; within a head queries and keys may be permuted alike (turned alike by
    any orthogonal matrix), and so may values and the output's columns. Count or width, the other follows.
    """

    count: int = 0
    width: int = 0

    def of(self, channels: int) -> int:
        """How many heads so many channels fall into; 0 where they do not."""
        count = self.count or channels // self.width
        return count if count and channels % count == 0 and channels // count >= 1 else 0


Structure = Free | InGroups | Heads


@dataclass(frozen=True)
class Symmetry:
    """Axes that are rearranged alike, at every place that a pattern names.

    kind    one of SYMMETRY_KINDS
    place   pattern of the module below which the axes' keys lie; there is one wherever the first axis is
    values  for Heads: the axes of values and output, beside those of queries and keys
    """

    kind: str
    place: str
    axes: tuple[Axis, ...]
    structure: Structure = Free()
    values: tuple[Axis, ...] = ()


@dataclass(frozen=True)
class Kept:
    """Axes that stay as they are, and why."""

    key: str
    axes: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Symmetries:
    """All that is known of a family: what may move, what stays, and variants that are built otherwise."""

    moves: tuple[Symmetry, ...] = ()
    stays: tuple[Kept, ...] = ()
    not_for: frozenset[str] = frozenset()


@cache
def matcher(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression that matches whole keys."""
    parts = {"**": r"[^.]+(?:\.[^.]+)*", "*": r"[^.]+"}
    return re.compile(r"\.".join(parts.get(part, re.escape(part)) for part in pattern.split(".")))
