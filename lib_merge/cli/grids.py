"""`merge-desk grid`: what it does, and what it prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.cli.commands import NOT_WRITTEN
from lib_merge.cli.grid_arguments import GridCommand
from lib_merge.cli.grid_workers import run_spread, work_on_grids
from lib_merge.cli.output import print_json
from lib_merge.cli.request import ReadMerge, data_folder, read_merge
from lib_merge.errors import MergeError, OutputError, PlanError, RecipeError, encodable
from lib_merge.methods import METHODS
from lib_merge.picture import RANDOM_SEED
from lib_merge.recipe import RecordedFile, find_ingredients, read_recipe
from lib_merge.recipe.names import NameMatch
from lib_merge.recipe.reading import is_file_path
from lib_merge.service.files import Folders
from lib_merge.service.request import Resolved

if TYPE_CHECKING:
    from lib_merge.grid import AxisSpec, CellResult, GridBase, GridPlan, GridRun, GridStore
    from lib_merge.grid.axes.read import CellPosition
    from lib_merge.hosts.host import ListedFile
    from lib_merge.hosts.standalone import StandaloneHost
    from lib_merge.picture import DrawSettings
    from lib_merge.service.grids import GridBackend
    from lib_merge.service.merging import MergeService

SEED_FLAG = "seed"


def grid(options: GridCommand) -> int:
    """`merge-desk grid A B --x "alpha: 0-1 [5]" --prompt P -o grid.png`; 1 where no cell at all was drawn."""
    from lib_merge.grid import GridStore, grid_plan_to_dict, render_grid_plan_text
    from lib_merge.grid.blockmap import block_changes
    from lib_merge.grid.sheet import load_tiles
    from lib_merge.service.grids import run_grid_job

    if options.is_worker:
        return work_on_grids(options)
    target = _target(options)
    store = GridStore(Path(options.cells) if options.cells else target.parent / f"{target.stem}.cells")
    try:
        service, backend, plan = _planned(options, target, store)
    except MergeError:
        _leave(store)
        raise
    if options.plan:
        _leave(store)
        if options.json:
            print_json(grid_plan_to_dict(plan))
        else:
            print(render_grid_plan_text(plan))
        return 0
    if options.overwrite and not options.resume and store.folder.is_dir():
        store.clear()

    def tell(done: CellResult) -> None:
        if not options.json:
            print(_render_cell(done, plan), flush=True)

    finished: dict[CellPosition, CellResult] = {}

    def note(done: CellResult) -> None:
        finished[done.position] = done
        tell(done)

    try:
        if options.workers is not None:
            done = run_spread(options, service, plan, backend, store, note)
        else:
            done = run_grid_job(service, plan, backend, store, tell=note)
    except KeyboardInterrupt:
        _write(options, plan, store, target, finished)
        raise
    _write(options, plan, store, target, done.results)
    if options.json:
        data = _run_to_dict(done, plan, target, store)
        if options.blocks:
            data["blocks"] = {
                slot: round(change, 4)
                for slot, change in block_changes(plan, load_tiles(plan, store)).items()
            }
        print_json(data)
    else:
        print(_render_run(done, plan, target))
    return NOT_WRITTEN if all(cell.record.failed for cell in done.results.values()) else 0


def _target(options: GridCommand) -> Path:
    """The file of the sheet; RecipeError for flags that do not belong together."""
    if options.output is None:
        raise RecipeError("a grid needs a file for its sheet", hint="-o grid.png")
    if options.host is not None:
        hint = "merge-desk grid worker --workers URL --host ... makes cells there"
        raise RecipeError("--host is for workers of a grid", hint=hint)
    if options.workers is None and (options.study is not None or options.only_workers):
        raise RecipeError("--study and --only-workers belong to --workers", hint="--workers URL")
    return Path(options.output)


def _planned(
    options: GridCommand, target: Path, store: GridStore
) -> tuple[MergeService, GridBackend, GridPlan]:
    """The plan; PlanError with all problems of axes, files and targets."""
    from lib_merge.grid import GridBase, GridCell, keep_random_seeds, plan_grid, read_speeds
    from lib_merge.service.grids import GridBackend
    from lib_merge.service.merging import MergeService

    problems: list[MergeError] = []
    axes: dict[str, AxisSpec] = {}
    for name, text in options.axes.items():
        try:
            axes[name] = _axis_spec(text)
        except MergeError as problem:
            problems.append(problem)
    if not axes and not problems and not options.blocks:
        problems.append(RecipeError("a grid needs an axis", hint="--x 'alpha: 0-1 [5]'"))
    seed = _seed(options.option_values.get(SEED_FLAG, "0"), problems)
    request = read_merge(_of_the_merge(options), alone=True)
    if options.blocks and axes:
        problems.append(RecipeError("the map of blocks has an axis of its own", hint="leave out --x"))
    host = _host(options, request, store)
    service = MergeService(host, threads=options.threads)
    backend = GridBackend(service, lookup=PathsAndNames(service, host, options.model_folders))
    plan = None
    try:
        drawing = _drawing(options, request, seed)
        if options.resume and store.has_request():
            drawing, axes = keep_random_seeds(store.load_request(), drawing, axes)
        base = GridBase(GridCell(request.recipe, drawing), backend)
        if options.blocks:
            base, axes = _map_of(base)
        plan = plan_grid(base, axes, loaded=backend.now(), speeds=read_speeds(_data(options, store)))
    except PlanError as error:
        problems += error.problems
    except MergeError as problem:
        problems.append(problem)
    listed_files = [file.path for file in (*host.checkpoints(), *host.vaes())]
    problems += _target_problems(
        options, target, store, [*request.files, *options.recipe_file, *listed_files]
    )
    if problems or plan is None:
        raise PlanError(problems)
    return service, backend, plan


def _map_of(base: GridBase) -> tuple[GridBase, dict[str, AxisSpec]]:
    """The base with A and B of the recipe, and the axis of all blocks."""
    from lib_merge.grid import GridBase, GridCell
    from lib_merge.grid.blockmap import map_axis, map_recipe

    if len(base.cell.recipe.ingredients) < 2:
        raise RecipeError("a map of blocks needs A and B")
    recipe = map_recipe(*base.cell.recipe.ingredients[:2])
    return GridBase(GridCell(recipe, base.cell.drawing), base.catalog), {"x": map_axis(base.family)}


def _axis_spec(text: str) -> AxisSpec:
    from lib_merge.grid import parse_axis_spec

    return parse_axis_spec(text)


def _target_problems(
    options: GridCommand, target: Path, store: GridStore, inputs: Sequence[Path]
) -> list[MergeError]:
    """Problems of the files to be written; --resume replaces those of an earlier run."""
    from lib_merge.checkpoint import check_targets
    from lib_merge.grid.files import ANIMATION_SUFFIXES, SHEET_SUFFIXES, TABLE_SUFFIXES

    begun = store.has_request() or store.count() > 0
    overwrite = options.overwrite or options.plan or (options.resume and begun)
    outputs = ((target, SHEET_SUFFIXES), (options.animate, ANIMATION_SUFFIXES), (options.csv, TABLE_SUFFIXES))
    targets = [(Path(file), endings) for file, endings in outputs if file is not None]
    problems = check_targets(targets, inputs=inputs, overwrite=overwrite)
    if options.cells == "":
        problems.append(OutputError("--cells names no folder", hint="--cells DIR"))
    count = 0 if options.resume or options.overwrite or options.plan else store.count()
    if count:
        what = f"there are {count} cells of an earlier run"
        hint = "--resume keeps those that still fit, --overwrite deletes them"
        problems.append(OutputError(what, where=str(store.folder), hint=hint))
    return problems


def _of_the_merge(options: GridCommand) -> GridCommand:
    """The options without --seed, which is the picture's, unless the method has a parameter `seed`."""
    parameters = METHODS.get(options.method).parameters if not options.recipe else ()
    if any(parameter.name == SEED_FLAG for parameter in parameters):
        return options
    values = {name: value for name, value in options.option_values.items() if name != SEED_FLAG}
    return replace(options, option_values=values)


