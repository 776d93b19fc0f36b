"""The results of a pickle's calls: dictionaries, descriptions of tensors, and INERT for ignored objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from lib_merge.checkpoint.pickle_names import (
    FROM_TYPE,
    GET_LAYOUT,
    PARAMETERS,
    PLAIN_TENSORS,
    PickleName,
    PickleRole,
    look_up,
)

MAX_COUNT = 1 << 62  # limit of sizes, strides and offsets
MAX_AXES = 64  # axes of a tensor; NumPy's limit, torch has none
SHOWN = 100  # characters of a name in an error message


class ProgramError(Exception):
    """The pickle names a function or class that is refused; the argument is the name."""


class BrokenPickleError(Exception):
    """The pickle is invalid; the argument says why."""


class Inert:
    """A placeholder for every ignored object."""


INERT = Inert()


class Array(Inert):
    """A placeholder for a NumPy array, whose data is not read."""


ARRAY = Array()


@dataclass(frozen=True)
class Storage:
    """A torch storage: the data that tensors are views of.

    key     its name in the file
    kind    name of its class in torch: "HalfStorage", "UntypedStorage"
    numel   number of elements; bytes for an untyped storage
    base    element at which it begins, where it is a view of another storage
    device  "cpu", "cuda:0", "meta"
    """

    key: str
    kind: str
    numel: int
    base: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Rebuilt:
    """A tensor as the pickle describes it; offset and stride in elements, dtype "" for that of the
    storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str = ""


@dataclass(frozen=True)
class Unmergeable:
    """A tensor of a kind that cannot be merged: "sparse_coo", "nested", "meta"."""

    kind: str


def load_persistent(persistent_id: object) -> object:
    """The object of a persistent ID, by which torch refers to a storage or to a module's class."""
    if not isinstance(persistent_id, tuple):
        raise BrokenPickleError("a persistent ID is not a tuple")
    match cast("tuple[object, ...]", persistent_id):
        case ("storage", PickleName(full=full), str(key), str(device), int(numel), *view):
            base = _view_base(view[0] if view else None)
            return Storage(key, full.rpartition(".")[2], _count(numel), base, device)
        case ("module", PickleName() as name, *_):
            return name
        case _:
            raise BrokenPickleError("a persistent ID names no storage")


def _view_base(view: object) -> int:
    """The first element of a storage that is a view of another: (key, begin, length), from torch before
    0.4."""
    if view is None:
        return 0
    if not isinstance(view, tuple) or len(cast("tuple[object, ...]", view)) != 3:
        raise BrokenPickleError("a storage's view is not (key, begin, length)")
    return _count(cast("tuple[object, ...]", view)[1])


def name_of(module: str, name: str) -> PickleName:
    """The looked-up name; ProgramError where it is refused."""
    looked_up = look_up(module, name)
    if looked_up.role is PickleRole.REFUSED:
        raise ProgramError(looked_up.full[:SHOWN])
    return looked_up


def set_items(target: object, items: Sequence[object]) -> None:
    """Add items (key, value, key, value, ...) to a dictionary; items whose key is not a string are
    ignored."""
    if len(items) % 2:
        raise BrokenPickleError("a key has no value")
    if isinstance(target, dict):
        entries = cast("dict[str, object]", target)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, str):
                entries[key] = value


def call(function: object, arguments: object) -> object:
    """The result of a call: a dictionary, a tensor's description, or INERT; ProgramError where it is
    refused."""
    if not isinstance(arguments, tuple):
        raise BrokenPickleError("the arguments of a call are not a tuple")
    values = cast("tuple[object, ...]", arguments)
    if isinstance(function, Inert):
        return INERT
    if not isinstance(function, PickleName):
        raise BrokenPickleError("it calls an object that is neither a class nor a function")
    if function.role is PickleRole.NAMED:
        raise ProgramError(function.full[:SHOWN])
    if function.role is PickleRole.MAPPING:
        return _mapping(values)
    if function.role is PickleRole.TENSOR:
        return _tensor(function.full, values)
    if function.full == GET_LAYOUT and len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return ARRAY if function.full.endswith(("._reconstruct", "._frombuffer")) else INERT


