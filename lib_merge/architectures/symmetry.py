"""Data types for permutation symmetries: which channels of a model can be permuted without changing its
output.

A *symmetry* is a set of axes of tensors that have to be permuted together, in every module that a pattern
matches, and the set of permutations that are allowed. Axes that must not be permuted are listed too, with the
reason, so that every axis of a model is one or the other (a test checks this for all families).

Patterns are keys in which `*` matches one part between dots and `**` matches one or more parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

# Kind of symmetry, as users select it -> its description.
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
    """One axis of the tensors whose keys match a pattern, or some of its equal segments.

    key       pattern, relative to the symmetry's module
    segments  number of equal segments of the axis (query, key and value in one matrix: 3)
    segment_indices  the segments that are permuted, all in the same way
    optional  whether the model may lack the tensor
    """

    key: str
    axis: int = 0
    segments: int = 1
    segment_indices: tuple[int, ...] = (0,)
    optional: bool = False


@dataclass(frozen=True)
class AnyPermutation:
    """All permutations of the channels are allowed."""


@dataclass(frozen=True)
class GroupPermutation:
    """Permutations of whole groups of adjacent channels, and of the channels within each group, are allowed.

    These are the permutations under which a GroupNorm with `count` groups is equivariant. Any other would
    change the mean and variance of the groups, and so the output.
    """

    count: int = 32


@dataclass(frozen=True)
class Heads:
    """Attention heads: permutations of whole heads, and of channels within each head, are allowed.

    Within a head queries and keys can be multiplied by the same orthogonal matrix, such as a permutation, and
    so can values and the output's columns. Set either the `count` of heads or their `width` in channels.
    """

    count: int = 0
    width: int = 0

    def count_for(self, channels: int) -> int:
        """The number of heads for this number of channels; 0 where it is not divisible."""
        count = self.count or channels // self.width
        return count if count and channels % count == 0 and channels // count >= 1 else 0


Structure = AnyPermutation | GroupPermutation | Heads


@dataclass(frozen=True)
class Symmetry:
    """Axes that are permuted together, in every module that a pattern matches.

    kind    one of SYMMETRY_KINDS
    module  pattern of the module's name, to which the keys of the axes are relative; the symmetry exists in
            every module that has the first axis
    values  for Heads: the axes of values and output; `axes` are then those of queries and keys
    """

    kind: str
    module: str
    axes: tuple[Axis, ...]
    structure: Structure = AnyPermutation()
    values: tuple[Axis, ...] = ()


@dataclass(frozen=True)
class FixedAxes:
    """Axes that must not be permuted, and the reason."""

    key: str
    axes: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Symmetries:
    """A family's permutable axes, its fixed axes, and the variants with another structure, which are
    excluded."""

    permutable: tuple[Symmetry, ...] = ()
    fixed: tuple[FixedAxes, ...] = ()
    excluded_variants: frozenset[str] = frozenset()


@cache
def key_regex(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern, for whole keys."""
    parts = {"**": r"[^.]+(?:\.[^.]+)*", "*": r"[^.]+"}
    return re.compile(r"\.".join(parts.get(part, re.escape(part)) for part in pattern.split(".")))
