"""The commands: each calls the library once and prints the result."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.cli import recipes
from lib_merge.cli.output import print_json
from lib_merge.cli.progress import progress_bar
from lib_merge.cli.request import MergeFlags, ReadMerge, data_folder, read_merge
from lib_merge.errors import MergeError, PlanError
from lib_merge.methods import METHODS
from lib_merge.report.render.describe import (
    checkpoint_to_dict,
    method_to_dict,
    render_checkpoint,
    render_method,
    render_methods,
    render_presets,
)

if TYPE_CHECKING:
    from lib_merge.plan import Plan

NOT_WRITTEN = 1  # exit status: the command ran, and printed why nothing was written


@dataclass(frozen=True, kw_only=True)
class InspectCommand:
    """The arguments of `inspect`."""

    file: str
    hashes: bool
    json: bool


@dataclass(frozen=True, kw_only=True)
class SheetCommand:
    """The arguments of `sheet`; `card` prints a model card."""

    file: str
    card: bool
    title: str
    json: bool


@dataclass(frozen=True, kw_only=True)
class MethodsCommand:
    """The arguments of `methods`; without a name all methods are listed."""

    name: str | None
    json: bool


@dataclass(frozen=True, kw_only=True)
class RulesCommand:
    """The arguments of `rules`; `keys` prints every tensor."""

    text: str
    file: str
    keys: bool
    layout: str
    json: bool


@dataclass(frozen=True, kw_only=True)
class PresetsCommand:
    """The arguments of `presets`.

    taken     a preset file of another tool to import
    data_dir  folder of history and hashes; None for the default
    """

    family: str
    taken: str | None
    data_dir: str | None
    json: bool


@dataclass(frozen=True, kw_only=True)
class PlanCommand(MergeFlags):
    """The arguments of `plan`."""

    output: str | None
    overwrite: bool
    threads: int | None
    json: bool


@dataclass(frozen=True, kw_only=True)
class MergeCommand(MergeFlags):
    """The arguments of `merge`.

    hashes  record the sha256 of the inputs
    autov3  record the AutoV3 hash of the inputs too
    date    write the date into the metadata
    """

    output: str
    overwrite: bool
    hashes: bool
    autov3: bool
    title: str | None
    date: bool
    device: str
    threads: int | None
    json: bool


def inspect(options: InspectCommand) -> None:
    """`merge-desk inspect FILE`."""
    from lib_merge.architectures import read_header
    from lib_merge.checkpoint import hash_file

    header = read_header(Path(options.file))
    hashes = None
    if options.hashes:
        with progress_bar() as progress:
            hashes = hash_file(header.path, progress=progress)
    _print(checkpoint_to_dict(header, hashes) if options.json else render_checkpoint(header, hashes))


def sheet(options: SheetCommand) -> None:
    """`merge-desk sheet FILE`."""
    from lib_merge.architectures import read_header
    from lib_merge.checkpoint import hash_file
    from lib_merge.report.render.sheet import read_fact_sheet, render_model_card

    header = read_header(Path(options.file))
    with progress_bar() as progress:
        facts = read_fact_sheet(header, hash_file(header.path, progress=progress))
    if options.card and not options.json:
        _print(render_model_card(facts, options.title).rstrip())
    else:
        card = {"card": render_model_card(facts, options.title)} if options.card else {}
        _print({**facts.to_dict(), **card} if options.json else facts.render_text())


def methods(options: MethodsCommand) -> None:
    """`merge-desk methods [NAME]`."""
    if options.name:
        method = METHODS.get(options.name)
        _print(method_to_dict(method) if options.json else render_method(method))
    else:
        every = METHODS.all()
        _print([method_to_dict(method) for method in every] if options.json else render_methods(every))


def rules(options: RulesCommand) -> None:
    """`merge-desk rules TEXT FILE`: reads the header only."""
    from lib_merge.architectures import read_header
    from lib_merge.plan.explain import explain_for_header, render_rule_report, rule_report_to_dict
    from lib_merge.recipe import read_weights

    text = sys.stdin.read() if options.text == "-" else options.text
    report = explain_for_header(read_weights(text, layout=options.layout), read_header(Path(options.file)))
    _print(rule_report_to_dict(report) if options.json else render_rule_report(report, every=options.keys))


def presets(options: PresetsCommand) -> None:
    """`merge-desk presets`: every preset of a family."""
    from lib_merge.architectures import family_by_id
    from lib_merge.recipe.weights.presets import describe_preset, family_presets

    family = family_by_id(options.family)
    if options.taken:
        recipes.take_presets(options.taken, family, data_folder(options.data_dir))
        return
    rows = [
        {"name": name, "about": describe_preset(name), "amounts": dict(v)}
        for name, v in family_presets(family).items()
    ]
    _print(rows if options.json else render_presets(family))


def plan(options: PlanCommand) -> None:
    """`merge-desk plan A B ...`: reads headers only."""
    from lib_merge.execute import default_threads
    from lib_merge.plan import plan_to_dict, render_plan

    planned = _planned(read_merge(options), options, options.output, overwrite=options.overwrite)
    threads = options.threads or default_threads()
    _print(plan_to_dict(planned, threads) if options.json else render_plan(planned, threads))


def merge(options: MergeCommand) -> None:
    """`merge-desk merge A B -o OUT ...`."""
    from lib_merge.checkpoint import human_size
    from lib_merge.plan.render import render_dtype_counts

    began = time.monotonic()
    request = read_merge(options, hashed=options.hashes, autov3=options.autov3)
    planned = _planned(request, options, options.output, overwrite=options.overwrite)
    extra = _extra(options.title, dated=options.date)
    planned = replace(planned, notes=(*request.notes, *planned.notes), extra=extra)
    for note in planned.notes:
        print(f"note: {note}", file=sys.stderr)
    from lib_merge.execute import MergeOptions
    from lib_merge.save.saving import format_of, save_merge, size_of

    target = Path(options.output)
    hashes = request.hashes
    with hashes or nullcontext(), progress_bar() as progress:
        overflow = save_merge(
            planned,
            target,
            format_of(options.output),
            MergeOptions(
                device=options.device,
                threads=options.threads,
                progress=progress,
                overwrite=options.overwrite,
            ),
            recorded=hashes.with_all_hashes if hashes else None,
        )
        if hashes:
            planned = replace(planned, recipe=hashes.with_all_hashes(planned.recipe))
    seconds = time.monotonic() - began
    size, notes = size_of(target), list(planned.notes)
    if folder := data_folder(options.data_dir):
        _write_down(folder, planned, target)
    if overflow:
        print(f"note: {overflow.note()}", file=sys.stderr)
        notes.append(overflow.note())
    if options.json:
        _print(
            {
                "output": str(target),
                "bytes": size,
                "keys": len(planned.keys),
                "seconds": round(seconds, 3),
                "notes": notes,
            }
        )
    else:
        summary = f"{len(planned.keys)} keys, {render_dtype_counts(planned)}, {human_size(size)}"
        print(f"{target}: {summary}, in {seconds:.1f} s")


def _write_down(folder: Path, planned: Plan, target: Path) -> None:
    """Add the merge to the history of the data folder."""
    from lib_merge.library.history import SAVED, History

    try:
        History(folder).add(planned.recipe, SAVED, file=target.name)
    except MergeError as problem:  # the file is written: a failure here is only a note
        print(f"note: {problem.what}", file=sys.stderr)


def _extra(title: str | None, *, dated: bool) -> dict[str, str]:
    """Metadata that is written on request: title and date."""
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d") if dated else ""
    fields = {"modelspec.title": title or "", "modelspec.date": date}
    return {name: value for name, value in fields.items() if value}


def _planned(request: ReadMerge, flags: MergeFlags, output: str | None, *, overwrite: bool) -> Plan:
    """The plan; PlanError with all its problems and those of the target."""
    from lib_merge.plan import make_plan
    from lib_merge.save.saving import format_of, saving_problems

    problems: list[MergeError] = []
    planned: Plan | None = None
    try:
        planned = make_plan(request.recipe, request.headers)
    except PlanError as error:
        problems += error.problems
    if output is not None:
        inputs = [*request.files, *flags.recipe_file]
        problems += saving_problems(
            planned, Path(output), format_of(output), inputs=inputs, overwrite=overwrite
        )
    if planned is None or problems:
        raise PlanError(problems)
    return planned


def _print(what: Any) -> None:
    if isinstance(what, str):
        print(what)
    else:
        print_json(what)
