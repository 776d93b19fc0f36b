"""The protocol between the page and Python: one `Action` in, one `Response` out, through one `dispatch`.

A handler is a plain function of the services and an action; `@action` makes it an `Endpoint`:

    @action("mix.unload")
    def unload(service: Services, action: Action[FaderAmounts]) -> MixResult: ...

Its name is TAB.VERB, and the function has the name of the verb (`open_` for a verb that Python has as a
built-in). The request is the dataclass inside `Action[...]`, the result the one that is returned: from these
the page's events, the script's types and the documentation follow. Every error becomes one `Problem` in
the response, whatever the page has sent; an error that is not a MergeError is a defect of ours, and is
logged here.

On the wire, the page's script presses the hidden button `element_id(name)`. The event's first input is

    {"seq": 7, "name": "mix.apply", "task": "", "revision": 2, "data": {...}}

the lists above the tabs come after it as inputs of Gradio, then, where an endpoint draws, the fields that
pictures are drawn with. The response is JSON in the attribute `data-merge-desk` of an element inside
`element_id(name, "response")`, with the fields of `Response`. An event without a name does nothing.

The revision counts the page's requests to set the lists. A response is of the state at the revision that
its action was sent with: the page waits for a response to `lists.settled` of its own revision or a later one.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Generic, TypeVar, cast, get_args, get_origin, get_type_hints

from lib_merge.desk.common import MODEL_UNCHANGED, Problem, problem_of
from lib_merge.desk.selection import Selection
from lib_merge.desk.status import StatusView, status_view
from lib_merge.errors import MergeError, RecipeError, did_you_mean
from lib_merge.json_data import load
from lib_merge.schema import EmptyRequest, parse_dataclass
from lib_merge.service.services import Services

Data = TypeVar("Data")
Result = TypeVar("Result")

ID_PREFIX = "merge_desk_"
ACTION_NAME = re.compile(r"[a-z]+\.[a-z]+(?:_[a-z]+)*")
HALF_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")  # perhaps half of a surrogate pair
RELOAD = "reload the page"
MOST_WHOLE = 2**53  # beyond it JavaScript's numbers are not exact

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Action(Generic[Data]):
    """A request of the page.

    seq        number of the request, as the page counts
    name       TAB.VERB
    selection  the choice in the lists above the tabs
    drawing    the fields of a picture's settings, by name; empty where the endpoint generates none
    data       what this endpoint takes
    task       the id under which the host's page asks for progress, "" where none does
    revision   how often the page has asked to set the lists
    """

    seq: int
    name: str
    selection: Selection
    drawing: Mapping[str, object]
    data: Data
    task: str = ""
    revision: int = 0


@dataclass(frozen=True)
class Response:
    """The response to an action.

    seq, action, selection, revision  as the action has them
    data     what the endpoint returned, None where something went wrong
    problem  what went wrong
    status   what is in memory now; None for endpoints that do not report it
    """

    seq: int
    action: str
    data: object = None
    problem: Problem | None = None
    status: StatusView | None = None
    selection: Selection = field(default_factory=Selection)
    revision: int = 0


@dataclass(frozen=True)
class Endpoint:
    """A function of Python that the page can call.

    run      the handler
    request  the dataclass of the action's data
    result   what `run` returns
    summary  the first line of its docstring
    drawing  whether it gets the fields of a picture's settings
    queued   whether it waits for its turn among the host's events; False for what must answer while another
             event runs
    status   whether the response says what is in memory
    stopped  the text of the problem where the user has stopped it
    """

    name: str
    run: Callable[[Services, Action[Any]], object]
    request: type
    result: Any
    summary: str
    drawing: bool = False
    queued: bool = True
    status: bool = True
    stopped: str = MODEL_UNCHANGED

    @property
    def verb(self) -> str:
        """The part of the name after the tab's: VERB of TAB.VERB."""
        return self.name.partition(".")[2]


def action(
    name: str,
    *,
    drawing: bool = False,
    queued: bool = True,
    status: bool = True,
    stopped: str = MODEL_UNCHANGED,
) -> Callable[[Callable[[Services, Action[Any]], object]], Endpoint]:
    """Makes a handler an endpoint of this name; the rest is as `Endpoint` has it."""

    def registered(run: Callable[[Services, Action[Any]], object]) -> Endpoint:
        hints = get_type_hints(run)
        result, parameter_types = hints.pop("return", None), list(hints.values())
        if (
            not ACTION_NAME.fullmatch(name)
            or len(parameter_types) != 2
            or get_origin(parameter_types[1]) is not Action
        ):
            raise TypeError(f"{name}: a handler is TAB.VERB, and takes the services and an Action[DATA]")
        (request,) = get_args(parameter_types[1])
        summary = (run.__doc__ or "").strip().partition("\n")[0]
        return Endpoint(name, run, request, result, summary, drawing, queued, status, stopped)

    return registered


