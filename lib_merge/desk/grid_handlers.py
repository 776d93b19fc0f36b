"""What the room *Grid* does: plan, run in the background, tell the page what is finished, take a cell.

A grid goes on when the page is closed; a page that is opened meanwhile, or after a restart, shows what is
there. Plain values in, plain values out, and every error as a `Problem`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, cast

from lib_merge.desk.grid_run import Running, grids_of
from lib_merge.desk.grid_view import (
    PREVIEW,
    CellView,
    GridAnswer,
    GridNews,
    SheetView,
    axis_views,
    taken_of,
)
from lib_merge.desk.handlers import Choice, Desk
from lib_merge.desk.studio import Studio
from lib_merge.desk.view import page_number, read_page, said
from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid import Asked, Cell, Finished, GridPlan, Order, Store, order_of, plan_in_words
from lib_merge.grid.axes import NAMES, Place
from lib_merge.grid.blockmap import map_axis, slots_of_map
from lib_merge.grid.files import as_csv, encoded_moving, encoded_sheet, grid_as_data, grid_infotext
from lib_merge.grid.sheet import draw_row, tiles_of

SHEET, TABLE, ROW = "grid.png", "grid.csv", "row.webp"


def _axis(given: object) -> Asked:
    """Name and values of an axis, as the page sends them; TypeError or ValueError where they are no texts."""
    name, text = cast("tuple[object, object]", given)
    if not isinstance(name, str) or not isinstance(text, str):
        raise TypeError(given)
    return Asked(" ".join(name.split()), text)


@dataclass(frozen=True)
class GridMove:
    """What the page asks for."""

    seq: int = 0
    action: str = ""
    task: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    axes: Mapping[str, Asked] = field(default_factory=dict[str, Asked])
    place: Place = (0, 0, 0)
    row: int = 0

    @classmethod
    def read(cls, text: str) -> GridMove:
        """From the page's JSON."""
        found = read_page(text)
        try:
            given = cast("dict[str, object]", found.get("axes") or {})
            asked = {name: _axis(given[name]) for name in NAMES if name in given}
            axes = {name: each for name, each in asked.items() if each.name}
            place = [int(at) for at in found.get("place") or (0, 0, 0)]
            parameters = dict(found.get("parameters") or {})
            if len(place) != len(NAMES):
                raise ValueError(place)
        except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as cause:
            raise RecipeError("the page sent a grid that cannot be read", hint="reload the page") from cause
        return cls(
            page_number(found, "seq"),
            str(found.get("action", "")),
            str(found.get("task", "")),
            parameters,
            axes,
            (place[0], place[1], place[2]),
            page_number(found, "row"),
        )


