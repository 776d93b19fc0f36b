"""The page: the lists above, the tabs of desk/table.py below, and an event of Gradio for each endpoint.

What is more than a list or a field is drawn by the scripts in javascript/ into empty elements; see
desk/protocol.py for the protocol between the scripts and Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lib_merge.desk.components import EVERY_CLICK, HIDDEN_CLASS, QUIET, bind, gr, notify_end
from lib_merge.desk.lists.row import ListRow, build_lists, list_bindings, swapped
from lib_merge.desk.protocol import ID_PREFIX, Endpoint, element_id
from lib_merge.desk.selection import options_of
from lib_merge.desk.tab import Binding, Page, Tab, component
from lib_merge.desk.table import TABS, endpoints
from lib_merge.service.services import Services


def build(
    service: Services, *, host_fields: Mapping[str, Any] | None = None, tabs: Sequence[Tab] = TABS
) -> Any:
    """The page as Gradio Blocks.

    host_fields  the host's own fields (prompt, negative, sampler, ...), used in place of ours; not the seed,
                 since a preview must only change by the faders
    """
    shared = {name: field for name, field in (host_fields or {}).items() if name != "seed"}
    with gr.Blocks(analytics_enabled=False, title=service.merging.host.title) as blocks:
        lists, row = build_lists(gr, options_of(service.merging))
        page = Page(gr, service, lists, shared)
        events = _Events(page, row, _build_tabs(page, tabs))
        page_endpoints = endpoints(tabs)
        with gr.Column(elem_classes=[HIDDEN_CLASS], elem_id=f"{ID_PREFIX}payloads"):
            events.add_elements(page_endpoints)
    with blocks:
        events.bind_lists()
        events.bind(page_endpoints)
    return blocks


def _build_tabs(page: Page, tabs: Sequence[Tab]) -> dict[str, Binding]:
    bindings: dict[str, Binding] = {}
    with gr.Tabs(elem_id=f"{ID_PREFIX}tabs") as all_tabs:
        all_tabs.do_not_save_to_config = True
        for tab in tabs:
            with gr.TabItem(tab.title, elem_id=f"{ID_PREFIX}tab_{tab.name}") as item:
                item.do_not_save_to_config = True
                bindings |= tab.build(page)
    return bindings


class _Events:
    """The hidden elements that the page's scripts use, and their events."""

    def __init__(self, page: Page, row: ListRow, bindings: Mapping[str, Binding]) -> None:
        self._page, self._row = page, row
        self._bindings = {**list_bindings(page, row), **bindings}
        self._message: Any = None
        self._buttons: dict[str, Any] = {}
        self._responses: dict[str, Any] = {}
        self._endpoints: dict[str, Endpoint] = {}

    def add_elements(self, endpoints: Sequence[Endpoint]) -> None:
        """A button and an element for the response of each endpoint."""
        self._message = component(gr.Textbox, "action", show_label=False)
        for endpoint in endpoints:
            self._endpoints[endpoint.name] = endpoint
            self._responses[endpoint.name] = gr.HTML("", elem_id=element_id(endpoint.name, "response"))
            trigger = self._bindings.get(endpoint.name, Binding()).trigger
            self._buttons[endpoint.name] = trigger or gr.Button(
                endpoint.verb, elem_id=element_id(endpoint.name)
            )

    def bind(self, endpoints: Sequence[Endpoint]) -> None:
        """Binds a click on each button to its endpoint."""
        for endpoint in endpoints:
            event = self._ask(self._buttons[endpoint.name].click, endpoint.name, **EVERY_CLICK)
            notify_end(event, endpoint)
            if self._bindings.get(endpoint.name, Binding()).sets_lists:
                self._ask(event.then, "lists.settled")

    def bind_lists(self) -> None:
        """Binds changes of the lists: the state is drawn again, then the differences; aligning starts."""
        lists = self._page.lists
        for control in (lists.a, lists.b, lists.c, lists.method, lists.vae, lists.align):
            drawn = self._ask(control.change, "lists.changed")
            self._ask(drawn.then, "lists.differences")
        for control in (lists.a, lists.b, lists.c, lists.align):
            self._ask(control.change, "lists.align")
        a_and_b = [lists.a, lists.b]
        self._row.swap.click(fn=swapped, inputs=a_and_b, outputs=a_and_b, **QUIET)

    def _ask(self, event: Any, name: str, **options: Any) -> Any:
        binding = self._bindings.get(name, Binding())
        endpoint, response = self._endpoints[name], self._responses[name]
        return bind(event, endpoint, self._page, self._message, response, binding, **options)
