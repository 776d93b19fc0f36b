"""The supported families, one data file each. To add a family, add a file here and an entry in FAMILIES."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lib_merge.architectures.families.flux import FLUX
from lib_merge.architectures.families.foreign import (
    FOREIGN_FILES,
    LOOKALIKES,
    OTHER_TRANSFORMERS,
    ForeignFile,
)
from lib_merge.architectures.families.sd1 import SD1
from lib_merge.architectures.families.sd2 import SD2
from lib_merge.architectures.families.sd3 import SD3, SD35_LARGE, SD35_MEDIUM
from lib_merge.architectures.families.sdxl import SDXL
from lib_merge.architectures.families.sdxl_refiner import SDXL_REFINER
from lib_merge.architectures.families.vae import VAE_ALONE
from lib_merge.architectures.family import Family


class Families:
    """The families by id, in order: a file that matches several (one text encoder alone) belongs to the
    first."""

    def __init__(self, families: Iterable[Family] = ()) -> None:
        self._families: dict[str, Family] = {}
        for family in families:
            self.add(family)

    def add(self, family: Family) -> None:
        """Add a family; ValueError where its id exists or its data contradict each other."""
        if family.id in self._families:
            raise ValueError(f"two families are called '{family.id}'")
        for problem in family.problems():
            raise ValueError(f"{family.id}: {problem}")
        self._families[family.id] = family

    def get(self, id: str) -> Family | None:
        """The family with that id; None for an unknown id."""
        return self._families.get(id)

    def __iter__(self) -> Iterator[Family]:
        """Iterate over the families in order."""
        return iter(self._families.values())

    def __len__(self) -> int:
        """The number of families."""
        return len(self._families)


DEFAULT_FAMILY = SD1  # shown while no model is selected
FAMILIES = Families(
    (
        SD1,
        SD2,
        SDXL,
        SDXL_REFINER,
        SD3,
        SD35_MEDIUM,
        SD35_LARGE,
        FLUX,
        VAE_ALONE,
    )
)

__all__ = [
    "DEFAULT_FAMILY",
    "FAMILIES",
    "FOREIGN_FILES",
    "LOOKALIKES",
    "OTHER_TRANSFORMERS",
    "Families",
    "ForeignFile",
]