class GridRoom:
    """The handlers of one page's room."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._mixer, self._grids = desk, desk.mixer, grids_of(desk.mixer)

    # --- what the buttons do ---

    def turn(self, text: str, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        """Plan, start, resume, stop, map, or make a file of what is there."""
        try:
            move = GridMove.read(text)
        except MergeError as problem:
            return GridAnswer(0, "", problem=said(problem))
        acts: dict[str, Callable[[GridMove, Choice, Mapping[str, Any]], GridAnswer]] = {
            "hello": self._hello,
            "plan": self._told,
            "start": self._start,
            "map": self._start,
            "resume": self._resume,
            "stop": self._stop,
            "sheet": self._file,
            "table": self._file,
            "row": self._file,
        }
        if move.action not in acts:
            return GridAnswer(move.seq, "")
        try:
            done = acts[move.action](move, choice, fields)
            return replace(done, seq=move.seq, action=move.action)
        except Exception as error:
            return GridAnswer(move.seq, move.action, problem=said(error))

    def _hello(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        """A page has opened: what the lists offer, and the grid that is or was last."""
        now = self._grids.now
        if now is not None:
            return replace(_sheet_answer(now), kinds=axis_views())
        last = self._grids.last()
        return GridAnswer(0, "", axes=_axes_of(last) if last else None, kinds=axis_views())

    def _told(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        if not move.axes:
            return GridAnswer(0, "")
        plan, _ = self._plan(move, choice, fields)
        return GridAnswer(0, "", sheet=_shape(plan, self._grids.store(plan).count()))

    def _plan(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> tuple[GridPlan, Studio]:
        alone = bool(choice.a) and not choice.b
        body = {"a": choice.a} if alone else self._desk.body(choice, move.parameters)
        settings = self._desk.settings(fields)
        return self._grids.plan(body, move.axes, settings, map=move.action == "map")

    def _start(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        if not move.axes and move.action != "map":
            raise RecipeError("choose an axis first", hint="alpha, with the values 0-1 [5]")
        return _sheet_answer(self._grids.begin(*self._plan(move, choice, fields), move.task))

    def _resume(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        return _sheet_answer(self._grids.resume(move.task))

    def _stop(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        self._grids.stop()
        return GridAnswer(0, "", run=self._grids.now.number if self._grids.now else 0)

    def wait(self, seconds: float) -> bool:
        """Until the grid has ended."""
        return self._grids.wait(seconds)

    # --- what the page looks at ---

    def look(self, text: str) -> GridNews:
        """What is new since the page looked last; called again and again, so it touches no model."""
        now = self._grids.now
        if now is None:
            return GridNews()
        try:
            found = read_page(text)
            at = page_number(found, "at") if found.get("run") == now.number else 0
        except MergeError as problem:
            return GridNews(now.number, problem=said(problem))
        running = now.running
        events = now.events[at : at + 24]
        at += len(events)
        cells = tuple(_cell_view(each, now.store) for each in events)
        ended = not running and at >= len(now.events)
        told = now.ended if ended else now.progress()
        blocks = now.blocks() if now.map and ended else None
        problem = said(now.failure) if ended and now.failure else None
        return GridNews(now.number, at, not ended, told, cells, blocks, problem)

    def take(self, text: str) -> tuple[GridAnswer, Cell | None]:
        """A cell's settings for the desk: what the lists are to say, and where the faders go."""
        now = self._grids.now
        seq = 0
        try:
            move = GridMove.read(text)
            seq = move.seq
            work = next((each for each in now.plan.work if each.place == move.place), None) if now else None
            if now is None or work is None:
                raise RecipeError("this cell is of another grid", hint="start it again")
            taken = taken_of(self._mixer, now.studio.asked(work.cell.recipe))
            return GridAnswer(move.seq, "take", taken=taken), work.cell
        except Exception as error:
            return GridAnswer(seq, "take", problem=said(error)), None

    def _file(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        now = self._grids.now
        if now is None:
            raise RecipeError("there is no grid yet", hint="Start makes one")
        if move.action == "table":
            raw, name, kind = as_csv(now.plan, now.finished).encode("utf-8"), TABLE, "text/csv"
        elif move.action == "row":
            frames = draw_row(now.plan.axes, tiles_of(now.plan, now.store), move.row, move.place[2])
            raw, name, kind = encoded_moving(frames, ".webp"), ROW, "image/webp"
        else:
            told, data = grid_infotext(now.plan, now.finished), grid_as_data(now.plan, now.finished)
            raw, name, kind = encoded_sheet(now.sheet(), ".png", told, data), SHEET, "image/png"
        return GridAnswer(0, "", run=now.number, file=(name, _data_url(raw, kind)))


def _sheet_answer(now: Running) -> GridAnswer:
    axes = None if now.map else _axes_of(order_of(now.plan))
    return GridAnswer(0, "", run=now.number, sheet=_shape(now.plan), axes=axes, map=now.map)


def _shape(plan: GridPlan, kept: int = 0) -> SheetView:
    drawing = plan.base.cell.drawing
    there = f" {kept} cells are there already." if kept else ""
    labels = {name: axis.labels for name, axis in plan.axes.items()}
    if "x" in plan.axes and plan.axes["x"].text == map_axis(plan.base.family).text:
        labels["x"] = tuple(["A", *slots_of_map(plan)])
    titles = {name: axis.title for name, axis in plan.axes.items()}
    return SheetView(titles, labels, f"{plan_in_words(plan)}.{there}", drawing.width, drawing.height)


def _axes_of(order: Order) -> dict[str, tuple[str, str]]:
    """For the fields of the page; the map's own axis is nobody's to edit."""
    if [each.name for each in order.axes.values()] == ["blocks"] and order.axes["x"].text.count("=1") > 9:
        return {}
    return {name: (asked.name, asked.text) for name, asked in order.axes.items()}


def _cell_view(done: Finished, store: Store) -> CellView:
    record = done.record
    if record.failed:
        return CellView(done.place, problem=record.problem)
    image = store.picture(done.name)
    if image is None:
        return CellView(done.place, problem="its picture cannot be read")
    image.thumbnail((PREVIEW, PREVIEW))
    stream = BytesIO()
    image.save(stream, format="PNG")
    url = _data_url(stream.getvalue(), "image/png")
    return CellView(done.place, url, "", record.infotext, record.merge_seconds, record.draw_seconds)


def _data_url(raw: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(raw).decode('ascii')}"
