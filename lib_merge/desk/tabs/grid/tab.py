"""The tab *Grid*: axes, the plan, cells as they finish, the map of effective blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from lib_merge.desk.protocol import Response, endpoints_of
from lib_merge.desk.queue import api as queue_api
from lib_merge.desk.route import routes_of
from lib_merge.desk.tab import RECIPE_LISTS, Binding, Page, Tab
from lib_merge.desk.tabs.grid import api, handlers
from lib_merge.desk.tabs.grid.view import CellSetup

SET_BY_A_CELL = ("prompt", "negative", "sampler", "scheduler", "steps", "cfg", "width", "height", "seed")


def setup_binding(page: Page) -> Binding:
    """Of an endpoint that answers a CellSetup: the lists and the picture's fields take its settings."""
    gr, fields = page.gr, page.fields
    own = [name for name in SET_BY_A_CELL if name in fields and name not in page.host_fields]

    def cell_updates(response: Response) -> Sequence[Any]:
        setup = cast("CellSetup", response.data) if response.data else CellSetup()
        drawing: Mapping[str, object] = setup.drawing if setup.lists else {}
        field_updates = [gr.update(value=drawing[name]) if name in drawing else gr.update() for name in own]
        return [*page.set_lists(setup.lists), *field_updates]

    outputs = [*(getattr(page.lists, name) for name in RECIPE_LISTS), *(fields[name] for name in own)]
    return Binding(outputs=outputs, updates=cell_updates, sets_lists=True)


def _build(page: Page) -> Mapping[str, Binding]:
    page.mount("grid")
    return {"grid.load_cell": setup_binding(page)}


GRID_TAB = Tab("grid", "Grid", endpoints_of(handlers), (*routes_of(api), *routes_of(queue_api)), _build)
