"""The room *Grid*: axes, the plan, cells as they finish, the map of effective blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lib_merge.desk.grid_handlers import GridRoom
from lib_merge.desk.tab.parts import PREFIX, Page, Room, bind, choice_of, gr, mount
from lib_merge.desk.view import carrier

LISTS = ("a", "b", "c", "method", "vae", "dtype")
SET_BY_A_CELL = ("prompt", "negative", "sampler", "scheduler", "steps", "cfg", "width", "height", "seed")


def _place(page: Page) -> GridRoom:
    gr.HTML(mount("grid", stop=bool(page.stop)), elem_id=f"{PREFIX}grid_room")
    return GridRoom(page.desk)


def _wire(page: Page, room: GridRoom, ends: Mapping[str, Any]) -> None:
    lists, fields = page.lists, page.fields
    names, count = list(fields), len(lists.inputs)
    own = [name for name in SET_BY_A_CELL if name in fields and name not in page.borrowed]

    def turn(text: str, *given: Any) -> str:
        drawing = dict(zip(names, given[count:], strict=True))
        return carrier(room.turn(text, choice_of(given[:count]), drawing))

    def look(text: str) -> str:
        return carrier(room.look(text))

    def take(text: str) -> list[Any]:
        answer, cell = room.take(text)
        said: Mapping[str, str] = answer.taken.lists if answer.taken else {}
        updates = [gr.update(value=said[name]) if name in said else gr.update() for name in LISTS]
        drawing = asdict(cell.drawing) if cell and said else {}
        drawn = [gr.update(value=drawing[name]) if name in drawing else gr.update() for name in own]
        return [carrier(answer), *updates, *drawn]

    inputs = [*lists.inputs, *fields.values()]
    bind(page, "grid", ends["grid"], turn, inputs, [ends["grid_answer"]])
    bind(page, "grid_look", ends["grid_look"], look, [], [ends["grid_news"]])
    shown = [getattr(lists, name) for name in LISTS]
    outputs = [ends["grid_answer"], *shown, *(fields[name] for name in own)]
    bind(page, "grid_take", ends["grid_take"], take, [], outputs)


GRID = Room("grid", "Grid", ("grid_answer", "grid_news"), ("grid", "grid_look", "grid_take"), _place, _wire)
