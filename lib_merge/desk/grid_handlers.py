"""What the room *Grid* does: plan, run in the background, tell the page what is finished, take a cell.

A grid goes on when the page is closed; a page that is opened meanwhile, or after a restart, shows what is
there. Plain values in, plain values out, and every error as a `Problem`.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lib_merge.desk.grid_view import (
    PREVIEW,
    CellView,
    GridAnswer,
    GridNews,
    SheetView,
    Taken,
    axis_views,
    taken_of,
)
from lib_merge.desk.handlers import Choice, Desk
from lib_merge.desk.studio import Studio, paint
from lib_merge.desk.view import Problem, problem_of
from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid import (
    Asked,
    Base,
    Cell,
    Finished,
    GridPlan,
    Order,
    Store,
    order_of,
    orders,
    plan_grid,
    plan_in_words,
    read_speeds,
)
from lib_merge.grid.axes import NAMES, Place
from lib_merge.grid.blockmap import influences, map_axis, map_recipe, slots_of_map
from lib_merge.grid.files import as_csv, grid_as_data, grid_infotext, save_moving, save_sheet
from lib_merge.grid.plan import span
from lib_merge.grid.sheet import draw_row, draw_sheet, tiles_of
from lib_merge.recipe import parse_recipe

if TYPE_CHECKING:
    from PIL import Image

FOLDER = "grids"  # under the host's data
SHEET, TABLE, ROW = "grid.png", "grid.csv", "row.webp"

log = logging.getLogger(__name__)


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
        found = cast("dict[str, Any]", json.loads(text or "{}"))
        given = cast("dict[str, list[str]]", found.get("axes") or {})
        axes = {
            name: Asked(" ".join(given[name][0].split()), given[name][1])
            for name in NAMES
            if name in given and given[name][0].strip()
        }
        place = [int(at) for at in found.get("place") or (0, 0, 0)]
        return cls(
            int(found.get("seq", 0)),
            str(found.get("action", "")),
            str(found.get("task", "")),
            dict(found.get("parameters") or {}),
            axes,
            (place[0], place[1], place[2]),
            int(found.get("row", 0)),
        )


@dataclass
class Running:
    """One grid: its plan, where its cells are, what is finished so far.

    map  whether it is the map of effective blocks
    """

    number: int
    plan: GridPlan
    studio: Studio
    store: Store
    map: bool = False
    events: list[Finished] = field(default_factory=list[Finished])
    stop: threading.Event = field(default_factory=threading.Event)
    inside: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    began: float = 0.0
    problem: Problem | None = None
    ended: str = ""
    saved: str = ""

    def pressed(self) -> bool:
        """Whether *Stop* was pressed; asked from inside of the host's job."""
        self.inside.set()
        return self.stop.is_set()

    @property
    def finished(self) -> dict[Place, Finished]:
        """By place."""
        return {each.place: each for each in list(self.events)}

    @property
    def running(self) -> bool:
        """Whether it is at work."""
        return self.thread is not None and self.thread.is_alive()


