"""Routes of the HTTP API as a table: a handler with its request and its answer as dataclasses."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, get_type_hints

from lib_merge.errors import MergeError
from lib_merge.hosts.host import HostError
from lib_merge.service.services import Services

API_ROOT = "/merge-desk/v1"
PATH = re.compile(r"[a-z]+(?:/[a-z]+)*")


class UnknownNameError(MergeError):
    """A name that is not in the host's lists."""


@dataclass(frozen=True)
class Route:
    """One route.

    verb     GET, which takes nothing, or POST
    path     below API_ROOT
    run      answers a request; raises MergeError
    request  the dataclass that the body is read as
    result   what `run` returns
    text     what its docstring says
    """

    verb: Literal["GET", "POST"]
    path: str
    run: Callable[[Services, Any], object]
    request: type
    result: Any
    text: str


def route(verb: Literal["GET", "POST"], path: str) -> Callable[[Callable[[Services, Any], object]], Route]:
    """Makes a handler of the services and a request a route."""

    def registered(run: Callable[[Services, Any], object]) -> Route:
        hints = get_type_hints(run)
        result, parameter_types = hints.pop("return", None), list(hints.values())
        if not PATH.fullmatch(path) or len(parameter_types) != 2:
            raise TypeError(f"{path}: a handler takes the services and a request")
        return Route(verb, path, run, parameter_types[1], result, inspect.getdoc(run) or "")

    return registered


def routes_of(module: ModuleType) -> tuple[Route, ...]:
    """The routes that a module defines, in its order."""
    routes = [entry for entry in vars(module).values() if isinstance(entry, Route)]
    return tuple(entry for entry in routes if entry.run.__module__ == module.__name__)


@contextmanager
def unknown_names_as_404() -> Generator[None]:
    """Raises UnknownNameError (404) for a name that is not in the host's lists."""
    try:
        yield
    except HostError as cause:
        raise UnknownNameError(cause.what, where=cause.where, hint=cause.hint) from cause
