"""The tab *History*: earlier merges, and the field for recipes, infotexts and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from lib_merge.desk.protocol import Response, endpoints_of
from lib_merge.desk.tab import RECIPE_LISTS, Binding, Page, Tab
from lib_merge.desk.tabs.history import handlers
from lib_merge.desk.tabs.history.paste import PageSetup


def _build(page: Page) -> Mapping[str, Binding]:
    page.mount("history")

    def set_lists(response: Response) -> Sequence[Any]:
        # a list that is left as it is keeps its value, C too: a method of two models does not read it
        return page.set_lists(cast("PageSetup", response.data).lists if response.data else {})

    outputs = [getattr(page.lists, name) for name in RECIPE_LISTS]
    setting = Binding(outputs=outputs, updates=set_lists, sets_lists=True)
    return {"history.load": setting, "history.paste": setting}


HISTORY_TAB = Tab("history", "History", endpoints_of(handlers), (), _build)
