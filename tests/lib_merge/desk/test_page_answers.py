"""Whatever the page sends, the page is answered: every event of the tab, over damaged and odd texts."""

from __future__ import annotations

import html
import json
import logging
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pytest

from lib_merge.desk.protocol import EmptyRequest
from lib_merge.desk.table import endpoints
from lib_merge.service.services import Services
from tests.support.damaged import CONTENTS, variations
from tests.support.desk_host import PaperHost, PaperService
from tests.support.full_size import write_tiny

pytestmark = pytest.mark.newest_only

CARRIED = re.compile(r'data-merge-desk="([^"]*)"')
FADERS = {"alpha": {"OUT05": 0.5, "*": 0.2}, "weights": "OUT: 0.7", "density": 0.5, "elect": True}
MIX = {"parameters": FADERS, "engaged": "merge-1"}
PRESET = {"name": "mine", "family": "sd1"}
GRID = {"parameters": FADERS, "axes": {"x": ["alpha", "0, 1"], "y": ["seed", "1-3"]}}
ENTRY = {"query": "ink", "starred": True, "id": 1}
SEARCH = {
    "parameters": FADERS,
    "options": {"space": "OUT: 0..1", "score": ["statistics"], "budget": "2 trials"},
}
COMPARED = {"reference": "a", "models": ["b"], "kind": "weights", "base": "a", "seed": None}
# what the page sends with each action, where it sends something
SENT: Mapping[str, Mapping[str, object]] = {
    "language.open": {"language": "ja"},
    "mix.apply": MIX,
    "mix.compare": MIX,
    "mix.unload": MIX,
    "mix.effects": MIX,
    "mix.further_picture": {"engaged": "merge-1", "drawing": "0123", "seed": 4, "prompt": "a cat"},
    "mix.keep": {"page": '{"version": 1}', "engaged": "merge-1"},
    "mix.keep_cards": {"cards": [{"id": "0123456789abcdef", "marked": True, "text": "{}"}], "gone": ["x"]},
    "mix.set_up": {"lists": {"b": "", "method": "TIES"}, "align": True, "drawing": {"seed": 3}},
    "mix.picture": {"id": "0123456789abcdef"},
    "mix.progress": {"engaged": "", "wait": 0},
    "mix.save": {"parameters": FADERS, "previewed": False},
    "mix.saved": {"number": 1},
    "mix.save_preset": {**PRESET, "amounts": {"OUT05": 0.5}},
    "mix.import_presets": {"text": "mine\t1, 2", "family": "sd1"},
    "mix.rename_preset": {**PRESET, "new_name": "yours"},
    "mix.delete_preset": PRESET,
    "mix.numbers": {"text": "1, 2", "layout": "supermerger", "family": "sd1"},
    "weights.open": {"family": "sd1"},
    "weights.test": {"text": "OUT: 0.7", "family": "sd1"},
    "weights.copy": {"text": "OUT: 0.7", "family": "sd1"},
    "methods.choose": {"name": "extract"},
    "grid.plan": GRID,
    "grid.picture": {"position": [0, 0, 0]},
    "grid.save_axes": {"name": "mine", "axes": {"x": ["alpha", "0, 1"]}},
    "grid.delete_axes": {"name": "mine"},
    **{f"queue.{verb}": {"number": 1} for verb in ("remove", "restore", "stop", "dismiss")},
    "grid.poll": {"run": 1, "at": 2},
    "grid.load_cell": {"place": [0, 1, 0]},
    "grid.row": {"row": 1, "sheet": 0},
    "history.list": {"query": "ink", "starred": True},
    "history.star": {**ENTRY, "star": True},
    "history.rename": {**ENTRY, "name": "n"},
    "history.delete": ENTRY,
    "history.undelete": ENTRY,
    "history.load": {"id": 1},
    "history.paste": {"text": "ink", "picture": "", "file": "x.png"},
    "report.compare": COMPARED,
    "report.check": {"models": ["b"], "base": "a"},
    "search.plan": SEARCH,
    "search.show": {"study": "s"},
    "search.poll": {"study": "s", "first": 1},
    "search.take": {"number": 1},
    "search.picture": {"number": 1, "picture": 0},
    "search.reference": {"picture": "data:image/png;base64,aGk=", "name": "r.png"},
    "search.eye": {"pictures": [0, 1]},
    "search.eye_click": {"left": 0, "right": 1, "answer": "left", "clicks": 0, "pictures": [0]},
    "search.eye_back": {"pictures": [0, 1]},
}
GRIDS = ("grid.start", "grid.map", "grid.resume", "grid.add", "queue.next")
SEARCHES = ("search.start", "search.add", "search.go_on")
BEGUN = (*GRIDS, *SEARCHES, "history.apply", "history.save")  # would merge or draw
PLOTS = ("report.plot",)  # as report.compare, and slow
EACH = 17  # of how many variations of a text one is sent; each event begins at another


