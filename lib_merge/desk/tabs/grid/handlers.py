"""The handlers of the tab *Grid*: plan, start in the background, report finished cells, load a cell.

A grid keeps running when the page is closed; a page that is opened later, also after a restart, shows the
finished cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from io import BytesIO
from typing import TYPE_CHECKING

from lib_merge.desk.common import data_url, problem_of
from lib_merge.desk.protocol import Action, EmptyRequest, action
from lib_merge.desk.queue.view import QueueState, queue_state
from lib_merge.desk.selection import drawing_settings, merge_request
from lib_merge.desk.tabs.grid.axis_menu import axis_views
from lib_merge.desk.tabs.grid.view import (
    PREVIEW,
    AxesList,
    AxesName,
    CellSetup,
    CellView,
    GridFile,
    GridInput,
    GridOptions,
    GridPosition,
    GridRow,
    GridSeen,
    GridStarted,
    GridStopped,
    GridSummary,
    GridUpdate,
    SheetView,
    cell_setup,
)
from lib_merge.errors import RecipeError
from lib_merge.grid import (
    AxisSpec,
    CellResult,
    GridPlan,
    GridRequest,
    GridStore,
    render_grid_plan_text,
    request_of_plan,
)
from lib_merge.grid.axes.read import AXIS_NAMES
from lib_merge.grid.blockmap import block_rows, map_columns
from lib_merge.grid.files import encode_animation, encode_sheet, grid_infotext, grid_to_csv, grid_to_dict
from lib_merge.grid.sheet import draw_row, load_tiles
from lib_merge.library import saved_axes
from lib_merge.library.saved_axes import SavedAxes
from lib_merge.service.grid_jobs import GridJob
from lib_merge.service.grids import GridBackend
from lib_merge.service.request import MergeRequest
from lib_merge.service.services import Services

if TYPE_CHECKING:
    from PIL import Image

SHEET_FILE, TABLE_FILE, ROW_FILE = "grid.png", "grid.csv", "row.webp"
MAX_EVENTS = 24  # in one response


@action("grid.open", status=False)
def open_(service: Services, action: Action[EmptyRequest]) -> GridOptions:
    """The kinds of axes, and the running grid or the last one."""
    kinds, saved = axis_views(service.merging), saved_axes.saved_axes(service.merging.host.data_dir())
    job = service.grids.job
    if job is not None:
        return GridOptions(kinds, _started(job), saved=saved)
    last = service.grids.last_order()
    return GridOptions(kinds, axes=_axes_of(last) if last else None, saved=saved)


@action("grid.save_axes", status=False)
def save_axes(service: Services, action: Action[AxesName]) -> AxesList:
    """Saves axes under a name; those of this name are replaced."""
    folder = service.merging.host.data_dir()
    saved_axes.save_axes(folder, SavedAxes(action.data.name, action.data.axes))
    return AxesList(saved_axes.saved_axes(folder))


@action("grid.delete_axes", status=False)
def delete_axes(service: Services, action: Action[AxesName]) -> AxesList:
    """Deletes the axes of a name."""
    folder = service.merging.host.data_dir()
    saved_axes.delete_axes(folder, action.data.name)
    return AxesList(saved_axes.saved_axes(folder))


@action("grid.plan", drawing=True, status=False)
def plan(service: Services, action: Action[GridInput]) -> GridSummary:
    """What a grid would do; draws nothing."""
    axes = _axis_specs(action.data)
    if not axes:
        return GridSummary()
    planned, _ = _planned(service, action, axes)
    count = service.grids.store(planned).count()
    note = f" {count} cells are finished already." if count else ""
    return GridSummary(f"{render_grid_plan_text(planned)}.{note}")


@action("grid.start", drawing=True)
def start(service: Services, action: Action[GridInput]) -> GridStarted:
    """Generates every cell in the background; cells that are finished already are kept."""
    axes = _axis_specs(action.data)
    if not axes:
        raise RecipeError("choose an axis first", hint="alpha, with the values 0-1 [5]")
    return _started(service.grids.start(*_planned(service, action, axes), action.task))


@action("grid.map", drawing=True)
def map_(service: Services, action: Action[GridInput]) -> GridStarted:
    """Takes each block in turn from B, and measures how much the picture changes."""
    planned = _planned(service, action, _axis_specs(action.data), map=True)
    return _started(service.grids.start(*planned, action.task))


@action("grid.add", drawing=True)
def add(service: Services, action: Action[GridInput]) -> QueueState:
    """Puts a grid at the end of the queue."""
    axes = _axis_specs(action.data)
    if not axes:
        raise RecipeError("choose an axis first", hint="alpha, with the values 0-1 [5]")
    service.grids.add(*_planned(service, action, axes))
    return queue_state(service)


@action("grid.resume")
def resume(service: Services, action: Action[EmptyRequest]) -> GridStarted:
    """Continues the last grid, also after a restart."""
    return _started(service.grids.resume(action.task))


@action("grid.stop")
def stop(service: Services, action: Action[EmptyRequest]) -> GridStopped:
    """Stops the running grid; its finished cells are kept."""
    service.grids.stop()
    return GridStopped(service.grids.job.number if service.grids.job else 0)


@action("grid.poll", status=False)
def poll(service: Services, action: Action[GridSeen]) -> GridUpdate:
    """The cells that finished since the last poll; does not touch the model."""
    job = service.grids.job
    if job is None:
        return GridUpdate()
    at = action.data.events if action.data.run == job.number else 0
    running = job.running
    events = job.finished_cells[at : at + MAX_EVENTS]
    at += len(events)
    cells = tuple(_cell_view(cell, job.store) for cell in events)
    ended = not running and at >= len(job.finished_cells)
    progress = job.end_message if ended else job.progress_text()
    blocks = job.block_changes() if job.is_map and ended else None
    problem = problem_of(job.failure) if ended and job.failure else None
    return GridUpdate(job.number, at, not ended, progress, cells, blocks, problem)


@action("grid.load_cell")
def load_cell(service: Services, action: Action[GridPosition]) -> CellSetup:
    """The settings of a cell: values for the lists and the faders."""
    grid_job = service.grids.job
    work = (
        next((job for job in grid_job.plan.jobs if job.position == action.data.position), None)
        if grid_job
        else None
    )
    if grid_job is None or work is None:
        raise RecipeError("this cell belongs to another grid", hint="start that grid again")
    drawing = asdict(work.cell.drawing)
    return cell_setup(service.merging, grid_job.backend.resolve(work.cell.recipe), drawing)


@action("grid.picture", status=False)
def picture(service: Services, action: Action[GridPosition]) -> GridFile:
    """The whole picture of a cell, for the large view."""
    job = _current_job(service)
    done = job.finished.get(action.data.position)
    image = job.store.picture(done.name) if done else None
    if image is None:
        raise RecipeError("this cell has no picture", hint="Resume generates what is missing")
    return GridFile("cell.png", data_url(_png(image), "image/png"))


@action("grid.sheet", status=False)
def sheet(service: Services, action: Action[EmptyRequest]) -> GridFile:
    """The whole sheet as a PNG with labels; every cell's recipe is inside."""
    job = _current_job(service)
    infotext, data = grid_infotext(job.plan, job.finished), grid_to_dict(job.plan, job.finished)
    return GridFile(SHEET_FILE, data_url(encode_sheet(job.sheet(), ".png", infotext, data), "image/png"))


