"""The grid of a desk: planned from a body, run in the background, stopped, gone on with after a restart.

It is kept by the mixer and not by a page, so that it goes on while pages come and go.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.desk.mixer import Body, Mixer
from lib_merge.desk.studio import Studio, paint
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
    read_speeds,
)
from lib_merge.grid.axes import Place
from lib_merge.grid.blockmap import influences, map_axis, map_recipe
from lib_merge.grid.files import grid_as_data, grid_infotext
from lib_merge.grid.plan import span
from lib_merge.grid.sheet import draw_sheet, tiles_of
from lib_merge.picture import DrawSettings
from lib_merge.recipe import parse_recipe

if TYPE_CHECKING:
    from PIL import Image

FOLDER = "grids"  # under the host's data
KEPT = "grids"  # under the mixer's rooms

log = logging.getLogger(__name__)


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
    failure: Exception | None = None
    ended: str = ""
    merges: int = 0

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

    def sheet(self) -> Image.Image:
        """Every cell as it is now, with labels."""
        drawing = self.plan.base.cell.drawing
        return draw_sheet(self.plan.axes, tiles_of(self.plan, self.store), (drawing.width, drawing.height))

    def blocks(self) -> Mapping[str, float]:
        """The change that each slot makes; of a map."""
        return influences(self.plan, tiles_of(self.plan, self.store))

    def progress(self) -> str:
        """How far it is, and how long it will take."""
        done, total = len(self.events), self.plan.cells
        fresh = sum(not each.kept for each in self.events)
        if not fresh:
            return f"{done} of {total} cells ..."
        left = (time.monotonic() - self.began) / fresh * (total - done)
        return f"{done} of {total} cells, about {span(left)} to go"


class Grids:
    """The grids of one mixer, one at a time; safe to call from any thread."""

    def __init__(self, mixer: Mixer) -> None:
        self._mixer = mixer
        self._lock = threading.Lock()
        self._count = 0
        self.now: Running | None = None

    def plan(
        self, body: Body, axes: Mapping[str, Asked], drawing: DrawSettings, *, map: bool = False
    ) -> tuple[GridPlan, Studio]:
        """What a grid over what the body asks for would do; PlanError with everything that is wrong.

        body  as the mixer takes it; A alone is taken as it is, to compare whole checkpoints from
        map   the map of effective blocks in place of axes
        """
        if body.get("a") and not body.get("b") and not body.get("recipe"):
            body = {"recipe": f"merge-desk recipe 1\nA = {json.dumps(body['a'], ensure_ascii=False)}\n"}
        asked = self._mixer.read(body)
        studio = Studio(self._mixer, asked.files)
        base = Base(Cell(asked.recipe, drawing), studio)
        if map:
            if len(asked.recipe.ingredients) < 2:
                raise RecipeError("a map of blocks needs A and B")
            recipe = map_recipe(*asked.recipe.ingredients[:2])
            base, axes = replace(base, cell=replace(base.cell, recipe=recipe)), {"x": map_axis(base.family)}
        return self._planned(base, axes, studio), studio

    def _planned(self, base: Base, axes: Mapping[str, Asked], studio: Studio) -> GridPlan:
        speeds = read_speeds(self._mixer.host.data())
        return plan_grid(base, axes, now=studio.now(), speeds=speeds)

    def begin(self, plan: GridPlan, studio: Studio, task: str = "") -> Running:
        """Start it in the background; cells that are there already are kept."""
        host = self._mixer.host
        if not host.surface().live:
            hint = "save merges to files; the WebUI's own X/Y/Z script compares them by 'Checkpoint name'"
            raise MergeError(f"the cells of a grid cannot be drawn here: {host.loaded().refusal}", hint=hint)
        with self._lock:
            if self.now is not None and self.now.running:
                raise RecipeError("a grid is being drawn already", hint="Stop ends it and keeps its cells")
            self._count += 1
            is_map = "x" in plan.axes and plan.axes["x"].text == map_axis(plan.base.family).text
            now = Running(self._count, plan, studio, self.store(plan), is_map, began=time.monotonic())
            now.thread = threading.Thread(
                target=self._run, args=(now, task), name="merge-desk-grid", daemon=True
            )
            self.now = now
            now.thread.start()
        return now

    def resume(self, task: str = "") -> Running:
        """Go on with the last grid, also one from before a restart."""
        last = self.last()
        if last is None:
            raise RecipeError("there is no grid to go on with", hint="Start makes one")
        studio = Studio(self._mixer)
        base = Base(Cell(parse_recipe(last.recipe), last.drawing), studio)
        return self.begin(self._planned(base, last.axes, studio), studio, task)

    def last(self) -> Order | None:
        """What was asked for last."""
        return next((order for _, order in orders(self.folder())), None)

    def stop(self) -> None:
        """End what is running; its finished cells are kept."""
        now = self.now
        if now is None or not now.running:
            return
        now.stop.set()
        interrupt = getattr(self._mixer.host, "interrupt", None)
        if interrupt is not None and now.inside.is_set():  # while it waits, the job is another's
            interrupt()

    def wait(self, seconds: float) -> bool:
        """Until it has ended; whether it has."""
        now = self.now
        if now is not None and now.thread is not None:
            now.thread.join(seconds)
        return now is None or not now.running

    def store(self, plan: GridPlan) -> Store:
        """Where a plan's cells are kept."""
        return Store(self.folder() / order_of(plan).digest)

    def folder(self) -> Path:
        """Where grids are kept."""
        return self._mixer.host.data() / FOLDER

    def _run(self, now: Running, task: str) -> None:
        try:
            tell = now.events.append
            done = paint(
                self._mixer, now.plan, now.studio, now.store, task=task, tell=tell, stopped=now.pressed
            )
            failed = f", {len(done.failed)} without a picture" if done.failed else ""
            count = len(done.finished) - len(done.failed)
            how = "Stopped" if done.stopped else "Finished"
            now.merges = done.merges
            now.ended = f"{how}: {count} of {now.plan.cells} cells{failed}, in {span(done.seconds)}."
            self._save(now)
        except Exception as error:  # whoever looks at it is told
            log.info("a grid has ended with an error", exc_info=error)
            now.failure = error
            now.ended = "This grid has ended with an error; its finished cells are kept."

    def _save(self, now: Running) -> None:
        """The finished sheet, where and as the host's settings have it."""
        if now.map or len(now.events) < now.plan.cells:
            return
        told = grid_infotext(now.plan, now.finished)
        path = self._mixer.host.keep_grid(now.sheet(), told, grid_as_data(now.plan, now.finished))
        now.ended += f" Saved as {path.name}." if path else ""


def grids_of(mixer: Mixer) -> Grids:
    """The mixer's grids: the same for every page and program that asks."""
    found = mixer.rooms.setdefault(KEPT, Grids(mixer))
    assert isinstance(found, Grids)
    return found
