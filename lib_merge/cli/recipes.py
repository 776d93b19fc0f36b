"""`merge-desk recipe`: what is in a file, a picture or a text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.checkpoint import nested, read_header
from lib_merge.cli.arguments import entry as entry_number
from lib_merge.cli.output import print_json
from lib_merge.cli.request import data_folder
from lib_merge.errors import MergeError
from lib_merge.plan.metadata import ANCESTRY_KEY
from lib_merge.recipe import Recipe, print_recipe, read_imported, recipe_in, recipe_text

if TYPE_CHECKING:
    from lib_merge.architectures import Family
    from lib_merge.desk.history import History

SAVED = "saved"


def recipe(options: argparse.Namespace) -> None:
    """`merge-desk recipe FILE|PNG|TEXT`."""
    given = options.source
    read = recipe_in(sys.stdin.read()) if given == "-" else read_imported(given)
    found = read.recipe
    if read.tool:
        print(f"note: read as a recipe of {read.tool}", file=sys.stderr)
    for note in read.notes:
        print(f"note: {note}", file=sys.stderr)
    ancestry = _ancestry(given) if options.ancestry or options.json else {}
    if options.json:
        print_json(_as_data(found, ancestry))
        return
    print(print_recipe(found).rstrip())
    for each in ancestry.values():
        print(f"\n# how {each.get('file', 'an ingredient')} was made")
        print(str(each.get("recipe", "")).rstrip())


def add_history_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `history`, but for --data and --json."""
    parser.add_argument("query", nargs="*", metavar="WORD", help="only what holds these words")
    parser.add_argument("--starred", action="store_true", help="only what is starred")
    parser.add_argument(
        "--limit", type=entry_number, default=20, metavar="N", help="how many (default: %(default)s)"
    )
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--show", type=entry_number, metavar="ID", help="print the recipe of one entry")
    one.add_argument("--name", nargs=2, metavar=("ID", "NAME"), help="call an entry something")
    one.add_argument("--star", type=entry_number, metavar="ID", help="keep an entry")
    one.add_argument("--unstar", type=entry_number, metavar="ID", help="keep it no longer")
    one.add_argument("--delete", type=entry_number, metavar="ID", help="forget an entry")
    one.add_argument(
        "--import", dest="taken", metavar="FILE", help="take over SuperMerger's mergehistory.csv"
    )


def history(options: argparse.Namespace) -> None:
    """`merge-desk history`."""
    from lib_merge.desk.history import History, as_data

    folder = data_folder(options)
    if folder is None:
        raise MergeError("there is no history here", hint="--data DIR, or MERGE_DESK_DATA")
    known = History(folder)
    if options.show is not None:
        print(known.get(options.show).recipe.rstrip())
        return
    _change(known, options)
    found = known.entries(" ".join(options.query), starred=options.starred, limit=options.limit)
    if options.json:
        print_json([as_data(entry) for entry in found])
        return
    for entry in found:
        told = as_data(entry)
        saved = f" as {entry.file}" if entry.file else ""
        star = "*" if entry.star else " "
        print(f"{entry.id:>5}{star} {told['at']}  {entry.kind}{saved}: {entry.name or entry.title}")


def _change(known: History, options: argparse.Namespace) -> None:
    if options.name:
        known.name(_number(options.name[0]), options.name[1])
    if options.star is not None:
        known.star(options.star, True)
    if options.unstar is not None:
        known.star(options.unstar, False)
    if options.delete is not None:
        known.drop(options.delete)
    if options.taken:
        _take_over(known, Path(options.taken))


def _take_over(known: History, path: Path) -> None:
    """Every row of SuperMerger's history that can be said here; the others are told."""
    from lib_merge.recipe.imports.history_csv import history_rows
    from lib_merge.recipe.imports.webui import read_row

    rows = history_rows(recipe_text(str(path)))
    if not rows:
        hint = "SuperMerger writes mergehistory.csv into its own folder"
        raise MergeError("there is no merge in this history", where=str(path), hint=hint)
    taken = 0
    for row in rows:
        try:
            read = read_row(row)
        except MergeError as problem:
            print(f"note: ID {row['id']}: {problem.what}", file=sys.stderr)
            continue
        number = known.add(read.recipe, SAVED, file=f"SuperMerger {row['id']}")
        known.name(number, row.get("name", ""))
        taken += 1
    if not taken:
        raise MergeError(f"none of the {len(rows)} merges in this history can be read", where=str(path))
    print(f"{taken} of {len(rows)} merges were taken over")


def take_presets(options: argparse.Namespace, family: Family) -> None:
    """Presets of a file join the desk's own; lines that are none are told."""
    from lib_merge.desk.presets import take_over

    folder = data_folder(options)
    if folder is None:
        raise MergeError("there is no desk here to keep presets for", hint="--data DIR, or MERGE_DESK_DATA")
    folder.mkdir(parents=True, exist_ok=True)
    taken = take_over(folder, recipe_text(options.taken), family)
    for line in taken.odd:
        print(f"note: not taken over: {line}", file=sys.stderr)
    print(taken.told)


def _number(text: str) -> int:
    try:
        return entry_number(text)
    except argparse.ArgumentTypeError as cause:
        raise MergeError(f"{cause}, as entries have", hint="merge-desk history lists them") from cause


def _ancestry(given: str) -> dict[str, Any]:
    """What a checkpoint tells of the merges that went into it; nothing of anything else."""
    path = Path(given)
    if "\n" in given or not path.is_file() or path.suffix not in (".safetensors", ".ckpt"):
        return {}
    found = nested(read_header(path).metadata, ANCESTRY_KEY)
    return {key: each for key, each in found.items() if isinstance(each, dict)}


def _as_data(found: Recipe, ancestry: dict[str, Any]) -> dict[str, Any]:
    return {
        "recipe": print_recipe(found),
        "files": [
            {"name": each.name, "file": each.file, "sha256": each.sha256, "autov3": each.autov3}
            for each in found.ingredients
        ],
        "result": found.result,
        "ancestry": ancestry,
    }
