"""Checkpoints of `torch.save` (.ckpt, .pt, .pth), read without executing the code that pickles may contain.

There are two containers. Since torch 1.6 it is a zip: the pickle `NAME/data.pkl` describes the tensors, and
`NAME/data/0`, `NAME/data/1` ... are their storages, not compressed (torch/serialization.py and
caffe2/serialize/inline_container.h). Before, it was a sequence of pickles: a magic number, a version, system
information, the object, the keys of the storages; then each storage after its length. torch.load is not
called (before 2.6 even its weights_only mode could execute code, CVE-2025-32434), and no option allows it:
see `unpickle`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from lib_merge.checkpoint.header import ZIP, Header, build_header
from lib_merge.checkpoint.info import TensorInfo
from lib_merge.checkpoint.legacy_contents import (
    SAFER,
    STORAGES,
    UNTYPED,
    Contents,
    refuse,
    refuse_damaged,
    refuse_kind,
)
from lib_merge.checkpoint.legacy_stream import read_stream
from lib_merge.checkpoint.legacy_tensors import TensorLocation, extent
from lib_merge.checkpoint.legacy_zip import read_zip
from lib_merge.checkpoint.metadata import has_lone_surrogate
from lib_merge.checkpoint.naming import Naming
from lib_merge.checkpoint.pickle_values import (
    ARRAY,
    BrokenPickleError,
    Inert,
    ProgramError,
    Rebuilt,
    Unmergeable,
)
from lib_merge.checkpoint.system_errors import read_failure
from lib_merge.dtypes import BY_TORCH_NAME
from lib_merge.errors import CheckpointError

# Keys of the state dict in a trainer's checkpoint, beside epoch, optimizer_states, callbacks,
# hyper_parameters.
WRAPPERS = ("state_dict", "model")
BARE_WRAPPERS = ("model_state_dict", "module", "params")  # only where no tensor is at the same level
MAX_NESTING = 4  # nested wrappers; two occur in practice

MAX_EXPANSION = 64 << 20  # bytes by which a tensor may exceed the file's size, by a stride of 0 (expand)


@dataclass(frozen=True)
class LegacyFile:
    """A legacy file's header, and the locations of its tensors by the keys of `header.unjoined()`."""

    header: Header
    locations: Mapping[str, TensorLocation]


def read_legacy(file: io.BufferedReader, path: Path, naming: Naming) -> LegacyFile:
    """The header and tensor locations of an open legacy file; no tensor's data is read.

    Raises CheckpointError for a file that is damaged, is not a checkpoint, or whose pickle calls functions
    that an ordinary unpickler would execute.
    """
    try:
        contents = read_zip(file, path) if _first_bytes(file) == ZIP else read_stream(file, path)
    except ProgramError as error:
        what = f"this file is refused, because loading it would run code: its pickle calls '{error}'"
        raise CheckpointError(what, where=str(path), hint=SAFER) from error
    except BrokenPickleError as error:
        refuse_damaged(str(error), path, error)
    except MemoryError as error:
        refuse("there is not enough memory to read this file", path, cause=error)
    except OSError as error:
        raise read_failure(error, path) from error
    return _legacy_file(contents, file, path, naming)


def _first_bytes(file: io.BufferedReader) -> bytes:
    file.seek(0)
    first = file.read(len(ZIP))
    file.seek(0)
    return first


def _legacy_file(contents: Contents, file: io.BufferedReader, path: Path, naming: Naming) -> LegacyFile:
    """The file's header and tensor locations, from the unpickled state dict."""
    size = file.seek(0, io.SEEK_END)
    weights = _state_dict(contents.loaded, path)
    locations: dict[str, TensorLocation] = {}
    for name, value in weights.items():
        if isinstance(value, (Rebuilt, Unmergeable)):
            _check_name(name, path)
            locations[name] = _locate(name, value, contents.spans, size, path)
    if not locations:
        has_arrays = ARRAY in weights.values()
        refuse(
            f"this file contains no named tensors{' (it contains NumPy arrays)' if has_arrays else ''}", path
        )
    infos = {name: TensorInfo(location.dtype, location.shape) for name, location in locations.items()}
    header = build_header(infos, path, naming, metadata=_metadata(contents.loaded), file_size=size)
    stored = {key: header.stored.get(key, key) for key in header.unjoined().tensors}
    return LegacyFile(header, {key: locations[name] for key, name in stored.items()})


