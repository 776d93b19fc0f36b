"""`merge-desk grid --workers`, which spreads a grid, and `merge-desk grid worker`, which makes cells."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.cli.output import print_json
from lib_merge.cli.remote import connect_remote
from lib_merge.cli.request import data_folder
from lib_merge.cli.standalone import StandaloneOptions, located_files, standalone_backend
from lib_merge.errors import RecipeError
from lib_merge.grid import GridPlan, GridRun, GridStore
from lib_merge.grid.run import OnResult
from lib_merge.recipe import parse_recipe

if TYPE_CHECKING:
    from lib_merge.cli.grid_arguments import GridCommand
    from lib_merge.search.cells import SharedGrid
    from lib_merge.service.grids import GridBackend
    from lib_merge.service.merging import MergeService
    from lib_merge.service.searches import SearchBackend, SearchService
    from lib_merge.service.shared_grids import WorkerCell

SPREADING = "spreading a grid over workers"
DATA = Path("worker.data")
CTRL_C_STATUS = 130


def run_spread(
    options: GridCommand,
    service: MergeService,
    plan: GridPlan,
    backend: GridBackend,
    store: GridStore,
    tell: OnResult,
) -> GridRun:
    """Run a grid with the workers of a storage."""
    from lib_merge.search.storage import need_optuna, without_password
    from lib_merge.service.shared_grids import run_shared_grid, share_grid, shared_grid_name

    need_optuna(SPREADING)
    name = options.study or shared_grid_name(plan)
    shared = share_grid(plan, store, service.hash_cache, options.workers or "", name)
    if not options.json:
        join = f"merge-desk grid worker --workers {without_password(options.workers or '')} --study '{name}'"
        print(f"workers join with: {join}", flush=True)
    return run_shared_grid(service, plan, backend, store, shared, works=not options.only_workers, tell=tell)


def work_on_grids(options: GridCommand) -> int:
    """`merge-desk grid worker --workers URL [--study NAME]`: make cells until none is left."""
    from lib_merge.search.cells import join_cells, shared_names
    from lib_merge.search.storage import need_optuna
    from lib_merge.service.shared_grids import run_grid_worker

    need_optuna(SPREADING)
    if options.workers is None:
        raise RecipeError("a worker needs the storage of the grid", hint="--workers URL")
    counts: dict[str, int] = {}
    began = time.perf_counter()
    names = [options.study] if options.study else shared_names(options.workers)

    def tell(done: WorkerCell) -> None:
        if not options.json:
            record = done.record
            text = (
                f"failed, {record.problem}" if record.failed else f"generated in {record.draw_seconds:.1f} s"
            )
            print(f"{done.grid}: a cell {text}", flush=True)

    try:
        for name in names:
            shared = join_cells(options.workers, name)
            if shared.is_open():
                service, backend = _place(options, shared)
                counts[name] = run_grid_worker(service, backend, shared, tell=tell)
    except KeyboardInterrupt:
        print("merge-desk: stopped; the cell that was being made is given back", file=sys.stderr)
        return CTRL_C_STATUS
    if options.json:
        print_json({"grids": counts, "seconds": round(time.perf_counter() - began, 3)})
    else:
        print(_render_counts(counts))
    return 0


def _render_counts(counts: Mapping[str, int]) -> str:
    if not counts:
        return "no cell waits"
    return "\n".join(f"{name}: made {count} cell{'s' * (count != 1)}" for name, count in counts.items())


def _place(options: GridCommand, shared: SharedGrid) -> tuple[SearchService, SearchBackend]:
    """The host of this worker, with the files of all cells; MergeError for one that it lacks."""
    data = data_folder(options.data_dir) or DATA
    recipes = _distinct([cell.recipe for cell in shared.cells().values()])
    remote = connect_remote(options, data)
    if remote is not None:
        for recipe in recipes:
            remote.backend.describe(parse_recipe(recipe))
        return remote, remote.backend
    files: dict[str, Path] = {}
    for recipe in recipes:
        files |= located_files(options, parse_recipe(recipe))
    return standalone_backend(options, files, StandaloneOptions(data, options.device, options.threads))


def _distinct(recipes: Sequence[str]) -> Sequence[str]:
    """One recipe for each set of files."""
    by_files = {tuple(sorted(parse_recipe(recipe).files)): recipe for recipe in recipes}
    return list(by_files.values())
