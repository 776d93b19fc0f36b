"""Reads a pickle as data: its opcodes are followed here, and nothing that it names is imported or called.

A pickle is a program for a small stack machine (the standard library's pickletools describes it). What
matters of a checkpoint's are dictionaries, texts and numbers, and the calls that rebuild tensors, which
become `Rebuilt` and `Unmergeable`; all other objects become one INERT that takes anything and keeps
nothing. Every protocol from 0 to 5 is followed. Opcodes and bytes are counted: a pickle that a zip
unpacks to gigabytes ends as an error.
"""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from lib_merge.checkpoint.pickle_names import (
    FROM_TYPE,
    GET_LAYOUT,
    PARAMETERS,
    PLAIN_TENSORS,
    Name,
    Role,
    look_up,
)

MAX_PICKLE = 32 << 20  # bytes; 12,000 tensors take 3 MB
MAX_OPCODES = 2_000_000  # 12,000 tensors take 500,000; as many empty dictionaries take 150 MB
MAX_COUNT = 1 << 62  # of anything that a tensor counts
MAX_AXES = 64  # of a tensor; torch has no limit, and numpy this one
SHOWN = 100  # characters of a name in a message


class ProgramError(Exception):
    """The pickle asks for what no checkpoint needs; the argument is its name."""


class BrokenPickleError(Exception):
    """The pickle cannot be followed to its end; the argument says why."""


class Inert:
    """Stands for every object that is passed over."""


INERT = Inert()


class Array(Inert):
    """Stands for an array of numpy, whose numbers are not read."""


ARRAY = Array()


