"""Identifies the files of a recipe: the family of each, which one is A, and their names in messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lib_merge.architectures import Family, Identity, identify, require_same_family
from lib_merge.checkpoint import Header
from lib_merge.errors import FamilyError, MergeError
from lib_merge.plan.fold import step_by_name
from lib_merge.recipe import Recipe


@dataclass(frozen=True)
class PlanInputs:
    """A recipe and its files.

    sources     the header of every file in `recipe.files`, a VAE file last
    identities  family and variant of every ingredient; a VAE file has none
    base        the index of A
    """

    recipe: Recipe
    sources: tuple[Header, ...]
    identities: tuple[Identity, ...]
    base: int

    @property
    def family(self) -> Family:
        """The family of A, and so of the result."""
        return self.identities[self.base].family

    @property
    def names(self) -> list[str]:
        """The name of each file in messages; the last is that of the VAE file, also where there is none."""
        return [ingredient.name for ingredient in self.recipe.ingredients] + ["the VAE file"]

    def named(self, model: int) -> str:
        """A model's name with that of its file: `A (ink.safetensors)`."""
        return f"{self.names[model]} ({self.sources[model].name})"


@dataclass
class Diagnostics:
    """What is collected while a plan is made: problems that prevent it, and notes for the user."""

    problems: list[MergeError] = field(default_factory=list[MergeError])
    notes: list[str] = field(default_factory=list[str])


def base_index(recipe: Recipe) -> int:
    """The index of A: the first input of the step that is saved, followed down to an ingredient."""
    name = recipe.result
    while (step := step_by_name(recipe, name)) is not None:
        name = step.inputs[0]
    return [ingredient.name for ingredient in recipe.ingredients].index(name)


def identify_all(recipe: Recipe, sources: Sequence[Header]) -> tuple[tuple[Identity, ...], list[MergeError]]:
    """Identifies every ingredient, and checks that they are of one family; not the VAE file."""
    identities: list[Identity] = []
    problems: list[MergeError] = []
    for ingredient, header in zip(recipe.ingredients, sources, strict=False):
        try:
            identities.append(identify(header.tensors, metadata=header.metadata, where=str(header.path)))
        except MergeError as problem:
            problems.append(problem)
            continue
        if identities[-1].is_vae_only:
            hint = "choose it as the VAE (--vae FILE), not as a model"
            problems.append(
                FamilyError(
                    f"{ingredient.name} contains a VAE and no model", where=str(header.path), hint=hint
                )
            )
    if not problems:
        names = [
            f"{ingredient.name} ({header.name})"
            for ingredient, header in zip(recipe.ingredients, sources, strict=False)
        ]
        try:
            require_same_family(dict(zip(names, identities, strict=True)))
        except MergeError as problem:
            problems.append(problem)
    return tuple(identities), problems
