"""What a merge will do, key by key, decided before any tensor is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from lib_merge.architectures import Identity
from lib_merge.checkpoint import Header
from lib_merge.dtypes import Dtype
from lib_merge.plan.fold import Expression, is_elementwise, is_linear, models_of
from lib_merge.plan.metadata import metadata_of
from lib_merge.recipe import Recipe

# Elements that are worked on at once, 1 MB of fp16 an operand: the buffers stay in a core's cache while
# the calls around them cost little. Two 2.13 GB files without writing, one thread: 0.83 s with 1 << 16,
# 0.64 s with 1 << 17, 0.55 s with 1 << 18, 0.50 s with 1 << 19, 0.47 s with 1 << 20.
PIECE = 1 << 19
# Elements that a method which is not linear works on at once: it has several float32 numbers for each.
STEP = 1 << 17


@dataclass(frozen=True)
class KeyPlan:
    """What happens to one key.

    dtype, shape  of the result
    expression    what is computed from the files; None writes position_ids, 0..76
    channels      merge the first so many input channels only, and keep A's beyond them: an
                  inpainting model has more of them than the plain model it is merged with
    """

    key: str
    slot: str
    dtype: Dtype
    shape: tuple[int, ...]
    expression: Expression | None
    channels: int | None = None

    @property
    def numel(self) -> int:
        """How many numbers it holds."""
        size = 1
        for axis in self.shape:
            size *= axis
        return size

    @property
    def nbytes(self) -> int:
        """How many bytes its data takes in the result."""
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True)
class Plan:
    """A whole merge, ready to be carried out.

    identities  what each ingredient is
    sources     a header for every file of the recipe, in the expressions' order
    names       what messages and tables call them
    base        which source is A: the result has its keys
    keys        what happens to each key of the result, in the order of the result's names
    slots       slot -> its expression
    notes       what the user should know and need not act on
    prediction  what the result predicts: "eps", "v", "edm", "edm-v", or "" where the files do not tell
    predictor   which source its markers are from
    prediction_notes  those of the notes that tell what the result predicts
    by_key      slots whose tensors are told apart by rules: each has an expression of its own
    extra       more of metadata, which is no part of the recipe: a title, a date
    """

    recipe: Recipe
    identities: tuple[Identity, ...]
    sources: tuple[Header, ...]
    names: tuple[str, ...]
    base: int
    keys: tuple[KeyPlan, ...]
    slots: Mapping[str, Expression]
    notes: tuple[str, ...] = ()
    by_key: frozenset[str] = frozenset()
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
    prediction: str = ""
    predictor: int = 0
    prediction_notes: tuple[str, ...] = ()

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        """What is written into the file beside the tensors."""
        return {**self._described(), **self.extra}

    def _described(self) -> Mapping[str, str]:
        return metadata_of(self.recipe, self.base, self.sources, self.identity, self.predictor)

    @property
    def identity(self) -> Identity:
        """What the result is: what A is, but for what it predicts."""
        own = self.identities[self.base]
        word = "v" if self.prediction in ("v", "edm-v") else "eps" if self.prediction == "eps" else ""
        return own if own.prediction == word else replace(own, prediction=word)

    @property
    def nbytes(self) -> int:
        """How many bytes of tensors the result holds."""
        return sum(entry.nbytes for entry in self.keys)

    def memory(self, threads: int) -> int:
        """The most memory in bytes that carrying it out takes beyond the mapped files."""
        return threads * max((_buffers(entry) for entry in self.keys), default=0)


def _buffers(entry: KeyPlan) -> int:
    """The output, and numbers of at most eight bytes to work with."""
    expression, whole = entry.expression, entry.numel
    if expression is None or is_linear(expression):
        elements = min(whole, PIECE) if entry.channels is None else whole
        return elements * (entry.dtype.itemsize + 8 + 8)  # a total and a term
    models = len(models_of(expression))
    if is_elementwise(expression) and entry.channels is None:
        return min(whole, PIECE) * entry.dtype.itemsize + min(whole, STEP) * 8 * (models + 6)
    return whole * (entry.dtype.itemsize + 8 * (models + 3))
