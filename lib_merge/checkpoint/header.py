"""Headers of checkpoints, which list the tensors: parsed and checked before any tensor is read.

The safetensors layout (github.com/huggingface/safetensors, README, "Format"): eight bytes of
little-endian length N, N bytes of JSON, then the tensors' bytes without gaps or overlaps.
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

from lib_merge.checkpoint.info import TensorInfo
from lib_merge.checkpoint.metadata import has_lone_surrogate
from lib_merge.checkpoint.naming import EqualTensors, JoinedTensor, Naming, with_joined, without_joined
from lib_merge.checkpoint.quantised import refuse_code_dtype, refuse_quantised
from lib_merge.checkpoint.state import FileState
from lib_merge.checkpoint.suffixes import has_suffix
from lib_merge.checkpoint.system_errors import human_size, read_failure
from lib_merge.dtypes import BY_NAME, Dtype
from lib_merge.errors import CheckpointError, did_you_mean

LENGTH_BYTES = 8  # the header's own length, little-endian, at the very beginning
MAX_HEADER = 100_000_000  # bytes; the limit of the safetensors package; real headers stay below 1 MB
MAX_SIZE = 2**63 - 1  # bytes; the largest file offset

ZIP = b"PK\x03\x04"  # torch.save since 1.6
TAR, TAR_AT = b"ustar", 257  # torch.save before 0.2, and the offset of these bytes

COMPARED_AT_ONCE = 1 << 20  # bytes read per step where two tensors of one name are compared

DAMAGED = "the file is damaged: copy or download it again"


@dataclass(frozen=True)
class Header:
    """The tensors of a checkpoint under their canonical keys, and its metadata.

    A canonical key is the name that a family has for a tensor, whatever the file calls it (see `naming`).

    tensors     canonical key -> TensorInfo, in the order of the tensors' bytes in the file
    stored      canonical key -> name in the file, only where the two differ
    joined      canonical key -> the tensors of the file that it is concatenated from, where it is not stored
                itself
    metadata    the strings of `__metadata__`; for a legacy file those that `write_pickle` stored
    data_start  offset of the tensors' bytes (0 for a legacy file)
    aliases     canonical key -> canonical key of the tensor that is read in its place (EMA weights)
    state       of the file when the header was read (see `state`); None where it was not recorded
    """

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    stored: Mapping[str, str] = field(default_factory=dict[str, str])
    file_size: int = 0
    data_start: int = 0
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    state: FileState | None = field(default=None, compare=False)
    joined: Mapping[str, JoinedTensor] = field(default_factory=dict[str, JoinedTensor])

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    def unjoined(self) -> Header:
        """The header with the file's own tensors in place of the joined ones."""
        if not self.joined:
            return self
        return replace(self, tensors=without_joined(self.tensors, self.joined), joined={})


class FileFormat(Enum):
    """The format of a checkpoint, detected by its first bytes; the suffix of its name does not matter."""

    SAFETENSORS = "safetensors"
    ZIP = "a checkpoint of torch.save"
    PICKLE = "a checkpoint of torch.save before torch 1.6"


# Files that are often mistaken for checkpoints: (first bytes, description, hint).
FILE_SIGNATURES = (
    (b"GGUF", "a GGUF file, whose weights are quantised", "use the fp16 safetensors file it was made from"),
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the model itself",
        "run 'git lfs pull' in its folder",
    ),
    (b"<", "a web page", "the download failed, perhaps for lack of a login: download it again"),
    (b'{"', "a server's message in JSON", "the download failed, perhaps for lack of a login: read the file"),
)


def open_file(path: Path) -> BufferedReader:
    """The file, open for reading; CheckpointError where it cannot be opened."""
    try:
        if path.is_dir():
            kind = "Diffusers folder" if (path / "model_index.json").exists() else "folder"
            _refuse(
                path, f"this is a {kind}, not a checkpoint", hint="name the single .safetensors file instead"
            )
        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
            what = "this is a pipe, a socket or a device, not a file"
            _refuse(path, what, hint="save its content to a file first")
        return path.open("rb")
    except (FileNotFoundError, ValueError) as error:  # ValueError: a null byte in the path
        raise _missing_file_error(path) from error
    except OSError as error:
        raise read_failure(error, path) from error


