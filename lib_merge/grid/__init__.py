"""Grids of pictures over merges: axes, the plan, the run that loses no cell, the sheet."""

from lib_merge.grid.axes import Asked, Axis, kinds, read_asked
from lib_merge.grid.cell import Base, Cell, Shelf
from lib_merge.grid.plan import GridPlan, Speeds, plan_as_data, plan_grid, plan_in_words
from lib_merge.grid.run import Finished, GridRun, Painter, measured, run_grid
from lib_merge.grid.store import Order, Record, Store, keep_speeds, order_of, orders, read_speeds

__all__ = [
    "Asked",
    "Axis",
    "Base",
    "Cell",
    "Finished",
    "GridPlan",
    "GridRun",
    "Order",
    "Painter",
    "Record",
    "Shelf",
    "Speeds",
    "Store",
    "keep_speeds",
    "kinds",
    "measured",
    "order_of",
    "orders",
    "plan_as_data",
    "plan_grid",
    "plan_in_words",
    "read_asked",
    "read_speeds",
    "run_grid",
]
