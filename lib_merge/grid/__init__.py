"""Grids of pictures over merges: axes, plan, run, stored cells, and the sheet of all pictures."""

from lib_merge.grid.axes.read import AxisSpec, GridAxis, axis_kinds, parse_axis_spec
from lib_merge.grid.cell import GridBase, GridCell, ModelCatalog
from lib_merge.grid.plan import GridPlan, Speeds, grid_plan_to_dict, plan_grid, render_grid_plan_text
from lib_merge.grid.run import CellResult, GridRenderer, GridRun, measured_speeds, run_grid
from lib_merge.grid.store import (
    CellRecord,
    GridRequest,
    GridStore,
    grid_request_to_dict,
    keep_random_seeds,
    parse_grid_request,
    read_speeds,
    request_of_plan,
    save_speeds,
    saved_requests,
)

__all__ = [
    "AxisSpec",
    "CellRecord",
    "CellResult",
    "GridAxis",
    "GridBase",
    "GridCell",
    "GridPlan",
    "GridRenderer",
    "GridRequest",
    "GridRun",
    "GridStore",
    "ModelCatalog",
    "Speeds",
    "axis_kinds",
    "grid_plan_to_dict",
    "grid_request_to_dict",
    "keep_random_seeds",
    "measured_speeds",
    "parse_axis_spec",
    "parse_grid_request",
    "plan_grid",
    "read_speeds",
    "render_grid_plan_text",
    "request_of_plan",
    "run_grid",
    "save_speeds",
    "saved_requests",
]