def detect_format(file: BufferedReader, path: Path) -> FileFormat:
    """The format of an open file, by its first bytes; CheckpointError for files of FILE_SIGNATURES."""
    try:
        first = file.read(TAR_AT + len(TAR))
        file.seek(0)
    except OSError as error:
        raise read_failure(error, path) from error
    if first.startswith(ZIP):
        return FileFormat.ZIP
    if first[TAR_AT:] == TAR and first[8:9] != b"{":
        _refuse(path, "this is a tar archive, not a checkpoint", hint="extract the checkpoint in it")
    if first[:1] == b"\x80" and first[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and first[8:9] != b"{":
        return FileFormat.PICKLE
    for prefix, what, hint in FILE_SIGNATURES:
        if first.lstrip().startswith(prefix) and first[8:9] != b"{":
            raise CheckpointError(f"this is {what}", where=str(path), hint=hint)
    return FileFormat.SAFETENSORS


def read_safetensors_header(file: BufferedReader, path: Path, naming: Naming) -> Header:
    """The header of an open safetensors file."""
    try:
        size = file.seek(0, 2)
        file.seek(0)
        raw = file.read(LENGTH_BYTES)
        raw += file.read(_header_length(raw, path, size))
    except OSError as error:
        raise read_failure(error, path) from error
    return parse_safetensors_header(raw, path, size, naming, file)


def parse_safetensors_header(
    raw: bytes, path: Path, file_size: int, naming: Naming, file: BufferedReader | None = None
) -> Header:
    """The header in `raw`, the first bytes of a file of `file_size` bytes: the length and the JSON.

    As strict as the safetensors package, so that an accepted file loads everywhere: the tensors must fill the
    rest of the file without gaps or overlaps, and each must have shape times itemsize bytes. CheckpointError
    otherwise.

    file  the file itself; read only where two of its tensors have the same canonical key
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
    same = None if file is None else _comparison(infos, file, path)
    return build_header(
        infos, path, naming, metadata=metadata, file_size=file_size, data_start=data_start, same=same
    )


def _comparison(infos: Mapping[str, TensorInfo], file: BufferedReader, path: Path) -> EqualTensors:
    """A function that compares two tensors of an open file byte by byte."""

    def equal(one: str, other: str) -> bool:
        first, second = infos[one], infos[other]
        if (first.dtype, first.shape) != (second.dtype, second.shape):
            return False
        try:
            return all(
                _read_at(file, first.start + at, size) == _read_at(file, second.start + at, size)
                for at in range(0, first.nbytes, COMPARED_AT_ONCE)
                for size in (min(COMPARED_AT_ONCE, first.nbytes - at),)
            )
        except OSError as error:
            raise read_failure(error, path) from error

    return equal


def _read_at(file: BufferedReader, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def build_header(
    infos: Mapping[str, TensorInfo],
    path: Path,
    naming: Naming,
    *,
    metadata: Mapping[str, str] | None = None,
    file_size: int = 0,
    data_start: int = 0,
    same: EqualTensors | None = None,
) -> Header:
    """The header of a file with these tensors (by their names in the file), under the keys that `naming`
    gives.

    same  whether two tensors of the file are equal, by their names in it; None where they cannot be compared
    Raises CheckpointError for quantised weights, and the errors of `naming`.
    """
    refuse_quantised(infos, metadata or {}, where=str(path))
    names = naming.names({name: info.shape for name, info in infos.items()}, where=str(path), same=same)
    tensors = {name: infos[stored] for stored, name in names.items()}
    joined = naming.joined(tensors, str(path))
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


def _missing_file_error(path: Path) -> CheckpointError:
    """The error for a missing file, with similar names in its folder as the hint."""
    names: list[str] = []
    with suppress(OSError, ValueError):
        names = [other.name for other in path.parent.iterdir() if has_suffix(other, path.suffix.lower())]
    hint = did_you_mean(path.name, names) or "check the path and the spelling"
    return CheckpointError("there is no such checkpoint", where=str(path), hint=hint)


def _header_length(raw: bytes, path: Path, file_size: int) -> int:
    """N, from the first eight bytes; CheckpointError where the file is too small for it."""
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
            hint="check whether it is a checkpoint; if so, copy or download it again",
        )
    if LENGTH_BYTES + length > file_size:
        _refuse(path, f"the file is cut short: its header takes {length} bytes, the file has {file_size}")
    return length


def _parse_json(text: bytes, path: Path) -> dict[str, object]:
    """The header's JSON object; CheckpointError where it is invalid."""
    if not text.startswith(b"{"):
        _refuse(path, "the header is not JSON: it does not begin with '{'")
    try:
        loaded = cast(
            object,
            json.loads(
                text.decode("utf-8"), object_pairs_hook=_unique_names, parse_constant=_refuse_constant
            ),
        )
    except RecursionError:
        _refuse(path, "the header is not the JSON of a checkpoint: it is nested too deeply")
    except ValueError as error:  # from the UTF-8 decoder, the JSON parser or the two hooks below
        _refuse(path, f"the header is not the JSON of a checkpoint: {error}")
    entries = _as_dict(loaded)
    if entries is None:
        _refuse(path, "the header is not the JSON of a checkpoint: it is not an object")
    return entries


def _unique_names(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    entries: dict[str, object] = {}
    for name, value in pairs:
        if name in entries:
            raise ValueError(f"'{name}' is there twice")
        if has_lone_surrogate(name) or (isinstance(value, str) and has_lone_surrogate(value)):
            raise ValueError(f"'{name}' contains half of a character (a lone surrogate)")
        entries[name] = value
    return entries


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"'{text}' is not JSON")


def _as_dict(value: object) -> dict[str, object] | None:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _parse_metadata(value: object, path: Path) -> dict[str, str]:
    """The value of `__metadata__`: an object of strings, or missing."""
    if value is None:
        return {}
    entries = _as_dict(value)
    if entries is None:
        _refuse(path, "the header's metadata is not an object")
    for name, text in entries.items():
        if not isinstance(text, str):
            _refuse(path, f"the header's metadata has a value that is not text under '{name}'")
    return cast("dict[str, str]", entries)


def _parse_tensor(name: str, value: object, data_start: int, path: Path) -> TensorInfo:
    """A tensor's entry, `{"dtype": "F16", "shape": [320, 4], "data_offsets": [0, 2560]}`, parsed and
    checked."""
    entry = _as_dict(value)
    if entry is None or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        _refuse(path, f"the header lacks dtype, shape or data_offsets of '{name}'")
    dtype = _parse_dtype(name, entry["dtype"], path)
    shape, offsets = _parse_counts(entry["shape"]), _parse_counts(entry["data_offsets"])
    if shape is None:
        _refuse(path, f"the shape of '{name}' is not a list of non-negative integers")
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        _refuse(path, f"the data_offsets of '{name}' are not two integers, begin and end")
    # Axes of length 0 are left out of the product: torch cannot create [0, 2**62, 2**62] either.
    if max(math.prod(axis for axis in shape if axis) * dtype.itemsize, offsets[1]) > MAX_SIZE - data_start:
        _refuse(path, f"the size of '{name}' exceeds that of any file: shape {list(shape)}")
    info = TensorInfo(dtype, shape, data_start + offsets[0])
    if info.nbytes != offsets[1] - offsets[0]:
        _refuse(
            path,
            f"'{name}' should take {info.nbytes} bytes ({dtype.label}, shape {list(shape)}), "
            f"but its data_offsets span {offsets[1] - offsets[0]}",
        )
    return info


def _parse_dtype(name: str, value: object, path: Path) -> Dtype:
    dtype = BY_NAME.get(value) if isinstance(value, str) else None
    if dtype is None:
        refuse_code_dtype(str(value), name, str(path))
        hint = f"known dtypes are {', '.join(BY_NAME)}"
        _refuse(path, f"'{name}' has the unknown dtype '{value}'", hint=hint)
    return dtype


def _parse_counts(value: object) -> tuple[int, ...] | None:
    """A list of non-negative integers; None for anything else (also for true and 1.0)."""
    if not isinstance(value, list):
        return None
    counts = tuple(n for n in cast("list[object]", value) if type(n) is int and n >= 0)
    return counts if len(counts) == len(cast("list[object]", value)) else None


def _check_tiling(infos: Mapping[str, TensorInfo], data_start: int, file_size: int, path: Path) -> None:
    """Check that the tensors, sorted by offset, have no gaps, do not overlap, and end where the file ends."""
    end, previous = data_start, ""
    for name, info in infos.items():
        if info.start > end:
            _refuse(path, f"{info.start - end} bytes before '{name}' belong to no tensor")
        if info.start < end:
            _refuse(path, f"'{previous}' and '{name}' overlap by {end - info.start} bytes")
        end, previous = info.start + info.nbytes, name
    if end > file_size:
        _refuse(
            path,
            f"the file is cut short: it has {human_size(file_size)} of {human_size(end)} "
            f"({end - file_size} bytes are missing)",
        )
    if end < file_size:
        _refuse(path, f"{file_size - end} bytes at the end of the file belong to no tensor")