def _mapping(arguments: tuple[object, ...]) -> dict[str, object]:
    """A new dictionary; Python 2 passes its pairs as an argument."""
    entries: dict[str, object] = {}
    pairs = arguments[0] if arguments else None
    if isinstance(pairs, dict):
        entries.update(cast("dict[str, object]", pairs))
    elif isinstance(pairs, list):
        for pair in cast("list[object]", pairs):
            if isinstance(pair, (list, tuple)) and len(cast("Sequence[object]", pair)) == 2:
                set_items(entries, cast("Sequence[object]", pair))
    return entries


def _tensor(function: str, arguments: tuple[object, ...]) -> object:
    """The description of the tensor that one of torch's _rebuild_* functions would create."""
    short = function.rpartition("._rebuild_")[2]
    match arguments:
        case (PickleName() as inner, PickleName(full=kind), inner_arguments, *_) if function == FROM_TYPE:
            if kind not in PLAIN_TENSORS or inner.full == FROM_TYPE:
                return Unmergeable(kind.rpartition(".")[2][:SHOWN])
            return call(inner, inner_arguments)
        case (data, *_) if short in ("parameter", "parameter_with_state") or function in PARAMETERS:
            return data if isinstance(data, (Rebuilt, Unmergeable)) else INERT
        case (Rebuilt() | Unmergeable() as data, *_) if short == "device_tensor_from_cpu_tensor":
            return data
        case (storage, offset, shape, stride, *_) if short in ("tensor", "tensor_v2"):
            return _rebuilt(storage, offset, shape, stride)
        case (storage, offset, shape, stride, _, _, PickleName(full=dtype), *_) if short == "tensor_v3":
            return _rebuilt(storage, offset, shape, stride, dtype.removeprefix("torch."))
        case _:
            return _unmergeable(short, arguments)


def _unmergeable(short: str, arguments: tuple[object, ...]) -> Unmergeable:
    """A tensor of another kind, or with arguments that no supported torch writes."""
    kinds = {"sparse_tensor": "sparse", "qtensor": "quantised", "nested_tensor": "nested"}
    if short == "sparse_tensor" and arguments and isinstance(arguments[0], str):
        return Unmergeable(arguments[0].removeprefix("torch.")[:SHOWN])
    if short in kinds:
        return Unmergeable(kinds[short])
    if short.startswith("meta_tensor"):
        return Unmergeable("meta")
    if short == "device_tensor_from_numpy":
        return Unmergeable("a NumPy array")
    if short == "wrapper_subclass" and arguments and isinstance(arguments[0], PickleName):
        return Unmergeable(arguments[0].full.rpartition(".")[2][:SHOWN])
    return Unmergeable(short.replace("_", " ")[:SHOWN])


def _rebuilt(storage: object, offset: object, shape: object, stride: object, dtype: str = "") -> object:
    if not isinstance(storage, Storage):
        raise BrokenPickleError("a tensor has no storage")
    if storage.device == "meta":
        return Unmergeable("meta")
    axes, steps = _counts(shape), _counts(stride)
    if len(axes) != len(steps):
        raise BrokenPickleError("a tensor's shape and stride differ in length")
    return Rebuilt(storage, _count(offset), axes, steps, dtype)


def _counts(values: object) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list)) or len(cast("Sequence[object]", values)) > MAX_AXES:
        raise BrokenPickleError(f"a tensor's shape or stride is not a tuple of at most {MAX_AXES} integers")
    return tuple(_count(value) for value in cast("Sequence[object]", values))


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < MAX_COUNT:
        raise BrokenPickleError("a tensor's size, stride or offset is not an integer in range")
    return value
