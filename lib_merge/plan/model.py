"""The plan of a merge: what happens to every key, decided before any tensor is read."""

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

# Elements of a chunk of linear arithmetic, 1 MB of fp16 per operand: the buffers stay in a core's cache,
# and the calls per chunk cost little. Two 2.13 GB files without writing, one thread: 0.83 s with 1 << 16,
# 0.64 s with 1 << 17, 0.55 s with 1 << 18, 0.50 s with 1 << 19, 0.47 s with 1 << 20.
LINEAR_CHUNK = 1 << 19
# Elements of a chunk of a method that is not linear: it has several float32 buffers of this size.
METHOD_CHUNK = 1 << 17


@dataclass(frozen=True)
class KeyPlan:
    """What happens to one key.

    dtype, shape  of the result
    expression    what is computed from the files; None writes position_ids (0..76) or an empty marker
    channels      merge this number of input channels only, and keep A's others: an inpainting
                  model has more of them than the plain model that it is merged with
    """

    key: str
    slot: str
    dtype: Dtype
    shape: tuple[int, ...]
    expression: Expression | None
    channels: int | None = None

    @property
    def numel(self) -> int:
        """The number of elements."""
        size = 1
        for axis in self.shape:
            size *= axis
        return size

    @property
    def nbytes(self) -> int:
        """The number of bytes in the result."""
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True)
class Plan:
    """A merge that is ready to be executed.

    identities  family and variant of each ingredient
    sources     a header for every file of the recipe, in the expressions' order
    names       their names in messages and tables
    base        the index of A, whose keys the result has
    keys        what happens to each key of the result, in the order of the result's names
    slots       slot -> its expression
    notes       for the user; none of them prevents the merge
    prediction  what the result predicts: "eps", "v", "edm", "edm-v", or "" where the files do not state it
    predictor   the index of the source that its prediction markers are from
    prediction_notes  those notes that are about the prediction
    per_key_slots  slots whose tensors have different expressions: see KeyPlan.expression
    extra       additional metadata that is no part of the recipe: a title, a date
    """

    recipe: Recipe
    identities: tuple[Identity, ...]
    sources: tuple[Header, ...]
    names: tuple[str, ...]
    base: int
    keys: tuple[KeyPlan, ...]
    slots: Mapping[str, Expression]
    notes: tuple[str, ...] = ()
    per_key_slots: frozenset[str] = frozenset()
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
    prediction: str = ""
    predictor: int = 0
    prediction_notes: tuple[str, ...] = ()

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        """The metadata of the file."""
        return {**self._described(), **self.extra}

    def _described(self) -> Mapping[str, str]:
        return metadata_of(self.recipe, self.base, self.sources, self.identity, self.predictor)

    @property
    def identity(self) -> Identity:
        """Family, variant and prediction of the result: those of A, but for the prediction."""
        own = self.identities[self.base]
        word = "v" if self.prediction in ("v", "edm-v") else "eps" if self.prediction == "eps" else ""
        return own if own.prediction == word else replace(own, prediction=word)

    @property
    def nbytes(self) -> int:
        """The bytes of all tensors of the result."""
        return sum(entry.nbytes for entry in self.keys)

    def memory(self, threads: int) -> int:
        """An upper bound in bytes of the memory that executing it takes beyond the mapped files."""
        return threads * max((_buffers(entry) for entry in self.keys), default=0)


def _buffers(entry: KeyPlan) -> int:
    """Bytes for one key: the output, and buffers of at most eight bytes per element."""
    expression, numel = entry.expression, entry.numel
    if expression is None or is_linear(expression):
        elements = min(numel, LINEAR_CHUNK) if entry.channels is None else numel
        return elements * (entry.dtype.itemsize + 8 + 8)  # a sum and a term
    models = len(models_of(expression))
    if is_elementwise(expression) and entry.channels is None:
        return min(numel, LINEAR_CHUNK) * entry.dtype.itemsize + min(numel, METHOD_CHUNK) * 8 * (models + 6)
    return numel * (entry.dtype.itemsize + 8 * (models + 3))
