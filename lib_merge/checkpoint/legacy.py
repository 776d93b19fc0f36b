"""Checkpoints of `torch.save` (.ckpt, .pt, .pth), read without ever running what is pickled in them.

A pickle is a program. Only `torch.load(weights_only=True)` opens one here: its unpickler knows tensors,
containers and nothing else. Old training checkpoints name a few classes besides (of Lightning, of
numpy); for those, and for nothing else, inert stand-ins are put in their place. There is no switch
that lets more through.
"""

from __future__ import annotations

import re
import tarfile
import threading
import warnings
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lib_merge.checkpoint.header import POSITION_IDS, ZIP, Header, TensorInfo, build_header
from lib_merge.dtypes import from_torch
from lib_merge.errors import CheckpointError

if TYPE_CHECKING:
    import torch

SAFER = "use the .safetensors version of this model"

# Where trainers put the weights, the rest being epoch, optimizer_states, callbacks, hyper_parameters.
WRAPPERS = ("state_dict", "model")
MAX_NESTING = 4  # wrappers within wrappers; two have been seen

# Class names in the callbacks and scores of SD 1.x training checkpoints (v1-5-pruned.ckpt has the first).
LEFTOVERS = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "pytorch_lightning.callbacks.lr_monitor.LearningRateMonitor",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)

# How torch names what it does not permit: 2.5 and later, before that, and for a call.
UNPERMITTED = re.compile(
    r"GLOBAL (\S+[^.\s]) (?:was not|whose)|class (\S+[^.\s])$|function <?([^>]+)", re.MULTILINE
)

# torch keeps one list of permitted classes for the whole process.
_PERMITTED = threading.Lock()


@dataclass(frozen=True)
class LegacyFile:
    """A loaded legacy file: what it holds, and the tensors by canonical key."""

    header: Header
    tensors: Mapping[str, torch.Tensor]


class Inert:
    """Stands in for a class that a checkpoint names: takes anything, keeps nothing, does nothing."""

    def __init__(self, *values: object) -> None:
        """Forgets what it is given."""

    def __setstate__(self, state: object) -> None:
        """Forgets what it is given."""


def load_legacy(path: Path) -> LegacyFile:
    """The tensors of a legacy file, mapped where torch can, and a header made from them."""
    import torch

    loaded = _load(path)
    named = {
        name: tensor.detach()
        for name, tensor in _state_dict(loaded, path).items()
        if isinstance(name, str) and isinstance(tensor, torch.Tensor)
    }
    if not named:
        raise _refuse("this file holds no named tensors", path)
    infos = {name: _info(name, tensor, path) for name, tensor in named.items()}

    def same(one: str, other: str) -> bool:
        if one.endswith(POSITION_IDS) and other.endswith(POSITION_IDS):
            return named[one].shape == named[other].shape
        return named[one].dtype == named[other].dtype and torch.equal(named[one], named[other])

    size = path.stat().st_size
    header = build_header(infos, path, metadata=_metadata(loaded), file_size=size, same=same)
    tensors = {key: named[header.stored.get(key, key)] for key in header.tensors}
    return LegacyFile(header, tensors)


