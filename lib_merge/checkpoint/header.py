"""What a checkpoint says about itself before any tensor is read.

The safetensors layout (github.com/huggingface/safetensors, README, "Format"): eight bytes of
little-endian length N, N bytes of JSON, then the tensors' bytes without holes or overlaps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from io import BufferedReader
from pathlib import Path
from typing import NoReturn, cast

from lib_merge.checkpoint.metadata import has_half_characters
from lib_merge.checkpoint.names import Same, canonical_names
from lib_merge.checkpoint.openclip import Joined, joined_in, with_joined, without_joined
from lib_merge.checkpoint.quantised import refuse_format, refuse_quantised
from lib_merge.checkpoint.state import FileState, state_of
from lib_merge.checkpoint.words import human_size, read_failure
from lib_merge.dtypes import BY_NAME, Dtype
from lib_merge.errors import CheckpointError, did_you_mean

LENGTH_BYTES = 8  # the header's own length, little-endian, at the very beginning
MAX_HEADER = 100_000_000  # bytes; the safetensors package refuses more, real headers stay below 1 MB
MAX_SIZE = 2**63 - 1  # bytes; what a file offset can say

ZIP = b"PK\x03\x04"  # torch.save since 1.6
TAR, TAR_AT = b"ustar", 257  # torch.save before 0.2; and where these bytes stand

COMPARED = 1 << 20  # bytes that are compared at once where two tensors mean the same
POSITION_IDS = "position_ids"

DAMAGED = "the file is damaged: copy or download it again"


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a checkpoint.

    dtype  its number format
    shape  its axes; () for a single number
    start  byte offset of its data from the beginning of the file (0 for a legacy file)
    """

    dtype: Dtype
    shape: tuple[int, ...]
    start: int = 0

    @property
    def numel(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes its data takes."""
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True)
class Header:
    """Every tensor of a checkpoint under its canonical name, and the file's metadata.

    tensors     canonical key -> TensorInfo, in the order of their bytes in the file
    stored      canonical key -> the name in the file, only where the two differ
    joined      canonical key -> the tensors of the file that make it, where it is not one of them itself
    metadata    strings from the file; empty for a legacy file
    data_start  where the tensors' bytes begin (0 for a legacy file)
    aliases     canonical key -> the canonical key whose tensor is read in its place (training averages)
    state       of the file when it was read; None where nobody looked
    """

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    stored: Mapping[str, str] = field(default_factory=dict[str, str])
    file_size: int = 0
    data_start: int = 0
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    state: FileState | None = field(default=None, compare=False)
    joined: Mapping[str, Joined] = field(default_factory=dict[str, Joined])

    @property
    def name(self) -> str:
        """What people call this checkpoint: the file's name without its ending."""
        return self.path.stem

    def apart(self) -> Header:
        """The same with the file's own tensors in the place of those that they make."""
        if not self.joined:
            return self
        return replace(self, tensors=without_joined(self.tensors, self.joined), joined={})


class Kind(Enum):
    """What a file is by its first bytes, whatever its name ends in."""

    SAFETENSORS = "safetensors"
    ZIP = "a checkpoint of torch.save"
    PICKLE = "a checkpoint of torch.save before torch 1.6"


# First bytes of files that people take for checkpoints: (bytes, what it is, what to try).
FOREIGN = (
    (b"GGUF", "a GGUF file, whose weights are quantised", "use the fp16 safetensors file it was made from"),
    (b"version https://git-lfs", "a Git LFS pointer, not the model itself", "run 'git lfs pull' beside it"),
    (b"<", "a web page", "the download failed, perhaps for want of a login: download it again"),
    (b'{"', "a server's message in JSON", "the download failed, perhaps for want of a login: read the file"),
)


def read_header(path: Path) -> Header:
    """The header of a checkpoint of any kind; the kind is told by its content, not by its ending.

    A safetensors header is read and checked strictly. A legacy file has no header: what its pickle says
    of its tensors is written down. Neither needs torch.
    """
    with open_file(path) as file:
        state = state_of(file.fileno())
        if kind_of(file, path) is Kind.SAFETENSORS:
            return replace(read_safetensors_header(file, path), state=state)
        from lib_merge.checkpoint.legacy import read_legacy  # which makes its header with this file

        return replace(read_legacy(file, path).header, state=state)


def open_file(path: Path) -> BufferedReader:
    """The file, open for reading; every reason why it cannot be is one CheckpointError."""
    try:
        if path.is_dir():
            kind = "Diffusers folder" if (path / "model_index.json").exists() else "folder"
            _refuse(
                path, f"this is a {kind}, not a checkpoint", hint="name the single .safetensors file instead"
            )
        if path.exists() and not path.is_file():  # opening a pipe would wait for whoever writes into it
            what = "this is a pipe, a socket or a device, not a file"
            _refuse(path, what, hint="save what comes out of it to a file first")
        return path.open("rb")
    except (FileNotFoundError, ValueError) as error:  # ValueError: a zero byte in the path
        raise _not_there(path) from error
    except OSError as error:
        raise read_failure(error, path) from error


def kind_of(file: BufferedReader, path: Path) -> Kind:
    """What the file is by its first bytes; foreign files are refused by name."""
    try:
        first = file.read(TAR_AT + len(TAR))
        file.seek(0)
    except OSError as error:
        raise read_failure(error, path) from error
    if first.startswith(ZIP):
        return Kind.ZIP
    if first[TAR_AT:] == TAR and first[8:9] != b"{":
        _refuse(path, "this is a tar archive, not a checkpoint", hint="unpack it, if a checkpoint is in it")
    if first[:1] == b"\x80" and first[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and first[8:9] != b"{":
        return Kind.PICKLE
    for sign, what, hint in FOREIGN:
        if first.lstrip().startswith(sign) and first[8:9] != b"{":
            raise CheckpointError(f"this is {what}", where=str(path), hint=hint)
    return Kind.SAFETENSORS


def read_safetensors_header(file: BufferedReader, path: Path) -> Header:
    """The header of a safetensors file that is open at its beginning."""
    try:
        size = file.seek(0, 2)
        file.seek(0)
        raw = file.read(LENGTH_BYTES)
        raw += file.read(_header_length(raw, path, size))
    except OSError as error:
        raise read_failure(error, path) from error
    return parse_safetensors_header(raw, path, size, file)


def parse_safetensors_header(
    raw: bytes, path: Path, file_size: int, file: BufferedReader | None = None
) -> Header:
    """The header in `raw`, the beginning of a file of `file_size` bytes: eight bytes and the JSON.

    Checked as strictly as the safetensors package does, so that what is accepted here loads
    everywhere: the tensors must tile the rest of the file, each with shape times itemsize bytes.
    `file` is the file itself, asked only where two of its tensors mean the same.
    """
    length = _header_length(raw, path, file_size)
    if len(raw) < LENGTH_BYTES + length:
        _refuse(path, f"the header is cut short: {len(raw) - LENGTH_BYTES} of its {length} bytes are there")
    entries = _parse_json(raw[LENGTH_BYTES : LENGTH_BYTES + length], path)
    metadata = _parse_metadata(entries.pop("__metadata__", None), path)
    data_start = LENGTH_BYTES + length
    infos = {name: _parse_tensor(name, entry, data_start, path) for name, entry in entries.items()}
    infos = dict(sorted(infos.items(), key=lambda item: (item[1].start, item[1].nbytes, item[0])))
    _check_tiling(infos, data_start, file_size, path)
    same = None if file is None else _same_bytes(infos, file, path)
    return build_header(infos, path, metadata=metadata, file_size=file_size, data_start=data_start, same=same)


def _same_bytes(infos: Mapping[str, TensorInfo], file: BufferedReader, path: Path) -> Same:
    """Compares two tensors of an open file; counting buffers are equal whatever their number format."""

    def same(one: str, other: str) -> bool:
        if one.endswith(POSITION_IDS) and other.endswith(POSITION_IDS):
            return infos[one].shape == infos[other].shape
        first, second = infos[one], infos[other]
        if (first.dtype, first.shape) != (second.dtype, second.shape):
            return False
        try:
            return all(
                _read_at(file, first.start + place, size) == _read_at(file, second.start + place, size)
                for place in range(0, first.nbytes, COMPARED)
                for size in (min(COMPARED, first.nbytes - place),)
            )
        except OSError as error:
            raise read_failure(error, path) from error

    return same


def _read_at(file: BufferedReader, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def build_header(
    infos: Mapping[str, TensorInfo],
    path: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    file_size: int = 0,
    data_start: int = 0,
    same: Same | None = None,
) -> Header:
    """A header from tensors under their stored names, which become canonical.

    same  whether two stored tensors are equal (see `canonical_names`)
    """
    refuse_quantised(infos, metadata or {}, where=str(path))
    names = canonical_names({name: info.shape for name, info in infos.items()}, where=str(path), same=same)
    tensors = {name: infos[stored] for stored, name in names.items()}
    joined = joined_in(tensors, str(path))
    return Header(
        path=path,
        tensors=with_joined(tensors, joined) if joined else tensors,
        metadata=metadata or {},
        stored={name: stored for stored, name in names.items() if name != stored},
        file_size=file_size,
        data_start=data_start,
        joined=joined,
    )


def _refuse(path: Path, what: str, *, hint: str = DAMAGED) -> NoReturn:
    raise CheckpointError(what, where=str(path), hint=hint)


def _not_there(path: Path) -> CheckpointError:
    """The error for a missing file, with the names that its folder has instead."""
    beside: list[str] = []
    with suppress(OSError, ValueError):
        beside = [other.name for other in path.parent.iterdir() if other.suffix == path.suffix]
    hint = did_you_mean(path.name, beside) or "check the path and the spelling"
    return CheckpointError("there is no such checkpoint", where=str(path), hint=hint)


def _header_length(raw: bytes, path: Path, file_size: int) -> int:
    """N, from the first eight bytes; refused where no file of this size can have such a header."""
    if file_size == 0:
        _refuse(path, "the file is empty")
    if file_size < LENGTH_BYTES or len(raw) < LENGTH_BYTES:
        _refuse(path, f"the file is cut short: it has {file_size} bytes, too few for any checkpoint")
    length = int.from_bytes(raw[:LENGTH_BYTES], "little")
    if length > MAX_HEADER:
        _refuse(
            path,
            f"this is not a safetensors file: its header would take {human_size(length)}, more than the "
            f"{human_size(MAX_HEADER)} that are allowed",
            hint="check what the file is; if it should be a checkpoint, copy or download it again",
        )
    if LENGTH_BYTES + length > file_size:
        _refuse(path, f"the file is cut short: its header takes {length} bytes, the file has {file_size}")
    return length


def _parse_json(text: bytes, path: Path) -> dict[str, object]:
    """The header's JSON as a dictionary; every defect of it is one CheckpointError."""
    if not text.startswith(b"{"):
        _refuse(path, "the header is not JSON: it does not begin with '{'")
    try:
        loaded = cast(
            object,
            json.loads(text.decode("utf-8"), object_pairs_hook=_without_doubles, parse_constant=_no_constant),
        )
    except RecursionError:
        _refuse(path, "the header is not the JSON of a checkpoint: it is nested too deeply")
    except ValueError as error:  # of the decoder, of the JSON, or of the two hooks below
        _refuse(path, f"the header is not the JSON of a checkpoint: {error}")
    entries = _as_dict(loaded)
    if entries is None:
        _refuse(path, "the header is not the JSON of a checkpoint: it is no dictionary")
    return entries


def _without_doubles(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"'{name}' is there twice")
        if has_half_characters(name) or (isinstance(value, str) and has_half_characters(value)):
            raise ValueError(f"half of a character stands in '{name}'")
        found[name] = value
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"'{text}' is no JSON")


def _as_dict(value: object) -> dict[str, object] | None:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _parse_metadata(value: object, path: Path) -> dict[str, str]:
    """`__metadata__`: strings under strings, or nothing at all."""
    if value is None:
        return {}
    entries = _as_dict(value)
    if entries is None:
        _refuse(path, "the header's metadata is no dictionary")
    for name, text in entries.items():
        if not isinstance(text, str):
            _refuse(path, f"the header's metadata holds something other than text under '{name}'")
    return cast("dict[str, str]", entries)


def _parse_tensor(name: str, value: object, data_start: int, path: Path) -> TensorInfo:
    """One entry, `{"dtype": "F16", "shape": [320, 4], "data_offsets": [0, 2560]}`, checked by itself."""
    entry = _as_dict(value)
    if entry is None or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        _refuse(path, f"the header does not say dtype, shape and data_offsets of '{name}'")
    dtype = _parse_dtype(name, entry["dtype"], path)
    shape, offsets = _parse_counts(entry["shape"]), _parse_counts(entry["data_offsets"])
    if shape is None:
        _refuse(path, f"the shape of '{name}' is not a list of whole numbers")
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        _refuse(path, f"the data_offsets of '{name}' are not two whole numbers, begin and end")
    # Axes of no length are left out here: torch cannot make [0, 2**62, 2**62] either.
    if max(math.prod(axis for axis in shape if axis) * dtype.itemsize, offsets[1]) > MAX_SIZE - data_start:
        _refuse(path, f"the size of '{name}' is beyond what any file can hold: shape {list(shape)}")
    info = TensorInfo(dtype, shape, data_start + offsets[0])
    if info.nbytes != offsets[1] - offsets[0]:
        _refuse(
            path,
            f"'{name}' should take {info.nbytes} bytes ({dtype.label}, shape {list(shape)}), "
            f"the header gives it {offsets[1] - offsets[0]}",
        )
    return info


def _parse_dtype(name: str, value: object, path: Path) -> Dtype:
    dtype = BY_NAME.get(value) if isinstance(value, str) else None
    if dtype is None:
        refuse_format(str(value), name, str(path))
        known = f"known are {', '.join(BY_NAME)}"
        _refuse(path, f"'{name}' has the number format '{value}', which is not known", hint=known)
    return dtype


def _parse_counts(value: object) -> tuple[int, ...] | None:
    """A list of whole numbers from 0 on; None for anything else (true and 1.0 are no numbers here)."""
    if not isinstance(value, list):
        return None
    counts = tuple(n for n in cast("list[object]", value) if type(n) is int and n >= 0)
    return counts if len(counts) == len(cast("list[object]", value)) else None


def _check_tiling(infos: Mapping[str, TensorInfo], data_start: int, file_size: int, path: Path) -> None:
    """That the tensors, sorted by where they begin, leave no hole, do not overlap, and end with the file."""
    end, before = data_start, ""
    for name, info in infos.items():
        if info.start > end:
            _refuse(path, f"{info.start - end} bytes before '{name}' belong to no tensor")
        if info.start < end:
            _refuse(path, f"'{before}' and '{name}' overlap by {end - info.start} bytes")
        end, before = info.start + info.nbytes, name
    if end > file_size:
        _refuse(
            path,
            f"the file is cut short: {human_size(file_size)} are there, {human_size(end)} should be "
            f"({end - file_size} bytes are missing)",
        )
    if end < file_size:
        _refuse(path, f"{file_size - end} bytes at the end of the file belong to no tensor")
