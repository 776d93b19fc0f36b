"""The parser of all commands, and the handling of errors that they share."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from lib_merge.architectures import DEFAULT_LAYOUT, FAMILIES
from lib_merge.checkpoint.system_errors import NAME_TAKEN_HINT, write_failure
from lib_merge.cli import (
    alignment,
    commands,
    drawing,
    grid_arguments,
    grids,
    recipes,
    reports,
    search_arguments,
    searches,
)
from lib_merge.cli.arguments import (
    MISTAKE,
    Parser,
    add_option,
    add_option_value,
    positive,
    read_command,
    threads,
)
from lib_merge.cli.output import prepare_streams
from lib_merge.errors import MergeError
from lib_merge.methods import METHODS
from lib_merge.methods.former_names import FORMER_PARAMETERS
from lib_merge.recipe.options import LAYOUT_OPTION, OPTIONS
from lib_merge.service.request_values import flag_name
from lib_merge.version import __version__

Command = TypeVar("Command")

OUT_OF = re.compile(r"start new thread|allocate memory|out of memory", re.IGNORECASE)
DATA = "folder of history and hashes (default: MERGE_DESK_DATA, or output/desk if it exists)"
COMMAND = "_command"  # attribute of argparse's namespace that no flag can have
INTERRUPTED = 130  # exit status of a shell for a program that Ctrl-C has ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 2 for a user's mistake, 130 for Ctrl-C.

    1 means that the command ran, and printed why it wrote nothing.
    """
    prepare_streams()
    namespace = build_parser().parse_args(arguments)
    try:
        kind, run = getattr(namespace, COMMAND)
        status: int | None = run(read_command(kind, namespace))
        sys.stdout.flush()
    except MergeError as problem:
        text = str(problem).replace(NAME_TAKEN_HINT, "another name, or --overwrite")
        print(f"merge-desk: {text}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("merge-desk: stopped; nothing was written", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reading program (head, less) has ended
        sys.stderr.close()
        return 0
    except OSError as problem:  # of printing: errors of reading and writing files are MergeErrors
        path = Path(os.fsdecode(problem.filename) if problem.filename else "standard output")
        print(f"merge-desk: {write_failure(problem, path)}", file=sys.stderr)
        _silence()
        return MISTAKE
    except (MemoryError, RuntimeError) as problem:
        if isinstance(problem, RuntimeError) and not OUT_OF.search(str(problem)):
            raise
        hint = "--threads 1, smaller models, or a higher limit (ulimit)"
        out = MergeError(f"the system gives this program no more memory or threads: {problem}", hint=hint)
        print(f"merge-desk: {out}", file=sys.stderr)
        return MISTAKE
    return status or 0


def _silence() -> None:
    """Discard buffered output, which would fail again when the interpreter ends."""
    with suppress(OSError):  # a standard output without a file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser() -> argparse.ArgumentParser:
    """Every command with its flags; a method's parameters come from the registry."""
    parser = Parser(prog="merge-desk", description="Merge Stable Diffusion checkpoints.")
    parser.add_argument("--version", action="version", version=f"merge-desk {__version__}")
    add = parser.add_subparsers(title="commands", required=True, metavar="COMMAND").add_parser

    inspect = add("inspect", help="describe a checkpoint, without reading its tensors")
    inspect.add_argument("file", metavar="FILE")
    inspect.add_argument(
        "--hashes", action="store_true", help="sha256, AutoV1 to V3 and MD5 too (reads the file)"
    )
    _finish(inspect, commands.InspectCommand, commands.inspect)

    recipe = add("recipe", help="print the recipe in a checkpoint, a picture, a file or a text")
    recipe.add_argument("source", metavar="FILE|PNG|TEXT", help="- reads standard input")
    recipe.add_argument("--ancestry", action="store_true", help="also the recipes of its ingredients")
    _finish(recipe, recipes.RecipeCommand, recipes.recipe)

    history = add("history", help="list, search, name and star earlier merges")
    recipes.add_history_arguments(history)
    history.add_argument("--data", dest="data_dir", metavar="DIR", help=DATA)
    _finish(history, recipes.HistoryCommand, recipes.history)

    sheet = add("sheet", help="print the fact sheet of a checkpoint, with all hashes and its ingredients")
    sheet.add_argument("file", metavar="FILE")
    sheet.add_argument("--card", action="store_true", help="print a model card (Markdown)")
    sheet.add_argument("--title", default="", help="title of the model card (default: the file's name)")
    _finish(sheet, commands.SheetCommand, commands.sheet)

    merge = add("merge", help="merge checkpoints into a new file")
    _add_recipe_arguments(merge)
    merge.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="what to write: NAME.safetensors, NAME.ckpt, or NAME/ for a diffusers folder",
    )
    merge.add_argument("--overwrite", action="store_true", help="replace OUT where it exists")
    text = "do not record the sha256 of the inputs, which is computed once for each file"
    merge.add_argument("--no-hashes", dest="hashes", action="store_false", help=text)
    text = "record the AutoV3 hashes of the inputs too, by which a recipe finds them with other metadata"
    merge.add_argument("--autov3", action="store_true", help=text)
    merge.add_argument("--title", help="a title for the file's metadata (modelspec.title)")
    merge.add_argument(
        "--date",
        action="store_true",
        help="write the date into the metadata: the file then differs from day to day",
    )
    merge.add_argument("--device", default="cpu", help="where to compute: cpu (default), cuda, cuda:1, ...")
    merge.add_argument(
        "--threads", type=threads, help="threads to compute with (default: as many as are useful)"
    )
    _finish(merge, commands.MergeCommand, commands.merge)

    plan = add("plan", help="print what a merge would do to every block, and its problems")
    _add_recipe_arguments(plan)
    plan.add_argument("-o", "--output", metavar="OUT", help="the file that would be written")
    plan.add_argument("--overwrite", action="store_true", help="OUT may be replaced")
    plan.add_argument("--device", default="cpu", help=argparse.SUPPRESS)
    plan.add_argument("--threads", type=threads, help="threads to compute with")
    _finish(plan, commands.PlanCommand, commands.plan)

    methods = add("methods", help="list the merge methods, or explain one")
    methods.add_argument("name", nargs="?", metavar="NAME")
    _finish(methods, commands.MethodsCommand, commands.methods)

    rules = add(
        "rules", help="print which tensors block weights and rules apply to, and the resulting amounts"
    )
    rules.add_argument("text", metavar="TEXT", help="rules, a preset or a list; - reads standard input")
    rules.add_argument("file", metavar="FILE", help="a checkpoint, whose header is read")
    rules.add_argument("--keys", action="store_true", help="print every tensor")
    rules.add_argument(
        LAYOUT_OPTION.flag, metavar=LAYOUT_OPTION.value, default=DEFAULT_LAYOUT.id, help=LAYOUT_OPTION.help
    )
    _finish(rules, commands.RulesCommand, commands.rules)

    align = add("rebasin", help="permute B's channels to match A's, without changing B's pictures")
    alignment.add_arguments(align)
    _finish(align, alignment.RebasinCommand, alignment.rebasin)

    presets = add("presets", help="list the presets of block weights, with their curves")
    first, *more = (family.id for family in FAMILIES)
    families = f"{first} (default), {', '.join(more[:2])}, ..."
    presets.add_argument("--family", default=first, help=families)
    text = "import SuperMerger's or UntitledMerger's mbwpresets.txt as your own presets"
    presets.add_argument("--import", dest="taken", metavar="FILE", help=text)
    presets.add_argument("--data", dest="data_dir", metavar="DIR", help=DATA)
    _finish(presets, commands.PresetsCommand, commands.presets)

    compare = add("compare", help="compare models, block by block")
    reports.add_compare_arguments(compare)
    _finish(compare, reports.CompareCommand, reports.compare)

    check = add("check", help="check checkpoints for damage (exit status 0 also where damage is found)")
    reports.add_check_arguments(check)
    _finish(check, reports.CheckCommand, reports.check)

    draw = add("draw", help="generate a picture with a checkpoint (needs the standalone extra)")
    _add_draw_arguments(draw)
    _finish(draw, drawing.DrawCommand, drawing.draw)

    grid = add("grid", help="generate a grid of merges (needs the standalone extra)")
    _add_recipe_arguments(grid)
    grid_arguments.add_grid_arguments(grid)
    _finish(grid, grid_arguments.GridCommand, grids.grid)

    text = "search for block weights; `search worker` joins a study (needs the extras standalone and search)"
    search = add("search", help=text)
    _add_recipe_arguments(search)
    search_arguments.add_search_arguments(search)
    _finish(search, search_arguments.SearchCommand, searches.search)

    desk = add("desk", help="open the desk in a browser (needs the standalone extra)")
    desk.add_argument(
        "--models",
        dest="folders",
        action="append",
        metavar="DIR",
        help="folder of checkpoints (default: the current folder)",
    )
    desk.add_argument(
        "--output", metavar="DIR", default="output", help="folder for results (default: %(default)s)"
    )
    desk.add_argument("--device", default="cpu", help="where to merge and generate: cpu (default), cuda, ...")
    desk.add_argument("--port", type=positive, default=7865, help="port of the page (default: %(default)s)")
    desk.add_argument("--no-browser", action="store_true", help="do not open a browser")
    desk.set_defaults(**{COMMAND: (drawing.DeskCommand, drawing.desk)})
    return parser


