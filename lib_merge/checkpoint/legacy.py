"""Checkpoints of `torch.save` (.ckpt, .pt, .pth), read without ever running what is pickled in them.

Two containers are read. Since torch 1.6 it is a zip: `NAME/data.pkl` says what tensors there are, and
`NAME/data/0`, `NAME/data/1` ... are their numbers, not compressed (torch/serialization.py and
caffe2/serialize/inline_container.h). Before, it was a row of pickles: a magic number, a version, the
machine, the object, the keys of the storages; then each storage, its length before it. torch.load is
not called (before 2.6 it ran programs in disguise, CVE-2025-32434), and there is no switch that lets
anything run: see `unpickle`.
"""

from __future__ import annotations

import io
import math
import mmap
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from lib_merge.checkpoint.header import ZIP, Header, TensorInfo, build_header
from lib_merge.checkpoint.metadata import has_half_characters
from lib_merge.checkpoint.state import changed
from lib_merge.checkpoint.unpickle import (
    ARRAY,
    MAX_PICKLE,
    BrokenPickleError,
    Inert,
    ProgramError,
    Rebuilt,
    Storage,
    Unmergeable,
    storage_of,
    unpickle,
)
from lib_merge.checkpoint.words import human_size, read_failure
from lib_merge.dtypes import BY_TORCH_NAME, Dtype
from lib_merge.errors import CheckpointError

if TYPE_CHECKING:
    import torch

SAFER = "use the .safetensors version of this model"
AGAIN = f"{SAFER}, or download it again"

# Where trainers put the weights, the rest being epoch, optimizer_states, callbacks, hyper_parameters.
WRAPPERS = ("state_dict", "model")
BARE_WRAPPERS = ("model_state_dict", "module", "params")  # where no tensor lies beside them
MAX_NESTING = 4  # wrappers within wrappers; two have been seen

# Storage class -> the name of its numbers' format in torch.
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

# Before torch 1.6.
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
LENGTH = struct.Struct("<q")  # of a storage, in numbers

# Since torch 1.6.
VERSIONS = range(1, 11)  # caffe2/serialize/versions.h; tensors are stored alike in all
MAX_DIRECTORY = 16 << 20  # bytes of a zip's directory; 12,000 tensors take 1.5 MB
MAX_NOTE = 32  # bytes of the records `version` and `byteorder`
LOCAL = struct.Struct("<4s22xHH")  # before a record's data: "PK\3\4", lengths of its name and its extra field
ENCRYPTED = 0x1

SPREAD = 64 << 20  # bytes that a tensor may take beyond the file's own size, by repeating its numbers


@dataclass(frozen=True)
class Place:
    """Where a tensor's numbers lie.

    dtype           its number format
    start           byte of the file at which its first number lies
    shape, stride   its axes, and how many numbers lie from one to the next along each
    """

    dtype: Dtype
    start: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def reach(self) -> int:
        """How many numbers lie from its first to its last."""
        return reach(self.shape, self.stride)


@dataclass(frozen=True)
class LegacyFile:
    """What a legacy file holds, and where the tensors lie, by the keys of `header.apart()`."""

    header: Header
    places: Mapping[str, Place]


class MappedTensors(Mapping[str, "torch.Tensor"]):
    """The tensors of a legacy file, each a view of the mapped file, made when it is asked for."""

    def __init__(self, places: Mapping[str, Place], mapping: mmap.mmap, path: Path) -> None:
        self._places, self._mapping, self._path = places, mapping, path

    def check(self) -> None:
        """CheckpointError where the file has been cut short since it was mapped."""
        if self._mapping.size() < len(self._mapping):
            raise changed(self._path)

    def __getitem__(self, key: str) -> torch.Tensor:
        """The tensor as it was saved, which may be a strided view; a copy where it is not aligned."""
        import torch

        place = self._places[key]
        dtype = getattr(torch, place.dtype.torch, None)
        if dtype is None:
            raise CheckpointError(
                f"torch {torch.__version__} has no number format {place.dtype.label}, which '{key}' is in",
                where=str(self._path),
                hint="use a newer torch, or leave this tensor out",
            )
        if place.reach == 0:
            return torch.empty(place.shape, dtype=dtype)
        self.check()
        if place.start % place.dtype.itemsize == 0:
            flat = torch.frombuffer(self._mapping, dtype=dtype, count=place.reach, offset=place.start)
        else:
            nbytes = place.reach * place.dtype.itemsize
            raw = torch.frombuffer(self._mapping, dtype=torch.uint8, count=nbytes, offset=place.start)
            flat = raw.clone().view(dtype)
        return flat.as_strided(place.shape, place.stride)

    def __iter__(self) -> Iterator[str]:
        """The canonical keys."""
        return iter(self._places)

    def __len__(self) -> int:
        """How many tensors there are."""
        return len(self._places)


