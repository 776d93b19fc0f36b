"""An example tab: from its row in the table follow its element, events, routes and documentation."""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from docs.http_api import http_api
from docs.write import table
from lib_merge.desk.protocol import Action, Response, action, endpoints_of
from lib_merge.desk.route import route, routes_of
from lib_merge.desk.tab import Binding, Page, Tab
from lib_merge.desk.table import TABS, endpoints
from lib_merge.errors import RecipeError
from lib_merge.service.services import Services
from tests.support.desk_host import PaperHost, PaperService
from tests.support.full_size import write_tiny
from tests.support.page_types import page_types

MOST = 9


@dataclass(frozen=True)
class Throw:
    """A throw of dice.

    dice  how many
    """

    dice: int = 1


@dataclass(frozen=True)
class ThrowResult:
    """What was thrown, and what the lists said.

    eyes  of each die
    """

    eyes: tuple[int, ...]
    a: str = ""


def _thrown(dice: int, a: str = "") -> ThrowResult:
    if dice > MOST:
        raise RecipeError(f"{dice} dice do not fit into a hand", hint=f"{MOST} at most")
    return ThrowResult(tuple(range(1, dice + 1)), a)


@action("toy.throw")
def throw(service: Services, action: Action[Throw]) -> ThrowResult:
    """Throws dice."""
    return _thrown(action.data.dice, action.selection.a)


@route("POST", "toy/throw")
def throw_for_programs(service: Services, request: Throw) -> ThrowResult:
    """Throws dice for programs."""
    return _thrown(request.dice)


def _build(page: Page) -> Mapping[str, Binding]:
    page.mount("toy")
    eyes = page.component(page.gr.Textbox, "toy_eyes", label="Eyes")

    def shown(response: Response) -> Sequence[Any]:
        return [", ".join(map(str, getattr(response.data, "eyes", ())))]

    return {"toy.throw": Binding(outputs=[eyes], updates=shown)}


MODULE = sys.modules[__name__]
TOY = Tab("toy", "Toy", endpoints_of(MODULE), routes_of(MODULE), _build)
WITH_TOY = (*TABS, TOY)


@pytest.fixture
def services(tmp_path: Path) -> Services:
    write_tiny(tmp_path / "ink.safetensors")
    return Services(PaperService(PaperHost(tmp_path, tmp_path / "data")))


@pytest.fixture
def page(services: Services) -> Any:
    pytest.importorskip("gradio", reason="Gradio is not installed")
    from lib_merge.desk.page import build

    return build(services, tabs=WITH_TOY)


def component(page: Any, id: str) -> Any:
    config = page.get_config_file()["components"]
    return next(element for element in config if element["props"].get("elem_id") == f"merge_desk_{id}")


def test_it_appears_under_its_title_with_an_element_for_its_script(page: Any) -> None:
    assert component(page, "tab_toy")["props"]["label"] == "Toy"
    assert 'data-mount="toy"' in component(page, "toy")["props"]["value"]
    assert component(page, "toy_throw")["type"] == "button"
    assert component(page, "toy_throw_response")["type"] == "html"


def test_its_endpoint_is_answered_and_sets_what_the_tab_has_bound(page: Any) -> None:
    if not isinstance(page.fns, dict):
        pytest.skip("this Gradio keeps its functions elsewhere")
    event = next(
        function for function in page.fns.values() if "'toy.throw'" in str(function.js) and function.fn
    )
    lists = ["ink", None, None, "Weighted sum", "A's", "as in A", False]
    markup, eyes = event.fn(json.dumps({"seq": 5, "name": "toy.throw", "data": {"dice": 3}}), *lists)
    (payload,) = re.findall(r'data-merge-desk="([^"]*)"', markup)
    response = json.loads(html.unescape(payload))
    assert (response["seq"], response["data"]) == (5, {"eyes": [1, 2, 3], "a": "ink"})
    assert response["selection"]["method"] == "Weighted sum"
    assert (response["problem"], response["status"]["live"], eyes) == (None, False, "1, 2, 3")
    markup, eyes = event.fn(json.dumps({"seq": 6, "name": "toy.throw", "data": {"dice": 10}}), *lists)
    assert "10 dice do not fit into a hand" in markup
    assert eyes == ""


def test_its_route_answers_and_refuses_as_all_do(services: Services) -> None:
    pytest.importorskip("httpx")
    fastapi = pytest.importorskip("fastapi")
    from fastapi.testclient import TestClient

    from lib_merge.desk.api import add_routes

    app = fastapi.FastAPI()
    add_routes(app, services, tabs=WITH_TOY)
    client = TestClient(app)
    answer = client.post("/merge-desk/v1/toy/throw", json={"dice": 2})
    assert (answer.status_code, answer.json()) == (200, {"eyes": [1, 2], "a": ""})
    for body, what in (
        ({"dice": 10}, "10 dice"),
        ({"dice": "2"}, "'dice' must be an integer"),
        ({"x": 1}, "'x' is"),
    ):
        answer = client.post("/merge-desk/v1/toy/throw", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["what"].startswith(what)
    assert client.get("/merge-desk/v1/status").json()["base"] == "ink"


def test_its_route_is_documented_and_its_types_are_there_for_its_script() -> None:
    text = http_api(WITH_TOY, table)
    assert "## POST /merge-desk/v1/toy/throw\n\nThrows dice for programs." in text
    assert "| `dice` | an integer | how many | 1 |" in text
    assert "| `eyes` | a list of integers | of each die |" in text
    types = page_types(endpoints(WITH_TOY))
    assert '"toy.throw": Throw;' in types
    assert '"toy.throw": ThrowResult;' in types


def test_nothing_of_it_is_left_where_its_row_is_not_there() -> None:
    assert "toy" not in http_api(TABS, table)
    assert all(endpoint.name != "toy.throw" for endpoint in endpoints())