def _locate(
    name: str, tensor: Rebuilt | Unmergeable, spans: Mapping[str, tuple[int, int]], size: int, path: Path
) -> TensorLocation:
    """A tensor's location; CheckpointError for one that cannot be merged or exceeds its storage."""
    if isinstance(tensor, Unmergeable):
        refuse_kind(name, tensor.kind, path)
    storage_class = tensor.storage.kind.lstrip("_")
    dtype_name = tensor.dtype or STORAGES.get(storage_class, storage_class)
    dtype = BY_TORCH_NAME.get(dtype_name)
    if dtype is None:
        refuse_kind(name, dtype_name, path)
    if tensor.dtype and storage_class != UNTYPED:
        refuse_damaged(f"'{name}' has two dtypes", path)
    begin, end = spans.get(tensor.storage.key, (0, 0))
    start = begin + (tensor.storage.base + tensor.offset) * dtype.itemsize
    if start + extent(tensor.shape, tensor.stride) * dtype.itemsize > min(end, size):
        refuse_damaged(f"'{name}' is cut short: it extends beyond its storage", path)
    location = TensorLocation(dtype, start, tensor.shape, tensor.stride)
    if math.prod(location.shape) * dtype.itemsize > size + MAX_EXPANSION:
        refuse(f"'{name}' would take more than the file itself: shape {list(location.shape)}", path)
    return location


def _state_dict(loaded: object, path: Path) -> Mapping[str, object]:
    """The state dict, which trainers nest in other dictionaries."""
    for _ in range(MAX_NESTING):
        entries = cast("dict[str, object]", loaded) if isinstance(loaded, dict) else {}
        bare = not any(isinstance(value, (Rebuilt, Unmergeable)) for value in entries.values())
        wrappers = (*WRAPPERS, *BARE_WRAPPERS) if bare else WRAPPERS
        inner = next((entries[key] for key in wrappers if _is_wrapper(entries, key)), None)
        if inner is None:
            break
        loaded = inner
    if not isinstance(loaded, dict):
        what = _describe(loaded)
        refuse(f"this file contains no named tensors, but {what}", path)
    return cast("dict[str, object]", loaded)


def _describe(loaded: object) -> str:
    """The type of an object for an error message."""
    if isinstance(loaded, (Rebuilt, Unmergeable)):
        return "a Tensor"
    return "an object" if isinstance(loaded, Inert) else f"a {type(loaded).__name__}"


def _is_wrapper(entries: Mapping[str, object], key: str) -> bool:
    """Whether this key's value is a dictionary that is not empty."""
    inner = entries.get(key)
    return isinstance(inner, dict) and len(cast("dict[str, object]", inner)) > 0


def _metadata(loaded: object) -> dict[str, str]:
    """The strings of the dictionary `metadata`, which only this program's `write_pickle` writes."""
    metadata = cast("dict[str, object]", loaded).get("metadata") if isinstance(loaded, dict) else None
    if not isinstance(metadata, dict):
        return {}
    entries = cast("dict[str, object]", metadata).items()
    return {
        name: text
        for name, text in entries
        if isinstance(text, str) and not has_lone_surrogate(name) and not has_lone_surrogate(text)
    }


def _check_name(name: str, path: Path) -> None:
    if has_lone_surrogate(name):
        refuse_damaged("a tensor's name contains half of a character (a lone surrogate)", path)
