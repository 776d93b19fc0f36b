"""What each command does: read the options, call the library once, print."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.cli import recipes
from lib_merge.cli.output import print_json
from lib_merge.cli.progress import progress_bar
from lib_merge.cli.request import Request, data_folder, read_request
from lib_merge.errors import CheckpointError, MergeError, PlanError
from lib_merge.methods import METHODS
from lib_merge.report.describe import (
    checkpoint_as_data,
    checkpoint_as_text,
    method_as_data,
    method_as_text,
    methods_as_text,
    presets_as_text,
)

if TYPE_CHECKING:
    from lib_merge.plan import Plan

NOT_WRITTEN = 1  # exit status: the command ran, and told why what was to be written was not


def inspect(options: argparse.Namespace) -> None:
    """`merge-desk inspect FILE`."""
    from lib_merge.checkpoint import hash_file, read_header

    header = read_header(Path(options.file))
    hashes = None
    if options.hashes:
        with progress_bar() as progress:
            hashes = hash_file(header.path, progress=progress)
    _print(checkpoint_as_data(header, hashes) if options.json else checkpoint_as_text(header, hashes))


def sheet(options: argparse.Namespace) -> None:
    """`merge-desk sheet FILE`."""
    from lib_merge.checkpoint import hash_file, read_header
    from lib_merge.report.sheet import card_of, sheet_of

    header = read_header(Path(options.file))
    with progress_bar() as progress:
        made = sheet_of(header, hash_file(header.path, progress=progress))
    if options.card and not options.json:
        _print(card_of(made, options.title).rstrip())
    else:
        card = {"card": card_of(made, options.title)} if options.card else {}
        _print({**made.as_data(), **card} if options.json else made.as_text())


def methods(options: argparse.Namespace) -> None:
    """`merge-desk methods [NAME]`."""
    if options.name:
        method = METHODS.get(options.name)
        _print(method_as_data(method) if options.json else method_as_text(method))
    else:
        every = METHODS.all()
        _print([method_as_data(method) for method in every] if options.json else methods_as_text(every))


def rules(options: argparse.Namespace) -> None:
    """`merge-desk rules TEXT FILE`: reads a header alone."""
    from lib_merge.checkpoint import read_header
    from lib_merge.plan.tester import report_as_data, report_as_text, report_of_header
    from lib_merge.recipe import read_weights

    text = sys.stdin.read() if options.text == "-" else options.text
    report = report_of_header(read_weights(text, layout=options.layout), read_header(Path(options.file)))
    _print(report_as_data(report) if options.json else report_as_text(report, every=options.keys))


def presets(options: argparse.Namespace) -> None:
    """`merge-desk presets`: every curve of a family."""
    from lib_merge.architectures import family_by_id
    from lib_merge.recipe.presets import about, curves

    family = family_by_id(options.family)
    if options.taken:
        recipes.take_presets(options, family)
        return
    rows = [{"name": name, "about": about(name), "amounts": dict(v)} for name, v in curves(family).items()]
    _print(rows if options.json else presets_as_text(family))


def plan(options: argparse.Namespace) -> None:
    """`merge-desk plan A B ...`: reads headers alone."""
    from lib_merge.execute import default_threads
    from lib_merge.plan import plan_as_data, plan_as_text

    request = read_request(options)
    made = _planned(request, options)
    threads = options.threads or default_threads()
    _print(plan_as_data(made, threads) if options.json else plan_as_text(made, threads))


def merge(options: argparse.Namespace) -> None:
    """`merge-desk merge A B -o OUT ...`."""
    from lib_merge.checkpoint import human_size
    from lib_merge.plan.render import formats_in_words

    began = time.monotonic()
    request = read_request(options)
    made = _planned(request, options)
    made = replace(made, notes=(*request.notes, *made.notes), extra=_extra(options))
    for note in made.notes:
        print(f"note: {note}", file=sys.stderr)
    from lib_merge.hosts.saving import format_of, save_merge, size_of

    target = Path(options.output)
    hashes = request.hashes
    with hashes or nullcontext(), progress_bar() as progress:
        overflow = save_merge(
            made,
            target,
            format_of(options.output),
            overwrite=options.overwrite,
            device=options.device,
            threads=options.threads,
            progress=progress,
            recorded=hashes.settled if hashes else None,
        )
        if hashes:
            made = replace(made, recipe=hashes.settled(made.recipe))
    seconds = time.monotonic() - began
    size, notes = size_of(target), list(made.notes)
    if folder := data_folder(options):
        _write_down(folder, made, target)
    if overflow:
        print(f"note: {overflow.note()}", file=sys.stderr)
        notes.append(overflow.note())
    if options.json:
        _print(
            {
                "output": str(target),
                "bytes": size,
                "keys": len(made.keys),
                "seconds": round(seconds, 3),
                "notes": notes,
            }
        )
    else:
        told = f"{len(made.keys)} keys, {formats_in_words(made)}, {human_size(size)}, in {seconds:.1f} s"
        print(f"{target}: {told}")


def _write_down(folder: Path, made: Plan, target: Path) -> None:
    """The history of the desk whose data folder is here has this merge too."""
    from lib_merge.desk.history import SAVED, History

    try:
        History(folder).add(made.recipe, SAVED, file=target.name)
    except MergeError as problem:  # the file is written: that is what was asked for
        print(f"note: {problem.what}", file=sys.stderr)


def _extra(options: argparse.Namespace) -> dict[str, str]:
    """What the metadata holds beside the recipe, where the user asks for it."""
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d") if options.date else ""
    told = {"modelspec.title": options.title or "", "modelspec.date": date}
    return {name: value for name, value in told.items() if value}


def draw(options: argparse.Namespace) -> None:
    """`merge-desk draw CHECKPOINT --prompt P --seed N -o PNG`."""
    from lib_merge.hosts.pictures import draw_to_file

    target = Path(options.output)
    began = time.monotonic()
    width, height = draw_to_file(
        Path(options.file),
        target,
        prompt=options.prompt,
        negative=options.negative,
        seed=options.seed,
        steps=options.steps,
        guidance=options.guidance,
        size=(options.width, options.height),
        device=options.device,
        overwrite=options.overwrite,
    )
    seconds = round(time.monotonic() - began, 3)
    data = {"output": str(target), "width": width, "height": height, "seed": options.seed, "seconds": seconds}
    _print(data if options.json else f"{target}: {width} x {height}, seed {options.seed}, in {seconds:.1f} s")


def desk(options: argparse.Namespace) -> None:
    """`merge-desk desk --models DIR`: until Ctrl-C."""
    from lib_merge.desk.serve import check_port, serve
    from lib_merge.hosts.standalone import StandaloneHost

    check_port(options.port)  # before the folders are read, which may take a while
    folders = [Path(folder) for folder in options.folders or (".",)]
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if missing:
        raise CheckpointError("there is no such folder", where=", ".join(missing), hint="--models DIR")
    output = Path(options.output)
    host = StandaloneHost(folders, output=output, data=output / "desk", device=options.device)
    print(f"Merge Desk: http://127.0.0.1:{options.port}  (Ctrl-C ends it)", flush=True)
    serve(host, port=options.port, open_browser=not options.no_browser)


def _planned(request: Request, options: argparse.Namespace) -> Plan:
    """The plan, and whatever is wrong with the target told together with it."""
    from lib_merge.hosts.saving import format_of, saving_problems
    from lib_merge.plan import make_plan

    problems: list[MergeError] = []
    made: Plan | None = None
    try:
        made = make_plan(request.recipe, request.headers)
    except PlanError as found:
        problems += found.problems
    if options.output is not None:
        inputs = inputs_of(request, options)
        format = format_of(options.output)
        problems += saving_problems(
            made, Path(options.output), format, inputs=inputs, overwrite=options.overwrite
        )
    if made is None or problems:
        raise PlanError(problems)
    return made


def inputs_of(request: Request, options: argparse.Namespace) -> list[Path]:
    """Every file that a request is read from, the one with the recipe included."""
    paths = [header.path for header in request.headers.values()]
    if options.recipe and options.recipe != "-" and "\n" not in options.recipe:
        paths.append(Path(options.recipe.rpartition("#")[0] or options.recipe))
        paths.append(Path(options.recipe))
    return paths


def _print(what: Any) -> None:
    if isinstance(what, str):
        print(what)
    else:
        print_json(what)