@dataclass(frozen=True)
class _Contents:
    """A container read: the object in it, and where each storage begins and ends, by its key."""

    loaded: object
    spans: Mapping[str, tuple[int, int]]


def read_legacy(file: io.BufferedReader, path: Path) -> LegacyFile:
    """What a legacy file, open for reading, holds; no number of its tensors is read.

    Raises CheckpointError for whatever is no checkpoint, is damaged, or would be run by an ordinary
    unpickler.
    """
    try:
        contents = _read_zip(file, path) if _begins(file) == ZIP else _read_stream(file, path)
    except ProgramError as error:
        what = f"this file is refused, because reading it would run code: it asks for '{error}'"
        raise CheckpointError(what, where=str(path), hint=SAFER) from error
    except BrokenPickleError as error:
        _refuse_damaged(str(error), path, error)
    except MemoryError as error:
        _refuse("there is not enough memory to read this file", path, cause=error)
    except OSError as error:
        raise read_failure(error, path) from error
    return _legacy_file(contents, file, path)


def _begins(file: io.BufferedReader) -> bytes:
    file.seek(0)
    first = file.read(len(ZIP))
    file.seek(0)
    return first


def _legacy_file(contents: _Contents, file: io.BufferedReader, path: Path) -> LegacyFile:
    """The file's header, made from the tensors among its weights."""
    size = file.seek(0, io.SEEK_END)
    weights = _state_dict(contents.loaded, path)
    found: dict[str, Place] = {}
    for name, value in weights.items():
        if isinstance(value, (Rebuilt, Unmergeable)):
            _check_name(name, path)
            found[name] = _place(name, value, contents.spans, size, path)
    if not found:
        arrays = " (it holds arrays of numpy)" if ARRAY in weights.values() else ""
        _refuse(f"this file holds no named tensors{arrays}", path)
    infos = {name: TensorInfo(place.dtype, place.shape) for name, place in found.items()}
    header = build_header(infos, path, metadata=_metadata(contents.loaded), file_size=size)
    return LegacyFile(header, {key: found[header.stored.get(key, key)] for key in header.apart().tensors})


# --- the zip, since torch 1.6 --------------------------------------------------------------------


