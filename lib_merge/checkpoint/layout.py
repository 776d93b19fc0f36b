"""The layout of a safetensors file: its header and the offset of every tensor, computed before writing
begins.

The same tensors and metadata give the same bytes, in whatever order they are passed. (The safetensors package
writes metadata in an order that changes from process to process.) Tensors are sorted by descending item size,
then by name, without gaps; since the data begins at a multiple of eight, each is aligned to its item size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib_merge.checkpoint.header import LENGTH_BYTES, MAX_HEADER
from lib_merge.checkpoint.system_errors import human_size
from lib_merge.dtypes import Dtype
from lib_merge.errors import OutputError

# A tensor to write: (key, dtype, shape).
TensorSpec = tuple[str, Dtype, tuple[int, ...]]

ALIGNMENT = 8  # bytes; the header is padded with spaces to a multiple, as by the safetensors package


@dataclass(frozen=True)
class FileLayout:
    """The layout of a safetensors file.

    header  its first bytes: the length and the JSON
    spans   key -> (byte offset of the data in the file, its size in bytes)
    size    size of the whole file in bytes
    """

    header: bytes
    spans: Mapping[str, tuple[int, int]]
    size: int


def plan_layout(
    tensors: Sequence[TensorSpec], metadata: Mapping[str, str], *, header_size: int = 0
) -> FileLayout:
    """The layout of a file with these tensors and this metadata.

    header_size  minimum size of the header in bytes, padded with spaces: reserved for metadata that is added
                 later
    """
    _check_contents(tensors, metadata)
    entries: dict[str, object] = {}
    if metadata:
        entries["__metadata__"] = {name: metadata[name] for name in sorted(metadata)}
    spans: dict[str, tuple[int, int]] = {}
    end = 0
    for key, dtype, shape in sorted(tensors, key=lambda spec: (-spec[1].itemsize, spec[0])):
        nbytes = math.prod(shape) * dtype.itemsize
        entries[key] = {"dtype": dtype.name, "shape": list(shape), "data_offsets": [end, end + nbytes]}
        spans[key] = (end, nbytes)
        end += nbytes
    header = _header_bytes(entries, header_size)
    placed = {key: (len(header) + begin, nbytes) for key, (begin, nbytes) in spans.items()}
    return FileLayout(header, placed, len(header) + end)


def _check_contents(tensors: Sequence[TensorSpec], metadata: Mapping[str, str]) -> None:
    """Raise ValueError for tensors or metadata that safetensors cannot store: an error of the caller."""
    keys = [key for key, _, _ in tensors]
    if len(set(keys)) < len(keys) or "__metadata__" in keys:
        raise ValueError("tensors need distinct names, and '__metadata__' is reserved")
    if any(axis < 0 for _, _, shape in tensors for axis in shape):
        raise ValueError("an axis cannot be negative")
    texts = (text for item in metadata.items() for text in item)
    if not all(isinstance(text, str) for text in texts):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("names and values of metadata must be text: see metadata.encode_metadata")


def _header_bytes(entries: Mapping[str, object], size: int) -> bytes:
    """Eight bytes of length, then the JSON with `__metadata__` first, padded to a multiple of eight."""
    try:
        text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError as error:
        raise OutputError(
            "the metadata contains half of a character (a lone surrogate), which cannot be stored",
            where=repr(error.object[max(error.start - 20, 0) : error.end + 20]),
            hint="type that text again",
        ) from error
    text += b" " * (-len(text) % ALIGNMENT)
    text = text.ljust(size - LENGTH_BYTES)
    if len(text) > MAX_HEADER:
        raise OutputError(
            f"the header would take {human_size(len(text))}, more than the {human_size(MAX_HEADER)} "
            "that a safetensors file may have",
            hint="store less metadata",
        )
    return len(text).to_bytes(LENGTH_BYTES, "little") + text
