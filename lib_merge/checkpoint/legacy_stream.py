"""The pickles in a row of torch.save before torch 1.6: see legacy.py."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from lib_merge.checkpoint.legacy_contents import Contents, itemsize, refuse, unpickle_one
from lib_merge.checkpoint.pickle_values import BrokenPickleError, Storage
from lib_merge.checkpoint.unpickle import MAX_PICKLE

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
LENGTH = struct.Struct("<q")  # length of a storage in elements


def read_stream(file: io.BufferedReader, path: Path) -> Contents:
    """The object and storages of the file; raises CheckpointError and the errors of `unpickle`."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    stream = io.BytesIO(file.read(MAX_PICKLE))
    first, _ = unpickle_one(stream)
    if first != MAGIC:
        refuse("this is a pickle, but not a checkpoint of torch.save", path)
    version, _ = unpickle_one(stream)
    if version != PROTOCOL:
        refuse("this file has an unknown version of torch's format before 1.6", path)
    machine, _ = unpickle_one(stream)
    if isinstance(machine, dict) and cast("dict[str, object]", machine).get("little_endian") is False:
        refuse("this file was written on a big-endian machine, which is not supported", path)
    loaded, storages = unpickle_one(stream)
    keys, _ = unpickle_one(stream)
    if not isinstance(keys, list) or not all(key in storages for key in cast("list[str]", keys)):
        raise BrokenPickleError("the keys of its storages are not those of its tensors")
    return Contents(loaded, _spans(cast("list[str]", keys), storages, stream.tell(), file, size))


def _spans(
    keys: list[str], storages: Mapping[str, Storage], position: int, file: io.BufferedReader, size: int
) -> dict[str, tuple[int, int]]:
    """The byte range of each storage; they follow one another, each after its length."""
    spans: dict[str, tuple[int, int]] = {}
    for key in keys:
        file.seek(position)
        raw = file.read(LENGTH.size)
        length = cast(int, LENGTH.unpack(raw)[0]) if len(raw) == LENGTH.size else -1
        start = position + LENGTH.size
        size_of_one = itemsize(storages[key].kind)
        if length < 0 or size_of_one == 0 or start + length * size_of_one > size:
            raise BrokenPickleError(f"storage '{key[:100]}' is cut short")
        position = start + length * size_of_one
        spans[key] = start, position
    return spans