def _seed(text: str | bool, problems: list[MergeError]) -> int:
    """The seed of the picture; -1 for a random one."""
    text = str(text) or "0"
    if text != str(RANDOM_SEED) and not (text.isascii() and text.isdigit()):
        what = f"--seed is an integer of at least 0, not '{text}'"
        problems.append(RecipeError(what, hint="-1 for a random seed, the same in every cell"))
        return 0
    return int(text)


def _host(options: GridCommand, request: ReadMerge, store: GridStore) -> StandaloneHost:
    """The standalone host with the named folders and the files of the recipe."""
    from lib_merge.hosts.host import ListedFile
    from lib_merge.hosts.standalone import StandaloneHost

    data = _data(options, store)
    host = StandaloneHost(options.model_folders, output=store.folder, data=data, device=options.device)
    for file in reversed(request.recipe.files):
        host.add_file(ListedFile(file, request.headers[file].path))
    host.load(host.checkpoints()[0])
    return host


def _leave(store: GridStore) -> None:
    """Remove an empty folder that was created for cells."""
    with suppress(OSError):
        store.folder.rmdir()


def _data(options: GridCommand, store: GridStore) -> Path:
    """The data folder (history, presets, speeds) where there is one, else the folder of the cells."""
    return data_folder(options.data_dir) or store.folder


