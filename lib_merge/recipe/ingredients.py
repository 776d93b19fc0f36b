"""Finds the files that a recipe names: by name where that is the recorded file, else by hash.

A recipe that was carried out records the sha256 and AutoV3 of its files. When it is carried out again a
file of the right name must hold the same; where it is missing or another one, the files at hand are
looked through by their hashes, so that renaming loses nothing. A name that fits several files is settled
by the hash, which may stand behind it as WebUIs write it, `ink.safetensors [3f2a9c01d4]`, or is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lib_merge.checkpoint import Hashes, hash_file
from lib_merge.errors import CheckpointError, MergeError, PlanError, did_you_mean, encodable
from lib_merge.recipe.model import Recipe
from lib_merge.recipe.names import (
    NameMatch,
    distinct_files,
    escape_controls,
    full_name,
    shortest_name,
    unique_names,
)
from lib_merge.recipe.options import VAE_CHOICES

SHA256_DIGITS = 64  # digits of a sha256
SHOWN_DIGITS = 10  # digits of a hash that a message shows
AUTOV1_DIGITS = 8  # digits of WebUIs' first hash, AutoV1
TITLE_WITH_HASH = re.compile(
    r"(?P<name>.*\S)\s*\[(?P<hash>[0-9a-fA-F]{8,64})\]\s*", re.DOTALL
)  # as WebUIs show a file
BARE_HASH = re.compile(r"\s*(?:\[(?P<bracketed>[0-9a-fA-F]{8,64})\]|(?P<bare>[0-9a-fA-F]{10,64}))\s*")


@dataclass(frozen=True)
class RecordedFile:
    """A file of a recipe with its recorded hashes, "" where none is recorded.

    vae  whether it is the VAE file
    """

    file: str
    sha256: str = ""
    autov3: str = ""
    vae: bool = False

    def matches(self, hashes: Hashes) -> bool:
        """Whether a file of these hashes is the one, or holds the same tensors under other metadata."""
        if self.sha256 and (hashes.sha256 or "").startswith(self.sha256):  # other tools record ten digits
            return True
        return bool(self.autov3) and (hashes.autov3_full or "").startswith(self.autov3)


@dataclass(frozen=True)
class LocatedRecipe:
    """A recipe whose files were found, with notes on those that have another name or other metadata.

    recipe  the recipe with names that distinguish its files, endings written out
    paths   by those names
    """

    recipe: Recipe
    paths: Mapping[str, Path]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _LocatedFile:
    """A file that was found: its path, its new name in the recipe, and a note on it."""

    path: Path
    name: str
    sha256: str
    note: str = ""
    moved: bool = False  # found in another folder than the recipe names


def recorded_files(recipe: Recipe) -> Sequence[RecordedFile]:
    """Every file of a recipe with its hashes."""
    files = [
        RecordedFile(ingredient.file, ingredient.sha256, ingredient.autov3)
        for ingredient in recipe.ingredients
    ]
    if recipe.vae and recipe.vae not in VAE_CHOICES:
        files.append(RecordedFile(recipe.vae, recipe.vae_sha256, vae=True))
    return files


def find_ingredients(
    recipe: Recipe,
    match: Callable[[RecordedFile], NameMatch],
    all_files: Callable[[], Iterable[Path]],
    hashes: Callable[[Path], Hashes],
    *,
    trust_names: bool = False,
) -> LocatedRecipe:
    """Where every file of the recipe is; PlanError names all that are missing, are other
    files, or that their names do not distinguish, at once.

    match        the files that a name fits
    all_files    every file that may be one of them, called only where a name does not lead to the file
    hashes       the sha256 and AutoV3 of a file
    trust_names  accept a file by its name, whatever its hashes are
    """
    located_files: dict[RecordedFile, _LocatedFile] = {}
    problems: list[MergeError] = []
    for wanted in dict.fromkeys(recorded_files(recipe)):
        try:
            located_files[wanted] = _find(wanted, match, all_files, hashes, trust_names)
        except MergeError as problem:
            where = problem.where or _definition(recipe, wanted.file)
            problems.append(type(problem)(problem.what, where=where, hint=problem.hint))
    problems += _problems_of_moved(located_files)
    if problems:
        raise PlanError(problems)
    notes = dict.fromkeys(located.note for located in located_files.values() if located.note)
    distinguished = _distinguished(located_files)
    return LocatedRecipe(
        _renamed(recipe, distinguished),
        {located.name: located.path for located in distinguished.values()},
        tuple(notes),
    )


def _definition(recipe: Recipe, file: str) -> str:
    """The line of the recipe that names a file; "" for a VAE file."""
    return next((f'{part.name} = "{file}"' for part in recipe.ingredients if part.file == file), "")


def _problems_of_moved(located_files: Mapping[RecordedFile, _LocatedFile]) -> Iterator[CheckpointError]:
    """The problems of names with folders of another machine, where two lead to one file."""
    for wanted, located in located_files.items():
        alike = {other.file for other, there in located_files.items() if there.path == located.path}
        if located.moved and len(alike) > 1:
            what = f"there is no '{wanted.file}', and '{located.name}' is another file of this recipe"
            yield CheckpointError(what, hint="--models DIR")


def _distinguished(located_files: Mapping[RecordedFile, _LocatedFile]) -> dict[RecordedFile, _LocatedFile]:
    """The files with distinct names: other tools write one name for files of several folders."""
    distinguished: dict[RecordedFile, _LocatedFile] = {}
    for wanted, located in located_files.items():
        alike = [other.path for other in located_files.values() if other.name == located.name]
        clear = len(distinct_files(alike)) == 1
        distinguished[wanted] = (
            located if clear else replace(located, name=shortest_name(located.path, alike))
        )
    return distinguished


def _renamed(recipe: Recipe, located_files: Mapping[RecordedFile, _LocatedFile]) -> Recipe:
    located_in_order = [located_files[recorded] for recorded in recorded_files(recipe)]
    pairs = zip(recipe.ingredients, located_in_order, strict=False)
    ingredients = tuple(
        replace(ingredient, file=located.name, sha256=located.sha256) for ingredient, located in pairs
    )
    if len(located_in_order) == len(ingredients):
        return replace(recipe, ingredients=ingredients)
    return replace(
        recipe, ingredients=ingredients, vae=located_in_order[-1].name, vae_sha256=located_in_order[-1].sha256
    )


def rename_files(recipe: Recipe, names: Mapping[str, str]) -> Recipe:
    """The recipe with other names for its files."""
    ingredients = tuple(
        replace(ingredient, file=names.get(ingredient.file, ingredient.file))
        for ingredient in recipe.ingredients
    )
    vae = recipe.vae if recipe.vae in VAE_CHOICES else names.get(recipe.vae, recipe.vae)
    return replace(recipe, ingredients=ingredients, vae=vae)


def _find(
    wanted: RecordedFile,
    named: Callable[[RecordedFile], NameMatch],
    others: Callable[[], Iterable[Path]],
    hashes: Callable[[Path], Hashes],
    trust_names: bool,
) -> _LocatedFile:
    fits = named(wanted)
    if not fits.files and (title := TITLE_WITH_HASH.fullmatch(wanted.file)):
        wanted = replace(wanted, file=title["name"], sha256=wanted.sha256 or title["hash"].lower())
        fits = named(wanted)
    elif not fits.files and (title := BARE_HASH.fullmatch(wanted.file)):
        wanted = replace(wanted, sha256=wanted.sha256 or (title["bracketed"] or title["bare"]).lower())
    *folders, last = escape_controls(wanted.file).replace("\\", "/").split("/")
    moved = bool(folders and last and not fits.files)
    if moved:  # folders of another machine
        fits = named(replace(wanted, file=last))
    hashed = bool(wanted.sha256 or wanted.autov3)
    path = next(iter(fits.files), None)
    several = len(fits.files) > 1
    if path is not None and not several and (trust_names or not hashed):
        name = full_name(last if moved else wanted.file, path)
        note = f"'{wanted.file}' is here called '{name}'" if moved else _note_on_others(wanted, fits)
        return _LocatedFile(path, name, wanted.sha256, note, moved)
    if hashed and (located := _by_hash(wanted, fits.files, others, hashes)):
        return located
    if path is None:
        raise _missing(wanted, others)
    if several:
        raise _several(wanted.file, fits.files, hashed=hashed)
    raise _another(wanted, path, hashes)


def _by_hash(
    wanted: RecordedFile,
    files: Sequence[Path],
    others: Callable[[], Iterable[Path]],
    hashes: Callable[[Path], Hashes],
) -> _LocatedFile | None:
    """The file with the recorded hashes: one of the files of its name, else any other."""
    for path in files:
        if has_recorded_hash(path, wanted, hashes):
            clear = len(files) == 1
            name = full_name(wanted.file, path) if clear else shortest_name(path, files)
            other = len(wanted.sha256) > AUTOV1_DIGITS and not (hashes(path).sha256 or "").startswith(
                wanted.sha256
            )
            note = f"'{wanted.file}' holds the same weights beside other metadata" if other else ""
            return _LocatedFile(path, name, wanted.sha256, note)
    for other in others():
        if other not in files and has_recorded_hash(other, wanted, hashes):
            here = encodable(other.name)
            if BARE_HASH.fullmatch(wanted.file):
                return _LocatedFile(other, here, wanted.sha256)
            return _LocatedFile(other, wanted.file, wanted.sha256, f"'{wanted.file}' is here called '{here}'")
    return None


def has_recorded_hash(path: Path, wanted: RecordedFile, hashes: Callable[[Path], Hashes]) -> bool:
    """Whether a file has the recorded hashes; ten digits of a sha256 or eight of AutoV1 will do."""
    if (
        len(wanted.sha256) == AUTOV1_DIGITS
        and hash_file(path, algorithms=("autov1",)).autov1 == wanted.sha256
    ):
        return True
    return wanted.matches(hashes(path))


def _note_on_others(wanted: RecordedFile, fits: NameMatch) -> str:
    """The note on a name that is exactly one file's, and that files in other folders have, too."""
    if not fits.others:
        return ""
    others = ", ".join(unique_names((*fits.files, *fits.others))[1:])
    return f"'{wanted.file}' is taken for the file of exactly this name; there is also {others}"


