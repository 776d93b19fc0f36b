"""The commands, their arguments, and what every one of them does alike."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lib_merge import __version__
from lib_merge.architectures import DEFAULT_LAYOUT, LAYOUTS
from lib_merge.checkpoint.words import write_failure
from lib_merge.cli import commands, grids, rebasin, recipes, reports
from lib_merge.cli.arguments import Parser, positive, threads
from lib_merge.cli.output import prepare_streams
from lib_merge.dtypes import SAVEABLE, SOURCE
from lib_merge.errors import MergeError
from lib_merge.methods import METHODS
from lib_merge.recipe import PREDICTION_WORDS, TEXT_WORDS

MISTAKE = 2
OUT_OF = re.compile(r"start new thread|allocate memory|out of memory", re.IGNORECASE)
DATA = "where the desk keeps history and hashes (default: MERGE_DESK_DATA, or output/desk if it is there)"
INTERRUPTED = 130  # what a shell reports of a program ended by Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 2 for a user's mistake, 130 for Ctrl-C.

    1 is a command that ran and told why what was to be written was not.
    """
    prepare_streams()
    options = build_parser().parse_args(arguments)
    try:
        status: int | None = options.command(options)
        sys.stdout.flush()
    except MergeError as problem:
        print(f"merge-desk: {problem}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("merge-desk: stopped; nothing was written", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader (head, less) has seen enough
        sys.stderr.close()
        return 0
    except OSError as problem:  # of printing: whatever reads and writes files has words of its own
        place = Path(os.fsdecode(problem.filename) if problem.filename else "standard output")
        print(f"merge-desk: {write_failure(problem, place)}", file=sys.stderr)
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
    """What still waits to be printed goes nowhere: it would fail again as the interpreter ends."""
    with suppress(OSError):  # a standard output that is no file of the system
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser() -> argparse.ArgumentParser:
    """Every command with its flags; a method's parameters come from the registry."""
    parser = Parser(prog="merge-desk", description="Merge Stable Diffusion checkpoints.")
    parser.add_argument("--version", action="version", version=f"merge-desk {__version__}")
    add = parser.add_subparsers(title="commands", required=True, metavar="COMMAND").add_parser

    inspect = add("inspect", help="tell what a checkpoint is, without reading its tensors")
    inspect.add_argument("file", metavar="FILE")
    inspect.add_argument(
        "--hashes", action="store_true", help="sha256, AutoV1 to V3 and MD5 too (reads the file)"
    )
    _finish(inspect, commands.inspect)

    recipe = add("recipe", help="show the recipe in a checkpoint, a picture, a file or a text")
    recipe.add_argument("source", metavar="FILE|PNG|TEXT", help="- reads it from input")
    recipe.add_argument("--ancestry", action="store_true", help="the recipes of its ingredients too")
    _finish(recipe, recipes.recipe)

    history = add("history", help="list, search, name, star and export what was merged")
    recipes.add_history_arguments(history)
    history.add_argument("--data", metavar="DIR", help=DATA)
    _finish(history, recipes.history)

    sheet = add("sheet", help="the fact sheet of a checkpoint, with every hash and what it is made from")
    sheet.add_argument("file", metavar="FILE")
    sheet.add_argument("--card", action="store_true", help="as the text of a model page (Markdown)")
    sheet.add_argument("--title", default="", help="the page's title (default: the file's name)")
    _finish(sheet, commands.sheet)

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
    text = "do not record the sha256 of the inputs, which is taken once of each file"
    merge.add_argument("--no-hashes", dest="hashes", action="store_false", help=text)
    text = "record the AutoV3 of the inputs too, by which a recipe knows them beside other metadata"
    merge.add_argument("--autov3", action="store_true", help=text)
    merge.add_argument("--title", help="a title for the file's metadata (modelspec.title)")
    merge.add_argument("--date", action="store_true", help="write the date too: the bytes then differ by day")
    merge.add_argument("--device", default="cpu", help="where to compute: cpu (default), cuda, cuda:1, ...")
    merge.add_argument("--threads", type=threads, help="threads to compute with (default: as many as help)")
    _finish(merge, commands.merge)

    plan = add("plan", help="tell what a merge would do to every block, and what stands in its way")
    _add_recipe_arguments(plan)
    plan.add_argument("-o", "--output", metavar="OUT", help="the file that would be written")
    plan.add_argument("--overwrite", action="store_true", help="OUT may be replaced")
    plan.add_argument("--device", default="cpu", help=argparse.SUPPRESS)
    plan.add_argument("--threads", type=threads, help="threads to compute with")
    _finish(plan, commands.plan)

    methods = add("methods", help="list the merge methods, or explain one")
    methods.add_argument("name", nargs="?", metavar="NAME")
    _finish(methods, commands.methods)

    rules = add("rules", help="tell which tensors block weights and their rules hit, and what each ends with")
    rules.add_argument("text", metavar="TEXT", help="rules, a preset or a list; - reads them from input")
    rules.add_argument("file", metavar="FILE", help="a checkpoint, of which the header is read")
    rules.add_argument("--keys", action="store_true", help="print every tensor")
    rules.add_argument("--layout", default=DEFAULT_LAYOUT.id, help="whose reading of a list of numbers")
    _finish(rules, commands.rules)

    align = add("rebasin", help="arrange B's channels to lie as A's do, changing nothing that it draws")
    rebasin.add_arguments(align)
    _finish(align, rebasin.rebasin)

    presets = add("presets", help="draw the presets that block weights may name")
    presets.add_argument("--family", default="sd1", help="sd1 (default), sd2, sdxl, ...")
    text = "take SuperMerger's mbwpresets.txt, or UntitledMerger's, over into the desk's own presets"
    presets.add_argument("--import", dest="taken", metavar="FILE", help=text)
    presets.add_argument("--data", metavar="DIR", help=DATA)
    _finish(presets, commands.presets)

    compare = add("compare", help="tell how alike models are, block by block")
    reports.add_compare_arguments(compare)
    _finish(compare, reports.compare)

    check = add("check", help="look checkpoints over for damage (exit status 0 whatever is found)")
    reports.add_check_arguments(check)
    _finish(check, reports.check)

    draw = add("draw", help="draw a picture with a checkpoint (needs the standalone extra)")
    _add_draw_arguments(draw)
    _finish(draw, commands.draw)

    grid = add("grid", help="draw a grid of merges (needs the standalone extra)")
    _add_recipe_arguments(grid)
    grids.add_grid_arguments(grid)
    _finish(grid, grids.grid)

    desk = add("desk", help="open the desk in a browser (needs the standalone extra)")
    desk.add_argument(
        "--models",
        dest="folders",
        action="append",
        metavar="DIR",
        help="where checkpoints lie (default: here)",
    )
    desk.add_argument(
        "--output", metavar="DIR", default="output", help="where results go (default: %(default)s)"
    )
    desk.add_argument("--device", default="cpu", help="where to compute and draw: cpu (default), cuda, ...")
    desk.add_argument("--port", type=positive, default=7865, help="port of the page (default: %(default)s)")
    desk.add_argument("--no-browser", action="store_true", help="do not open the page by itself")
    desk.set_defaults(command=commands.desk)
    return parser


def _finish(parser: argparse.ArgumentParser, command: object) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.set_defaults(command=command)


def _add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="A, B and, where the method takes it, C ..."
    )
    parser.add_argument(
        "--recipe",
        metavar="FILE|TEXT",
        help="a recipe instead of models and flags: a recipe file, a merged checkpoint, a picture drawn "
        "with a merge, or the text itself (- reads it from input)",
    )
    parser.add_argument(
        "--models", dest="folders", action="append", metavar="DIR", help="where a recipe's files lie"
    )
    parser.add_argument(
        "--trust-names", action="store_true", help="take a recipe's files by name, whatever they hold"
    )
    parser.add_argument("--data", metavar="DIR", help=DATA)
    parser.add_argument(
        "--method", default="weighted_sum", help="merge-desk methods lists them (default: %(default)s)"
    )
    for name, text in _parameter_flags().items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="X", help=text)
    parser.add_argument(
        "--weights",
        metavar="WEIGHTS",
        help="alpha by block: 26, 25, 20 or 19 numbers, a preset (GRAD_V), or rules (OUT: 0.7; attn1: 0.2)",
    )
    parser.add_argument("--beta-weights", metavar="WEIGHTS", help="beta by block")
    text = "align B to A first, and C (see merge-desk rebasin)"
    parser.add_argument("--align", action="store_true", default=None, help=text)
    parser.add_argument(
        "--adjust",
        metavar="NUMBERS",
        help="detail, contrast, brightness, colour: SuperMerger's eight numbers, after the merge",
    )
    layouts = ", ".join(layout.id for layout in LAYOUTS)
    text = f"whose reading of the numbers: {layouts} (default: %(default)s)"
    parser.add_argument("--layout", default=DEFAULT_LAYOUT.id, help=text)
    parser.add_argument("--vae", metavar="a|b|blend|none|FILE", help="where the VAE comes from (default: a)")
    text = "whose text encoder (default: as the method merges it)"
    parser.add_argument("--text-encoder", choices=TEXT_WORDS, help=text)
    text = "use: the U-Net's weights are read from the training averages of files that hold them"
    parser.add_argument("--ema", choices=("drop", "use"), help=text)
    text = "round after each step of a recipe, to match a file that was made so (default: once, at the end)"
    parser.add_argument("--step-by-step", action="store_true", help=text)
    text = "clip: numbers that outgrow the format are cut to its largest, and counted, instead of refused"
    parser.add_argument("--overflow", choices=("stop", "clip"), help=text)
    text = "what the result is marked to predict (default: as the model that the U-Net has most of)"
    parser.add_argument("--prediction", choices=PREDICTION_WORDS, help=text)
    parser.add_argument(
        "--dtype", help=f"number format: {', '.join([*SAVEABLE, SOURCE])} (default: {SOURCE}, as A has it)"
    )


def _parameter_flags() -> dict[str, str]:
    """One flag for every parameter of any method, with the methods that take it."""
    flags: dict[str, list[str]] = {}
    for method in METHODS.all():
        for parameter in method.parameters:
            flags.setdefault(parameter.name, []).append(method.id)
    return {name: f"for {', '.join(methods)}" for name, methods in flags.items()}


def _add_draw_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="CHECKPOINT")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--negative", default="", metavar="PROMPT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", required=True, metavar="PNG")
    parser.add_argument("--overwrite", action="store_true", help="replace PNG where it exists")
    parser.add_argument("--steps", type=positive, default=20)
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument("--width", type=positive, help="in pixels (default: what the model was made for)")
    parser.add_argument("--height", type=positive)
    parser.add_argument("--device", default="cpu")
