"""The files behind a recipe's names: by name where that is the file meant, else by what they hold.

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
from lib_merge.recipe.model import VAE_WORDS, Recipe
from lib_merge.recipe.names import Fits, as_written, distinct, escaped, shortest, told_apart

WHOLE = 64  # digits of a sha256
SHORT = 10  # digits of a hash that a message shows
OLD = 8  # digits of WebUIs' first hash, AutoV1
TITLE = re.compile(r"(?P<name>.*\S)\s*\[(?P<hash>[0-9a-fA-F]{8,64})\]\s*", re.DOTALL)  # as WebUIs show a file
HASH = re.compile(r"\s*(?:\[(?P<bracketed>[0-9a-fA-F]{8,64})\]|(?P<bare>[0-9a-fA-F]{10,64}))\s*")


@dataclass(frozen=True)
class Recorded:
    """What a recipe says of one of its files; hashes are "" where it does not say.

    vae  whether it is the VAE file
    """

    file: str
    sha256: str = ""
    autov3: str = ""
    vae: bool = False

    def is_in(self, hashes: Hashes) -> bool:
        """Whether a file of these hashes is the one, or holds the same tensors under other metadata."""
        if self.sha256 and (hashes.sha256 or "").startswith(self.sha256):  # other tools record ten digits
            return True
        return bool(self.autov3) and (hashes.autov3_full or "").startswith(self.autov3)


@dataclass(frozen=True)
class Found:
    """Where a recipe's files are, and what there is to say about that.

    recipe  the recipe with names by which its files are told apart, endings written out
    paths   by those names
    """

    recipe: Recipe
    paths: Mapping[str, Path]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Place:
    """Where one file is, what it is called from here on, and what there is to say about that."""

    path: Path
    name: str
    sha256: str
    note: str = ""
    moved: bool = False  # found in another folder than the recipe names


def recorded(recipe: Recipe) -> Sequence[Recorded]:
    """Every file of a recipe with its hashes."""
    files = [Recorded(each.file, each.sha256, each.autov3) for each in recipe.ingredients]
    if recipe.vae and recipe.vae not in VAE_WORDS:
        files.append(Recorded(recipe.vae, recipe.vae_sha256, vae=True))
    return files


def find_ingredients(
    recipe: Recipe,
    named: Callable[[Recorded], Fits],
    others: Callable[[], Iterable[Path]],
    hashes: Callable[[Path], Hashes],
    *,
    trust_names: bool = False,
) -> Found:
    """Where every file of the recipe is; PlanError tells all that are missing, other files, or not told
    apart by their names, at once.

    named        the files of a name
    others       every file that may be one of them, asked for only where a name does not lead to the one
    hashes       a file's sha256 and AutoV3
    trust_names  take what has the name, whatever it holds
    """
    found: dict[Recorded, _Place] = {}
    problems: list[MergeError] = []
    for wanted in dict.fromkeys(recorded(recipe)):
        try:
            found[wanted] = _find(wanted, named, others, hashes, trust_names)
        except MergeError as problem:
            problems.append(problem)
    problems += _met_twice(found)
    if problems:
        raise PlanError(problems)
    notes = dict.fromkeys(place.note for place in found.values() if place.note)
    places = _told_apart(found)
    return Found(_renamed(recipe, places), {each.name: each.path for each in places.values()}, tuple(notes))


def _met_twice(found: Mapping[Recorded, _Place]) -> Iterator[CheckpointError]:
    """Two names with folders that are not here must not both become the one file that is."""
    for wanted, place in found.items():
        alike = {other.file for other, there in found.items() if there.path == place.path}
        if place.moved and len(alike) > 1:
            what = f"there is no '{wanted.file}', and '{place.name}' is another file of this recipe"
            yield CheckpointError(what, hint="--models DIR")


def _told_apart(found: Mapping[Recorded, _Place]) -> dict[Recorded, _Place]:
    """Other tools write one name for files of several folders: each is called by the end of its path."""
    places: dict[Recorded, _Place] = {}
    for wanted, place in found.items():
        alike = [other.path for other in found.values() if other.name == place.name]
        clear = len(distinct(alike)) == 1
        places[wanted] = place if clear else replace(place, name=shortest(place.path, alike))
    return places


def _renamed(recipe: Recipe, places: Mapping[Recorded, _Place]) -> Recipe:
    now = [places[each] for each in recorded(recipe)]
    pairs = zip(recipe.ingredients, now, strict=False)
    ingredients = tuple(replace(each, file=place.name, sha256=place.sha256) for each, place in pairs)
    if len(now) == len(ingredients):
        return replace(recipe, ingredients=ingredients)
    return replace(recipe, ingredients=ingredients, vae=now[-1].name, vae_sha256=now[-1].sha256)


def renamed(recipe: Recipe, names: Mapping[str, str]) -> Recipe:
    """The recipe with other names for its files."""
    ingredients = tuple(replace(each, file=names.get(each.file, each.file)) for each in recipe.ingredients)
    vae = recipe.vae if recipe.vae in VAE_WORDS else names.get(recipe.vae, recipe.vae)
    return replace(recipe, ingredients=ingredients, vae=vae)


def _find(
    wanted: Recorded,
    named: Callable[[Recorded], Fits],
    others: Callable[[], Iterable[Path]],
    hashes: Callable[[Path], Hashes],
    trust_names: bool,
) -> _Place:
    fits = named(wanted)
    if not fits.files and (title := TITLE.fullmatch(wanted.file)):
        wanted = replace(wanted, file=title["name"], sha256=wanted.sha256 or title["hash"].lower())
        fits = named(wanted)
    elif not fits.files and (title := HASH.fullmatch(wanted.file)):
        wanted = replace(wanted, sha256=wanted.sha256 or (title["bracketed"] or title["bare"]).lower())
    *folders, last = escaped(wanted.file).replace("\\", "/").split("/")
    moved = bool(folders and last and not fits.files)
    if moved:  # folders of another machine
        fits = named(replace(wanted, file=last))
    hashed = bool(wanted.sha256 or wanted.autov3)
    path = next(iter(fits.files), None)
    several = len(fits.files) > 1
    if path is not None and not several and (trust_names or not hashed):
        name = as_written(last if moved else wanted.file, path)
        note = f"'{wanted.file}' is here called '{name}'" if moved else _also(wanted, fits)
        return _Place(path, name, wanted.sha256, note, moved)
    if hashed and (place := _by_hash(wanted, fits.files, others, hashes)):
        return place
    if path is None:
        raise _missing(wanted, others)
    if several:
        raise _several(wanted.file, fits.files, hashed=hashed)
    raise _another(wanted, path, hashes)


def _by_hash(
    wanted: Recorded,
    files: Sequence[Path],
    others: Callable[[], Iterable[Path]],
    hashes: Callable[[Path], Hashes],
) -> _Place | None:
    """The file that holds what is recorded: one of those of its name, else any."""
    for path in files:
        if holds(path, wanted, hashes):
            clear = len(files) == 1
            name = as_written(wanted.file, path) if clear else shortest(path, files)
            other = len(wanted.sha256) > OLD and not (hashes(path).sha256 or "").startswith(wanted.sha256)
            note = f"'{wanted.file}' holds the same weights beside other metadata" if other else ""
            return _Place(path, name, wanted.sha256, note)
    for other in others():
        if other not in files and holds(other, wanted, hashes):
            here = encodable(other.name)
            if HASH.fullmatch(wanted.file):
                return _Place(other, here, wanted.sha256)
            return _Place(other, wanted.file, wanted.sha256, f"'{wanted.file}' is here called '{here}'")
    return None


def holds(path: Path, wanted: Recorded, hashes: Callable[[Path], Hashes]) -> bool:
    """Whether a file has the recorded hashes; ten digits of a sha256 or eight of AutoV1 will do."""
    if len(wanted.sha256) == OLD and hash_file(path, wanted=("autov1",)).autov1 == wanted.sha256:
        return True
    return wanted.is_in(hashes(path))


def _also(wanted: Recorded, fits: Fits) -> str:
    """What is said where a name is one file's own, and others are called so in folders of their own."""
    if not fits.also:
        return ""
    others = ", ".join(told_apart((*fits.files, *fits.also))[1:])
    return f"'{wanted.file}' is taken for the file of exactly this name; there is also {others}"


