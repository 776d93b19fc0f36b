"""The protocol between the page and Python: every message of the page gets exactly one response."""

from __future__ import annotations

import builtins
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from lib_merge.desk.common import to_json
from lib_merge.desk.protocol import (
    Action,
    EmptyRequest,
    Endpoint,
    Response,
    action,
    dispatch,
    element_id,
)
from lib_merge.desk.selection import Selection
from lib_merge.desk.table import TABS, endpoints
from lib_merge.errors import MergeError, StoppedError
from lib_merge.schema import describe_fields
from lib_merge.service.services import Services
from tests.support.desk_host import PaperHost, PaperService
from tests.support.desk_page import DeskPage
from tests.support.full_size import write_tiny

JUNK = (
    "{",
    "[]",
    "null",
    '"a"',
    "[" * 100_000,
    '{"seq": "x"}',
    '{"seq": NaN}',
    '{"seq": 1e999}',
    '{"seq": [1]}',
    '{"seq": 9, "name": 5}',
    '{"seq": 9, "name": ["mix.apply"]}',
    '{"seq": 9, "name": "mix.apply", "revision": "x"}',
    '{"seq": 9, "name": "mix.apply", "task": 3}',
    '{"seq": 9, "name": "mix.effects", "data": [1]}',
    '{"seq": 9, "name": "mix.effects", "data": {"parameters": [1]}}',
    '{"seq": 9, "name": "mix.effects", "data": {"parameters": {"alpha": {"OUT05": "half"}}}}',
    '{"seq": 9, "name": "mix.effects", "data": {"parameters": {"alpha": NaN}}}',
    '{"seq": 9, "name": "mix.save_preset", "data": {"name": "\\ud83d"}}',
    '{"seq": 9, "name": "grid.load_cell", "data": {"place": [1, 2]}}',
    '{"seq": 9, "name": "history.star", "data": {"id": "1"}}',
    '{"seq": 9, "name": "mix.effects", "data": {"nonsense": 1}}',
    '{"seq": 9, "name": "mix.unload", "data": {"engaged": 4}}',
)


@dataclass(frozen=True)
class Number:
    """A number."""

    value: int


@dataclass(frozen=True)
class Doubled:
    """Twice the number."""

    value: int
    thread: int


@action("toy.double", status=False)
def double(service: Services, action: Action[Number]) -> Doubled:
    """Doubles a number."""
    return Doubled(2 * action.data.value, threading.get_ident())


@action("toy.fail")
def fail(service: Services, action: Action[EmptyRequest]) -> EmptyRequest:
    """Raises an exception that is no MergeError."""
    raise ZeroDivisionError("/models/ink.safetensors")


@action("toy.refuse")
def refuse(service: Services, action: Action[EmptyRequest]) -> EmptyRequest:
    """Raises a MergeError."""
    raise MergeError("the file is gone", where="/models/ink.safetensors", hint="refresh the list")


@action("toy.stop", stopped="Stopped; there is no toy.")
def stop(service: Services, action: Action[EmptyRequest]) -> EmptyRequest:
    """Raises a StoppedError."""
    raise StoppedError("stopped")


TOYS: tuple[Endpoint, ...] = (double, fail, refuse, stop)


@pytest.fixture
def merging(tmp_path: Path) -> PaperService:
    for name in ("ink", "pastel"):
        write_tiny(tmp_path / f"{name}.safetensors", seed=len(name))
    return PaperService(PaperHost(tmp_path, tmp_path / "data"))


def send(merging: PaperService, name: str, **data: Any) -> Response:
    text = json.dumps({"seq": 4, "name": name, "task": "t", "revision": 3, "data": data})
    return dispatch(text, TOYS, Services(merging), Selection("ink"))


def test_an_action_is_answered_by_its_number_at_its_revision_and_for_its_selection(
    merging: PaperService,
) -> None:
    response = send(merging, "toy.double", value=21)
    assert (response.seq, response.action, response.revision) == (4, "toy.double", 3)
    assert (response.selection, response.problem, response.status) == (Selection("ink"), None, None)
    assert isinstance(response.data, Doubled)
    assert response.data.value == 42