@action("grid.table", status=False)
def table(service: Services, action: Action[EmptyRequest]) -> GridFile:
    """A line for every cell, as CSV."""
    job = _current_job(service)
    return GridFile(TABLE_FILE, data_url(grid_to_csv(job.plan, job.finished).encode("utf-8"), "text/csv"))


@action("grid.row", status=False)
def row(service: Services, action: Action[GridRow]) -> GridFile:
    """A row of cells as an animation."""
    job = _current_job(service)
    frames = draw_row(job.plan.axes, load_tiles(job.plan, job.store), action.data.row, action.data.sheet)
    return GridFile(ROW_FILE, data_url(encode_animation(frames, ".webp"), "image/webp"))


# --- helpers ---


def _axis_specs(order: GridInput) -> dict[str, AxisSpec]:
    """The axes that have a name."""
    unknown = [name for name in order.axes if name not in AXIS_NAMES]
    if unknown:
        raise RecipeError(f"there is no axis '{unknown[0]}'", hint="x, y, z")
    inputs = {name: order.axes[name] for name in AXIS_NAMES if name in order.axes}
    specs = {name: AxisSpec(" ".join(what.split()), values) for name, (what, values) in inputs.items()}
    return {name: spec for name, spec in specs.items() if spec.name}


def _planned(
    service: Services, action: Action[GridInput], axes: Mapping[str, AxisSpec], *, map: bool = False
) -> tuple[GridPlan, GridBackend]:
    selection = action.selection
    request = MergeRequest(models=(selection.a,))
    if not selection.a or selection.b:
        request = merge_request(service.merging, selection, action.data.parameters)
    settings = drawing_settings(service.merging, action.drawing)
    return service.grids.plan(request, axes, settings, is_map=map)


def _current_job(service: Services) -> GridJob:
    job = service.grids.job
    if job is None:
        raise RecipeError("there is no grid yet", hint="Start makes one")
    return job


def _started(job: GridJob) -> GridStarted:
    return GridStarted(job.number, _shape(job), None if job.is_map else _axes_of(request_of_plan(job.plan)))


def _shape(job: GridJob) -> SheetView:
    plan = job.plan
    drawing = plan.base.cell.drawing
    labels = {name: axis.labels for name, axis in plan.axes.items()}
    titles = {name: axis.title for name, axis in plan.axes.items()}
    rows = None
    if job.is_map:
        labels["x"] = ("A", *map_columns(plan))
        rows = block_rows(plan.base.family)
    summary = f"{render_grid_plan_text(plan)}."
    return SheetView(titles, labels, summary, drawing.width, drawing.height, rows)


def _axes_of(order: GridRequest) -> dict[str, tuple[str, str]]:
    """Axis -> name and values, for the fields of the page; empty for a map, whose axis cannot be edited."""
    if [spec.name for spec in order.axes.values()] == ["blocks"] and order.axes["x"].text.count("=1") > 9:
        return {}
    return {name: (spec.name, spec.text) for name, spec in order.axes.items()}


def _cell_view(done: CellResult, store: GridStore) -> CellView:
    record = done.record
    if record.failed:
        return CellView(done.position, problem=record.problem)
    image = store.picture(done.name)
    if image is None:
        return CellView(done.position, problem="its picture cannot be read")
    image.thumbnail((PREVIEW, PREVIEW))
    url = data_url(_png(image), "image/png")
    return CellView(done.position, url, "", record.infotext, record.merge_seconds, record.draw_seconds)


def _png(image: Image.Image) -> bytes:
    stream = BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()