def endpoints_of(module: ModuleType) -> tuple[Endpoint, ...]:
    """The endpoints that a module defines, in its order."""
    endpoints = [endpoint for endpoint in vars(module).values() if isinstance(endpoint, Endpoint)]
    return tuple(endpoint for endpoint in endpoints if endpoint.run.__module__ == module.__name__)


def element_id(name: str, part: str = "") -> str:
    """The id of an element of the page: of an endpoint's button, or of another part of it."""
    return ID_PREFIX + name.replace(".", "_") + (f"_{part}" if part else "")


def dispatch(
    text: str,
    endpoints: Sequence[Endpoint],
    service: Services,
    selection: Selection | None = None,
    drawing: Mapping[str, object] | None = None,
    fields: Mapping[str, object] | None = None,
) -> Response:
    """Exactly one response to whatever the page sends; never raises.

    text    the first input of the event, see the top of this module
    fields  the values of further inputs of the event, which join the action's data
    """
    selection = selection or Selection()
    message = _Message()
    endpoint: Endpoint | None = None
    data: object = None
    problem: Problem | None = None
    try:
        message.read(text)
        if message.name:
            endpoint = _endpoint(message.name, endpoints)
            data = endpoint.run(service, message.action(endpoint, selection, drawing or {}, fields or {}))
    except Exception as error:
        problem = _problem(error, endpoint.stopped if endpoint else MODEL_UNCHANGED)
    status: StatusView | None = None
    if endpoint is None or endpoint.status:
        try:
            status = status_view(service.merging)
        except Exception as error:
            problem = problem or _problem(error)
    return Response(message.seq, message.name, data, problem, status, selection, message.revision)


def _problem(error: Exception, stopped: str = MODEL_UNCHANGED) -> Problem:
    if not isinstance(error, MergeError):
        log.exception("internal error in Merge Desk", exc_info=error)
    return problem_of(error, stopped)


def _endpoint(name: str, endpoints: Sequence[Endpoint]) -> Endpoint:
    for endpoint in endpoints:
        if endpoint.name == name:
            return endpoint
    near = did_you_mean(name, [endpoint.name for endpoint in endpoints])
    raise RecipeError(f"there is no action '{name}'", hint=near or RELOAD)


class _Message:
    """The first input of an event, as far as it can be read."""

    def __init__(self) -> None:
        self.seq, self.revision = 0, 0
        self.name, self.task = "", ""
        self._data: Mapping[str, object] = {}

    def read(self, text: str) -> None:
        """Read the message; raises RecipeError where it is malformed, and keeps what was read until then."""
        message = _json_object(text)
        self.seq = _integer(message, "seq")
        self.name, self.task = _text(message, "name"), _text(message, "task")
        self.revision = _integer(message, "revision")
        _check_characters(text)
        data: object = message.get("data") or {}
        if not isinstance(data, Mapping):
            raise RecipeError("the page sent 'data' that is not an object", hint=RELOAD)
        self._data = cast("Mapping[str, object]", data)

    def action(
        self,
        endpoint: Endpoint,
        selection: Selection,
        drawing: Mapping[str, object],
        fields: Mapping[str, object],
    ) -> Action[Any]:
        """The action of this message, its data parsed as the endpoint's request."""
        request = cast("type[object]", endpoint.request)
        data = parse_dataclass(request, {**self._data, **fields}, f"'{self.name}'")
        return Action(self.seq, self.name, selection, drawing, data, self.task, self.revision)


def _json_object(text: str) -> Mapping[str, object]:
    try:
        message: object = json.loads(text or "{}")
    except (TypeError, ValueError, RecursionError) as cause:
        raise RecipeError("the page sent a message that cannot be read", hint=RELOAD) from cause
    if not isinstance(message, dict):
        raise RecipeError("the page sent a message that cannot be read", hint=RELOAD)
    return cast("dict[str, object]", message)


def _check_characters(text: str) -> None:
    """RecipeError for half of a surrogate pair, which no file and no answer could hold."""
    if HALF_SURROGATE.search(text):
        try:
            load(text, allow_nan=True)
        except ValueError as cause:
            raise RecipeError(f"the page sent a text that cannot be read: {cause}") from cause


def _integer(message: Mapping[str, object], name: str) -> int:
    value = message.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MOST_WHOLE:
        raise RecipeError(f"the page sent '{name}' that is not a number", hint=RELOAD)
    return int(value)


def _text(message: Mapping[str, object], name: str) -> str:
    value = message.get(name) or ""
    if not isinstance(value, str):
        raise RecipeError(f"the page sent '{name}' that is not text", hint=RELOAD)
    return value


__all__ = [
    "Action",
    "EmptyRequest",
    "Endpoint",
    "Response",
    "action",
    "dispatch",
    "element_id",
    "endpoints_of",
]
