"""Writes `.ckpt` files, the format of torch.save, for hosts and sites that need it.

The zip is that of torch.save from 1.6 to 2.0: `archive/data.pkl`, `archive/data/0` and on, `archive/version`,
each at a multiple of 64 bytes. The further records of newer torch are left out, because AUTOMATIC1111's check
of pickles refuses files with other names (modules/safe.py: allowed_zip_names_re).
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
from lib_merge.checkpoint.checkpoint import tensor_bytes
from lib_merge.checkpoint.suffixes import CKPT
from lib_merge.checkpoint.target import check_target
from lib_merge.dtypes import Dtype, from_torch
from lib_merge.errors import OutputError
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "archive"
VERSION = b"3\n"  # caffe2/serialize/versions.h: kProducedFileFormatVersion of torch 1.6 and later
PROTOCOL = 2  # of the pickle; AUTOMATIC1111's torch reads no other
ALIGNMENT = 64  # bytes; caffe2/serialize/inline_container.h: kFieldAlignment
LOCAL_HEADER = 30  # bytes of a local file header before the record's name
ZIP64_FIELD = 20  # bytes of the extra field for a large record's size
LARGE = 1 << 30  # bytes; a record of this size or more gets that field (required from 4 GiB on)
PADDING = struct.Struct("<2sH")  # the beginning of torch's extra field "FB", which is padding
WRITE_SIZE = 1 << 20  # bytes per write

# Dtype -> name of torch's storage class.
STORAGE_CLASSES = {
    "F64": "DoubleStorage",
    "F32": "FloatStorage",
    "F16": "HalfStorage",
    "BF16": "BFloat16Storage",
    "I64": "LongStorage",
    "I32": "IntStorage",
    "U8": "ByteStorage",
    # AUTOMATIC1111's check of pickles refuses these three; torch loads them.
    "I16": "ShortStorage",
    "I8": "CharStorage",
    "BOOL": "BoolStorage",
}


@dataclass(frozen=True)
class _Storage:
    """A tensor's storage, a record of the zip under its key."""

    key: str
    kind: str
    numel: int


class _Pickler(pickle.Pickler):
    """Pickles tensors as torch.save does, and collects them: tensor number n is the storage with the key
    n."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, protocol=PROTOCOL)
        self.tensors: list[Tensor] = []

    def reducer_override(self, obj: object, /) -> Any:  # Any as in the standard library
        """A tensor as a call of _rebuild_tensor_v2; other objects as usual."""
        if not isinstance(obj, torch.Tensor):
            return NotImplemented
        dtype = from_torch(obj.dtype)
        storage = _Storage(str(len(self.tensors)), STORAGE_CLASSES[dtype.name if dtype else ""], obj.numel())
        self.tensors.append(obj)
        stride = torch.empty(obj.shape, device="meta").stride()  # contiguous
        hooks: OrderedDict[str, object] = OrderedDict()
        rebuild: Callable[..., object] = import_module("torch._utils")._rebuild_tensor_v2
        return rebuild, (storage, 0, tuple(obj.shape), stride, False, hooks)

    def persistent_id(self, obj: object, /) -> object:
        """A storage's persistent ID, as torch.load expects it; None for other objects."""
        if not isinstance(obj, _Storage):
            return None
        return ("storage", getattr(torch, obj.kind), obj.key, "cpu", obj.numel)


def write_pickle(
    target: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], *, overwrite: bool = False
) -> None:
    """Write {"state_dict": tensors, "metadata": metadata} in the format of torch.save, atomically.

    Every torch since 1.6 loads the file, with weights_only=True too, and so does AUTOMATIC1111. Raises
    OutputError where the file cannot be written.
    """
    size = sum(tensor.nbytes for tensor in tensors.values())
    problems = check_target(target, overwrite=overwrite, size=size, suffixes=(CKPT,))
    for problem in (*problems, *dtype_problems(dtypes_of(tensors), target)):
        raise problem
    with part_file(target, overwrite=overwrite) as file:
        _write_archive(file, {"state_dict": dict(tensors), "metadata": dict(metadata)})


def dtypes_of(tensors: Mapping[str, Tensor]) -> set[Dtype | None]:
    """The dtypes of the tensors; None for one that files cannot hold."""
    return {from_torch(tensor.dtype) for tensor in tensors.values()}


def dtype_problems(dtypes: Iterable[Dtype | None], target: Path) -> list[OutputError]:
    """The dtypes that a `.ckpt` cannot contain, as errors: torch has no storage class for fp8."""
    unsupported = [dtype for dtype in dtypes if dtype is None or dtype.name not in STORAGE_CLASSES]
    labels = sorted({dtype.label if dtype else "unknown" for dtype in unsupported})
    if not labels:
        return []
    what = f"a .ckpt cannot contain the dtype {', '.join(labels)}"
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
    """Write one record, whose data begins at a multiple of ALIGNMENT."""
    info = zipfile.ZipInfo(f"{FOLDER}/{name}")  # dated 1980-01-01: the bytes do not depend on the time
    large = data.nbytes >= LARGE
    begin = file.tell() + LOCAL_HEADER + len(info.filename) + PADDING.size + (ZIP64_FIELD if large else 0)
    padding = -begin % ALIGNMENT
    info.extra = PADDING.pack(b"FB", padding) + b"Z" * padding
    with archive.open(info, "w", force_zip64=large) as record:
        for at in range(0, data.nbytes, WRITE_SIZE):
            record.write(data[at : at + WRITE_SIZE])
    info.extra = b""  # the central directory does not need the padding
