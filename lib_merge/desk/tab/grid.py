"""The room *Grid*: axes, the plan, cells as they finish, the map of effective blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lib_merge.desk.grid_handlers import GridRoom
from lib_merge.desk.tab.parts import PREFIX, Page, Room, bind, choice_of, gr, mount
from lib_merge.desk.view import carrier

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
        answer, choice, cell = room.take(text)
        untouched = [gr.update() for _ in (*lists.inputs, *own)]
        if choice is None or cell is None:
            return [carrier(answer), *untouched]
        drawing = asdict(cell.drawing)
        chosen = list(asdict(choice).values())
        if not choice.method:  # a checkpoint alone: B and method stay, every fader goes to A
            chosen[1:4] = [gr.update()] * 3
        return [carrier(answer), *chosen, *(drawing[name] for name in own)]

    inputs = [*lists.inputs, *fields.values()]
    bind(page, "grid", ends["grid"], turn, inputs, [ends["grid_answer"]])
    bind(page, "grid_look", ends["grid_look"], look, [], [ends["grid_news"]])
    outputs = [ends["grid_answer"], *lists.inputs, *(fields[name] for name in own)]
    bind(page, "grid_take", ends["grid_take"], take, [], outputs)


GRID = Room("grid", "Grid", ("grid_answer", "grid_news"), ("grid", "grid_look", "grid_take"), _place, _wire)