@dataclass(frozen=True)
class Storage:
    """The numbers that tensors look into.

    key     its name in the file
    kind    the storage class's name in torch: "HalfStorage", "UntypedStorage"
    numel   how many numbers it holds; bytes, where the class says no type
    base    number at which a view into it begins
    device  "cpu", "cuda:0", "meta"
    """

    key: str
    kind: str
    numel: int
    base: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Rebuilt:
    """A tensor as its pickle describes it; offset and stride in numbers, dtype "" for the storage's own."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str = ""


@dataclass(frozen=True)
class Unmergeable:
    """A tensor that no merge can use; `kind` says why: "sparse_coo", "nested", "meta"."""

    kind: str


def unpickle(stream: io.BytesIO, persistent: Callable[[object], object]) -> object:
    """The object at the stream's place, which then stands behind it.

    persistent  what a persistent ID stands for
    Raises ProgramError and BrokenPickleError.
    """
    machine = _Machine(persistent)
    try:
        return machine.run(stream)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, struct.error) as error:
        raise BrokenPickleError(_first_line(error)) from error


def storage_of(persistent_id: object) -> object:
    """What torch puts beside a pickle, by its persistent ID: a storage, or the class of a module."""
    if not isinstance(persistent_id, tuple):
        raise BrokenPickleError("a persistent ID is no tuple")
    match cast("tuple[object, ...]", persistent_id):
        case ("storage", Name(full=full), str(key), str(device), int(numel), *view):
            base = _view_base(view[0] if view else None)
            return Storage(key, full.rpartition(".")[2], _count(numel), base, device)
        case ("module", Name() as name, *_):
            return name
        case _:
            raise BrokenPickleError("a persistent ID names no storage")


def _view_base(view: object) -> int:
    """Where a storage that looks into another begins: (key, begin, length), of torch before 0.4."""
    if view is None:
        return 0
    if not isinstance(view, tuple) or len(cast("tuple[object, ...]", view)) != 3:
        raise BrokenPickleError("a storage's view is no key, begin and length")
    return _count(cast("tuple[object, ...]", view)[1])


class _Machine:
    """The stack, the marks and the memo of one pickle."""

    def __init__(self, persistent: Callable[[object], object]) -> None:
        self._persistent = persistent
        self._stack: list[object] = []
        self._below: list[list[object]] = []  # stacks under the marks
        self._memo: dict[int, object] = {}

    def run(self, stream: io.BytesIO) -> object:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count > MAX_OPCODES:
                raise BrokenPickleError(f"it has more than {MAX_OPCODES:,} steps")
            name = opcode.name
            if name in VALUES:
                self._stack.append(argument)
            elif name != "STOP":
                step = STEPS.get(name)
                if step is None:
                    raise BrokenPickleError(f"the opcode {name} has no place in a checkpoint")
                step(self, argument)
        if len(self._stack) != 1 or self._below:
            raise BrokenPickleError("it ends with something left over")
        return self._stack.pop()

    # --- marks and memo

    def mark(self, _: object) -> None:
        self._below.append(self._stack)
        self._stack = []

    def pop_mark(self, _: object = None) -> list[object]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def pop(self, _: object) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self.pop_mark()

    def duplicate(self, _: object) -> None:
        self._stack.append(self._stack[-1])

    def put(self, place: object) -> None:
        self._memo[cast(int, place)] = self._stack[-1]

    def memoize(self, _: object) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, place: object) -> None:
        self._stack.append(self._memo[cast(int, place)])

    # --- containers

    def make_tuple(self, count: int) -> None:
        items = tuple(self._stack[-count:])
        if len(items) < count:
            raise BrokenPickleError("its stack is empty")
        self._stack[-count:] = [items]

    def tuple_of_marked(self, _: object) -> None:
        items = self.pop_mark()
        self._stack.append(tuple(items))

    def list_of_marked(self, _: object) -> None:
        items = self.pop_mark()
        self._stack.append(items)

    def dict_of_marked(self, _: object) -> None:
        items = self.pop_mark()
        made: dict[str, object] = {}
        _set_items(made, items)
        self._stack.append(made)

    def inert_of_marked(self, _: object) -> None:
        self.pop_mark()
        self._stack.append(INERT)

    def append(self, _: object) -> None:
        self._extend([self._stack.pop()])

    def append_marked(self, _: object) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: Sequence[object]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            cast("list[object]", target).extend(items)

    def set_item(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        _set_items(self._stack[-1], [key, value])

    def set_marked(self, _: object) -> None:
        items = self.pop_mark()
        _set_items(self._stack[-1], items)

    def discard_marked(self, _: object) -> None:
        self.pop_mark()

    def discard(self, _: object) -> None:
        self._stack.pop()

    # --- names and calls

    def global_name(self, argument: object) -> None:
        module, _, name = cast(str, argument).partition(" ")
        self._stack.append(_known(module, name))

    def stack_global(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise BrokenPickleError("a name is no text")
        self._stack.append(_known(module, name))

    def extension(self, code: object) -> None:
        raise ProgramError(f"extension {code}")

    def persistent_id(self, _: object) -> None:
        self._stack.append(self._persistent(self._stack.pop()))

    def reduce(self, _: object) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._stack.append(_call(function, arguments))

    def reduce_with_keywords(self, _: object) -> None:
        self._stack.pop()
        self.reduce(None)

    def instance(self, argument: object) -> None:
        module, _, name = cast(str, argument).partition(" ")
        items = self.pop_mark()
        self._stack.append(_call(_known(module, name), tuple(items)))

    def object_of_marked(self, _: object) -> None:
        function, *items = self.pop_mark()
        self._stack.append(_call(function, tuple(items)))

    def push(self, made: object) -> None:
        self._stack.append(made)


def _known(module: str, name: str) -> Name:
    found = look_up(module, name)
    if found.role is Role.REFUSED:
        raise ProgramError(found.full[:SHOWN])
    return found


def _set_items(target: object, items: Sequence[object]) -> None:
    """Puts keys and values, by turns, into a dictionary; what is not under a text is passed over."""
    if len(items) % 2:
        raise BrokenPickleError("a key has no value")
    if isinstance(target, dict):
        made = cast("dict[str, object]", target)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, str):
                made[key] = value


def _call(function: object, arguments: object) -> object:
    """What a call gives: a dictionary, a tensor's description, or INERT."""
    if not isinstance(arguments, tuple):
        raise BrokenPickleError("the arguments of a call are no tuple")
    given = cast("tuple[object, ...]", arguments)
    if isinstance(function, Inert):
        return INERT
    if not isinstance(function, Name):
        raise BrokenPickleError("it calls what is neither a class nor a function")
    if function.role is Role.NAMED:
        raise ProgramError(function.full[:SHOWN])
    if function.role is Role.MAPPING:
        return _mapping(given)
    if function.role is Role.TENSOR:
        return _tensor(function.full, given)
    if function.full == GET_LAYOUT and len(given) == 1 and isinstance(given[0], str):
        return given[0]
    return ARRAY if function.full.endswith(("._reconstruct", "._frombuffer")) else INERT


def _mapping(arguments: tuple[object, ...]) -> dict[str, object]:
    """A new dictionary, of the pairs that Python 2 passed."""
    made: dict[str, object] = {}
    pairs = arguments[0] if arguments else None
    if isinstance(pairs, dict):
        made.update(cast("dict[str, object]", pairs))
    elif isinstance(pairs, list):
        for pair in cast("list[object]", pairs):
            if isinstance(pair, (list, tuple)) and len(cast("Sequence[object]", pair)) == 2:
                _set_items(made, cast("Sequence[object]", pair))
    return made


