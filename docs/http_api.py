"""The routes of the HTTP API as a page: read off the tabs' tables, with their requests and answers."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from lib_merge.desk.route import API_ROOT, Route
from lib_merge.desk.tab import Tab
from lib_merge.schema import FieldDescription, describe_fields

Table = Callable[[Sequence[str], Iterable[Sequence[str]]], str]


def http_api(tabs: Sequence[Tab], table: Table) -> str:
    """A chapter for every route, by path; `table` writes a table of Markdown."""
    routes = sorted(
        (route for tab in tabs for route in tab.routes), key=lambda route: (route.path, route.verb)
    )
    return "\n\n".join("\n\n".join(_chapter(route, table)) for route in routes)


def _chapter(route: Route, table: Table) -> Iterator[str]:
    yield f"## {route.verb} {API_ROOT}/{route.path}"
    yield route.text
    if notes := describe_fields(route.request):
        yield _one_line(route.request.__doc__)
        yield _fields(notes, table)
    elif route.verb == "POST":
        yield "Takes nothing: `{}`, or no body."
    answers = list(_dataclasses(route.result))
    for kind, several in answers:
        yield _answer(kind, several, len(answers) > 1)
        yield _fields(describe_fields(kind), table)
        for inner in _inner(kind):
            yield f"`{inner.__name__}`: {_one_line(inner.__doc__)}"
            yield _fields(describe_fields(inner), table)


def _answer(kind: type, several: bool, one_of_many: bool) -> str:
    what = "Answers a list; of each" if several else "May answer" if one_of_many else "Answers"
    return f"{what}: {_one_line(kind.__doc__)}"


def _one_line(text: str | None) -> str:
    return " ".join((text or "").partition("\n\n")[0].split())


def _fields(notes: Sequence[FieldDescription], table: Table) -> str:
    rows = [
        (f"`{note.name}`", _cell(note.type_name), _cell(note.description), _cell(note.default))
        for note in notes
    ]
    if any(note.default for note in notes):
        return table(("field", "type", "meaning", "default"), rows)
    return table(("field", "type", "meaning"), (row[:3] for row in rows))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _dataclasses(kind: Any) -> Iterator[tuple[type, bool]]:
    """The dataclasses that an answer may be, and whether it is a list of them."""
    if is_dataclass(kind) and isinstance(kind, type):
        yield kind, False
    elif get_origin(kind) in (Union, types.UnionType):
        for member in get_args(kind):
            yield from _dataclasses(member)
    elif get_origin(kind) is tuple:
        yield from ((member, True) for member, _ in _dataclasses(get_args(kind)[0]))


def _inner(kind: type) -> Iterator[type]:
    """The dataclasses that its fields hold, each once, the outer ones first."""
    inner: dict[type, None] = {}
    waiting: list[Any] = list(get_type_hints(kind).values())
    while waiting:
        hint = waiting.pop(0)
        if is_dataclass(hint) and isinstance(hint, type):
            if hint not in inner and hint is not kind:
                inner[hint] = None
                waiting += get_type_hints(hint).values()
        elif get_origin(hint) in (Union, types.UnionType, tuple, dict, Mapping):
            waiting += get_args(hint)
    yield from inner
