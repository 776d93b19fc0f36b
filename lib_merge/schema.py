"""Requests as dataclasses: parsed from JSON, and described for documentation. The page and the HTTP API share
it.

The type of a field is str, int, float, bool, a Literal, tuple, Mapping or another dataclass, or a union of
these with None; null in the JSON means that the field is missing. `described_field(expected, hint)` declares
a field with its own description for error messages. A class with a classmethod `from_json` parses itself, and
may describe fields that are not its own by a classmethod `further_notes`.
"""

from __future__ import annotations

import inspect
import math
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from lib_merge.errors import RecipeError, did_you_mean

T = TypeVar("T")

MAX_INTEGER = 2**53  # beyond it JavaScript's numbers are not exact
MAX_SHOWN = 100  # characters of a value in an error
PLAIN_TYPES: Mapping[Any, str] = {
    str: "text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    object: "anything",
    Any: "anything",
}
PLURALS = {"text": "texts", "an integer": "integers", "a number": "numbers"}
FIELD_LINE = re.compile(r"^ {0,4}(?P<name>[a-z_]+(?:, [a-z_]+)*) {2,}(?P<text>\S.*)$")


@dataclass(frozen=True)
class EmptyRequest:
    """A request without fields."""


@dataclass(frozen=True)
class FieldDescription:
    """The documentation of one field: its name, its type in words, its default, and what it means."""

    name: str
    type_name: str
    default: str
    description: str


def described_field(expected: str, hint: str = "", default: Any = MISSING) -> Any:
    """A dataclass field whose error message reads "'NAME' must be EXPECTED, not ..." with this hint."""
    metadata = {"expected": expected, "hint": hint}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


def parse_dataclass(kind: type[T], data: Mapping[str, object], what: str, hint: str = "") -> T:
    """An instance of the dataclass from a JSON object; RecipeError for unknown, missing or invalid fields.

    what  the request's name in error messages: "a comparison"; the class attribute `taker` overrides it
    hint  the hint of errors about fields that have none of their own
    """
    what = str(getattr(kind, "taker", what))
    reader: Any = getattr(kind, "from_json", None)
    if reader is not None:
        return cast("T", reader(data))
    own_fields = {entry.name: entry for entry in fields(cast("Any", kind))}
    if data and not own_fields:
        raise RecipeError(f"{what} takes nothing", where=", ".join(data), hint=hint or "send {} or no body")
    for name in data:
        if name not in own_fields:
            choices = did_you_mean(name, own_fields) or f"its fields are {', '.join(own_fields)}"
            raise RecipeError(f"'{name}' is nothing that {what} takes", hint=hint or choices)
    types_by_name = _field_types(kind)
    values: dict[str, object] = {}
    for name, entry in own_fields.items():
        value = data.get(name)
        if value is None:
            if _is_required(entry):
                raise RecipeError(f"'{name}' is missing", hint=hint or entry.metadata.get("hint", ""))
            continue
        try:
            values[name] = _parse(types_by_name[name], value)
        except (TypeError, ValueError, OverflowError) as cause:
            expected = entry.metadata.get("expected") or render_type(types_by_name[name])
            raise RecipeError(
                f"'{name}' must be {expected}, not {_shortened(value)}",
                hint=hint or entry.metadata.get("hint", ""),
            ) from cause
    return kind(**values)


@cache
def _field_types(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} ..."


def _is_required(entry: Field[Any]) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def _parse(kind: Any, value: object) -> Any:
    """The JSON value converted to this type; TypeError or ValueError where it does not fit."""
    if kind in (object, Any):
        return value
    if kind is bool or kind is str:
        return _of_type(kind, value)
    if kind is int or kind is float:
        return _number(kind, value)
    if is_dataclass(kind):
        inner = cast("type[Any]", kind)
        return parse_dataclass(inner, _object(value), inner.__name__)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _parse_union(arguments, value)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(value)
        return value
    if origin in (dict, Mapping):
        return {name: _parse(arguments[1], item) for name, item in _object(value).items()}
    if origin in (tuple, list, Sequence):
        return _parse_list(arguments, value)
    raise TypeError(kind)


