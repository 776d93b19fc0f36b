"""`merge-desk rebasin A B -o B_aligned.safetensors`: B, its channels arranged to lie as A's do."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from lib_merge.cli.commands import NOT_WRITTEN
from lib_merge.cli.output import print_json
from lib_merge.cli.progress import progress_bar
from lib_merge.cli.request import data_folder, headers_of, kept_alignments
from lib_merge.dtypes import SOURCE, parse_save_dtype
from lib_merge.errors import MergeError, PlanError
from lib_merge.progress import Progress
from lib_merge.rebasin.options import SWEEPS, Options
from lib_merge.recipe import Alignment, Ingredient, Recipe
from lib_merge.recipe.hashing import InputHashes
from lib_merge.recipe.names import told_apart

if TYPE_CHECKING:
    from lib_merge.plan import Plan
    from lib_merge.rebasin import Alignments, Solution


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `rebasin`, but for --json."""
    parser.description = (
        "Rearrange B's channels to lie as A's do, so that a merge of the two adds what belongs together. B "
        "draws what it drew before; LoRAs trained on B fit the new file no more. Without -o nothing is "
        "written. Ctrl-C ends the search and keeps the best so far; a second one ends the command."
    )
    parser.add_argument("target", metavar="A", help="the model that B shall be like")
    parser.add_argument("source", metavar="B", help="the model whose channels are rearranged")
    parser.add_argument("-o", "--output", metavar="OUT", help="the file to write (.safetensors)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT where it exists")
    text = "kinds of groups: resblocks, tokens, heads, geglu, embedding, mlp (default: all)"
    parser.add_argument("--groups", metavar="NAMES", default="", help=text)
    parser.add_argument(
        "--layers", metavar="SLOTS", default="", help='such as "BASE, IN04, M00" (default: all)'
    )
    parser.add_argument("--sweeps", type=int, default=SWEEPS, help="rounds at most (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="end after N groups had their turn")
    parser.add_argument("--seed", type=int, default=0, help="of the order in which groups have their turns")
    text = "turn the channels within a head freely, not by permutations alone: rounds B's attention anew"
    parser.add_argument("--procrustes", action="store_true", help=text)
    parser.add_argument("--dtype", default=SOURCE, help="number format of OUT (default: as B has it)")
    parser.add_argument(
        "--no-hashes", dest="hashes", action="store_false", help="do not record the sha256 of A and B"
    )
    parser.add_argument("--device", default="cpu", help="where to compute: cpu (default), cuda, cuda:1, ...")


def rebasin(options: argparse.Namespace) -> int:
    """`merge-desk rebasin A B ...`; 1 where OUT was not written because B is aligned already."""
    from lib_merge.execute import check_device
    from lib_merge.rebasin.report import report_as_data, report_as_text, report_of

    began = time.monotonic()
    check_device(options.device)
    hashes = _hashes(options)
    plan = _planned(options, hashes)
    alignments = kept_alignments(options)
    with hashes or contextlib.nullcontext():
        with progress_bar() as bar, _stoppable(bar) as progress:
            solution = _solve(plan, alignments, progress, options.device)
        report = report_of(solution)
        written = options.output is not None and not report.is_aligned
        status = 0 if written or options.output is None else NOT_WRITTEN
        if written:
            _write(plan, solution, alignments, options, hashes)
    told: dict[str, Any] = {"output": options.output if written else None, **report_as_data(report)}
    seconds = time.monotonic() - began
    if options.json:
        notes = {"notes": list(plan.notes), "seconds": round(seconds, 3)}
        print_json({**told, **notes})
        return status
    print(report_as_text(report))
    if written:
        for note in plan.notes:
            print(f"note: {note}", file=sys.stderr)
        print(f"{options.output}: B aligned to A, in {seconds:.1f} s")
    elif options.output is not None:
        print(f"{options.output} was not written: use B as it is")
    return status


def _paths(options: argparse.Namespace) -> dict[str, Path]:
    """A and B, by the names that the recipe gives them."""
    target, source = Path(options.target), Path(options.source)
    return dict(zip(told_apart([target, source]), (target, source), strict=True))


def _hashes(options: argparse.Namespace) -> InputHashes | None:
    from lib_merge.checkpoint import HashBook

    asked = options.output is not None and options.hashes
    return InputHashes(HashBook(data_folder(options)), _paths(options)) if asked else None


def _planned(options: argparse.Namespace, hashes: InputHashes | None) -> Plan:
    """The plan that saves B aligned; everything that stands in its way at once."""
    from lib_merge.checkpoint import check_target
    from lib_merge.plan import make_plan

    paths = _paths(options)
    headers = headers_of(paths)
    recipe = _recipe(list(paths), options)
    if hashes is not None:
        recipe = hashes.planned(recipe)
    problems: list[MergeError] = []
    plan: Plan | None = None
    try:
        plan = make_plan(recipe, headers)
    except PlanError as found:
        problems += found.problems
    if options.output is not None:
        size = plan.nbytes if plan else 0
        problems += check_target(
            Path(options.output), inputs=paths.values(), overwrite=options.overwrite, size=size
        )
    if plan is None or problems:
        raise PlanError(problems)
    return plan


def _recipe(files: list[str], options: argparse.Namespace) -> Recipe:
    how = Options(
        groups=_names(options.groups),
        layers=_names(options.layers),
        sweeps=options.sweeps,
        limit=options.limit,
        seed=options.seed,
        procrustes=options.procrustes,
    )
    a, b = (Ingredient(name, file) for name, file in zip("AB", files, strict=True))
    aligned = Ingredient("B2", b.file, aligned=Alignment("B", "A", options=how))
    return Recipe((a, b, aligned), (), "B2", dtype=parse_save_dtype(options.dtype))


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _solve(plan: Plan, alignments: Alignments, progress: Progress, device: str) -> Solution:
    from lib_merge.execute import opened
    from lib_merge.execute.alignment import solve

    with opened(plan, mapped=True) as checkpoints:
        return solve(plan, plan.base, checkpoints, alignments, progress, device)


def _write(
    plan: Plan,
    solution: Solution,
    alignments: Alignments,
    options: argparse.Namespace,
    hashes: InputHashes | None,
) -> None:
    """Writes B aligned; of a search that was stopped the recipe tells how far it went, to be repeated."""
    from lib_merge.execute import merge_to_file

    if solution.stopped:
        plan = _ended(plan, solution, alignments)
    with progress_bar() as progress:
        merge_to_file(
            plan,
            Path(options.output),
            overwrite=options.overwrite,
            device=options.device,
            progress=progress,
            alignments=alignments,
            recorded=hashes.settled if hashes else None,
        )


def _ended(plan: Plan, solution: Solution, alignments: Alignments) -> Plan:
    """The same plan, its search ending where this one did."""
    from lib_merge.plan import make_plan

    *others, last = plan.recipe.ingredients
    assert last.aligned is not None
    how = replace(last.aligned.options, limit=solution.turns)
    target, source, _ = plan.sources
    alignments.keep(plan.identity.family, source, target, how, solution)
    aligned = replace(last, aligned=replace(last.aligned, options=how))
    recipe = replace(plan.recipe, ingredients=(*others, aligned))
    return make_plan(recipe, dict(zip(recipe.files, plan.sources, strict=True)))


class _Stoppable:
    """Another progress, which can be asked to stop."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self.asked = False

    def start(self, total: int, what: str) -> None:
        """Handed on."""
        self._inner.start(total, what)

    def advance(self, amount: int) -> None:
        """Handed on."""
        self._inner.advance(amount)

    def stopped(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.asked or self._inner.stopped()


@contextlib.contextmanager
def _stoppable(progress: Progress) -> Generator[Progress]:
    """The first Ctrl-C asks to stop, the second one is what it always is."""
    wrapped = _Stoppable(progress)
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield wrapped
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if wrapped.asked:
            raise KeyboardInterrupt
        wrapped.asked = True
        print("merge-desk: ending the search; once more to give up", file=sys.stderr)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield wrapped
    finally:
        signal.signal(signal.SIGINT, before)