class PathsAndNames:
    """Looks up names of axes: paths of checkpoints, VAE files and recipes, or names of the host's lists."""

    def __init__(self, service: MergeService, host: StandaloneHost, folders: Sequence[Path]) -> None:
        self._service, self._host, self._folders = service, host, folders

    def checkpoint(self, name: str) -> ListedFile:
        """A checkpoint by path or name."""
        return self._file(Path(name)) if is_file_path(name) else self._service.checkpoint(name)

    def vae(self, name: str) -> ListedFile:
        """A VAE file by path or name."""
        return self._file(Path(name)) if is_file_path(name) else self._service.vae(name)

    def recipe(self, text: str) -> Resolved[ListedFile]:
        """The recipe in a file or a text."""
        folders = Folders(self._folders or [Path(text).resolve().parent], named_by_user=bool(self._folders))

        def named(wanted: RecordedFile) -> NameMatch:
            fits = folders.named(wanted)
            return fits if fits.files else self._service.matching(wanted)

        hashes = self._service.hash_cache.hashes
        located = find_ingredients(read_recipe(text), named, folders.paths, hashes, trust_names=True)
        return Resolved(located.recipe, {file: self._file(path) for file, path in located.paths.items()})

    def _file(self, path: Path) -> ListedFile:
        """A file, which is added to the host's list."""
        from lib_merge.hosts.host import ListedFile

        listed = (*self._host.checkpoints(), *self._host.vaes())
        file = next((candidate for candidate in listed if candidate.path == path), None)
        if file is None:
            file = ListedFile(encodable(str(path)), path)
            self._host.add_file(file)
        return file


def _drawing(options: GridCommand, request: ReadMerge, seed: int) -> DrawSettings:
    from lib_merge.hosts.pictures import default_size
    from lib_merge.picture import DrawSettings, read_settings

    width, height = default_size(next(iter(request.headers.values())).metadata)
    settings = {
        "prompt": options.prompt,
        "negative": options.negative,
        "steps": options.steps,
        "cfg": options.guidance,
        "width": width if options.width is None else options.width,
        "height": height if options.height is None else options.height,
        "seed": seed,
    }
    return read_settings(settings, DrawSettings())


