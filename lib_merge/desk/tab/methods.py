"""The room *Methods*: cards to choose the method of the list above from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib_merge.desk.methods import shelf, title_of
from lib_merge.desk.tab.parts import PREFIX, Page, Room, bind, choice_of, gr, mount
from lib_merge.desk.view import carrier


def _place(page: Page) -> None:
    gr.HTML(mount("methods"), elem_id=f"{PREFIX}methods_room")


def _wire(page: Page, placed: None, ends: Mapping[str, Any]) -> None:
    def show(text: str, *given: Any) -> str:
        return carrier(shelf(text, choice_of(given)))

    def pick(text: str) -> Any:
        title = title_of(text)
        return gr.update(value=title) if title else gr.update()

    bind(page, "shelf", ends["shelf"], show, page.lists.inputs, [ends["cards"]])
    bind(page, "pick", ends["pick"], pick, [], [page.lists.method])


METHODS_ROOM = Room("methods", "Methods", ("cards",), ("shelf", "pick"), _place, _wire)
