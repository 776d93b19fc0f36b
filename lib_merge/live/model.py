"""What a live merge needs of a model that a host holds in memory, and what it leaves there."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lib_merge.recipe import Recipe, print_recipe, without_hashes
from lib_merge.recipe.names import labels

if TYPE_CHECKING:
    from torch import Tensor

UNSAVED = "(unsaved)"


@dataclass(frozen=True)
class MergeIdent:
    """What a host calls a model that was merged in its memory.

    name    for a person, without comma and colon, which infotexts use
    id      "merge-" and eight hex digits of the recipe's hash: never mistaken for a file's hash
    recipe  the recipe as text
    """

    name: str
    id: str
    recipe: str


def ident_of(recipe: Recipe) -> MergeIdent:
    """The identity of a recipe; equal recipes have equal ones, hashed files or not."""
    text, bare = print_recipe(recipe), print_recipe(without_hashes(recipe))
    stems = labels(ingredient.file for ingredient in recipe.ingredients)
    name = " + ".join(stems).replace(",", " ").replace(":", " ").replace("/", "_")
    digest = hashlib.sha256(bare.encode("utf-8")).hexdigest()[:8]
    return MergeIdent(f"{name} {UNSAVED}", f"merge-{digest}", text)


class LiveModel(Protocol):
    """A model in memory, addressed by the keys that checkpoint files use.

    Every method is called inside the host's job, so that nothing draws meanwhile.
    """

    def token(self) -> object:
        """The same object for as long as the host holds the same model and nothing replaced its weights."""
        ...

    def keys(self) -> Collection[str]:
        """The keys that it has a place for; keys of files that are not among them are passed over."""
        ...

    def prepare(self, keys: Collection[str]) -> None:
        """Before the first write to these keys: drops what others have put into the weights (LoRA)."""
        ...

    def tensors(self, key: str) -> Sequence[Tensor]:
        """Every tensor that is to hold this key's value: of the file's size in elements, any shape, number
        format, device. Empty where the host keeps something else there (a VAE of the user's choice)."""
        ...

    def commit(self, ident: MergeIdent | None, keys: Collection[str]) -> None:
        """After the last write to these keys: names what is loaded now, None for the checkpoint itself, and
        drops whatever the host has kept that was computed with the old weights."""
        ...
