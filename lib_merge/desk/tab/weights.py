"""The room *Weights*: rules, random numbers and Adjust."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib_merge.desk.tab.parts import PREFIX, Page, Room, bind, choice_of, gr, mount
from lib_merge.desk.view import carrier
from lib_merge.desk.weights import tried


def _place(page: Page) -> None:
    gr.HTML(mount("weights"), elem_id=f"{PREFIX}weights_room")


def _wire(page: Page, placed: None, ends: Mapping[str, Any]) -> None:
    def act(text: str, *given: Any) -> str:
        return carrier(tried(page.desk, text, choice_of(given)))

    bind(page, "try", ends["try"], act, page.lists.inputs, [ends["trial"]])


WEIGHTS = Room("weights", "Weights", ("trial",), ("try",), _place, _wire)
