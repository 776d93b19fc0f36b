"""The tab *Weights*: rules, random numbers and Adjust."""

from __future__ import annotations

from collections.abc import Mapping

from lib_merge.desk.protocol import endpoints_of
from lib_merge.desk.route import routes_of
from lib_merge.desk.tab import Binding, Page, Tab
from lib_merge.desk.tabs.weights import api, handlers


def _build(page: Page) -> Mapping[str, Binding]:
    page.mount("weights")
    return {}


WEIGHTS_TAB = Tab("weights", "Weights", endpoints_of(handlers), routes_of(api), _build)