class _Directory(io.RawIOBase):
    """A file for `zipfile`, which reads a zip's whole directory at once: not more of it than a bound."""

    def __init__(self, file: io.BufferedReader) -> None:
        super().__init__()
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """At most as many bytes as a checkpoint's directory takes."""
        if size > MAX_DIRECTORY:
            raise zipfile.BadZipFile(f"its directory would take {human_size(size)}")
        return self._file.read(MAX_DIRECTORY if size < 0 else size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place of the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place in the file."""
        return self._file.tell()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True


def _read_zip(file: io.BufferedReader, path: Path) -> _Contents:
    try:
        with zipfile.ZipFile(cast("io.BufferedReader", _Directory(file))) as archive:
            folder = _folder(archive, path)
            _check_notes(archive, folder, path)
            pickled = _record(archive, f"{folder}/data.pkl", MAX_PICKLE, path)
            loaded, storages = _unpickle_one(io.BytesIO(pickled))
            spans = {key: _span(archive, f"{folder}/data/{key}", file, path) for key in storages}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        _refuse_damaged(str(error), path, error)
    return _Contents(loaded, spans)


def _folder(archive: zipfile.ZipFile, path: Path) -> str:
    """The folder in the zip that torch puts everything in."""
    names = archive.namelist()
    if any(name.rpartition("/")[2] == "constants.pkl" for name in names):
        _refuse("this is a TorchScript program, not a checkpoint", path)
    folders = [name.removesuffix("/data.pkl") for name in names if name.endswith("/data.pkl")]
    if len(folders) != 1:
        found = f"{len(folders)} of them" if folders else "none"
        _refuse(f"this is a zip, but no checkpoint: it should hold one data.pkl, and has {found}", path)
    return folders[0]


def _check_notes(archive: zipfile.ZipFile, folder: str, path: Path) -> None:
    """That the file's version and its order of bytes are those that are read here."""
    names = set(archive.namelist())
    version = f"{folder}/version"
    if version in names:
        text = _record(archive, version, MAX_NOTE, path).strip().decode("ascii", "replace")
        if not text.isdecimal() or int(text) not in VERSIONS:
            _refuse(f"this file is of a version of torch's format that is not known: '{text}'", path)
    order = f"{folder}/byteorder"
    if order in names and _record(archive, order, MAX_NOTE, path).strip() != b"little":
        _refuse("this file was written by a machine with another order of bytes", path)


def _record(archive: zipfile.ZipFile, name: str, limit: int, path: Path) -> bytes:
    """A record of the zip, refused before it is unpacked where it takes more than `limit` bytes."""
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        _refuse(f"'{name}' is compressed in a way that no checkpoint is", path)
    raw = b""
    if info.file_size <= limit:
        with archive.open(info) as record:
            raw = record.read(limit + 1)
    if max(info.file_size, len(raw)) > limit:
        size = human_size(max(info.file_size, len(raw)))
        _refuse(f"'{name}' would take {size}, more than the {human_size(limit)} that it may", path)
    return raw


def _span(archive: zipfile.ZipFile, name: str, file: io.BufferedReader, path: Path) -> tuple[int, int]:
    """From which byte of the file to which a storage lies."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        _refuse_damaged(f"there is no '{name[:100]}' in it", path)
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & ENCRYPTED:
        _refuse(
            "this zip is packed: its tensors are compressed or encrypted",
            path,
            "unpack it, and pack the folder in it again without compression (zip -0)",
        )
    file.seek(info.header_offset)
    local = file.read(LOCAL.size)
    if len(local) < LOCAL.size or not local.startswith(ZIP):
        _refuse_damaged(f"'{name[:100]}' does not lie where it should", path)
    _, name_length, extra_length = cast("tuple[bytes, int, int]", LOCAL.unpack(local))
    start = info.header_offset + LOCAL.size + name_length + extra_length
    return start, start + info.file_size


# --- the pickles in a row, before torch 1.6 ------------------------------------------------------


def _read_stream(file: io.BufferedReader, path: Path) -> _Contents:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    stream = io.BytesIO(file.read(MAX_PICKLE))
    first, _ = _unpickle_one(stream)
    if first != MAGIC:
        _refuse("this is a pickle, but no checkpoint of torch.save", path)
    version, _ = _unpickle_one(stream)
    if version != PROTOCOL:
        _refuse("this file is of a version of torch's format before 1.6 that is not known", path)
    machine, _ = _unpickle_one(stream)
    if isinstance(machine, dict) and cast("dict[str, object]", machine).get("little_endian") is False:
        _refuse("this file was written by a machine with another order of bytes", path)
    loaded, storages = _unpickle_one(stream)
    keys, _ = _unpickle_one(stream)
    if not isinstance(keys, list) or not all(key in storages for key in cast("list[str]", keys)):
        raise BrokenPickleError("the keys of its storages are not those of its tensors")
    return _Contents(loaded, _spans(cast("list[str]", keys), storages, stream.tell(), file, size))


def _spans(
    keys: list[str], storages: Mapping[str, Storage], position: int, file: io.BufferedReader, size: int
) -> dict[str, tuple[int, int]]:
    """From which byte to which each storage lies; they follow one another, each after its length."""
    spans: dict[str, tuple[int, int]] = {}
    for key in keys:
        file.seek(position)
        raw = file.read(LENGTH.size)
        length = cast(int, LENGTH.unpack(raw)[0]) if len(raw) == LENGTH.size else -1
        start = position + LENGTH.size
        itemsize = _itemsize(storages[key].kind)
        if length < 0 or itemsize == 0 or start + length * itemsize > size:
            raise BrokenPickleError(f"storage '{key[:100]}' is cut short")
        position = start + length * itemsize
        spans[key] = start, position
    return spans


def _itemsize(kind: str) -> int:
    """Bytes of one number in a storage; 0 where it is of no known kind."""
    dtype = STORAGES.get(kind.lstrip("_"), "")
    sizes = {"complex64": 8, "complex128": 16, "qint8": 1, "quint8": 1, "qint32": 4}
    return BY_TORCH_NAME[dtype].itemsize if dtype in BY_TORCH_NAME else sizes.get(dtype, 0)


# --- both ----------------------------------------------------------------------------------------


def _unpickle_one(stream: io.BytesIO) -> tuple[object, dict[str, Storage]]:
    """The next pickle's object, and the storages that it names."""
    storages: dict[str, Storage] = {}

    def persistent(persistent_id: object) -> object:
        found = storage_of(persistent_id)
        if isinstance(found, Storage):
            storages[found.key] = found
        return found

    return unpickle(stream, persistent), storages


def _place(
    name: str, tensor: Rebuilt | Unmergeable, spans: Mapping[str, tuple[int, int]], size: int, path: Path
) -> Place:
    """Where a tensor lies; refused where a merge cannot use it, or it does not lie within its storage."""
    if isinstance(tensor, Unmergeable):
        _refuse_kind(name, tensor.kind, path)
    kind = tensor.storage.kind.lstrip("_")
    word = tensor.dtype or STORAGES.get(kind, kind)
    dtype = BY_TORCH_NAME.get(word)
    if dtype is None:
        _refuse_kind(name, word, path)
    if tensor.dtype and kind != UNTYPED:
        _refuse_damaged(f"'{name}' is of two number formats", path)
    begin, end = spans.get(tensor.storage.key, (0, 0))
    start = begin + (tensor.storage.base + tensor.offset) * dtype.itemsize
    if start + reach(tensor.shape, tensor.stride) * dtype.itemsize > min(end, size):
        _refuse_damaged(f"'{name}' is cut short: it reaches beyond its storage", path)
    place = Place(dtype, start, tensor.shape, tensor.stride)
    if math.prod(place.shape) * dtype.itemsize > size + SPREAD:
        _refuse(f"'{name}' would take more than the file itself: shape {list(place.shape)}", path)
    return place


def reach(shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """How many numbers lie from a tensor's first to its last; 0 for a tensor without any."""
    if 0 in shape:
        return 0
    return 1 + sum((axis - 1) * step for axis, step in zip(shape, stride, strict=True))


def _state_dict(loaded: object, path: Path) -> Mapping[str, object]:
    """The innermost dictionary of weights, out of the trainer's wrappings."""
    for _ in range(MAX_NESTING):
        entries = cast("dict[str, object]", loaded) if isinstance(loaded, dict) else {}
        bare = not any(isinstance(value, (Rebuilt, Unmergeable)) for value in entries.values())
        wrappers = (*WRAPPERS, *BARE_WRAPPERS) if bare else WRAPPERS
        inner = next((entries[key] for key in wrappers if _wraps(entries, key)), None)
        if inner is None:
            break
        loaded = inner
    if not isinstance(loaded, dict):
        _refuse(f"this file holds no named tensors, but {_kind(loaded)}", path)
    return cast("dict[str, object]", loaded)


def _kind(loaded: object) -> str:
    """What an object is that is no dictionary, as a message says it."""
    if isinstance(loaded, (Rebuilt, Unmergeable)):
        return "a Tensor"
    return "an object" if isinstance(loaded, Inert) else f"a {type(loaded).__name__}"


def _wraps(entries: Mapping[str, object], key: str) -> bool:
    """Whether the weights lie under this key, rather than beside it."""
    inner = entries.get(key)
    return isinstance(inner, dict) and len(cast("dict[str, object]", inner)) > 0


def _metadata(loaded: object) -> dict[str, str]:
    """The strings beside the weights, as `write_pickle` puts them; nobody else has a place for them."""
    found = cast("dict[str, object]", loaded).get("metadata") if isinstance(loaded, dict) else None
    if not isinstance(found, dict):
        return {}
    entries = cast("dict[str, object]", found).items()
    return {
        name: text
        for name, text in entries
        if isinstance(text, str) and not has_half_characters(name) and not has_half_characters(text)
    }


def _check_name(name: str, path: Path) -> None:
    if has_half_characters(name):
        _refuse_damaged("a tensor's name holds half of a character", path)


def _refuse(what: str, path: Path, hint: str = SAFER, cause: Exception | None = None) -> NoReturn:
    raise CheckpointError(what, where=str(path), hint=hint) from cause


def _refuse_kind(name: str, kind: str, path: Path) -> NoReturn:
    _refuse(f"'{name}' is of a kind that cannot be merged: {kind}", path)


def _refuse_damaged(why: str, path: Path, cause: Exception | None = None) -> NoReturn:
    _refuse(f"this file is damaged, or no checkpoint: {why[:200]}", path, AGAIN, cause)