class GridRoom:
    """The handlers of one desk's room; safe to call from any thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._mixer = desk, desk.mixer
        self._lock = threading.Lock()
        self._now: Running | None = None
        self._count = 0

    # --- what the buttons do ---

    def turn(self, text: str, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        """Plan, start, resume, stop, map, or make a file of what is there."""
        move = GridMove.read(text)
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
            return GridAnswer(move.seq, move.action, problem=_said(error))

    def _hello(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        """A page has opened: what the lists offer, and the grid that is or was last."""
        now = self._now
        if now is not None:
            return replace(_sheet_answer(now), kinds=axis_views())
        last = next(orders(self._folder()), None)
        axes = _axes_of(last[1]) if last else None
        return GridAnswer(0, "", axes=axes, kinds=axis_views())

    def _told(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        if not move.axes:
            return GridAnswer(0, "")
        plan, _ = self._plan(move, choice, fields)
        kept = Store(self._folder() / order_of(plan).digest).count()
        return GridAnswer(0, "", sheet=_shape(plan, kept))

    def _plan(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> tuple[GridPlan, Studio]:
        only_a = not choice.b and bool(choice.a)
        body = {"recipe": self._alone(choice)} if only_a else self._desk.body(choice, move.parameters)
        asked = self._mixer.read(body)
        studio = Studio(self._mixer, asked.files)
        base = Base(Cell(asked.recipe, self._desk.settings(fields)), studio)
        axes = move.axes
        if move.action == "map":
            if len(asked.recipe.ingredients) < 2:
                raise RecipeError("a map of blocks needs A and B")
            recipe = map_recipe(*asked.recipe.ingredients[:2])
            base, axes = replace(base, cell=replace(base.cell, recipe=recipe)), {"x": map_axis(base.family)}
        return self._planned(base, axes, studio), studio

    def _alone(self, choice: Choice) -> str:
        """A by itself, which checkpoints and recipes are compared from."""
        name = json.dumps(choice.a, ensure_ascii=False)
        return f"merge-desk recipe 1\nA = {name}\n"

    def _planned(self, base: Base, axes: Mapping[str, Asked], studio: Studio) -> GridPlan:
        speeds = read_speeds(self._mixer.host.data())
        return plan_grid(base, axes, now=studio.now(), speeds=speeds)

    def _start(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        if not move.axes and move.action != "map":
            raise RecipeError("choose an axis first", hint="alpha, with the values 0-1 [5]")
        plan, studio = self._plan(move, choice, fields)
        return self._begin(plan, studio, move)

    def _resume(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        """The grid of before, also one from before a restart."""
        last = next(orders(self._folder()), None)
        if last is None:
            raise RecipeError("there is no grid to go on with", hint="Start makes one")
        order = last[1]
        studio = Studio(self._mixer)
        base = Base(Cell(parse_recipe(order.recipe), order.drawing), studio)
        plan = self._planned(base, order.axes, studio)
        return replace(self._begin(plan, studio, move), axes=_axes_of(order))

    def _begin(self, plan: GridPlan, studio: Studio, move: GridMove) -> GridAnswer:
        with self._lock:
            if self._now is not None and self._now.running:
                raise RecipeError("a grid is being drawn already", hint="Stop ends it and keeps its cells")
            self._count += 1
            is_map = "x" in plan.axes and plan.axes["x"].text == map_axis(plan.base.family).text
            store = Store(self._folder() / order_of(plan).digest)
            now = Running(self._count, plan, studio, store, is_map, began=time.monotonic())
            now.thread = threading.Thread(
                target=self._run, args=(now, move.task), name="merge-desk-grid", daemon=True
            )
            self._now = now
            now.thread.start()
        return _sheet_answer(now)

    def _run(self, now: Running, task: str) -> None:
        try:
            done = paint(
                self._mixer,
                now.plan,
                now.studio,
                now.store,
                task=task,
                tell=now.events.append,
                stopped=now.pressed,
            )
            failed = f", {len(done.failed)} without a picture" if done.failed else ""
            count = len(done.finished) - len(done.failed)
            how = "Stopped" if done.stopped else "Finished"
            now.ended = f"{how}: {count} of {now.plan.cells} cells{failed}, in {span(done.seconds)}."
            self._save(now)
        except Exception as error:
            now.problem = _said(error)
            now.ended = "This grid has ended with an error; its finished cells are kept."

    def _save(self, now: Running) -> None:
        """The finished sheet, where and as the host's settings have it."""
        if now.map or now.stop.is_set() or len(now.events) < now.plan.cells:
            return
        told = grid_infotext(now.plan, now.finished)
        path = self._mixer.host.keep_grid(_sheet(now), told, grid_as_data(now.plan, now.finished))
        now.ended += f" Saved as {path.name}." if path else ""

    def _stop(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        now = self._now
        if now is not None and now.running:
            now.stop.set()
            interrupt = getattr(self._mixer.host, "interrupt", None)
            if interrupt is not None and now.inside.is_set():  # while it waits, the job is another's
                interrupt()
        return GridAnswer(0, "", run=now.number if now else 0)

    def wait(self, seconds: float) -> bool:
        """Until the grid has ended; for programs and tests."""
        now = self._now
        if now is not None and now.thread is not None:
            now.thread.join(seconds)
        return now is None or not now.running

    # --- what the page looks at ---

    def look(self, text: str) -> GridNews:
        """What is new since the page looked last; called again and again, so it touches no model."""
        found = cast("dict[str, Any]", json.loads(text or "{}"))
        now = self._now
        if now is None:
            return GridNews()
        running = now.running
        at = int(found.get("at", 0)) if found.get("run") == now.number else 0
        events = now.events[at : at + 24]
        at += len(events)
        cells = tuple(_cell_view(each, now.store) for each in events)
        ended = not running and at >= len(now.events)
        told = now.ended if ended else _progress(now)
        blocks = influences(now.plan, tiles_of(now.plan, now.store)) if now.map and ended else None
        return GridNews(now.number, at, not ended, told, cells, blocks, now.problem if ended else None)

    def take(self, text: str) -> tuple[GridAnswer, Choice | None, Cell | None]:
        """A cell's settings for the desk: what the lists are to say, and where the faders go."""
        move = GridMove.read(text)
        now = self._now
        try:
            work = next((each for each in now.plan.work if each.place == move.place), None) if now else None
            if now is None or work is None:
                raise RecipeError("this cell is of another grid", hint="start it again")
            files = now.studio.asked(work.cell.recipe).files
            choice, taken = taken_of(work.cell, now.plan.base.family, files)
            return GridAnswer(move.seq, "take", taken=taken), choice, work.cell
        except Exception as error:
            return GridAnswer(move.seq, "take", taken=Taken(), problem=_said(error)), None, None

    def _file(self, move: GridMove, choice: Choice, fields: Mapping[str, Any]) -> GridAnswer:
        now = self._now
        if now is None:
            raise RecipeError("there is no grid yet", hint="Start makes one")
        if move.action == "table":
            raw, name, kind = as_csv(now.plan, now.finished).encode("utf-8"), TABLE, "text/csv"
        elif move.action == "row":
            frames = draw_row(now.plan.axes, tiles_of(now.plan, now.store), move.row, move.place[2])
            path = now.store.folder / ROW
            save_moving(frames, path)
            raw, name, kind = path.read_bytes(), ROW, "image/webp"
        else:
            path = now.store.folder / SHEET
            told, data = grid_infotext(now.plan, now.finished), grid_as_data(now.plan, now.finished)
            save_sheet(_sheet(now), path, told, data)
            raw, name, kind = path.read_bytes(), SHEET, "image/png"
            path.unlink()  # the folder's own PNGs are cells
        return GridAnswer(0, "", run=now.number, file=(name, _data_url(raw, kind)))

    def _folder(self) -> Path:
        return self._mixer.host.data() / FOLDER


def _sheet(now: Running) -> Image.Image:
    drawing = now.plan.base.cell.drawing
    return draw_sheet(now.plan.axes, tiles_of(now.plan, now.store), (drawing.width, drawing.height))


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


def _progress(now: Running) -> str:
    done, total = len(now.events), now.plan.cells
    fresh = sum(not each.kept for each in now.events)
    if not fresh:
        return f"{done} of {total} cells ..."
    left = (time.monotonic() - now.began) / fresh * (total - done)
    return f"{done} of {total} cells, about {span(left)} to go"


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


def _said(error: Exception) -> Problem:
    if not isinstance(error, MergeError):
        log.exception("Merge Desk met an error of its own", exc_info=error)
    return problem_of(error)
