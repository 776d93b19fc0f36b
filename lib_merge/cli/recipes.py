"""`merge-desk recipe`, `history`, and the import of presets."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.architectures import read_header
from lib_merge.checkpoint import metadata_dict
from lib_merge.checkpoint.suffixes import is_checkpoint
from lib_merge.cli.arguments import entry as entry_number
from lib_merge.cli.output import print_json
from lib_merge.cli.request import data_folder
from lib_merge.errors import MergeError
from lib_merge.plan.metadata import ANCESTRY_KEY
from lib_merge.recipe import Recipe, import_from_text, print_recipe, read_imported, read_recipe_text
from lib_merge.recipe.reading import is_file_path

if TYPE_CHECKING:
    from lib_merge.architectures import Family
    from lib_merge.library.history import History

SAVED_ENTRY = "saved"


@dataclass(frozen=True, kw_only=True)
class RecipeCommand:
    """The arguments of `recipe`; `source` is a file, a text, or - for standard input."""

    source: str
    ancestry: bool
    json: bool


@dataclass(frozen=True, kw_only=True)
class HistoryCommand:
    """The arguments of `history`: a search, or a change of one entry by its id.

    name   id and name
    taken  a history file of SuperMerger to import
    data_dir  folder of history and hashes; None for the default
    """

    query: tuple[str, ...]
    starred: bool
    limit: int
    show: int | None
    name: tuple[str, ...]
    star: int | None
    unstar: int | None
    delete: int | None
    taken: str | None
    data_dir: str | None
    json: bool


def recipe(options: RecipeCommand) -> None:
    """`merge-desk recipe FILE|PNG|TEXT`."""
    source = options.source
    imported = import_from_text(sys.stdin.read()) if source == "-" else read_imported(source)
    parsed = imported.recipe
    if imported.tool:
        print(f"note: read as a recipe of {imported.tool}", file=sys.stderr)
    for note in imported.notes:
        print(f"note: {note}", file=sys.stderr)
    ancestry = _ancestry(source) if options.ancestry or options.json else {}
    if options.json:
        print_json(_recipe_to_dict(parsed, ancestry))
        return
    print(print_recipe(parsed).rstrip())
    for ancestor in ancestry.values():
        print(f"\n# how {ancestor.get('file', 'an ingredient')} was made")
        print(str(ancestor.get("recipe", "")).rstrip())


def add_history_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `history` but --data and --json."""
    parser.add_argument("query", nargs="*", metavar="WORD", help="only entries with these words")
    parser.add_argument("--starred", action="store_true", help="only starred entries")
    parser.add_argument(
        "--limit", type=entry_number, default=20, metavar="N", help="how many (default: %(default)s)"
    )
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--show", type=entry_number, metavar="ID", help="print the recipe of one entry")
    one.add_argument("--name", nargs=2, metavar=("ID", "NAME"), help="name an entry")
    one.add_argument("--star", type=entry_number, metavar="ID", help="star an entry")
    one.add_argument("--unstar", type=entry_number, metavar="ID", help="remove the star")
    one.add_argument("--delete", type=entry_number, metavar="ID", help="delete an entry")
    one.add_argument("--import", dest="taken", metavar="FILE", help="import SuperMerger's mergehistory.csv")


def history(options: HistoryCommand) -> None:
    """`merge-desk history`."""
    from lib_merge.library.history import History, entry_to_dict

    folder = data_folder(options.data_dir)
    if folder is None:
        raise MergeError("there is no history here", hint="--data DIR, or MERGE_DESK_DATA")
    store = History(folder)
    if options.show is not None:
        print(store.get(options.show).recipe.rstrip())
        return
    _change(store, options)
    entries = store.entries(" ".join(options.query), starred=options.starred, limit=options.limit)
    if options.json:
        print_json([entry_to_dict(entry) for entry in entries])
        return
    for entry in entries:
        date = entry_to_dict(entry)["at"]
        saved = f" as {entry.file}" if entry.file else ""
        star = "*" if entry.star else " "
        print(f"{entry.id:>5}{star} {date}  {entry.kind}{saved}: {entry.name or entry.title}")


def _change(store: History, options: HistoryCommand) -> None:
    if options.name:
        store.rename(_number(options.name[0]), options.name[1])
    if options.star is not None:
        store.star(options.star, True)
    if options.unstar is not None:
        store.star(options.unstar, False)
    if options.delete is not None:
        store.delete(options.delete)
    if options.taken:
        _take_over(store, Path(options.taken))


def _take_over(store: History, path: Path) -> None:
    """Import every row of SuperMerger's history that can be expressed; the others are reported."""
    from lib_merge.recipe.imports.history_csv import history_rows
    from lib_merge.recipe.imports.webui import read_row

    rows = history_rows(read_recipe_text(str(path)))
    if not rows:
        hint = "SuperMerger writes mergehistory.csv into its own folder"
        raise MergeError("there is no merge in this history", where=str(path), hint=hint)
    count = 0
    for row in rows:
        try:
            imported = read_row(row)
        except MergeError as problem:
            print(f"note: ID {row['id']}: {problem.what}", file=sys.stderr)
            continue
        number = store.add(imported.recipe, SAVED_ENTRY, file=f"SuperMerger {row['id']}")
        store.rename(number, row.get("name", ""))
        count += 1
    if not count:
        raise MergeError(f"none of the {len(rows)} merges in this history can be read", where=str(path))
    print(f"{count} of {len(rows)} merges were taken over")


def take_presets(file: str, family: Family, folder: Path | None) -> None:
    """Import the presets of a file; lines that cannot be read are reported."""
    from lib_merge.library.presets import import_presets

    if folder is None:
        raise MergeError("there is no desk here to keep presets for", hint="--data DIR, or MERGE_DESK_DATA")
    folder.mkdir(parents=True, exist_ok=True)
    imported = import_presets(folder, read_recipe_text(file), family)
    for line in imported.rejected:
        print(f"note: not taken over: {line}", file=sys.stderr)
    print(imported.summary)


def _number(text: str) -> int:
    try:
        return entry_number(text)
    except argparse.ArgumentTypeError as cause:
        raise MergeError(f"{cause}, as entries have", hint="merge-desk history lists them") from cause


def _ancestry(source: str) -> dict[str, Any]:
    """The ancestry in a checkpoint's metadata; empty for other sources."""
    if not is_file_path(source) or not is_checkpoint(source):
        return {}
    ancestry = metadata_dict(read_header(Path(source)).metadata, ANCESTRY_KEY)
    return {key: entry for key, entry in ancestry.items() if isinstance(entry, dict)}


def _recipe_to_dict(parsed: Recipe, ancestry: dict[str, Any]) -> dict[str, Any]:
    return {
        "recipe": print_recipe(parsed),
        "files": [
            {
                "name": ingredient.name,
                "file": ingredient.file,
                "sha256": ingredient.sha256,
                "autov3": ingredient.autov3,
            }
            for ingredient in parsed.ingredients
        ],
        "result": parsed.result,
        "ancestry": ancestry,
    }
