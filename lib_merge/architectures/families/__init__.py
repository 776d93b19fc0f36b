"""Families of models, a data file each; a new family is a new file here and its line in FAMILIES."""

from __future__ import annotations

from lib_merge.architectures.families.flux import FLUX
from lib_merge.architectures.families.foreign import FOREIGN, LOOKALIKES, NATIVE, Foreign
from lib_merge.architectures.families.sd1 import SD1
from lib_merge.architectures.families.sd2 import SD2
from lib_merge.architectures.families.sd3 import SD3, SD35_LARGE, SD35_MEDIUM
from lib_merge.architectures.families.sdxl import SDXL
from lib_merge.architectures.families.sdxl_refiner import SDXL_REFINER
from lib_merge.architectures.families.vae import VAE_ALONE
from lib_merge.architectures.family import Family

# Where a file fits several (one text encoder alone), the first one counts.
FAMILIES: tuple[Family, ...] = (
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

__all__ = ["FAMILIES", "FOREIGN", "LOOKALIKES", "NATIVE", "Foreign"]
