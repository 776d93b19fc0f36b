"""The options of an alignment: which groups and layers, how many sweeps, permutations or rotations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from lib_merge.architectures import SYMMETRY_KINDS, Family
from lib_merge.errors import FamilyError, MergeError, RecipeError, did_you_mean

SWEEPS = 20  # it ends by itself when nothing moves any more, most often after two to five


@dataclass(frozen=True)
class Options:
    """The options of an alignment; by default all groups are aligned until nothing moves any more.

    groups      kinds of groups (resblocks, tokens, heads, geglu, embedding, mlp); none stands for all
    layers      slots (IN04, M00, BASE, VAE, ...); none stands for all
    sweeps      the most rounds over all groups
    limit       end after this number of visits; 0 for none. It repeats a search that the user stopped
    seed        of the order in which the groups are visited
    procrustes  rotate the channels within a head by any orthogonal matrix, not by permutations alone
    """

    groups: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    sweeps: int = SWEEPS
    limit: int = 0
    seed: int = 0
    procrustes: bool = False

    def problems(self, where: str = "") -> Iterator[MergeError]:
        """The problems of the options that do not depend on the models."""
        for kind in self.groups:
            if kind not in SYMMETRY_KINDS:
                yield RecipeError(
                    f"there is no group '{kind}' to align",
                    where=where,
                    hint=did_you_mean(kind, SYMMETRY_KINDS),
                )
        for name, least in (("sweeps", 1), ("limit", 0)):
            value = getattr(self, name)
            if value < least:
                yield RecipeError(f"{name} cannot be {value}", where=where, hint=f"{least} or more")

    def problems_with(self, family: Family, variant: str = "", where: str = "") -> Iterator[MergeError]:
        """The problems of the options for models of a family."""
        if not family.symmetries.permutable or variant in family.symmetries.excluded_variants:
            kind = f"{family.title}, {variant}" if variant else family.title
            what = f"Merge Desk does not know which channels of {kind} may be rearranged"
            yield FamilyError(what, where=where, hint="merge these models without aligning them")
            return
        layer_names = (*(slot.id for slot in family.slots), *family.groups)
        for layer in self.layers:
            if layer not in layer_names:
                what = f"{family.title} has no slot '{layer}'"
                yield RecipeError(what, where=where, hint=did_you_mean(layer, layer_names))

    def changed(self) -> dict[str, tuple[str, ...] | int]:
        """The options that differ from their defaults, sorted by name."""
        usual = Options()
        values = {option.name: getattr(self, option.name) for option in fields(self)}
        return {name: values[name] for name in sorted(values) if values[name] != getattr(usual, name)}
