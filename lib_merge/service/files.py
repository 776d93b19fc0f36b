"""Finds files by path, and the files of a recipe in folders, for the command line and the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lib_merge.architectures import read_header
from lib_merge.checkpoint import Hashes, Header
from lib_merge.checkpoint.suffixes import is_checkpoint, without_suffix
from lib_merge.errors import MergeError, PlanError
from lib_merge.library.hashes import HashCache
from lib_merge.progress import Progress
from lib_merge.recipe import Recipe, RecordedFile, find_ingredients
from lib_merge.recipe.hashing import required_hashes
from lib_merge.recipe.names import (
    NamedFile,
    NameMatch,
    checkpoint_files,
    distinct_files,
    match_name,
    unique_names,
)
from lib_merge.service.request import Resolved


class FileResolver:
    """A `service.request.Resolver` of paths; the files of a recipe are searched in folders.

    trust_names  accept a recipe's file by its name without comparing hashes
    """

    def __init__(self, folders: Folders, book: HashCache, progress: Progress, *, trust_names: bool) -> None:
        self._folders, self._book, self._progress = folders, book, progress
        self._trust_names = trust_names

    def name_models(self, models: Sequence[str], vae: str) -> Sequence[tuple[str, Path]]:
        """Each path with its name in recipes, which includes folders where file names are equal."""
        paths = [Path(path) for path in (*models, *([vae] if vae else []))]
        return list(zip(unique_names(paths), paths, strict=True))

    def locate(self, recipe: Recipe) -> Resolved[Path]:
        """The recipe's files, by name or by the hashes that the recipe records."""

        def hashes(path: Path) -> Hashes:
            return self._book.hashes(path, required_hashes(recipe), progress=self._progress)

        folders = self._folders
        located = find_ingredients(
            recipe, folders.named, folders.paths, hashes, trust_names=self._trust_names
        )
        return Resolved(located.recipe, located.paths, located.notes)


def read_headers(paths: Mapping[str, Path]) -> dict[str, Header]:
    """The header of every file, by its name in the recipe; PlanError with all that cannot be read."""
    headers: dict[str, Header] = {}
    problems: list[MergeError] = []
    for file, path in paths.items():
        try:
            headers[file] = read_header(path)
        except MergeError as problem:
            problems.append(problem)
    if problems:
        raise PlanError(problems)
    return headers


class Folders:
    """The files below some folders, which are listed once and only on demand.

    named_by_user  whether the user named the folders; other folders are not searched needlessly
    """

    def __init__(self, folders: Sequence[Path], *, named_by_user: bool) -> None:
        self._folders, self._named_by_user = folders, named_by_user
        self._files: list[NamedFile] | None = None

    def named(self, wanted: RecordedFile) -> NameMatch:
        """The files that a name matches; a path relative to one of the folders is that file."""
        direct = distinct_files(path for folder in self._folders for path in _at(folder, wanted.file))
        if direct and not self._named_by_user:
            return NameMatch(direct)
        fits = match_name(wanted.file, self._listed())
        if not direct:
            return fits
        return NameMatch(direct, distinct_files((*direct, *fits.files, *fits.others))[len(direct) :])

    def paths(self) -> list[Path]:
        """The paths of all checkpoints."""
        return [file.path for file in self._listed()]

    def _listed(self) -> list[NamedFile]:
        if self._files is None:
            self._files = [file for folder in self._folders for file in checkpoint_files(folder)]
        return self._files


def _at(folder: Path, file: str) -> list[Path]:
    """The file at a path in a folder, or the files that have this path without their suffix."""
    wanted = folder / file
    with suppress(OSError, ValueError):  # the text is no valid path, or the folder cannot be read
        if wanted.is_file():
            return [wanted]
        siblings = [path for path in sorted(wanted.parent.iterdir()) if is_checkpoint(path)]
        return [path for path in siblings if without_suffix(path.name) == wanted.name and path.is_file()]
    return []