def _tensor(function: str, given: tuple[object, ...]) -> object:
    """What torch's rebuilding functions would make of their arguments."""
    short = function.rpartition("._rebuild_")[2]
    match given:
        case (Name() as inner, Name(full=kind), arguments, *_) if function == FROM_TYPE:
            if kind not in PLAIN_TENSORS or inner.full == FROM_TYPE:
                return Unmergeable(kind.rpartition(".")[2][:SHOWN])
            return _call(inner, arguments)
        case (data, *_) if short in ("parameter", "parameter_with_state") or function in PARAMETERS:
            return data if isinstance(data, (Rebuilt, Unmergeable)) else INERT
        case (Rebuilt() | Unmergeable() as data, *_) if short == "device_tensor_from_cpu_tensor":
            return data
        case (storage, offset, shape, stride, *_) if short in ("tensor", "tensor_v2"):
            return _rebuilt(storage, offset, shape, stride)
        case (storage, offset, shape, stride, _, _, Name(full=dtype), *_) if short == "tensor_v3":
            return _rebuilt(storage, offset, shape, stride, dtype.removeprefix("torch."))
        case _:
            return _unmergeable(short, given)


def _unmergeable(short: str, given: tuple[object, ...]) -> Unmergeable:
    """A tensor of another kind, or one whose arguments are not those of any torch that is known."""
    known = {"sparse_tensor": "sparse", "qtensor": "quantised", "nested_tensor": "nested"}
    if short == "sparse_tensor" and given and isinstance(given[0], str):
        return Unmergeable(given[0].removeprefix("torch.")[:SHOWN])
    if short in known:
        return Unmergeable(known[short])
    if short.startswith("meta_tensor"):
        return Unmergeable("meta")
    if short == "device_tensor_from_numpy":
        return Unmergeable("an array of numpy")
    if short == "wrapper_subclass" and given and isinstance(given[0], Name):
        return Unmergeable(given[0].full.rpartition(".")[2][:SHOWN])
    return Unmergeable(short.replace("_", " ")[:SHOWN])


def _rebuilt(storage: object, offset: object, shape: object, stride: object, dtype: str = "") -> object:
    if not isinstance(storage, Storage):
        raise BrokenPickleError("a tensor has no storage")
    if storage.device == "meta":
        return Unmergeable("meta")
    axes, steps = _counts(shape), _counts(stride)
    if len(axes) != len(steps):
        raise BrokenPickleError("a tensor's shape and stride are not of one length")
    return Rebuilt(storage, _count(offset), axes, steps, dtype)


def _counts(values: object) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list)) or len(cast("Sequence[object]", values)) > MAX_AXES:
        raise BrokenPickleError("a tensor's shape or stride is no short list of numbers")
    return tuple(_count(value) for value in cast("Sequence[object]", values))


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < MAX_COUNT:
        raise BrokenPickleError("a tensor's size or place is no whole number in range")
    return value


def _first_line(error: Exception) -> str:
    lines = str(error.args[0] if error.args else "").strip().splitlines()
    return lines[0][:SHOWN] if lines else type(error).__name__


# Opcodes whose argument is the value itself.
VALUES = frozenset(
    [
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "FLOAT",
        "BINFLOAT",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
    ]
)
STEPS: dict[str, Callable[[_Machine, object], None]] = {
    "PROTO": lambda _, __: None,
    "FRAME": lambda _, __: None,
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_SET": lambda machine, _: machine.push(INERT),
    "TUPLE1": lambda machine, _: machine.make_tuple(1),
    "TUPLE2": lambda machine, _: machine.make_tuple(2),
    "TUPLE3": lambda machine, _: machine.make_tuple(3),
    "TUPLE": _Machine.tuple_of_marked,
    "LIST": _Machine.list_of_marked,
    "DICT": _Machine.dict_of_marked,
    "FROZENSET": _Machine.inert_of_marked,
    "ADDITEMS": _Machine.discard_marked,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.append_marked,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_marked,
    "BUILD": _Machine.discard,
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.discard_marked,
    "DUP": _Machine.duplicate,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.global_name,
    "STACK_GLOBAL": _Machine.stack_global,
    "EXT1": _Machine.extension,
    "EXT2": _Machine.extension,
    "EXT4": _Machine.extension,
    "BINPERSID": _Machine.persistent_id,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,  # an object is made as by a call of its class
    "NEWOBJ_EX": _Machine.reduce_with_keywords,
    "INST": _Machine.instance,
    "OBJ": _Machine.object_of_marked,
}
