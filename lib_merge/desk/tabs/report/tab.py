"""The tab *Report*: how models differ, and what is broken. Its script draws everything."""

from __future__ import annotations

from collections.abc import Mapping

from lib_merge.desk.protocol import endpoints_of
from lib_merge.desk.route import routes_of
from lib_merge.desk.tab import Binding, Page, Tab
from lib_merge.desk.tabs.report import api, handlers


def _build(page: Page) -> Mapping[str, Binding]:
    page.mount("report")
    return {}


REPORT_TAB = Tab("report", "Report", endpoints_of(handlers), routes_of(api), _build)