def _load(path: Path) -> object:
    """What torch's restricted unpickler makes of the file; anything else is a CheckpointError."""
    mapped = _is_plain_zip(path)
    try:
        with _PERMITTED, _stand_ins(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols: nothing that a user could act on
            loaded = _torch_load(path, mapped)
    except MemoryError:
        raise _refuse("there is not enough memory to read this file", path) from None
    except Exception as error:  # a broken pickle fails in as many ways as there are opcodes
        raise _refusal(error, path) from error
    if loaded is None:
        raise _refuse("the WebUI's own pickle check refused this file", path)
    return loaded


def _torch_load(path: Path, mapped: bool) -> object:
    """torch.load. A host may have put a stricter one in its place, which answers None where it refuses
    (AUTOMATIC1111 does)."""
    import torch

    if path.suffix == ".safetensors":  # by such a name, newer torch takes any file for what it says
        with path.open("rb") as file:
            return cast(object, torch.load(file, map_location="cpu", weights_only=True))
    # A string: torch 2.1 maps nothing else.
    return cast(object, torch.load(str(path), map_location="cpu", weights_only=True, mmap=mapped))


def _is_plain_zip(path: Path) -> bool:
    """Whether it is a zip of tensors; programs in disguise are refused before torch sees them.

    Before 2.6, torch.load ran TorchScript archives and unpacked tar files even with weights_only
    (CVE-2025-32434); AUTOMATIC1111 ships 2.1.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(len(ZIP)) == ZIP  # as torch tells them
        if not zipped and tarfile.is_tarfile(path):
            raise _refuse("this is a tar archive, not a checkpoint", path)
        if zipped and "constants.pkl" in _records(path):
            raise _refuse("this is a TorchScript program, not a checkpoint", path)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise _refusal(error, path) from error
    return zipped


def _records(path: Path) -> set[str]:
    """The names in a zip, without the folder that torch puts them all in."""
    with zipfile.ZipFile(path) as archive:
        return {name.rpartition("/")[2] for name in archive.namelist()}


@contextmanager
def _stand_ins() -> Generator[None, None, None]:
    """The leftovers permitted, as inert classes, where torch can (2.5 and later)."""
    import torch

    if not hasattr(torch.serialization, "safe_globals"):
        yield
        return
    with torch.serialization.safe_globals([_stand_in(name) for name in LEFTOVERS]):
        yield


def _stand_in(full_name: str) -> type[Inert]:
    """An inert class that calls itself by the leftover's name: torch permits classes by that."""
    module, _, name = full_name.rpartition(".")
    return type(name, (Inert,), {"__module__": module})


def _refuse(what: str, path: Path, hint: str = SAFER) -> CheckpointError:
    return CheckpointError(what, where=str(path), hint=hint)


def _refusal(error: Exception, path: Path) -> CheckpointError:
    """Why torch would not read it: a name that it does not permit, or a broken file."""
    named = UNPERMITTED.search(str(error))
    if named:
        name = next(part for part in named.groups() if part)
        if name in LEFTOVERS:  # torch before 2.5
            what = f"this file holds leftovers of training ('{name}') that this torch cannot set aside"
            return _refuse(what, path, f"{SAFER}, or convert it with torch 2.5 or later")
        return _refuse(f"this file is refused, because reading it would run code: it asks for '{name}'", path)
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return _refuse(
        f"this file is damaged, or no checkpoint: {first[:200]}", path, f"{SAFER}, or download it again"
    )


def _state_dict(loaded: object, path: Path) -> Mapping[object, object]:
    """The innermost dictionary of weights, out of the trainer's wrappings."""
    for _ in range(MAX_NESTING):
        if not isinstance(loaded, Mapping):
            break
        entries = cast("Mapping[object, object]", loaded)
        inner = next((entries[key] for key in WRAPPERS if _wraps(entries, key)), None)
        if inner is None:
            return entries
        loaded = inner
    raise _refuse(f"this file holds no named tensors, but a {type(loaded).__name__}", path)


def _metadata(loaded: object) -> dict[str, str]:
    """The strings beside the weights, as `write_pickle` puts them; nobody else has a place for them."""
    found = cast("Mapping[object, object]", loaded).get("metadata") if isinstance(loaded, Mapping) else None
    if not isinstance(found, Mapping):
        return {}
    entries = cast("Mapping[object, object]", found).items()
    return {name: text for name, text in entries if isinstance(name, str) and isinstance(text, str)}


def _wraps(entries: Mapping[object, object], key: str) -> bool:
    """Whether the weights lie under this key, rather than beside it."""
    inner = entries.get(key)
    return isinstance(inner, Mapping) and len(cast("Mapping[object, object]", inner)) > 0


def _info(name: str, tensor: torch.Tensor, path: Path) -> TensorInfo:
    """What a header would say of a tensor; sparse and quantised ones have no place in a merge."""
    import torch

    dtype = from_torch(tensor.dtype)
    if dtype is None or tensor.layout != torch.strided:
        kind = str(tensor.dtype if dtype is None else tensor.layout).removeprefix("torch.")
        raise _refuse(f"'{name}' is of a kind that cannot be merged: {kind}", path)
    return TensorInfo(dtype, tuple(tensor.shape))