def _several(file: str, files: Sequence[Path], *, hashed: bool) -> CheckpointError:
    names = told_apart(files)
    none = ", and none of them is the one that the recipe was made with" if hashed else ""
    return CheckpointError(
        f"'{file}' fits {len(files)} files{none}", where=", ".join(names), hint=f"write which one: {names[0]}"
    )


def _another(wanted: Recorded, path: Path, hashes: Callable[[Path], Hashes]) -> CheckpointError:
    return CheckpointError(
        f"'{wanted.file}' is another file than the one that the recipe was made with",
        where=f"sha256 {wanted.sha256[:SHORT]} recorded, {(hashes(path).sha256 or '')[:SHORT]} here: {path}",
        hint="get the file that was meant, or take this one as it is (--trust-names)",
    )


def _missing(wanted: Recorded, others: Callable[[], Iterable[Path]]) -> CheckpointError:
    here = {encodable(path.name) for path in others()}
    also = f", nor a file of its hash, {wanted.sha256[:SHORT]}" if wanted.sha256 else ""
    name = escaped(wanted.file)
    near = did_you_mean(name, here)
    return CheckpointError(f"there is no '{name}'{also}", hint=near or "--models DIR")


def with_hashes(recipe: Recipe, known: Mapping[str, Hashes]) -> Recipe:
    """The recipe with the hashes of its files; what is recorded already stays where it is still true.

    known  by the names that the recipe gives the files; files that are not in it stay as they are
    """
    settled = [_settled(old, known) for old in recorded(recipe)]
    pairs = list(zip(recipe.ingredients, settled, strict=False))
    ingredients = tuple(replace(each, sha256=now.sha256, autov3=now.autov3) for each, now in pairs)
    vae_sha256 = settled[-1].sha256 if len(settled) > len(ingredients) else ""
    return replace(recipe, ingredients=ingredients, vae_sha256=vae_sha256)


def without_hashes(recipe: Recipe) -> Recipe:
    """The recipe as one writes it: the same before its files were hashed and after."""
    bare = tuple(replace(each, sha256="", autov3="") for each in recipe.ingredients)
    return replace(recipe, ingredients=bare, vae_sha256="")


def _settled(old: Recorded, known: Mapping[str, Hashes]) -> Recorded:
    """Recorded hashes of the same weights are kept: so a rebuilt file has the very bytes of the first."""
    hashes = known.get(old.file)
    if hashes is None or (len(old.sha256) == WHOLE and old.is_in(hashes)):
        return old
    return Recorded(old.file, hashes.sha256 or "", hashes.autov3 or "")
