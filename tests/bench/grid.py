"""A grid over one block, beside a full merge for every cell: `python -m tests.bench.grid [--rounds 5]`.

Two full-size SD1.5 fp16 files, mapped and warm; a model in memory as plain fp16 parameters, nothing is drawn.
Eleven values of OUT05, in the order that the grid's plan gives them; beside it the same eleven merges, each
made whole as if nothing were known of the one before. Rounds alternate; medians and ranges are quoted.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from lib_merge.grid import GridBase, GridCell, GridPlan, parse_axis_spec, plan_grid
from lib_merge.hosts.host import ListedFile
from lib_merge.picture import DrawSettings
from lib_merge.recipe import Ingredient, Recipe, Step
from lib_merge.service.grids import GridBackend
from lib_merge.service.merging import MergeService
from tests.bench.compare import inputs, warm
from tests.support.grid_host import NoiseHost

VALUES = "OUT05: 0-1 [11]"


def planned(backend: GridBackend, a: Path, b: Path) -> GridPlan:
    """The grid: A and B half and half, and OUT05 on an axis."""
    step = Step("M", "weighted_sum", ("A", "B"), (("alpha", 0.5),))
    recipe = Recipe((Ingredient("A", a.name), Ingredient("B", b.name)), (step,), "M")
    return plan_grid(
        GridBase(GridCell(recipe, DrawSettings()), backend),
        {"x": parse_axis_spec(VALUES)},
        loaded=backend.now(),
    )


def cells(service: MergeService, backend: GridBackend, plan: GridPlan, *, whole: bool) -> list[float]:
    """Seconds of every merge after the first, which brings the model to where the grid begins."""
    seconds: list[float] = []
    with service.host.job("bench") as progress:
        for work in plan.jobs:
            began = time.perf_counter()
            if whole:
                service.session.forget()
            backend.merge(work.cell.recipe, progress)
            seconds.append(time.perf_counter() - began)
    return seconds[1:]


def told(name: str, runs: list[float]) -> str:
    """Median and range in milliseconds."""
    ms = [1000 * each for each in runs]
    return f"  {name:26} {statistics.median(ms):7.1f} ms a cell  ({min(ms):.1f} to {max(ms):.1f})"


def main() -> None:
    """Run the rounds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "merge-desk-bench")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    files = inputs(options.folder, "sd1", 2)
    warm(files)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        host = NoiseHost([], output=Path(folder) / "out", data=Path(folder) / "data")
        for file in reversed(files):
            host.add_file(ListedFile(file.name, file))
        host.load(host.checkpoints()[0])
        service = MergeService(host, threads=2)
        backend = GridBackend(service)
        began = time.perf_counter()
        plan = planned(backend, *files)
        print(f"the plan of {plan.num_cells} cells: {1000 * (time.perf_counter() - began):.0f} ms")
        for change in plan.planned_merges[:2]:
            print(f"  {len(change.slots)} slots, {change.nbytes / 1e6:.0f} MB")
        ours: list[float] = []
        full: list[float] = []
        for _ in range(options.rounds):
            ours += cells(service, backend, plan, whole=False)
            full += cells(service, backend, plan, whole=True)
        print(told("only OUT05", ours))
        print(told("a full merge", full))
        print(f"  {statistics.median(full) / statistics.median(ours):.1f} times as fast")


if __name__ == "__main__":
    main()
