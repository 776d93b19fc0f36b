"""`merge-desk rebasin A B -o B_aligned.safetensors`: permutes B's channels to match A's."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from lib_merge.cli.commands import NOT_WRITTEN
from lib_merge.cli.output import print_json
from lib_merge.cli.progress import progress_bar
from lib_merge.cli.request import data_folder, saved_alignments
from lib_merge.dtypes import SOURCE
from lib_merge.errors import MergeError, PlanError
from lib_merge.progress import Progress
from lib_merge.rebasin import Options
from lib_merge.rebasin.options import SWEEPS
from lib_merge.recipe import Alignment, Ingredient, Recipe
from lib_merge.recipe.hashing import InputHashes
from lib_merge.recipe.names import unique_names
from lib_merge.recipe.options import DTYPE_OPTION
from lib_merge.service.files import read_headers

if TYPE_CHECKING:
    from lib_merge.plan import Plan
    from lib_merge.rebasin import Alignments, Solution


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rebasin` but --json."""
    parser.description = (
        "Permute B's channels to match A's, so that a merge of the two adds corresponding channels. B "
        "generates the same pictures as before; LoRAs trained on B do not fit the new file. Without -o "
        "nothing is written. Ctrl-C ends the search and keeps the best result so far; a second one ends the "
        "command."
    )
    parser.add_argument("target", metavar="A", help="the model to align to")
    parser.add_argument("source", metavar="B", help="the model whose channels are permuted")
    parser.add_argument("-o", "--output", metavar="OUT", help="the file to write (.safetensors)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT where it exists")
    text = "kinds of groups: resblocks, tokens, heads, geglu, embedding, mlp (default: all)"
    parser.add_argument("--groups", metavar="NAMES", default="", help=text)
    parser.add_argument(
        "--layers", metavar="SLOTS", default="", help='such as "BASE, IN04, M00" (default: all)'
    )
    parser.add_argument(
        "--sweeps", type=int, default=SWEEPS, help="maximal number of sweeps (default: %(default)s)"
    )
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="end after N groups of channels")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the order of groups")
    text = (
        "rotate the channels within each attention head (Procrustes) instead of permuting them only: changes "
        "the rounding of B's attention weights"
    )
    parser.add_argument("--procrustes", action="store_true", help=text)
    parser.add_argument(DTYPE_OPTION.flag, default=SOURCE, help="dtype of OUT (default: as in B)")
    parser.add_argument(
        "--no-hashes", dest="hashes", action="store_false", help="do not record the sha256 of A and B"
    )
    parser.add_argument("--device", default="cpu", help="where to compute: cpu (default), cuda, cuda:1, ...")


@dataclass(frozen=True, kw_only=True)
class RebasinCommand:
    """The arguments of `rebasin`, which aligns B, `source`, to A, `target`.

    groups, layers  names separated by commas or spaces, "" for all
    limit           number of groups, 0 for all
    hashes          record the hashes of A and B
    """

    target: str
    source: str
    output: str | None
    overwrite: bool
    groups: str
    layers: str
    sweeps: int
    limit: int
    seed: int
    procrustes: bool
    dtype: str
    hashes: bool
    device: str
    json: bool


def rebasin(options: RebasinCommand) -> int:
    """`merge-desk rebasin A B ...`; 1 where OUT was not written because B is aligned already."""
    from lib_merge.execute import check_device
    from lib_merge.rebasin.report import alignment_report, alignment_report_to_dict, render_alignment_report

    began = time.monotonic()
    check_device(options.device)
    hashes = _hashes(options)
    plan = _planned(options, hashes)
    alignments = saved_alignments(data_folder(None))
    with hashes or contextlib.nullcontext():
        with progress_bar() as bar, _stoppable(bar) as progress:
            solution = _solve(plan, alignments, progress, options.device)
        report = alignment_report(solution)
        written = options.output is not None and not report.is_aligned
        status = 0 if written or options.output is None else NOT_WRITTEN
        if written:
            _write(plan, solution, alignments, options, Path(options.output or ""), hashes)
    data: dict[str, Any] = {"output": options.output if written else None, **alignment_report_to_dict(report)}
    seconds = time.monotonic() - began
    if options.json:
        notes = {"notes": list(plan.notes), "seconds": round(seconds, 3)}
        print_json({**data, **notes})
        return status
    print(render_alignment_report(report))
    if written:
        for note in plan.notes:
            print(f"note: {note}", file=sys.stderr)
        print(f"{options.output}: B aligned to A, in {seconds:.1f} s")
    elif options.output is not None:
        print(f"{options.output} was not written: use B as it is")
    return status


