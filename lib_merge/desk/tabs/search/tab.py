"""The tab *Search*: what is searched and by which score, the trials as they end, the best one large."""

from __future__ import annotations

from collections.abc import Mapping

from lib_merge.desk.protocol import endpoints_of
from lib_merge.desk.route import routes_of
from lib_merge.desk.tab import Binding, Page, Tab
from lib_merge.desk.tabs.grid.tab import setup_binding
from lib_merge.desk.tabs.search import api, eye, handlers


def _build(page: Page) -> Mapping[str, Binding]:
    page.mount("search")
    return {"search.take": setup_binding(page)}


SEARCH_TAB = Tab("search", "Search", (*endpoints_of(handlers), *endpoints_of(eye)), routes_of(api), _build)
