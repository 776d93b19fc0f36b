"""Number formats: their names in files and on the command line, their sizes, their torch kin.

Nothing here imports torch until a tensor is really wanted, so that headers, plans and recipes
can be read by a process that never loads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.errors import RecipeError, did_you_mean

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Dtype:
    """One number format.

    name      as a safetensors header spells it
    label     as a person says it, and as the command line takes it
    torch     attribute of the torch module
    itemsize  bytes an element
    floating  whether arithmetic makes sense on it
    """

    name: str
    label: str
    torch: str
    itemsize: int
    floating: bool


F64 = Dtype("F64", "fp64", "float64", 8, True)
F32 = Dtype("F32", "fp32", "float32", 4, True)
F16 = Dtype("F16", "fp16", "float16", 2, True)
BF16 = Dtype("BF16", "bf16", "bfloat16", 2, True)
F8_E4M3 = Dtype("F8_E4M3", "fp8-e4m3", "float8_e4m3fn", 1, True)
F8_E5M2 = Dtype("F8_E5M2", "fp8-e5m2", "float8_e5m2", 1, True)
I64 = Dtype("I64", "int64", "int64", 8, False)

EVERY_DTYPE = (
    F64,
    F32,
    F16,
    BF16,
    F8_E4M3,
    F8_E5M2,
    I64,
    Dtype("I32", "int32", "int32", 4, False),
    Dtype("I16", "int16", "int16", 2, False),
    Dtype("I8", "int8", "int8", 1, False),
    Dtype("U8", "uint8", "uint8", 1, False),
    Dtype("U16", "uint16", "uint16", 2, False),
    Dtype("U32", "uint32", "uint32", 4, False),
    Dtype("U64", "uint64", "uint64", 8, False),
    Dtype("BOOL", "bool", "bool", 1, False),
)
BY_NAME = {dtype.name: dtype for dtype in EVERY_DTYPE}
BY_TORCH_NAME = {dtype.torch: dtype for dtype in EVERY_DTYPE}

# What a merge can be saved as; `source` (keep what A has) is spelled None in the library.
# The two of eight bits are for the U-Net's matrices; the rest of such a file is fp16.
SAVEABLE = {dtype.label: dtype for dtype in (F16, BF16, F32, F8_E4M3, F8_E5M2)}
EIGHT_BITS = (F8_E4M3, F8_E5M2)
SOURCE = "source"


def parse_save_dtype(text: str) -> Dtype | None:
    """A label of SAVEABLE, or `source` (None: every tensor keeps the format that A has)."""
    if text == SOURCE:
        return None
    if text in SAVEABLE:
        return SAVEABLE[text]
    raise RecipeError(f"a merge cannot be saved as '{text}'", hint=did_you_mean(text, [*SAVEABLE, SOURCE]))


def to_torch(dtype: Dtype) -> torch.dtype:
    """The torch dtype of a number format."""
    import torch

    return getattr(torch, dtype.torch)


def from_torch(dtype: torch.dtype) -> Dtype | None:
    """The number format of a torch dtype, or None where a file has no name for it."""
    return BY_TORCH_NAME.get(str(dtype).removeprefix("torch."))
