"""Shared by the readers of both legacy containers: the unpickled object, its storages, and their errors."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from lib_merge.checkpoint.pickle_values import Storage, load_persistent
from lib_merge.checkpoint.unpickle import unpickle
from lib_merge.dtypes import BY_TORCH_NAME
from lib_merge.errors import CheckpointError

SAFER = "use the .safetensors version of this model"
AGAIN = "use the .safetensors version of this model, or download it again"

# Storage class of torch -> name of its dtype in torch.
STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",  # as _UntypedStorage in torch 1.13
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
}
UNTYPED = "UntypedStorage"


@dataclass(frozen=True)
class Contents:
    """A container's unpickled object, and storage key -> (first byte, end) of each storage in the file."""

    loaded: object
    spans: Mapping[str, tuple[int, int]]


def unpickle_one(stream: io.BytesIO) -> tuple[object, dict[str, Storage]]:
    """The object of the next pickle in the stream, and the storages that it refers to, by their keys."""
    storages: dict[str, Storage] = {}

    def persistent(persistent_id: object) -> object:
        loaded = load_persistent(persistent_id)
        if isinstance(loaded, Storage):
            storages[loaded.key] = loaded
        return loaded

    return unpickle(stream, persistent), storages


def itemsize(kind: str) -> int:
    """Bytes per element of a storage class; 0 for an unknown class."""
    dtype = STORAGES.get(kind.lstrip("_"), "")
    sizes = {"complex64": 8, "complex128": 16, "qint8": 1, "quint8": 1, "qint32": 4}
    return BY_TORCH_NAME[dtype].itemsize if dtype in BY_TORCH_NAME else sizes.get(dtype, 0)


def refuse(what: str, path: Path, hint: str = SAFER, cause: Exception | None = None) -> NoReturn:
    """Raise the CheckpointError for a file that cannot be read."""
    raise CheckpointError(what, where=str(path), hint=hint) from cause


def refuse_kind(name: str, kind: str, path: Path) -> NoReturn:
    """Raise the CheckpointError for a tensor that cannot be merged."""
    refuse(f"'{name}' is of a kind that cannot be merged: {kind}", path)


def refuse_damaged(why: str, path: Path, cause: Exception | None = None) -> NoReturn:
    """Raise the CheckpointError for a file that is damaged or not a checkpoint."""
    refuse(f"this file is damaged or not a checkpoint: {why[:200]}", path, AGAIN, cause)
