"""The types of what Python says to the page, for its scripts: types/desk.d.ts, made from the dataclasses."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lib_merge.desk.protocol import Endpoint, Response

FILE = Path(__file__).parents[2] / "types" / "desk.d.ts"
HEAD = """\
/* What Python says to the page, made from its dataclasses: "python3 start.py docs" writes it. */
"""
WORDS = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def page_types(endpoints: Sequence[Endpoint]) -> str:
    """The declarations of what the endpoints take and bring, with all that these hold."""
    found: dict[str, type] = {}
    for kind in (Response, *(kind for each in endpoints for kind in (each.request, each.result))):
        _collect(kind, found)
    interfaces = [_interface(found[name]) for name in sorted(found)]
    requests = _table("Requests", {each.name: each.request for each in endpoints})
    results = _table("Results", {each.name: each.result for each in endpoints})
    return f"{HEAD}declare namespace Desk {{\n{''.join(interfaces)}{requests}{results}}}\n"


def _table(title: str, kinds: Mapping[str, Any]) -> str:
    lines = [f'    "{name}": {_word(kind)};\n' for name, kind in kinds.items()]
    return f"  /** By endpoint. */\n  interface {title} {{\n{''.join(lines)}  }}\n"


def _collect(kind: Any, found: dict[str, type]) -> None:
    if is_dataclass(kind) and isinstance(kind, type):
        known = found.setdefault(kind.__name__, kind)
        if known is not kind:
            raise TypeError(f"two classes for the page have the name {kind.__name__}")
    inside = get_type_hints(kind).values() if is_dataclass(kind) else get_args(kind)
    for each in inside:
        if each not in found.values():
            _collect(each, found)


def _interface(kind: type) -> str:
    hints = get_type_hints(kind)
    lines = [f"    {each.name}: {_word(hints[each.name])};\n" for each in fields(kind)]
    return f"  interface {kind.__name__} {{\n{''.join(lines)}  }}\n"


def _word(kind: Any) -> str:
    """A type of Python as one of TypeScript, after it has been JSON."""
    if kind in WORDS:
        return WORDS[kind]
    if kind is Any or kind is object:
        return "any"
    if is_dataclass(kind) and isinstance(kind, type):
        return kind.__name__
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(f'"{each}"' for each in inside)
    if origin in (Union, types.UnionType):
        return " | ".join(_word(each) for each in inside)
    if origin is tuple and inside[-1:] != (Ellipsis,):
        return f"[{', '.join(map(_word, inside))}]"
    if origin in (tuple, list, Sequence):
        return _several(_word(inside[0]))
    if origin in (dict, Mapping):
        return f"Record<string, {_word(inside[1])}>"
    raise TypeError(f"the page knows no {kind!r}")


def _several(word: str) -> str:
    return f"({word})[]" if " " in word and not word.endswith(("]", ">")) else f"{word}[]"