def _several(file: str, files: Sequence[Path], *, hashed: bool) -> CheckpointError:
    names = unique_names(files)
    none = ", and none of them is the one that the recipe was made with" if hashed else ""
    return CheckpointError(
        f"'{file}' fits {len(files)} files{none}", where=", ".join(names), hint=f"write which one: {names[0]}"
    )


def _another(wanted: RecordedFile, path: Path, hashes: Callable[[Path], Hashes]) -> CheckpointError:
    recorded, here = wanted.sha256[:SHOWN_DIGITS], (hashes(path).sha256 or "")[:SHOWN_DIGITS]
    return CheckpointError(
        f"'{wanted.file}' is another file than the one that the recipe was made with",
        where=f"sha256 {recorded} recorded, {here} here: {path}",
        hint="get the file that was meant, or take this one as it is (--trust-names)",
    )


def _missing(wanted: RecordedFile, others: Callable[[], Iterable[Path]]) -> CheckpointError:
    here = {encodable(path.name) for path in others()}
    also = f", nor a file of its hash, {wanted.sha256[:SHOWN_DIGITS]}" if wanted.sha256 else ""
    name = escape_controls(wanted.file)
    near = did_you_mean(name, here)
    return CheckpointError(f"there is no '{name}'{also}", hint=near or "--models DIR")