def _finish(parser: argparse.ArgumentParser, kind: type[Command], run: Callable[[Command], object]) -> None:
    """Add what every command has: --json, the dataclass of its arguments, and its function."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.set_defaults(**{COMMAND: (kind, run)})


def _add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="A, B and, where the method takes it, C ..."
    )
    parser.add_argument(
        "--recipe",
        metavar="FILE|TEXT",
        help="a recipe instead of models and flags: a recipe file, a merged checkpoint, a picture "
        "of a merge, or the text itself (- reads standard input)",
    )
    parser.add_argument(
        "--models", dest="folders", action="append", metavar="DIR", help="folder of a recipe's files"
    )
    parser.add_argument(
        "--trust-names", action="store_true", help="find a recipe's files by name, without comparing hashes"
    )
    parser.add_argument("--data", dest="data_dir", metavar="DIR", help=DATA)
    parser.add_argument(
        "--method", default="weighted_sum", help="merge-desk methods lists them (default: %(default)s)"
    )
    for name, text in _parameter_flags().items():
        add_option_value(parser, flag_name(name), name, metavar="X", help=text)
    for former, renamed in FORMER_PARAMETERS.items():
        add_option_value(parser, flag_name(former), renamed.name, metavar="X", help=argparse.SUPPRESS)
    for option in OPTIONS:
        add_option(parser, option)


def _parameter_flags() -> dict[str, str]:
    """One flag for each parameter of any method, with the methods that have it."""
    flags: dict[str, list[str]] = {}
    for method in METHODS.all():
        for parameter in method.parameters:
            flags.setdefault(parameter.name, []).append(method.id)
    return {name: f"for {', '.join(methods)}" for name, methods in flags.items()}


def _add_draw_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="CHECKPOINT")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--negative", default="", metavar="PROMPT")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="-1 for a random one (default: 0)")
    parser.add_argument("-o", "--output", required=True, metavar="PNG")
    parser.add_argument("--overwrite", action="store_true", help="replace PNG where it exists")
    parser.add_argument("--steps", type=positive, default=20)
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument("--width", type=positive, help="in pixels (default: what the model was made for)")
    parser.add_argument("--height", type=positive)
    parser.add_argument("--device", default="cpu")
