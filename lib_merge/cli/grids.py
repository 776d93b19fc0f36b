"""`merge-desk grid`: its arguments, and what it prints."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.cli.arguments import threads
from lib_merge.cli.commands import NOT_WRITTEN, inputs_of
from lib_merge.cli.output import print_json
from lib_merge.cli.request import Folders, Request, data_folder, read_request
from lib_merge.errors import MergeError, OutputError, PlanError, RecipeError, encodable
from lib_merge.methods import METHODS
from lib_merge.recipe import Ingredient, Recipe, find_ingredients, read_recipe, renamed
from lib_merge.recipe.ingredients import Recorded
from lib_merge.recipe.names import Fits, told_apart

if TYPE_CHECKING:
    from lib_merge.desk.mixer import Mixer
    from lib_merge.desk.studio import Studio
    from lib_merge.grid import Asked, Base, Finished, GridPlan, GridRun
    from lib_merge.picture import DrawSettings

AXES = ("x", "y", "z")


def add_grid_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `grid`, but for those of a recipe and --json."""
    for name in AXES:
        text = "an axis, NAME: VALUES, such as 'alpha: 0-1 [5]', 'seed: 1,2,3', 'OUT05: 0, 0.5, 1'"
        parser.add_argument(f"--{name}", metavar="AXIS", help=text)
    parser.add_argument("--prompt", default="", help="what is drawn in every cell")
    parser.add_argument("--negative", default="", metavar="PROMPT")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument("--width", type=int, help="in pixels (default: what the model was made for)")
    parser.add_argument("--height", type=int)
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the sheet: .png or .webp")
    parser.add_argument("--cells", metavar="DIR", help="where each cell is kept (default: OUT.cells)")
    parser.add_argument("--resume", action="store_true", help="go on: keep finished cells, try failed ones")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT, and forget its old cells")
    text = "the map of effective blocks in place of axes: each block in turn taken from B"
    parser.add_argument("--blocks", action="store_true", help=text)
    parser.add_argument("--plan", action="store_true", help="tell what would be done, and do nothing")
    parser.add_argument("--csv", metavar="FILE", help="write a line for every cell")
    parser.add_argument("--animate", metavar="FILE", help="write a row as an animation: .webp or .gif")
    parser.add_argument("--row", type=int, default=1, help="which row that is (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="where to compute and draw: cpu (default), cuda, ...")
    parser.add_argument("--threads", type=threads, help="threads to merge with (default: as many as help)")


def grid(options: argparse.Namespace) -> int:
    """`merge-desk grid A B --x "alpha: 0-1 [5]" --prompt P -o grid.png`; 1 where no cell at all was drawn."""
    from lib_merge.desk.studio import paint
    from lib_merge.grid import Store, plan_as_data, plan_in_words
    from lib_merge.grid.blockmap import influences
    from lib_merge.grid.sheet import tiles_of

    target = Path(options.output)
    store = Store(Path(options.cells) if options.cells else target.parent / f"{target.stem}.cells")
    try:
        mixer, studio, plan = _planned(options, target, store)
    except MergeError:
        _leave(store)
        raise
    if options.plan:
        _leave(store)
        if options.json:
            print_json(plan_as_data(plan))
        else:
            print(plan_in_words(plan))
        return 0
    if options.overwrite and not options.resume and store.folder.is_dir():
        store.clear()

    def tell(done: Finished) -> None:
        if not options.json:
            print(_cell_in_words(done, plan), flush=True)

    finished: dict[Any, Finished] = {}

    def note(done: Finished) -> None:
        finished[done.place] = done
        tell(done)

    try:
        done = paint(mixer, plan, studio, store, tell=note)
    except KeyboardInterrupt:
        _write(options, plan, store, target, finished)
        raise
    _write(options, plan, store, target, done.finished)
    if options.json:
        data = _run_as_data(done, plan, target, store)
        if options.blocks:
            data["blocks"] = {
                slot: round(each, 4) for slot, each in influences(plan, tiles_of(plan, store)).items()
            }
        print_json(data)
    else:
        print(_run_in_words(done, plan, target))
    return NOT_WRITTEN if all(each.record.failed for each in done.finished.values()) else 0


def _planned(options: argparse.Namespace, target: Path, store: Any) -> tuple[Mixer, Studio, GridPlan]:
    """The plan, and everything that is wrong with axes, files and targets at once."""
    from lib_merge.desk.mixer import Mixer
    from lib_merge.grid import Base, Cell, plan_grid, read_speeds

    problems: list[MergeError] = []
    asked: dict[str, Asked] = {}
    for name in AXES:
        try:
            if (text := getattr(options, name)) is not None:
                asked[name] = _asked(text)
        except MergeError as problem:
            problems.append(problem)
    if not asked and not problems and not options.blocks:
        problems.append(RecipeError("a grid needs an axis", hint="--x 'alpha: 0-1 [5]'"))
    seed = _take_seed(options, problems)
    request = _request(options)
    if options.blocks and asked:
        problems.append(RecipeError("the map of blocks has an axis of its own", hint="leave out --x"))
    host = _host(options, request, store)
    mixer = Mixer(host, threads=options.threads)
    studio = _studio(mixer, options)
    plan = None
    try:
        base = Base(Cell(request.recipe, _drawing(options, request, seed)), studio)
        if options.blocks:
            base, asked = _map_of(base)
        plan = plan_grid(base, asked, now=studio.now(), speeds=read_speeds(_data(options, store)))
    except PlanError as found:
        problems += found.problems
    except MergeError as problem:
        problems.append(problem)
    known = [each.path for each in (*host.checkpoints(), *host.vaes())]
    problems += _target_problems(options, target, store, [*inputs_of(request, options), *known])
    if problems or plan is None:
        raise PlanError(problems)
    return mixer, studio, plan


def _map_of(base: Base) -> tuple[Base, dict[str, Asked]]:
    """A and B of the recipe, and the axis of all blocks."""
    from lib_merge.grid import Base, Cell
    from lib_merge.grid.blockmap import map_axis, map_recipe

    if len(base.cell.recipe.ingredients) < 2:
        raise RecipeError("a map of blocks needs A and B")
    recipe = map_recipe(*base.cell.recipe.ingredients[:2])
    return Base(Cell(recipe, base.cell.drawing), base.shelf), {"x": map_axis(base.family)}


def _asked(text: str) -> Asked:
    from lib_merge.grid import read_asked

    return read_asked(text)


def _target_problems(
    options: argparse.Namespace, target: Path, store: Any, inputs: Sequence[Path]
) -> list[MergeError]:
    """What stands in the way of the files to be written; --resume replaces those of a grid begun before."""
    from lib_merge.checkpoint import check_targets
    from lib_merge.grid.files import MOVING, PICTURES, TABLES

    begun = store.has_order() or store.count() > 0
    overwrite = options.overwrite or options.plan or (options.resume and begun)
    asked = ((target, PICTURES), (options.animate, MOVING), (options.csv, TABLES))
    targets = [(Path(file), endings) for file, endings in asked if file is not None]
    found = check_targets(targets, inputs=inputs, overwrite=overwrite)
    if options.cells == "":
        found.append(OutputError("no folder was given for the cells", hint="--cells DIR"))
    count = 0 if options.resume or options.overwrite or options.plan else store.count()
    if count:
        what = f"{count} cells of an earlier run are there"
        hint = "--resume keeps what still fits, --overwrite forgets them"
        found.append(OutputError(what, where=str(store.folder), hint=hint))
    return found


def _take_seed(options: argparse.Namespace, problems: list[MergeError]) -> int:
    """--seed is the picture's, as in `draw`; a method that throws dice takes it as well."""
    text: str = options.seed or "0"
    taken = METHODS.get(options.method).parameters if not options.recipe else ()
    if not any(parameter.name == "seed" for parameter in taken):
        options.seed = None
    if not text.isascii() or not text.isdigit():
        problems.append(RecipeError(f"--seed is a whole number, not '{text}'"))
        return 0
    return int(text)


def _request(options: argparse.Namespace) -> Request:
    """As `merge` reads it; a single model is taken as it is."""
    from lib_merge.checkpoint import read_header

    if len(options.models) == 1 and not options.recipe:
        path = Path(options.models[0])
        (file,) = told_apart([path])
        return Request(Recipe((Ingredient("A", file),), (), "A"), {file: read_header(path)})
    return read_request(options)


def _host(options: argparse.Namespace, request: Request, store: Any) -> Any:
    """The standalone host over the folders that were named, and the files of the recipe wherever they lie."""
    from lib_merge.hosts.host import Ckpt
    from lib_merge.hosts.standalone import StandaloneHost

    folders = [Path(folder) for folder in options.folders or ()]
    host = StandaloneHost(folders, output=store.folder, data=_data(options, store), device=options.device)
    for file in reversed(request.recipe.files):
        host.offer(Ckpt(file, request.headers[file].path))
    host.load(host.checkpoints()[0])
    return host


def _leave(store: Any) -> None:
    """Nothing was done: an empty folder that was made for cells goes."""
    with suppress(OSError):
        store.folder.rmdir()


def _data(options: argparse.Namespace, store: Any) -> Path:
    """The desk's own folder (history, presets, speeds) where there is one, else beside the cells."""
    return data_folder(options) or store.folder


def _studio(mixer: Mixer, options: argparse.Namespace) -> Studio:
    """A shelf on which a path is a name as well."""
    from lib_merge.desk.studio import Studio
    from lib_merge.hosts.host import Ckpt

    class Files(Studio):
        """Values of axes may be paths: of checkpoints, of VAE files, of recipes."""

        def checkpoint(self, name: str) -> str:
            self._meet(name)
            return super().checkpoint(name)

        def vae(self, name: str) -> str:
            self._meet(name)
            return super().vae(name)

        def recipe(self, text: str) -> Recipe:
            given = [Path(each) for each in options.folders or ()]
            folders = Folders(given or [Path(text).resolve().parent], given=bool(given))

            def named(wanted: Recorded) -> Fits:
                fits = folders.named(wanted)
                return fits if fits.files else mixer.fitting(wanted)

            found = find_ingredients(
                read_recipe(text), named, folders.paths, mixer.book.hashes, trust_names=True
            )
            names = {file: self._offered(path) for file, path in found.paths.items()}
            return renamed(found.recipe, names)

        def _meet(self, name: str) -> None:
            if Path(name).is_file():
                self._offered(Path(name))

        def _offered(self, path: Path) -> str:
            host: Any = mixer.host
            known = next((each for each in (*host.checkpoints(), *host.vaes()) if each.path == path), None)
            if known is None:
                known = Ckpt(encodable(str(path)), path)
                host.offer(known)
            return self.registered(known)

    return Files(mixer)


def _drawing(options: argparse.Namespace, request: Request, seed: int) -> DrawSettings:
    from lib_merge.hosts.pictures import usual_size
    from lib_merge.picture import DrawSettings, read_settings

    width, height = usual_size(next(iter(request.headers.values())).metadata)
    given = {
        "prompt": options.prompt,
        "negative": options.negative,
        "steps": options.steps,
        "cfg": options.guidance,
        "width": width if options.width is None else options.width,
        "height": height if options.height is None else options.height,
        "seed": seed,
    }
    return read_settings(given, DrawSettings())


def _write(
    options: argparse.Namespace, plan: GridPlan, store: Any, target: Path, finished: Mapping[Any, Finished]
) -> None:
    """The sheet as far as it goes, and what was asked for beside it."""
    from lib_merge.checkpoint import write_file
    from lib_merge.grid.blockmap import draw_map, influences, slots_of_map
    from lib_merge.grid.files import TABLES, as_csv, grid_as_data, grid_infotext, save_moving, save_sheet
    from lib_merge.grid.sheet import draw_row, draw_sheet, tiles_of

    drawing = plan.base.cell.drawing
    tiles = tiles_of(plan, store)
    size = (drawing.width, drawing.height)
    if options.blocks:
        by_slot = {slot: tiles[place, 0, 0] for slot, place in slots_of_map(plan).items()}
        image = draw_map(plan.base.family, by_slot, influences(plan, tiles), size)
    else:
        image = draw_sheet(plan.axes, tiles, size)
    overwrite = options.overwrite or options.resume  # as far as `_target_problems` lets it come here
    told, data = grid_infotext(plan, finished), grid_as_data(plan, finished)
    save_sheet(image, target, told, data, overwrite=overwrite)
    if options.csv is not None:
        write_file(Path(options.csv), as_csv(plan, finished), overwrite=overwrite, endings=TABLES)
    if options.animate is not None:
        row = draw_row(plan.axes, tiles, options.row - 1, 0)
        save_moving(row, Path(options.animate), overwrite=overwrite)


def _cell_in_words(done: Finished, plan: GridPlan) -> str:
    labels = ", ".join(f"{plan.axes[name].title} {label}" for name, label in done.labels.items())
    record = done.record
    if done.kept:
        return f"{labels}: there already"
    if record.failed:
        return f"{labels}: failed, {record.problem}"
    merged = "" if record.merge_seconds is None else f"merged in {record.merge_seconds:.1f} s, "
    return f"{labels}: {merged}drawn in {record.draw_seconds:.1f} s"


def _run_in_words(done: GridRun, plan: GridPlan, target: Path) -> str:
    count = sum(not each.record.failed for each in done.finished.values())
    failed = f", {len(done.failed)} failed" if done.failed else ""
    merges = "1 merge" if done.merges == 1 else f"{done.merges} merges"
    return f"{target}: {count} of {plan.cells} cells{failed}, {merges}, in {done.seconds:.1f} s"


def _run_as_data(done: GridRun, plan: GridPlan, target: Path, store: Any) -> dict[str, Any]:
    """`cells`, `merges` and the time of each."""
    cells: list[dict[str, Any]] = []
    merges: list[dict[str, Any]] = []
    for work in plan.work:
        if (each := done.finished.get(work.place)) is None:
            continue
        record = each.record
        state = "failed" if record.failed else "kept" if each.kept else "done"
        told = {"place": list(work.place), "labels": dict(work.labels), "state": state}
        cells.append(
            {**told, "file": "" if record.failed else store.path(each.name).name,
             "draw_seconds": round(record.draw_seconds, 4), "problem": record.problem}
        )  # fmt: skip
        if record.merge_seconds is not None and not each.kept:
            seconds, slots = round(record.merge_seconds, 4), list(record.slots)
            merges.append(
                {"seconds": seconds, "slots": slots, "bytes": record.nbytes, "recipe": record.recipe}
            )
    return {
        "output": str(target),
        "cells": plan.cells,
        "merges": done.merges,
        "failed": len(done.failed),
        "seconds": round(done.seconds, 3),
        "folder": str(store.folder),
        "each_cell": cells,
        "each_merge": merges,
    }