def with_hashes(recipe: Recipe, hashes_by_file: Mapping[str, Hashes]) -> Recipe:
    """The recipe with the hashes of its files; what is recorded already stays where it is still true.

    hashes_by_file  by the names that the recipe gives the files; files that are not in it stay as they are
    """
    settled = [_settled(old, hashes_by_file) for old in recorded_files(recipe)]
    pairs = list(zip(recipe.ingredients, settled, strict=False))
    ingredients = tuple(
        replace(ingredient, sha256=now.sha256, autov3=now.autov3) for ingredient, now in pairs
    )
    vae_sha256 = settled[-1].sha256 if len(settled) > len(ingredients) else ""
    return replace(recipe, ingredients=ingredients, vae_sha256=vae_sha256)


def without_hashes(recipe: Recipe) -> Recipe:
    """The recipe as one writes it: the same before its files were hashed and after."""
    bare = tuple(replace(ingredient, sha256="", autov3="") for ingredient in recipe.ingredients)
    return replace(recipe, ingredients=bare, vae_sha256="")


def _settled(old: RecordedFile, hashes_by_file: Mapping[str, Hashes]) -> RecordedFile:
    """The file with its hashes; recorded ones of the same weights are kept, for a rebuild to the bit."""
    hashes = hashes_by_file.get(old.file)
    if hashes is None or (len(old.sha256) == SHA256_DIGITS and old.matches(hashes)):
        return old
    return RecordedFile(old.file, hashes.sha256 or "", hashes.autov3 or "")
