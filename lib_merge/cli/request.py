"""Reads the flags of `merge`, `plan` and `grid`: a recipe, and the headers of its files."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.checkpoint import Header
from lib_merge.cli.progress import progress_bar
from lib_merge.errors import RecipeError
from lib_merge.library.hashes import HashCache
from lib_merge.recipe import Recipe, import_from_text, read_imported
from lib_merge.recipe.hashing import InputHashes
from lib_merge.recipe.options import LAYOUT_OPTION, ROUNDING_OPTION
from lib_merge.recipe.reading import is_file_path
from lib_merge.service.files import FileResolver, Folders, read_headers
from lib_merge.service.request import MergeRequest
from lib_merge.service.request_values import flag_name

if TYPE_CHECKING:
    from lib_merge.rebasin import Alignments

USUAL_DATA = Path("output", "desk")  # default data folder of `merge-desk desk`
BESIDE_A_RECIPE = (LAYOUT_OPTION.name, ROUNDING_OPTION.name)  # flags that may be used with --recipe


@dataclass(frozen=True, kw_only=True)
class MergeFlags:
    """The arguments that describe a merge.

    models         paths
    recipe         a recipe instead of models: a file, a text, or - for standard input
    folders        folders of a recipe's files
    trust_names    find the files by name without comparing hashes
    data_dir       folder of history and hashes; None for the default
    option_values  option, or parameter of any method -> the value of its flag
    """

    models: tuple[str, ...]
    recipe: str | None
    folders: tuple[str, ...]
    trust_names: bool
    data_dir: str | None
    method: str
    option_values: Mapping[str, str | bool]

    @property
    def model_folders(self) -> list[Path]:
        """The named folders."""
        return [Path(folder) for folder in self.folders]

    @property
    def recipe_file(self) -> list[Path]:
        """The possible paths of the recipe file; empty for a text."""
        if not self.recipe or self.recipe == "-" or "\n" in self.recipe:
            return []
        return [Path(self.recipe.rpartition("#")[0] or self.recipe), Path(self.recipe)]


@dataclass(frozen=True)
class ReadMerge:
    """A recipe, the headers of its files, and notes about them.

    hashes  the hashes that the recipe records; None for none
    """

    recipe: Recipe
    headers: Mapping[str, Header]
    notes: tuple[str, ...] = ()
    hashes: InputHashes | None = None

    @property
    def files(self) -> list[Path]:
        """The paths of all input files."""
        return [header.path for header in self.headers.values()]


def read_merge(
    flags: MergeFlags, *, hashed: bool = False, autov3: bool = False, alone: bool = False
) -> ReadMerge:
    """Read the flags or the recipe, and all headers; PlanError with all files that cannot be read.

    hashed  the recipe records the sha256 of its files
    autov3  it records the AutoV3 hash too
    alone   allow a single model without a merge
    """
    book = HashCache(data_folder(flags.data_dir))
    alone = alone and flags.recipe is None and len(flags.models) == 1
    request, notes = (MergeRequest(models=flags.models), ()) if alone else merge_request(flags)
    with progress_bar() as progress:
        resolver = FileResolver(folders_of(flags), book, progress, trust_names=flags.trust_names)
        resolved = request.first_model_recipe(resolver) if alone else request.recipe(resolver)
    recipe, headers = resolved.recipe, read_headers(resolved.files)
    hashes = InputHashes(book, resolved.files, autov3=autov3) if hashed else None
    return ReadMerge(
        hashes.with_known_hashes(recipe) if hashes else recipe, headers, (*notes, *resolved.notes), hashes
    )


def merge_request(flags: MergeFlags) -> tuple[MergeRequest, tuple[str, ...]]:
    """The request of the flags or the recipe, and notes about an imported recipe."""
    if flags.recipe is None:
        return MergeRequest.from_flags(flags.models, flags.method, flags.option_values), ()
    if flags.models:
        raise RecipeError(
            "models and --recipe exclude each other: a recipe names its models", hint="leave one of them out"
        )
    flags_used = [flag_name(name) for name in flags.option_values if name not in BESIDE_A_RECIPE]
    if flags_used:
        raise RecipeError(
            f"{', '.join(flags_used)} cannot be used with --recipe", hint="write it into the recipe"
        )
    read = import_from_text(sys.stdin.read()) if flags.recipe == "-" else read_imported(flags.recipe)
    rounding = ROUNDING_OPTION.parse(
        str(flags.option_values.get(ROUNDING_OPTION.name, ROUNDING_OPTION.word_of_recipe(read.recipe)))
    )
    return MergeRequest.from_recipe(ROUNDING_OPTION.set(read.recipe, rounding)), read.notes


def folders_of(flags: MergeFlags) -> Folders:
    """The folders of a recipe's files: the named ones, or the recipe's own folder, or the current folder."""
    in_file = flags.recipe is not None and flags.recipe != "-" and is_file_path(flags.recipe)
    beside = [Path(flags.recipe).resolve().parent] if flags.recipe and in_file else []
    return Folders(flags.model_folders or beside or [Path()], named_by_user=bool(flags.folders))


def data_folder(named: str | None) -> Path | None:
    """The data folder: --data, MERGE_DESK_DATA, or output/desk if it exists; None for none."""
    if folder := named or os.environ.get("MERGE_DESK_DATA"):
        return Path(folder)
    return USUAL_DATA if USUAL_DATA.is_dir() else None


def saved_alignments(data: Path | None) -> Alignments:
    """The stored alignments of the data folder."""
    from lib_merge.rebasin import Alignments

    return Alignments(data / "alignments" if data else None)
