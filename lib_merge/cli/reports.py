"""`merge-desk compare` and `merge-desk check`: their arguments, and what they print."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.cli.output import print_json
from lib_merge.cli.progress import progress_bar
from lib_merge.errors import MergeError, OutputError, PlanError

if TYPE_CHECKING:
    from lib_merge.report.comparison import Comparison

# As lib_merge.report.comparison.KINDS, which a test holds this to: help is printed without loading it.
KINDS = ("weights", "attention", "sdsim", "supermerger", "asim2")


CSV, PNG = (".csv",), (".png",)  # the endings of what is written


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `compare`, but for --json."""
    parser.add_argument(
        "files", nargs="+", metavar="MODEL", help="A, and one or more models to see beside it"
    )
    text = "weights: cosine, differences and more of every slot (default); the others: attention similarity"
    parser.add_argument("--kind", choices=KINDS, default=KINDS[0], help=text)
    parser.add_argument("--base", metavar="FILE", help="compare the models' differences to this one")
    parser.add_argument("--seed", type=int, metavar="N", help="of the noise that attention is given")
    parser.add_argument("--csv", metavar="FILE", help="write every number as CSV")
    parser.add_argument("--plot", metavar="FILE.png", help="write a picture")
    parser.add_argument("--overwrite", action="store_true", help="replace the CSV and the picture of before")
    parser.add_argument("--cache", metavar="DIR", help="keep results here, and take them from here")


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `check`, but for --json."""
    parser.description = (
        "Look for damage: missing, extra or misshapen keys, NaN and infinity, tensors of zeros or of one "
        "number, numbers beyond fp16, damaged position_ids, stale EMA, blocks of an odd size. Damage is what "
        "this command reports, not an error of its own: the exit status is 0 then too, and 2 for a file "
        "that cannot be read."
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--base", metavar="FILE", help="a sound model: also tell what is far from it")


def compare(options: argparse.Namespace) -> None:
    """`merge-desk compare A B ...`."""
    from lib_merge.checkpoint import read_header
    from lib_merge.report.cache import cached_compare
    from lib_merge.report.comparison import compare as compare_models
    from lib_merge.report.comparison import comparison_as_data
    from lib_merge.report.tables import comparison_as_text

    if len(options.files) < 2:
        raise MergeError(
            "there is nothing to compare this model with", where=options.files[0], hint="name two or more"
        )
    _check_files(options)
    first, *others = (read_header(Path(file)) for file in options.files)
    base = read_header(Path(options.base)) if options.base is not None else None
    with progress_bar() as progress:
        settings: dict[str, Any] = {"base": base, "seed": options.seed, "progress": progress}
        if options.cache is not None:
            found = cached_compare(Path(options.cache), first, others, options.kind, **settings)
        else:
            found = compare_models(first, others, options.kind, **settings)
    _write_files(found, options)
    if options.json:
        print_json(comparison_as_data(found))
    else:
        print(comparison_as_text(found))


def _check_files(options: argparse.Namespace) -> None:
    """That everything to be written can be, before a tensor is read; what cannot is told at once."""
    from lib_merge.checkpoint import check_targets

    asked = ((options.csv, CSV), (options.plot, PNG))
    targets = [(Path(file), endings) for file, endings in asked if file is not None]
    inputs = [Path(file) for file in (*options.files, options.base) if file is not None]
    problems = check_targets(targets, inputs=inputs, overwrite=options.overwrite)
    if options.cache is not None:
        problems += _folder_problems(options.cache)
    if problems:
        raise PlanError(problems)


def _folder_problems(folder: str) -> list[MergeError]:
    """Why results cannot be kept there; the folder is made."""
    from lib_merge.checkpoint import check_place
    from lib_merge.checkpoint.words import write_failure

    place = Path(folder)
    if not folder:
        return [OutputError("no folder was given for the results", hint="--cache DIR")]
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return [write_failure(error, place)]
    return check_place(place / "result", 0)


def _write_files(found: Comparison, options: argparse.Namespace) -> None:
    from lib_merge.checkpoint import write_file
    from lib_merge.report.plot import plot_png
    from lib_merge.report.tables import as_csv

    if options.csv is not None:
        write_file(Path(options.csv), as_csv(found), overwrite=options.overwrite, endings=CSV)
    if options.plot is not None:
        write_file(Path(options.plot), plot_png(found), overwrite=options.overwrite, endings=PNG)


def check(options: argparse.Namespace) -> None:
    """`merge-desk check FILE ...`."""
    from lib_merge.checkpoint import read_header
    from lib_merge.report.health import check as check_file

    base = read_header(Path(options.base)) if options.base is not None else None
    headers = [read_header(Path(file)) for file in options.files]
    with progress_bar() as progress:
        found = [check_file(header, base, progress) for header in headers]
    if options.json:
        print_json({"files": [health.as_data() for health in found]})
    else:
        print("\n".join(health.as_text() for health in found))