@pytest.mark.parametrize("text", JUNK, ids=range(len(JUNK)))
def test_whatever_the_page_sends_is_one_response_with_a_sentence_of_ours(
    merging: PaperService, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = DeskPage(merging, Selection("ink", "pastel")).send(text)
    assert response.problem is not None
    assert "nternal error" not in response.problem.what
    assert response.data is None
    assert response.seq == (9 if text.startswith('{"seq": 9') else 0)
    assert merging.requests == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    json.loads(to_json(response), parse_constant=pytest.fail)


def test_a_click_that_asks_for_nothing_does_nothing(merging: PaperService) -> None:
    for text in ("", "{}", '{"seq": 2}'):
        response = DeskPage(merging).send(text)
        assert (response.action, response.data, response.problem) == ("", None, None)
    assert merging.requests == []


def test_an_action_that_does_not_exist_is_named_with_the_nearest_that_does(merging: PaperService) -> None:
    problem = DeskPage(merging).problem("mix.aply")
    assert problem.what == "There is no action 'mix.aply'"
    assert "mix.apply" in problem.hint


def test_an_event_takes_no_other_action_than_its_own(merging: PaperService) -> None:
    text = '{"seq": 1, "name": "toy.refuse"}'
    response = dispatch(text, (double,), Services(merging))
    assert response.problem is not None
    assert response.problem.what == "There is no action 'toy.refuse'"


def test_an_error_of_our_own_is_reported_without_folders_and_logged(
    merging: PaperService, caplog: pytest.LogCaptureFixture
) -> None:
    response = send(merging, "toy.fail")
    assert response.problem is not None
    assert response.problem.what == "Internal error in Merge Desk; your settings are kept"
    assert response.problem.where == "ZeroDivisionError: ink.safetensors"
    assert response.status is not None
    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert record.exc_info is not None


def test_a_refusal_says_what_where_and_what_to_try_and_is_not_logged(
    merging: PaperService, caplog: pytest.LogCaptureFixture
) -> None:
    problem = send(merging, "toy.refuse").problem
    assert problem is not None
    assert (problem.what, problem.where, problem.hint) == (
        "The file is gone",
        "ink.safetensors",
        "refresh the list",
    )
    assert caplog.records == []


def test_a_stop_is_calm_and_in_the_words_of_its_endpoint(merging: PaperService) -> None:
    problem = send(merging, "toy.stop").problem
    assert problem is not None
    assert (problem.what, problem.calm) == ("Stopped; there is no toy.", True)


def test_a_status_that_fails_is_a_problem_beside_what_was_done(
    merging: PaperService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise MergeError("the host is gone")

    monkeypatch.setattr(merging, "status", broken)
    response = DeskPage(merging).ask("methods.open")
    assert (response.problem, bool(response.data)) == (None, True)
    response = DeskPage(merging).ask("mix.unload")
    assert response.problem is not None
    assert response.problem.what == "The host is gone"


def test_answers_to_many_at_once_are_each_of_their_own_number(merging: PaperService) -> None:
    services = Services(merging)

    def one(seq: int) -> Response:
        text = json.dumps({"seq": seq, "name": "toy.double", "data": {"value": seq}})
        return dispatch(text, TOYS, services)

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(one, range(1, 401)))
    numbers = [
        (response.seq, response.data.value) for response in responses if isinstance(response.data, Doubled)
    ]
    assert numbers == [(seq, 2 * seq) for seq in range(1, 401)]
    assert len({response.data.thread for response in responses if isinstance(response.data, Doubled)}) > 1


def test_names_are_of_their_tab_and_each_is_there_once() -> None:
    names = [endpoint.name for endpoint in endpoints()]
    assert len(names) == len(set(names))
    for tab in TABS:
        assert {endpoint.name.partition(".")[0] for endpoint in tab.endpoints} == {tab.name}
    ids = [element_id(name, part) for name in names for part in ("", "response")]
    assert len(ids) == len(set(ids))
    assert element_id("mix.apply") == "merge_desk_mix_apply"
    assert element_id("mix.apply", "response") == "merge_desk_mix_apply_response"


@pytest.mark.parametrize("endpoint", endpoints(), ids=lambda endpoint: endpoint.name)
def test_a_handler_has_the_name_of_its_verb(endpoint: Endpoint) -> None:
    built_in = hasattr(builtins, endpoint.verb)
    assert endpoint.run.__name__ == endpoint.verb + "_" * built_in


@pytest.mark.parametrize("endpoint", endpoints(), ids=lambda endpoint: endpoint.name)
def test_every_endpoint_has_a_sentence_and_is_described_by_its_dataclasses(endpoint: Endpoint) -> None:
    assert endpoint.summary
    assert is_dataclass(endpoint.request)
    assert is_dataclass(endpoint.result)
    assert all(note.type_name for note in describe_fields(endpoint.request))


def test_a_handler_that_does_not_say_what_it_takes_is_refused_as_it_is_written() -> None:
    def odd(service: Services, action: Any) -> EmptyRequest:
        return EmptyRequest()

    with pytest.raises(TypeError, match="Action"):
        action("toy.odd")(odd)
    with pytest.raises(TypeError, match=r"TAB\.VERB"):
        action("odd")(double.run)