@dataclass(frozen=True)
class Event:
    """One event of the page's script, with the values of lists and fields that the user has not changed."""

    name: str
    act: Callable[..., Any]
    rest: tuple[Any, ...]

    def answers(self, text: str, rest: tuple[Any, ...] | None = None) -> list[dict[str, Any]]:
        """The response to a message, whatever the message is."""
        return carried(self.act(text, *(self.rest if rest is None else rest)))


def carried(out: object) -> list[dict[str, Any]]:
    """The data in what an event gives."""
    parts = cast("list[object]", out) if isinstance(out, list) else [out]
    payloads = CARRIED.findall(" ".join(map(str, parts)))
    return [json.loads(html.unescape(part), parse_constant=pytest.fail) for part in payloads]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tab over two models; nothing is merged or drawn."""
    pytest.importorskip("gradio", reason="Gradio is not installed")
    from lib_merge.desk.page import build

    folder = tmp_path_factory.mktemp("page")
    (folder / "models").mkdir()
    for number, name in enumerate("ab"):
        write_tiny(folder / "models" / f"{name}.safetensors", seed=number)
    built: Any = build(Services(PaperService(PaperHost(folder / "models", folder / "data"))))
    if not isinstance(built.fns, dict):
        pytest.skip("this Gradio keeps its functions elsewhere")
    return built


@pytest.fixture(scope="module")
def events(page: Any) -> list[Event]:
    """Every event, each endpoint's once."""
    events_by_name: dict[str, Event] = {}
    for function in page.fns.values():
        name = re.search(r"fill\(given, \d+, '([\w.]+)'\)", str(function.js))
        if name and function.fn is not None and name[1] not in (*BEGUN, *PLOTS):
            events_by_name[name[1]] = Event(
                name[1], function.fn, tuple(part.value for part in function.inputs[1:])
            )
    return list(events_by_name.values())


@pytest.fixture(autouse=True)
def no_error_of_our_own(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    """Fail where a response came from an unexpected exception, which is logged with its traceback."""
    with caplog.at_level(logging.ERROR, "lib_merge"):
        yield
    assert [str(record.exc_info) for record in caplog.records if record.exc_info] == []


def whole(name: str, number: int = 3) -> Mapping[str, object]:
    return {"seq": number, "name": name, "task": "t", "revision": 1, "data": SENT.get(name, {})}


def test_every_event_of_the_page_is_tried_here(events: list[Event]) -> None:
    by_name = {endpoint.name: endpoint for endpoint in endpoints()}
    assert {event.name for event in events} == set(by_name) - {*BEGUN, *PLOTS}
    assert {name for name, endpoint in by_name.items() if endpoint.request is not EmptyRequest} == {
        *SENT,
        *BEGUN,
        *PLOTS,
    } - {"grid.resume", "queue.next"}


def test_a_text_that_is_no_object_is_a_problem_on_the_page(events: list[Event]) -> None:
    for event in events:
        for name, raw in CONTENTS.items():
            text = raw.decode("utf-8", "surrogateescape")
            (answer,) = event.answers(text)
            assert bool(answer["problem"]) or not text or _is_object(text), (event.name, name)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def test_odd_values_in_what_is_sent_are_answered(events: list[Event]) -> None:
    for number, event in enumerate(events):
        for raw in variations(json.dumps(whole(event.name)))[number % EACH :: EACH]:
            event.answers(raw.decode("utf-8", "surrogateescape"))


ODD_VALUES = pytest.mark.parametrize(
    "odd", [None, "", "nothing of this name", -1, 1e300, ["x"], {"x": 1}, "\ud800"], ids=repr
)


@ODD_VALUES
def test_odd_values_of_lists_and_fields_are_answered(events: list[Event], odd: object) -> None:
    """Of the lists' own events too: what the page draws follows every list."""
    for event in events:
        for index in range(len(event.rest)):
            rest = (*event.rest[:index], odd, *event.rest[index + 1 :])
            event.answers(json.dumps(whole(event.name)), rest)
