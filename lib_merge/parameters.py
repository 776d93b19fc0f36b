"""What the signature of a merge method declares its parameters with; the module registry reads it."""

from __future__ import annotations

import hashlib
import inspect
import math
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lib_merge.limits import MAX_SAFE_INTEGER

LONG = 64  # bits of an integer, beyond which an error names its length instead of its digits
MAX_AMOUNT = 1e6  # the largest parameter that a method takes; float16 ends at 65504


@dataclass(frozen=True)
class Range:
    """The range of a method's parameter.

    low, high         what the slider shows
    step              of the slider
    help              what the two ends mean, in a few words
    min, max          what the method accepts, often beyond the slider: extrapolation is a merge too
    title             the parameter's name on the page, where its own is no plain word
    """

    low: float
    high: float
    step: float = 0.01
    help: str = ""
    min: float = -MAX_AMOUNT
    max: float = MAX_AMOUNT
    title: str = ""

    @property
    def is_only_usual(self) -> bool:
        """Whether the method accepts any number, and low to high is what makes sense for most merges."""
        return (self.min, self.max) == (-MAX_AMOUNT, MAX_AMOUNT)

    @property
    def limits(self) -> str:
        """What is accepted, as text: "usually 0 to 1"."""
        if self.is_only_usual:
            return f"usually {self.low:g} to {self.high:g}"
        return f"{self.min:g} or more" if self.max == MAX_AMOUNT else f"{self.min:g} to {self.max:g}"


@dataclass(frozen=True)
class Seed(Range):
    """The random seed of a method that draws random numbers; see the docstring of lib_merge.registry."""

    min: float = 0
    max: float = MAX_SAFE_INTEGER


def seed_for(seed: int, name: str | int) -> int:
    """The seed of one key or one model: 63 bits of BLAKE2b of the user's seed and the name."""
    digest = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@dataclass(frozen=True)
class Offset:
    """Marks the keyword for the index of the chunk's first element within its key."""


@dataclass(frozen=True)
class TensorRef:
    """Which tensor this is: the id of the model's family, and the canonical key."""

    family: str = ""
    key: str = ""


@dataclass(frozen=True)
class KeyRef:
    """Marks the keyword for the TensorRef; `keys` are the only ones that the method changes."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class Reduction:
    """Marks the keyword for statistics that are computed from whole tensors before the chunks are.

    map     called with a key's whole tensors (of any floating dtype), `dtype`, which is the dtype that will
            be computed in, and the parameters of the method that it names
    reduce  for statistics of the whole model: called with what `map` returned for each key (without the
            VAE's, sorted by name), returns the numbers. None: each key has its own
    """

    map: Callable[..., Any]
    reduce: Callable[[Sequence[Any]], Sequence[float]] | None = None

    def settings(self) -> frozenset[str]:
        """The method's parameters that `map` takes."""
        parameters = inspect.signature(self.map).parameters.values()
        names = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        return frozenset(names - {"dtype"})


@dataclass(frozen=True)
class Parameter:
    """One parameter of one method.

    kind       float, int, bool or str
    per_model  one number for each model instead of one for all; for each after the base, where the method
               has one. Without a default they are required; a single number applies to all
    """

    name: str
    range: Range
    default: Any
    kind: type = float
    per_model: bool = False

    def problem(self, value: object) -> str:
        """Why the value of a flag, JSON, recipe or page is refused; "" where it is accepted.

        value  one number, bool or text; a recipe's numbers are floats, integers too
        """
        if self.kind in (bool, str):
            wanted = "true or false" if self.kind is bool else "text"
            return "" if isinstance(value, self.kind) else f"{self.name} is {wanted}, not {quoted(value)}"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"{self.name} is a number, not {quoted(value)}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{self.name} is {value}, which cannot be merged with"
        if not self.range.min <= value <= self.range.max:
            return f"{self.name} cannot be {quoted(value)}"
        if self.kind is int and value != int(value):
            return f"{self.name} is an integer, not {quoted(value)}"
        return ""

    def outside(self, value: float) -> float:
        """How far an accepted number is outside of the range that is usual."""
        return max(self.range.low - value, value - self.range.high, 0.0)

    @property
    def hint(self) -> str:
        """What is accepted, and what the two ends mean."""
        if self.kind in (bool, str):
            return self.range.help
        return f"{self.range.limits}: {self.range.help}" if self.range.help else self.range.limits


def quoted(value: object) -> str:
    """A value as an error message quotes it, shortened where it is long."""
    if isinstance(value, int) and value.bit_length() > LONG:
        return f"an integer of {value.bit_length()} bits"
    return reprlib.repr(value)
