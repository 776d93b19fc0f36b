"""Grids over HTTP, with the names of the command line's options."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from lib_merge.desk.route import route, unknown_names_as_404
from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid import AxisSpec, CellResult, grid_plan_to_dict, parse_axis_spec
from lib_merge.grid.axes.read import AXIS_NAMES
from lib_merge.picture import DrawSettings, read_settings
from lib_merge.schema import EmptyRequest
from lib_merge.service.grid_jobs import GridJob
from lib_merge.service.request import MergeRequest
from lib_merge.service.server_paths import folders_of, without_paths
from lib_merge.service.services import Services

GRID_ACTIONS = ("start", "plan", "resume", "stop", "cell")


@dataclass(frozen=True)
class GridBody:
    """A merge, as for `plan`, and the axes of a grid over it.

    action   start (default), plan, resume, stop or cell
    axes     x, y, z -> name and values of the axis, {"x": "alpha: 0-1 [5]"}
    drawing  prompt, negative, sampler, scheduler, steps, cfg, width, height, seed
    map      true: the map of effective blocks in place of axes
    place    the position of a cell: its column, row and sheet, from 0
    """

    merge: MergeRequest
    action: str
    axes: Mapping[str, AxisSpec]
    drawing: Mapping[str, object]
    map: bool
    place: object

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> GridBody:
        """Parse the JSON body; raises RecipeError for a field that is not valid."""
        fields = dict(body)
        action, axes = str(fields.pop("action", "") or GRID_ACTIONS[0]), _axes(fields.pop("axes", None))
        drawing = fields.pop("drawing", None)
        is_map, place = fields.pop("map", None) or False, fields.pop("place", None)
        if not isinstance(drawing, Mapping) and drawing is not None:
            raise RecipeError("drawing must be an object", hint='{"prompt": "a cat", "steps": 20}')
        if not isinstance(is_map, bool):
            raise RecipeError(f"map is true or false, not {is_map!r}")
        if action not in GRID_ACTIONS:
            raise RecipeError(f"a grid cannot '{action}'", hint=", ".join(GRID_ACTIONS))
        merge, settings = MergeRequest.from_json(fields), cast("Mapping[str, object]", drawing or {})
        return cls(merge, action, axes, settings, is_map, place)


@dataclass(frozen=True)
class FinishedCell:
    """A finished cell.

    state  done, failed, or kept from an earlier grid
    """

    place: tuple[int, ...]
    labels: Mapping[str, str]
    state: str
    problem: str
    merge_seconds: float | None
    draw_seconds: float
    recipe: str


@dataclass(frozen=True)
class GridStatus:
    """The progress of the grid.

    message  the progress in one sentence
    told     the same: the name of `message` in version 0.1
    merges   how many merges were made
    planned  the plan, as `GridPlanned` has it
    cells    every finished cell
    problem  why the grid has ended early
    blocks   of a map: the change of each block, in percent
    """

    running: bool = False
    message: str = ""
    told: str = ""
    merges: int = 0
    planned: Mapping[str, object] | None = None
    cells: tuple[FinishedCell, ...] = ()
    problem: str = ""
    blocks: Mapping[str, float] | None = None


@dataclass(frozen=True)
class GridPlanned:
    """What a grid does: cells, images, merges, seconds, memory_bytes, axes, changes."""

    planned: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True)
class GridPicture:
    """A cell's picture as base64, and its infotext."""

    picture: str
    infotext: str


@route("GET", "grid")
def grid_status(service: Services, request: EmptyRequest) -> GridStatus:
    """The progress of the grid, and every finished cell."""
    return _status(service)


@route("POST", "grid")
def grid(service: Services, request: GridBody) -> GridPlanned | GridStatus | GridPicture:
    """Plans, starts, resumes or stops a grid, or fetches one cell."""
    with unknown_names_as_404():  # HostError means an unknown name here
        return _act(service, request)


def _status(service: Services) -> GridStatus:
    job = service.grids.job
    if job is None:
        return GridStatus()
    folders = folders_of(service.merging.host)
    message = job.progress_text() if job.running else job.end_message
    return GridStatus(
        job.running,
        message,
        message,
        job.merges,
        grid_plan_to_dict(job.plan),
        tuple(_cell(cell, without_paths(cell.record.problem, folders)) for cell in list(job.finished_cells)),
        without_paths(str(job.failure), folders) if job.failure else "",
        dict(job.block_changes()) if job.is_map and not job.running else None,
    )


def _act(service: Services, request: GridBody) -> GridPlanned | GridStatus | GridPicture:
    grids = service.grids
    drawing = _drawing(service, request)
    if request.action == "stop":
        grids.stop()
        return _status(service)
    if request.action == "cell":
        return _picture(grids.job, request.place)
    if request.action == "resume":
        return GridPlanned(grid_plan_to_dict(grids.resume().plan))
    if not request.axes and not request.map:
        raise RecipeError("a grid needs an axis", hint='"axes": {"x": "alpha: 0-1 [5]"}')
    plan, backend = grids.plan(request.merge, request.axes, drawing, is_map=request.map)
    if request.action == "start":
        grids.start(plan, backend)
    return GridPlanned(grid_plan_to_dict(plan))


def _cell(done: CellResult, problem: str) -> FinishedCell:
    record = done.record
    state = "failed" if record.failed else "kept" if done.reused else "done"
    return FinishedCell(
        tuple(done.position),
        dict(done.labels),
        state,
        problem,
        record.merge_seconds,
        record.draw_seconds,
        record.recipe,
    )


def _axes(axes: object) -> dict[str, AxisSpec]:
    if axes is None:
        return {}
    if not isinstance(axes, Mapping):
        raise RecipeError("axes must be an object", hint='{"x": "alpha: 0-1 [5]"}')
    texts = cast("Mapping[str, object]", axes)
    unknown = [name for name in texts if name not in AXIS_NAMES]
    if unknown:
        raise RecipeError(f"there is no axis '{unknown[0]}'", hint="x, y, z")
    return {name: parse_axis_spec(str(texts[name])) for name in AXIS_NAMES if texts.get(name)}


def _drawing(service: Services, request: GridBody) -> DrawSettings:
    return read_settings(request.drawing, service.merging.host.default_settings())


def _picture(job: GridJob | None, place: object) -> GridPicture:
    position = tuple(cast("list[int]", place)) if isinstance(place, list) else ()
    done = next((cell for cell in job.finished.values() if cell.position == position), None) if job else None
    if job is None or done is None or done.record.failed:
        raise MergeError("there is no picture of this cell", hint="GET grid tells which there are")
    raw = job.store.path(done.name).read_bytes()
    return GridPicture(base64.b64encode(raw).decode("ascii"), done.record.infotext)
