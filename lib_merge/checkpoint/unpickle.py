"""A safe unpickler: it interprets a pickle's opcodes itself, and imports and calls nothing that the pickle
names.

A pickle is a program for a small stack machine (see the standard library's pickletools). Of a checkpoint's
pickle only dictionaries, texts, numbers and the calls that rebuild tensors matter; the latter become
`Rebuilt` and `Unmergeable`. All other objects become one placeholder, INERT, which ignores every operation.
Protocols 0 to 5 are supported. The numbers of opcodes and bytes are limited, so that a zip bomb ends with an
error.
"""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Callable, Sequence
from typing import cast

from lib_merge.checkpoint.pickle_values import (
    INERT,
    SHOWN,
    BrokenPickleError,
    ProgramError,
    call,
    name_of,
    set_items,
)

MAX_PICKLE = 32 << 20  # bytes; 12,000 tensors take 3 MB
MAX_OPCODES = 2_000_000  # 12,000 tensors take 500,000; as many empty dictionaries take 150 MB


def unpickle(stream: io.BytesIO, persistent: Callable[[object], object]) -> object:
    """The object of the pickle at the stream's position, which moves to the pickle's end.

    persistent  returns the object of a persistent ID
    Raises ProgramError for a refused name or call, BrokenPickleError for an invalid pickle.
    """
    machine = _Machine(persistent)
    try:
        return machine.run(stream)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, struct.error) as error:
        raise BrokenPickleError(_first_line(error)) from error


class _Machine:
    """The stack, the marks and the memo of one pickle."""

    def __init__(self, persistent: Callable[[object], object]) -> None:
        self._persistent = persistent
        self._stack: list[object] = []
        self._marked: list[list[object]] = []  # the stacks below the marks
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
                    raise BrokenPickleError(f"the opcode {name} is not supported")
                step(self, argument)
        if len(self._stack) != 1 or self._marked:
            raise BrokenPickleError("its stack does not end with one object")
        return self._stack.pop()

    # --- marks and memo

    def mark(self, _: object) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def pop_mark(self, _: object = None) -> list[object]:
        items, self._stack = self._stack, self._marked.pop()
        return items

    def pop(self, _: object) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self.pop_mark()

    def duplicate(self, _: object) -> None:
        self._stack.append(self._stack[-1])

    def put(self, index: object) -> None:
        self._memo[cast(int, index)] = self._stack[-1]

    def memoize(self, _: object) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, index: object) -> None:
        self._stack.append(self._memo[cast(int, index)])

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
        entries: dict[str, object] = {}
        set_items(entries, items)
        self._stack.append(entries)

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
        set_items(self._stack[-1], [key, value])

    def set_marked(self, _: object) -> None:
        items = self.pop_mark()
        set_items(self._stack[-1], items)

    def discard_marked(self, _: object) -> None:
        self.pop_mark()

    def discard(self, _: object) -> None:
        self._stack.pop()

    # --- names and calls

    def global_name(self, argument: object) -> None:
        module, _, name = cast(str, argument).partition(" ")
        self._stack.append(name_of(module, name))

    def stack_global(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise BrokenPickleError("a name is not text")
        self._stack.append(name_of(module, name))

    def extension(self, code: object) -> None:
        raise ProgramError(f"extension {code}")

    def persistent_id(self, _: object) -> None:
        self._stack.append(self._persistent(self._stack.pop()))

    def reduce(self, _: object) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._stack.append(call(function, arguments))

    def reduce_with_keywords(self, _: object) -> None:
        self._stack.pop()
        self.reduce(None)

    def instance(self, argument: object) -> None:
        module, _, name = cast(str, argument).partition(" ")
        items = self.pop_mark()
        self._stack.append(call(name_of(module, name), tuple(items)))

    def object_of_marked(self, _: object) -> None:
        function, *items = self.pop_mark()
        self._stack.append(call(function, tuple(items)))

    def push(self, value: object) -> None:
        self._stack.append(value)


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
    "NEWOBJ": _Machine.reduce,  # creates an object like a call of its class
    "NEWOBJ_EX": _Machine.reduce_with_keywords,
    "INST": _Machine.instance,
    "OBJ": _Machine.object_of_marked,
}
