"""The page's script as Python sees it, and a program that calls a route: what they ask, and the answers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from lib_merge.desk.common import to_json, to_plain
from lib_merge.desk.protocol import Response, dispatch
from lib_merge.desk.selection import Selection
from lib_merge.desk.table import TABS, endpoints
from lib_merge.json_data import dump
from lib_merge.schema import parse_dataclass
from lib_merge.service.merging import MergeService
from lib_merge.service.services import Services


def call(services: Services, verb: str, path: str, body: Mapping[str, object] | None = None) -> Any:
    """What a program is answered by a route, as JSON holds it; raises what the route raises."""
    (route,) = (each for tab in TABS for each in tab.routes if (each.verb, each.path) == (verb, path))
    answer = route.run(services, parse_dataclass(route.request, body or {}, path))
    return json.loads(dump(to_plain(answer)))


class DeskPage:
    """One open page over a host's services."""

    def __init__(self, merging: MergeService, selection: Selection | None = None) -> None:
        self.services = Services(merging)
        self.selection = selection or Selection()
        self.drawing: Mapping[str, object] = {}
        self._seq = 0

    def ask(self, name: str, selection: Selection | None = None, /, **data: Any) -> Response:
        """One action, whose response must be of its number and fit for JSON."""
        self._seq += 1
        seq = self._seq
        response = self.send(json.dumps({"seq": seq, "name": name, "data": data}), selection)
        assert (response.seq, response.action) == (seq, name)
        json.loads(to_json(response))
        return response

    def data(self, name: str, selection: Selection | None = None, /, **data: Any) -> Any:
        """What an action that goes well brings."""
        response = self.ask(name, selection, **data)
        assert response.problem is None, response.problem
        return response.data

    def problem(self, name: str, selection: Selection | None = None, /, **data: Any) -> Any:
        """What is said of an action that does not."""
        response = self.ask(name, selection, **data)
        assert response.problem is not None
        assert response.data is None
        return response.problem

    def saved(
        self, selection: Selection | None = None, /, *, action: str = "mix.save", **data: Any
    ) -> Response:
        """Saves, and waits for what comes of it."""
        before = {save.number for save in self.data("queue.poll").saved}
        self.data(action, selection, **data)
        for _ in range(600):
            numbers = {save.number for save in self.data("queue.poll").saved} - before
            if numbers:
                return self.ask("mix.saved", selection, number=numbers.pop())
            time.sleep(0.1)
        raise AssertionError("the save does not end")

    def send(self, text: str, selection: Selection | None = None) -> Response:
        """Whatever the first input of an event may be."""
        chosen = self.selection if selection is None else selection
        return dispatch(text, endpoints(), self.services, chosen, self.drawing)
