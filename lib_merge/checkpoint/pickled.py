"""Writes the old format, `.ckpt`, for the hosts and sites that still ask for it.

The zip has the layout that torch.save gave it from 1.6 to 2.0: `archive/data.pkl`, `archive/data/0` and
on, `archive/version`, each at a multiple of 64 bytes. The notes that newer torch adds are left out,
because AUTOMATIC1111's check of pickles takes no file that holds other names (modules/safe.py:
allowed_zip_names_re).
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lib_merge.checkpoint.atomic import part_file
from lib_merge.checkpoint.reader import tensor_bytes
from lib_merge.checkpoint.target import check_target
from lib_merge.dtypes import Dtype, from_torch
from lib_merge.errors import OutputError
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

ENDING = ".ckpt"
FOLDER = "archive"
VERSION = b"3\n"  # caffe2/serialize/versions.h: kProducedFileFormatVersion of torch 1.6 and later
PROTOCOL = 2  # of the pickle; newer torch reads others, AUTOMATIC1111's torch does not
ALIGNMENT = 64  # bytes; caffe2/serialize/inline_container.h: kFieldAlignment
LOCAL_HEADER = 30  # bytes before a record's name
ZIP64_FIELD = 20  # bytes of the extra field for a large record's size
LARGE = 1 << 30  # bytes; a record of so much gets that field (a zip has to from 4 GiB on)
PADDING = struct.Struct("<2sH")  # head of torch's extra field "FB", which is nothing but padding
AT_ONCE = 1 << 20  # bytes of one write

# Format of numbers -> the class of storage that torch pickles for it.
STORAGES = {
    "F64": "DoubleStorage",
    "F32": "FloatStorage",
    "F16": "HalfStorage",
    "BF16": "BFloat16Storage",
    "I64": "LongStorage",
    "I32": "IntStorage",
    "U8": "ByteStorage",
    # AUTOMATIC1111's check does not know these three, torch does.
    "I16": "ShortStorage",
    "I8": "CharStorage",
    "BOOL": "BoolStorage",
}


@dataclass(frozen=True)
class _Storage:
    """The numbers of one tensor, which stand beside the pickle under their key."""

    key: str
    kind: str
    numel: int


class _Pickler(pickle.Pickler):
    """Pickles tensors as torch.save does, and keeps those it met: the storage "0" is the first one's."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, protocol=PROTOCOL)
        self.tensors: list[Tensor] = []

    def reducer_override(self, obj: object, /) -> Any:  # the kinds of answer are the standard library's
        """A tensor as a call that rebuilds it; everything else as always."""
        if not isinstance(obj, torch.Tensor):
            return NotImplemented
        dtype = from_torch(obj.dtype)
        storage = _Storage(str(len(self.tensors)), STORAGES[dtype.name if dtype else ""], obj.numel())
        self.tensors.append(obj)
        stride = torch.empty(obj.shape, device="meta").stride()  # of rows one after the other
        hooks: OrderedDict[str, object] = OrderedDict()
        rebuild: Callable[..., object] = import_module("torch._utils")._rebuild_tensor_v2
        return rebuild, (storage, 0, tuple(obj.shape), stride, False, hooks)

    def persistent_id(self, obj: object, /) -> object:
        """A storage by its name, with what torch has to know of it."""
        if not isinstance(obj, _Storage):
            return None
        return ("storage", getattr(torch, obj.kind), obj.key, "cpu", obj.numel)


def write_pickle(
    target: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], *, overwrite: bool = False
) -> None:
    """{"state_dict": tensors, "metadata": metadata} as torch.save has it, under its name when it is whole.

    Opens with `torch.load(weights_only=True)` everywhere, and in AUTOMATIC1111. Raises OutputError;
    leaves nothing half done.
    """
    size = sum(tensor.nbytes for tensor in tensors.values())
    problems = check_target(target, overwrite=overwrite, size=size, endings=(ENDING,))
    for problem in (*problems, *format_problems(formats_of(tensors), target)):
        raise problem
    with part_file(target, overwrite=overwrite) as file:
        _write_archive(file, {"state_dict": dict(tensors), "metadata": dict(metadata)})


def formats_of(tensors: Mapping[str, Tensor]) -> set[Dtype | None]:
    """The formats that occur; None for one that no file has a name for."""
    return {from_torch(tensor.dtype) for tensor in tensors.values()}


def format_problems(formats: Iterable[Dtype | None], target: Path) -> list[OutputError]:
    """Why a `.ckpt` cannot hold numbers of these formats: torch has no class of storage for fp8."""
    labels = sorted(
        {each.label if each else "unknown" for each in formats if not each or each.name not in STORAGES}
    )
    if not labels:
        return []
    what = f"a .ckpt cannot hold the number format {' and '.join(labels)}"
    return [OutputError(what, where=str(target), hint="save it as .safetensors, or as fp16")]


def _write_archive(file: BinaryIO, content: Mapping[str, object]) -> None:
    pickled = io.BytesIO()
    pickler = _Pickler(pickled)
    pickler.dump(content)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _write_record(archive, file, "data.pkl", pickled.getbuffer())
        for number, tensor in enumerate(pickler.tensors):
            _write_record(archive, file, f"data/{number}", tensor_bytes(tensor))
        _write_record(archive, file, "version", memoryview(VERSION))


def _write_record(archive: zipfile.ZipFile, file: BinaryIO, name: str, data: memoryview) -> None:
    """One record, whose data begins at a multiple of ALIGNMENT."""
    info = zipfile.ZipInfo(f"{FOLDER}/{name}")  # of the first day that a zip can name, whenever it is
    large = data.nbytes >= LARGE
    begin = file.tell() + LOCAL_HEADER + len(info.filename) + PADDING.size + (ZIP64_FIELD if large else 0)
    padding = -begin % ALIGNMENT
    info.extra = PADDING.pack(b"FB", padding) + b"Z" * padding
    with archive.open(info, "w", force_zip64=large) as record:
        for at in range(0, data.nbytes, AT_ONCE):
            record.write(data[at : at + AT_ONCE])
    info.extra = b""  # the directory at the end does without
