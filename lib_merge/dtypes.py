"""Dtypes: their names in files, on the command line and in torch, and their sizes.

Nothing here imports torch before `to_torch` is called, so that a process can read headers, plans and recipes
without loading torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Dtype:
    """One dtype.

    name      as a safetensors header spells it: "BF16"
    label     as messages and the command line spell it: "bf16"
    torch     the attribute of the torch module: "bfloat16"
    itemsize  bytes per element
    floating  whether it is a floating-point dtype; only these are merged
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

ALL_DTYPES = (
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
BY_NAME = {dtype.name: dtype for dtype in ALL_DTYPES}
BY_TORCH_NAME = {dtype.torch: dtype for dtype in ALL_DTYPES}

# The dtypes that a merge can be saved as, by their labels; None in the library stands for `source`, A's own.
# The two fp8 dtypes are for the U-Net's matrices only; the other tensors of such a file are saved as fp16.
SAVEABLE = {dtype.label: dtype for dtype in (F16, BF16, F32, F8_E4M3, F8_E5M2)}
EIGHT_BITS = (F8_E4M3, F8_E5M2)
SOURCE = "source"


def to_torch(dtype: Dtype) -> torch.dtype:
    """The torch dtype of that name; AttributeError where this torch has none."""
    import torch

    return getattr(torch, dtype.torch)


def from_torch(dtype: torch.dtype) -> Dtype | None:
    """The `Dtype` of a torch dtype; None for one that safetensors files cannot hold."""
    return BY_TORCH_NAME.get(str(dtype).removeprefix("torch."))
