"""The zip of torch.save since torch 1.6: see legacy.py."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import cast

from lib_merge.checkpoint.header import ZIP
from lib_merge.checkpoint.legacy_contents import Contents, refuse, refuse_damaged, unpickle_one
from lib_merge.checkpoint.system_errors import human_size
from lib_merge.checkpoint.unpickle import MAX_PICKLE

VERSIONS = range(1, 11)  # caffe2/serialize/versions.h; all store tensors in the same way
MAX_DIRECTORY = 16 << 20  # bytes of a zip's central directory; 12,000 tensors take 1.5 MB
MAX_NOTE = 32  # bytes of the records `version` and `byteorder`
# A local file header: "PK\3\4", ..., the lengths of the record's name and of its extra field.
LOCAL_HEADER = struct.Struct("<4s22xHH")
ENCRYPTED = 0x1


class _Directory(io.RawIOBase):
    """A file for `zipfile`, which reads the central directory in one call, with a limit on its size."""

    def __init__(self, file: io.BufferedReader) -> None:
        super().__init__()
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes; BadZipFile for more than MAX_DIRECTORY, to which a negative size is limited."""
        if size > MAX_DIRECTORY:
            raise zipfile.BadZipFile(f"its directory would take {human_size(size)}")
        return self._file.read(MAX_DIRECTORY if size < 0 else size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The current offset in the file."""
        return self._file.tell()

    def readable(self) -> bool:
        """Whether the file can be read, which zipfile asks: always."""
        return True

    def seekable(self) -> bool:
        """Whether the file can be sought in, which zipfile asks: always."""
        return True


def read_zip(file: io.BufferedReader, path: Path) -> Contents:
    """The object and storages of the zip; raises CheckpointError and the errors of `unpickle`."""
    try:
        with zipfile.ZipFile(cast("io.BufferedReader", _Directory(file))) as archive:
            folder = _folder(archive, path)
            _check_notes(archive, folder, path)
            pickled = _record(archive, f"{folder}/data.pkl", MAX_PICKLE, path)
            loaded, storages = unpickle_one(io.BytesIO(pickled))
            spans = {key: _span(archive, f"{folder}/data/{key}", file, path) for key in storages}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        refuse_damaged(str(error), path, error)
    return Contents(loaded, spans)


def _folder(archive: zipfile.ZipFile, path: Path) -> str:
    """The folder in the zip that contains data.pkl."""
    names = archive.namelist()
    if any(name.rpartition("/")[2] == "constants.pkl" for name in names):
        refuse("this is a TorchScript program, not a checkpoint", path)
    folders = [name.removesuffix("/data.pkl") for name in names if name.endswith("/data.pkl")]
    if len(folders) != 1:
        count = len(folders) or "none"
        refuse(f"this is a zip, but not a checkpoint: it must contain one data.pkl, and has {count}", path)
    return folders[0]


def _check_notes(archive: zipfile.ZipFile, folder: str, path: Path) -> None:
    """Refuse an unknown version of the format, and big-endian files."""
    names = set(archive.namelist())
    version = f"{folder}/version"
    if version in names:
        text = _record(archive, version, MAX_NOTE, path).strip().decode("ascii", "replace")
        if not text.isdecimal() or int(text) not in VERSIONS:
            refuse(f"this file has an unknown version of torch's format: '{text}'", path)
    order = f"{folder}/byteorder"
    if order in names and _record(archive, order, MAX_NOTE, path).strip() != b"little":
        refuse("this file was written on a big-endian machine, which is not supported", path)


def _record(archive: zipfile.ZipFile, name: str, limit: int, path: Path) -> bytes:
    """A record of the zip, decompressed; CheckpointError, before decompressing, for more than `limit`
    bytes."""
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        refuse(f"'{name}' is compressed by a method that torch.save does not use", path)
    raw = b""
    if info.file_size <= limit:
        with archive.open(info) as record:
            raw = record.read(limit + 1)
    if max(info.file_size, len(raw)) > limit:
        size = human_size(max(info.file_size, len(raw)))
        refuse(f"'{name}' would take {size}, more than the {human_size(limit)} that are allowed", path)
    return raw


def _span(archive: zipfile.ZipFile, name: str, file: io.BufferedReader, path: Path) -> tuple[int, int]:
    """The byte range of a storage in the file."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        refuse_damaged(f"there is no '{name[:100]}' in it", path)
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & ENCRYPTED:
        refuse(
            "this zip is packed: its tensors are compressed or encrypted",
            path,
            "unpack it, and pack the folder in it again without compression (zip -0)",
        )
    file.seek(info.header_offset)
    local = file.read(LOCAL_HEADER.size)
    if len(local) < LOCAL_HEADER.size or not local.startswith(ZIP):
        refuse_damaged(f"'{name[:100]}' is not at its offset", path)
    _, name_length, extra_length = cast("tuple[bytes, int, int]", LOCAL_HEADER.unpack(local))
    start = info.header_offset + LOCAL_HEADER.size + name_length + extra_length
    return start, start + info.file_size
