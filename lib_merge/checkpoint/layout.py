"""Where every byte of a safetensors file will lie, decided before the first one is written.

The same tensors and metadata give the same bytes, whatever order they are named in. (The safetensors
package writes metadata in an order that changes from process to process.) Tensors lie by descending
item size, then by name, without holes: so each is aligned to its own item size, since the data begins
at a multiple of eight.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib_merge.checkpoint.header import LENGTH_BYTES, MAX_HEADER
from lib_merge.checkpoint.words import human_size
from lib_merge.dtypes import Dtype
from lib_merge.errors import OutputError

# One tensor to write: its key, its number format, its axes.
TensorSpec = tuple[str, Dtype, tuple[int, ...]]

ALIGNMENT = 8  # bytes; the header is padded with spaces to it, as the safetensors package does


@dataclass(frozen=True)
class Layout:
    """A file before it is written.

    header  its first bytes: the length and the JSON
    spans   key -> (where its data begins in the file, how many bytes it takes)
    size    of the whole file in bytes
    """

    header: bytes
    spans: Mapping[str, tuple[int, int]]
    size: int


def plan_layout(
    tensors: Sequence[TensorSpec], metadata: Mapping[str, str], *, header_size: int = 0
) -> Layout:
    """The layout of a file with these tensors and this metadata.

    header_size  bytes that the header takes at least, padded with spaces: room for metadata that comes later
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
    return Layout(header, placed, len(header) + end)


def _check_contents(tensors: Sequence[TensorSpec], metadata: Mapping[str, str]) -> None:
    """Refuses what would make a file that nobody can read; a caller's mistake, not a user's."""
    keys = [key for key, _, _ in tensors]
    if len(set(keys)) < len(keys) or "__metadata__" in keys:
        raise ValueError("tensors need names of their own, and '__metadata__' is taken")
    if any(axis < 0 for _, _, shape in tensors for axis in shape):
        raise ValueError("an axis cannot be negative")
    if not all(isinstance(text, str) for item in metadata.items() for text in item):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("metadata is text under text: see metadata.encode_metadata")


def _header_bytes(entries: Mapping[str, object], size: int) -> bytes:
    """Eight bytes of length, then the JSON with `__metadata__` first, padded to a multiple of eight."""
    try:
        text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError as error:
        raise OutputError(
            "the metadata holds half a character, which no file can store",
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