def _parse_union(members: Sequence[Any], value: object) -> Any:
    for member in members:
        if member is not type(None):
            try:
                return _parse(member, value)
            except (TypeError, ValueError):
                continue
    raise TypeError(value)


def _parse_list(arguments: Sequence[Any], value: object) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(value)
    items = cast("Sequence[object]", value)
    if arguments[-1] is Ellipsis or len(arguments) == 1:
        return tuple(_parse(arguments[0], item) for item in items)
    return tuple(_parse(argument, item) for argument, item in zip(arguments, items, strict=True))


def _of_type(kind: type, value: object) -> Any:
    if type(value) is not kind:
        raise TypeError(value)
    return value


def _number(kind: type, value: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(value)
    if not math.isfinite(value) or (kind is int and (value != int(value) or abs(value) > MAX_INTEGER)):
        raise ValueError(value)
    return kind(value)


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError(value)
    return {str(name): item for name, item in cast("Mapping[object, object]", value).items()}


# --- descriptions ---


def render_type(kind: Any) -> str:
    """A type in words: "text", "a list of numbers", "an object of texts by name or null"."""
    if kind in PLAIN_TYPES:
        return PLAIN_TYPES[kind]
    if is_dataclass(kind):
        return f"an object ({cast('type', kind).__name__})"
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join("null" if member is type(None) else render_type(member) for member in arguments)
    if origin is Literal:
        return " or ".join(f'"{value}"' for value in arguments)
    if origin in (dict, Mapping):
        anything = arguments[1] in (object, Any)
        return "an object" if anything else f"an object of {_render_plural(arguments[1])} by name"
    if origin in (tuple, list, Sequence):
        if arguments[-1] is Ellipsis or len(arguments) == 1:
            return f"a list of {_render_plural(arguments[0])}"
        return f"a list of {len(arguments)}: {', '.join(map(render_type, arguments))}"
    raise TypeError(f"no description of the type {kind!r}")


def _render_plural(kind: Any) -> str:
    """The plural of a type in words: "numbers"."""
    singular = render_type(kind)
    if singular in PLURALS:
        return PLURALS[singular]
    return singular.replace("an object", "objects", 1).replace("a list", "lists", 1)


def describe_fields(kind: type) -> tuple[FieldDescription, ...]:
    """The documentation of every field of a dataclass; what a field means is taken from the class's
    docstring."""
    types_by_name, meanings = _field_types(kind), _meanings(inspect.getdoc(kind) or "")
    if hasattr(kind, "from_json"):
        further: Any = getattr(kind, "further_notes", tuple)
        return (*(FieldDescription(name, "", "", text) for name, text in meanings.items()), *further())
    return tuple(
        FieldDescription(
            entry.name,
            entry.metadata.get("expected") or render_type(types_by_name[entry.name]),
            _render_default(entry),
            meanings.get(entry.name, ""),
        )
        for entry in fields(cast("Any", kind))
    )


def _render_default(entry: Field[Any]) -> str:
    if _is_required(entry):
        return ""
    default: object = entry.default if entry.default is not MISSING else None
    return "" if default in (None, "", ()) else str(default).lower() if default is False else f"{default}"


def _meanings(docstring: str) -> dict[str, str]:
    """Field name -> meaning, from the lines "name   meaning" of a docstring and the lines indented below
    them."""
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in docstring.splitlines():
        field_line = FIELD_LINE.match(line)
        if field_line:
            names = field_line["name"].split(", ")
            meanings |= dict.fromkeys(names, field_line["text"])
        elif names and line.startswith("    "):
            for name in names:
                meanings[name] += f" {line.strip()}"
        else:
            names = []
    return meanings