def _paths(options: RebasinCommand) -> dict[str, Path]:
    """The paths of A and B by their names in the recipe."""
    target, source = Path(options.target), Path(options.source)
    return dict(zip(unique_names([target, source]), (target, source), strict=True))


def _hashes(options: RebasinCommand) -> InputHashes | None:
    from lib_merge.library.hashes import HashCache

    records = options.output is not None and options.hashes
    return InputHashes(HashCache(data_folder(None)), _paths(options)) if records else None


def _planned(options: RebasinCommand, hashes: InputHashes | None) -> Plan:
    """The plan that saves B aligned; PlanError with all problems."""
    from lib_merge.checkpoint import check_target
    from lib_merge.plan import make_plan

    paths = _paths(options)
    headers = read_headers(paths)
    recipe = _recipe(list(paths), options)
    if hashes is not None:
        recipe = hashes.with_known_hashes(recipe)
    problems: list[MergeError] = []
    plan: Plan | None = None
    try:
        plan = make_plan(recipe, headers)
    except PlanError as error:
        problems += error.problems
    if options.output is not None:
        size = plan.nbytes if plan else 0
        problems += check_target(
            Path(options.output), inputs=paths.values(), overwrite=options.overwrite, size=size
        )
    if plan is None or problems:
        raise PlanError(problems)
    return plan


def _recipe(files: list[str], options: RebasinCommand) -> Recipe:
    how = Options(
        groups=_names(options.groups),
        layers=_names(options.layers),
        sweeps=options.sweeps,
        limit=options.limit,
        seed=options.seed,
        procrustes=options.procrustes,
    )
    a, b = (Ingredient(name, file) for name, file in zip("AB", files, strict=True))
    aligned = Ingredient("B2", b.file, alignment=Alignment("B", "A", options=how))
    return Recipe((a, b, aligned), (), "B2", dtype=DTYPE_OPTION.parse(options.dtype))


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _solve(plan: Plan, alignments: Alignments, progress: Progress, device: str) -> Solution:
    from lib_merge.execute import open_sources
    from lib_merge.execute.alignment import solve

    with open_sources(plan, mapped=True) as checkpoints:
        return solve(plan, plan.base, checkpoints, alignments, progress, device)


def _write(
    plan: Plan,
    solution: Solution,
    alignments: Alignments,
    options: RebasinCommand,
    target: Path,
    hashes: InputHashes | None,
) -> None:
    """Write the aligned B; the recipe of a stopped search records its end, so that it can be repeated."""
    from lib_merge.execute import MergeOptions, merge_to_file

    if solution.stopped:
        plan = _ended(plan, solution, alignments)
    with progress_bar() as progress:
        merge_to_file(
            plan,
            target,
            MergeOptions(
                device=options.device,
                progress=progress,
                alignments=alignments,
                overwrite=options.overwrite,
            ),
            recorded=hashes.with_all_hashes if hashes else None,
        )


def _ended(plan: Plan, solution: Solution, alignments: Alignments) -> Plan:
    """The plan whose search ends where this stopped search did."""
    from lib_merge.plan import make_plan

    *others, last = plan.recipe.ingredients
    assert last.alignment is not None
    how = replace(last.alignment.options, limit=solution.visits)
    target, source, _ = plan.sources
    alignments.keep(plan.identity.family, source, target, how, solution)
    aligned = replace(last, alignment=replace(last.alignment, options=how))
    recipe = replace(plan.recipe, ingredients=(*others, aligned))
    return make_plan(recipe, dict(zip(recipe.files, plan.sources, strict=True)))


class _Stoppable:
    """Wraps a progress, and can be stopped."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self.stop_requested = False

    def start(self, total: int, what: str) -> None:
        """Start the wrapped progress."""
        self._inner.start(total, what)

    def advance(self, amount: int) -> None:
        """Advance the wrapped progress."""
        self._inner.advance(amount)

    def stopped(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.stop_requested or self._inner.stopped()


@contextlib.contextmanager
def _stoppable(progress: Progress) -> Generator[Progress]:
    """The first Ctrl-C stops the search, the second one raises KeyboardInterrupt."""
    wrapped = _Stoppable(progress)
    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield wrapped
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if wrapped.stop_requested:
            raise KeyboardInterrupt
        wrapped.stop_requested = True
        print("merge-desk: ending the search; press Ctrl-C again to cancel", file=sys.stderr)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield wrapped
    finally:
        signal.signal(signal.SIGINT, before)