def _write(
    options: GridCommand,
    plan: GridPlan,
    store: GridStore,
    target: Path,
    finished: Mapping[CellPosition, CellResult],
) -> None:
    """Write the sheet with all finished cells, and the other requested files."""
    from lib_merge.checkpoint import write_file
    from lib_merge.grid.blockmap import block_changes, draw_map, map_columns
    from lib_merge.grid.files import (
        TABLE_SUFFIXES,
        grid_infotext,
        grid_to_csv,
        grid_to_dict,
        save_animation,
        save_sheet,
    )
    from lib_merge.grid.sheet import draw_row, draw_sheet, load_tiles

    drawing = plan.base.cell.drawing
    tiles = load_tiles(plan, store)
    size = (drawing.width, drawing.height)
    if options.blocks:
        by_slot = {slot: tiles[column, 0, 0] for slot, column in map_columns(plan).items()}
        image = draw_map(plan.base.family, by_slot, block_changes(plan, tiles), size)
    else:
        image = draw_sheet(plan.axes, tiles, size)
    overwrite = options.overwrite or options.resume  # as far as `_target_problems` lets it come here
    infotext, data = grid_infotext(plan, finished), grid_to_dict(plan, finished)
    save_sheet(image, target, infotext, data, overwrite=overwrite)
    if options.csv is not None:
        write_file(
            Path(options.csv), grid_to_csv(plan, finished), overwrite=overwrite, suffixes=TABLE_SUFFIXES
        )
    if options.animate is not None:
        row = draw_row(plan.axes, tiles, options.row - 1, 0)
        save_animation(row, Path(options.animate), overwrite=overwrite)


def _render_cell(done: CellResult, plan: GridPlan) -> str:
    labels = ", ".join(f"{plan.axes[name].title} {label}" for name, label in done.labels.items())
    record = done.record
    if done.reused:
        return f"{labels}: finished before"
    if record.failed:
        return f"{labels}: failed, {record.problem}"
    merged = "" if record.merge_seconds is None else f"merged in {record.merge_seconds:.1f} s, "
    return f"{labels}: {merged}generated in {record.draw_seconds:.1f} s"


def _render_run(done: GridRun, plan: GridPlan, target: Path) -> str:
    count = sum(not cell.record.failed for cell in done.results.values())
    failed = f", {len(done.failed)} failed" if done.failed else ""
    merges = "1 merge" if done.merges == 1 else f"{done.merges} merges"
    return f"{target}: {count} of {plan.num_cells} cells{failed}, {merges}, in {done.seconds:.1f} s"


def _run_to_dict(done: GridRun, plan: GridPlan, target: Path, store: GridStore) -> dict[str, Any]:
    """The JSON output: counts, and an entry for each cell and each merge."""
    cells: list[dict[str, Any]] = []
    merges: list[dict[str, Any]] = []
    for work in plan.jobs:
        if (cell := done.results.get(work.position)) is None:
            continue
        record = cell.record
        state = "failed" if record.failed else "kept" if cell.reused else "done"
        entry = {"place": list(work.position), "labels": dict(work.labels), "state": state}
        cells.append(
            {**entry, "file": "" if record.failed else store.path(cell.name).name,
             "draw_seconds": round(record.draw_seconds, 4), "problem": record.problem}
        )  # fmt: skip
        if record.merge_seconds is not None and not cell.reused:
            seconds, slots = round(record.merge_seconds, 4), list(record.slots)
            merges.append(
                {"seconds": seconds, "slots": slots, "bytes": record.nbytes, "recipe": record.recipe}
            )
    return {
        "output": str(target),
        "cells": plan.num_cells,
        "merges": done.merges,
        "failed": len(done.failed),
        "seconds": round(done.seconds, 3),
        "folder": str(store.folder),
        "each_cell": cells,
        "each_merge": merges,
    }
