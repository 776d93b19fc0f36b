"""The protocol of a live model: what a merge needs of a model that a host has in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lib_merge.recipe import Recipe, print_recipe, without_hashes
from lib_merge.recipe.names import short_labels

if TYPE_CHECKING:
    from torch import Tensor

UNSAVED = "(unsaved)"


@dataclass(frozen=True)
class MergeIdent:
    """The identity of a model that was merged in a host's memory.

    name    for a person, without comma and colon, which infotexts use
    id      "merge-" and eight hex digits of the recipe's hash: never mistaken for a file's hash
    recipe  the recipe as text
    """

    name: str
    id: str
    recipe: str


def ident_of(recipe: Recipe) -> MergeIdent:
    """The identity of a recipe; equal recipes have equal ones, with hashes of their files or without."""
    text, bare = print_recipe(recipe), print_recipe(without_hashes(recipe), former_names=True)
    stems = short_labels(ingredient.file for ingredient in recipe.ingredients)
    name = " + ".join(stems).replace(",", " ").replace(":", " ").replace("/", "_")
    digest = hashlib.sha256(bare.encode("utf-8")).hexdigest()[:8]
    return MergeIdent(f"{name} {UNSAVED}", f"merge-{digest}", text)


@dataclass(frozen=True)
class Place:
    """A tensor of the model that holds elements of a key, or all of them.

    tensor  in row-major order it holds the key's elements from `start` on; of any shape, strides, dtype and
            device (a transposed parameter is given as its transposed view)
    start   index of its first element among those of the key: q, k and v of OpenCLIP's `in_proj_weight`
            start at 0, one third and two thirds
    """

    tensor: Tensor
    start: int = 0

    @property
    def end(self) -> int:
        """The index behind its last element."""
        return self.start + self.tensor.numel()


class LiveModel(Protocol):
    """A model in memory, addressed by the keys that checkpoint files use.

    Every method is called inside the host's job, so that nothing draws meanwhile.
    """

    def token(self) -> object:
        """The same object for as long as the host holds the same model and nothing replaced its weights."""
        ...

    def keys(self) -> Collection[str]:
        """The keys that the model has tensors for; other keys of a file are skipped."""
        ...

    def prepare(self, keys: Collection[str]) -> None:
        """Called before the first write to these keys: removes what is added to the weights (LoRA)."""
        ...

    def places(self, key: str) -> Sequence[Place]:
        """Every tensor that gets this key's value or a part of it; together they hold all of its elements,
        also several times. Empty where the host has something else there (a VAE that the user chose). Asked
        before each write: a host may replace its parameters."""
        ...

    def commit(self, ident: MergeIdent | None, keys: Collection[str]) -> None:
        """Called after the last write to these keys: sets the name of what is loaded, None for the checkpoint
        itself, and drops whatever the host caches that was computed with the old weights."""
        ...
