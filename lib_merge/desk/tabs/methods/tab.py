"""The tab *Methods*: cards to choose the method of the list above from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from lib_merge.desk.protocol import Response, endpoints_of
from lib_merge.desk.route import routes_of
from lib_merge.desk.tab import Binding, Page, Tab
from lib_merge.desk.tabs.methods import api, handlers
from lib_merge.desk.tabs.methods.view import MethodChoice


def _build(page: Page) -> Mapping[str, Binding]:
    page.mount("methods")

    def chosen(response: Response) -> Sequence[Any]:
        title = cast("MethodChoice", response.data).title if response.data else None
        return [page.gr.update(value=title) if title else page.gr.update()]

    return {"methods.choose": Binding(outputs=[page.lists.method], updates=chosen)}


METHODS_TAB = Tab("methods", "Methods", endpoints_of(handlers), routes_of(api), _build)
