"""The room *History*: what was merged, and the place where recipes, infotexts and pictures are dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib_merge.desk.history_view import Memory, Told, told_as_data
from lib_merge.desk.tab.parts import Page, Room, bind, gr, mount
from lib_merge.desk.view import carrier

LISTS = ("a", "b", "c", "method", "vae", "dtype")


def _place(page: Page) -> Memory:
    gr.HTML(mount("history"))
    return Memory(page.desk.mixer)


def _wire(page: Page, memory: Memory, ends: Mapping[str, Any]) -> None:
    lists = page.lists

    def ask(text: str) -> list[Any]:
        told: Told = memory.ask(text)
        set_up = dict(told.setup.lists) if told.setup else {}
        # a list that is left as it is keeps its value, C too: a method of two models does not read it
        updates = [gr.update(value=set_up[name]) if name in set_up else gr.update() for name in LISTS]
        return [carrier(told_as_data(told)), *updates]

    outputs = [ends["remembered"], lists.a, lists.b, lists.c, lists.method, lists.vae, lists.dtype]
    bind(page, "remember", ends["remember"], page.wrap(ask), [], outputs)


HISTORY = Room("history", "History", ("remembered",), ("remember",), _place, _wire)
