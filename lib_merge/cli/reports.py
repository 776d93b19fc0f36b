"""`merge-desk compare` and `merge-desk check`."""

from __future__ import annotations

import argparse
import errno
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.cli.output import print_json
from lib_merge.cli.progress import progress_bar
from lib_merge.errors import MergeError, OutputError, PlanError
from lib_merge.report.similarity.kinds import DEFAULT_KIND, REPORT_KINDS

if TYPE_CHECKING:
    from lib_merge.report.similarity.comparison import Comparison

CSV, PNG = (".csv",), (".png",)  # suffixes of the files that are written


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `compare` but --json."""
    parser.add_argument(
        "files", nargs="+", metavar="MODEL", help="A, and one or more models to compare with it"
    )
    kinds = "; ".join(f"{kind.id}: {kind.title}" for kind in REPORT_KINDS)
    text = f"{kinds}. default: {DEFAULT_KIND}"
    parser.add_argument("--kind", choices=[kind.id for kind in REPORT_KINDS], default=DEFAULT_KIND, help=text)
    parser.add_argument("--base", metavar="FILE", help="compare the models' differences to this model")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="random seed of the noise, for kinds with noise"
    )
    parser.add_argument("--csv", metavar="FILE", help="write every number as CSV")
    parser.add_argument("--plot", metavar="FILE.png", help="write a picture")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("--cache", metavar="DIR", help="folder where results are cached")


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `check` but --json."""
    parser.description = (
        "Check for damage: missing, extra or misshapen keys, NaN and infinity, constant tensors, values that "
        "overflow fp16, damaged position_ids, stale EMA weights, blocks of unusual size. The exit status is "
        "0 also where damage is found, and 2 for a file that cannot be read."
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument(
        "--base", metavar="FILE", help="a known-good model: also report what differs from it too much"
    )


@dataclass(frozen=True, kw_only=True)
class CompareCommand:
    """The arguments of `compare`.

    base   compare the differences to this model
    seed   of the noise; None for the default of the kind
    cache  folder where results are cached
    """

    files: tuple[str, ...]
    kind: str
    base: str | None
    seed: int | None
    csv: str | None
    plot: str | None
    overwrite: bool
    cache: str | None
    json: bool


@dataclass(frozen=True, kw_only=True)
class CheckCommand:
    """The arguments of `check`; `base` is a known-good model."""

    files: tuple[str, ...]
    base: str | None
    json: bool


def compare(options: CompareCommand) -> None:
    """`merge-desk compare A B ...`."""
    from lib_merge.architectures import read_header
    from lib_merge.report.render.tables import render_comparison
    from lib_merge.report.similarity.cache import cached_compare
    from lib_merge.report.similarity.comparison import compare as compare_models
    from lib_merge.report.similarity.comparison import comparison_to_dict

    if len(options.files) < 2:
        raise MergeError(
            "there is nothing to compare this model with",
            where=", ".join(options.files),
            hint="name two or more",
        )
    _check_files(options)
    first, *others = (read_header(Path(file)) for file in options.files)
    base = read_header(Path(options.base)) if options.base is not None else None
    with progress_bar() as progress:
        settings: dict[str, Any] = {"base": base, "seed": options.seed, "progress": progress}
        if options.cache is not None:
            comparison = cached_compare(Path(options.cache), first, others, options.kind, **settings)
        else:
            comparison = compare_models(first, others, options.kind, **settings)
    _write_files(comparison, options)
    if options.json:
        print_json(comparison_to_dict(comparison))
    else:
        print(render_comparison(comparison))


def _check_files(options: CompareCommand) -> None:
    """Check all output files before a tensor is read; PlanError with all problems."""
    from lib_merge.checkpoint import check_targets

    outputs = ((options.csv, CSV), (options.plot, PNG))
    targets = [(Path(file), endings) for file, endings in outputs if file is not None]
    inputs = [Path(file) for file in (*options.files, options.base) if file is not None]
    problems = check_targets(targets, inputs=inputs, overwrite=options.overwrite)
    if options.cache is not None:
        problems += _folder_problems(options.cache)
    if problems:
        raise PlanError(problems)


def _folder_problems(folder: str) -> list[MergeError]:
    """Problems of the cache folder, which is created."""
    from lib_merge.checkpoint import check_folder
    from lib_merge.checkpoint.system_errors import write_failure

    path = Path(folder)
    if not folder:
        return [OutputError("--cache names no folder", hint="--cache DIR")]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        return [write_failure(OSError(errno.ENOTDIR, ""), path)]
    except OSError as error:
        return [write_failure(error, path)]
    return check_folder(path / "result", 0)


def _write_files(comparison: Comparison, options: CompareCommand) -> None:
    from lib_merge.checkpoint import write_file
    from lib_merge.report.render.plot import plot_png
    from lib_merge.report.render.tables import comparison_to_csv

    if options.csv is not None:
        write_file(
            Path(options.csv), comparison_to_csv(comparison), overwrite=options.overwrite, suffixes=CSV
        )
    if options.plot is not None:
        write_file(Path(options.plot), plot_png(comparison), overwrite=options.overwrite, suffixes=PNG)


def check(options: CheckCommand) -> None:
    """`merge-desk check FILE ...`."""
    from lib_merge.architectures import read_header
    from lib_merge.report.health.check import check as check_file

    base = read_header(Path(options.base)) if options.base is not None else None
    headers = [read_header(Path(file)) for file in options.files]
    with progress_bar() as progress:
        reports = [check_file(header, base, progress) for header in headers]
    if options.json:
        print_json({"files": [health.to_dict() for health in reports]})
    else:
        print("\n".join(health.render_text() for health in reports))
