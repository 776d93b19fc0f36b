"""The files behind a recipe's names: by name where that is the file meant, else by what they hold.

A recipe that was carried out records the sha256 and AutoV3 of its files. When it is carried out again a
file of the right name must hold the same; where it is missing or another one, the files at hand are
looked through by their hashes, so that renaming loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lib_merge.checkpoint import Hashes
from lib_merge.errors import CheckpointError, MergeError, PlanError, did_you_mean
from lib_merge.recipe.model import VAE_WORDS, Recipe

WANTED = ("sha256", "autov3")
WHOLE = 64  # digits of a sha256
SHORT = 10  # digits of a hash that a message shows


@dataclass(frozen=True)
class Recorded:
    """What a recipe says of one of its files; hashes are "" where it does not say."""

    file: str
    sha256: str = ""
    autov3: str = ""

    def is_in(self, hashes: Hashes) -> bool:
        """Whether a file of these hashes is the one, or holds the same tensors under other metadata."""
        if self.sha256 and (hashes.sha256 or "").startswith(self.sha256):  # other tools record ten digits
            return True
        return bool(self.autov3) and (hashes.autov3_full or "").startswith(self.autov3)


@dataclass(frozen=True)
class Found:
    """Where a recipe's files are, by the names that it gives them, and what there is to say about that."""

    paths: Mapping[str, Path]
    notes: tuple[str, ...] = ()


def recorded(recipe: Recipe) -> Sequence[Recorded]:
    """Every file of a recipe with its hashes."""
    files = [Recorded(each.file, each.sha256, each.autov3) for each in recipe.ingredients]
    if recipe.vae and recipe.vae not in VAE_WORDS:
        files.append(Recorded(recipe.vae, recipe.vae_sha256))
    return files


def find_ingredients(
    recipe: Recipe,
    named: Callable[[str], Path | None],
    others: Callable[[], Iterable[Path]],
    hashes: Callable[[Path], Hashes],
    *,
    trust_names: bool = False,
) -> Found:
    """Where every file of the recipe is; PlanError tells all that are missing or another file at once.

    named        the file of that name, None where there is none
    others       every file that may be one of them, asked for only where a name leads to nothing
    hashes       a file's sha256 and AutoV3
    trust_names  take what has the name, whatever it holds
    """
    paths: dict[str, Path] = {}
    notes: list[str] = []
    problems: list[MergeError] = []
    for wanted in {each.file: each for each in recorded(recipe)}.values():
        try:
            paths[wanted.file], note = _find(wanted, named, others, hashes, trust_names)
        except MergeError as problem:
            problems.append(problem)
        else:
            notes += [note] if note else []
    if problems:
        raise PlanError(problems)
    return Found(paths, tuple(notes))


def spelled_out(recipe: Recipe, found: Found) -> tuple[Recipe, Found]:
    """The recipe with the endings that its files have here, where it leaves them out."""
    names = {file: path.name if path.stem == file else file for file, path in found.paths.items()}
    ingredients = tuple(replace(each, file=names[each.file]) for each in recipe.ingredients)
    vae = names.get(recipe.vae, recipe.vae) if recipe.vae not in VAE_WORDS else recipe.vae
    paths = {names[file]: path for file, path in found.paths.items()}
    return replace(recipe, ingredients=ingredients, vae=vae), Found(paths, found.notes)


def _find(
    wanted: Recorded,
    named: Callable[[str], Path | None],
    others: Callable[[], Iterable[Path]],
    hashes: Callable[[Path], Hashes],
    trust_names: bool,
) -> tuple[Path, str]:
    path = named(wanted.file)
    hashed = bool(wanted.sha256 or wanted.autov3) and not trust_names
    if path is not None and not hashed:
        return path, ""
    if path is not None:
        held = hashes(path)
        if wanted.is_in(held):
            same = not wanted.sha256 or (held.sha256 or "").startswith(wanted.sha256)
            return path, "" if same else f"'{wanted.file}' holds the same weights beside other metadata"
    if hashed:
        for other in others():
            if other != path and wanted.is_in(hashes(other)):
                return other, f"'{wanted.file}' is here called '{other.name}'"
    if path is None:
        raise _missing(wanted, others)
    raise CheckpointError(
        f"'{wanted.file}' is another file than the one that the recipe was made with",
        where=f"sha256 {wanted.sha256[:SHORT]} recorded, {(hashes(path).sha256 or '')[:SHORT]} here: {path}",
        hint="get the file that was meant, or take this one as it is (--trust-names)",
    )


def _missing(wanted: Recorded, others: Callable[[], Iterable[Path]]) -> CheckpointError:
    here = {path.name for path in others()}
    also = f", nor a file of its hash, {wanted.sha256[:SHORT]}" if wanted.sha256 else ""
    near = did_you_mean(wanted.file, here)
    return CheckpointError(f"there is no '{wanted.file}'{also}", hint=near or "--models DIR")


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
