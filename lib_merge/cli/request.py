"""From the words of `merge` and `plan` to a recipe and the headers of its files."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.architectures import layout_by_name, parse_numbers
from lib_merge.checkpoint import HashBook, Hashes, Header, read_header
from lib_merge.cli.progress import progress_bar
from lib_merge.dtypes import SOURCE, Dtype, parse_save_dtype
from lib_merge.errors import MergeError, MethodError, PlanError, RecipeError
from lib_merge.methods import METHODS
from lib_merge.recipe import (
    VAE_WORDS,
    Found,
    Ingredient,
    Recipe,
    Setting,
    Step,
    adjusted,
    aligned_to_first,
    find_ingredients,
    read_imported,
    read_weights,
    recipe_in,
)
from lib_merge.recipe.hashing import InputHashes, wanted_by
from lib_merge.recipe.ingredients import Recorded
from lib_merge.recipe.names import (
    Fits,
    Named,
    distinct,
    files_in,
    fitting,
    is_checkpoint,
    told_apart,
    without_ending,
)
from lib_merge.registry import Method, Parameter

if TYPE_CHECKING:
    from lib_merge.rebasin import Alignments

NAMES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
USUAL_DATA = Path("output", "desk")  # of `merge-desk desk`
SAVING = {
    "weights",
    "beta_weights",
    "adjust",
    "vae",
    "dtype",
    "text_encoder",
    "ema",
    "overflow",
    "align",
    "prediction",
}
LISTS = {"alpha": "weights", "beta": "beta_weights"}  # parameter -> the flag that gives it by block


@dataclass(frozen=True)
class Request:
    """A recipe and, for every file that it names, the file's header; and what is to be said of them.

    hashes  what the recipe is to record of its files; None where it is to record nothing
    """

    recipe: Recipe
    headers: Mapping[str, Header]
    notes: tuple[str, ...] = ()
    hashes: InputHashes | None = None


def read_request(options: argparse.Namespace) -> Request:
    """Read the flags (or the recipe) and every file's header; all unreadable files are told at once."""
    book = HashBook(data_folder(options))
    found = _from_recipe(options, book) if options.recipe is not None else Found(*_from_flags(options))
    recipe, headers = found.recipe, headers_of(found.paths)
    if options.step_by_step:
        recipe = replace(recipe, stepwise=True)
    hashes = None
    if getattr(options, "hashes", False):
        hashes = InputHashes(book, found.paths, autov3=options.autov3)
        recipe = hashes.planned(recipe)
    return Request(recipe, headers, found.notes, hashes)


def headers_of(paths: Mapping[str, Path]) -> dict[str, Header]:
    """Every file's header; all unreadable files are told at once."""
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


def data_folder(options: argparse.Namespace) -> Path | None:
    """Where the desk keeps history and hashes: --data, MERGE_DESK_DATA, or the usual place if it is there."""
    named = getattr(options, "data", None) or os.environ.get("MERGE_DESK_DATA")
    if named:
        return Path(named)
    return USUAL_DATA if USUAL_DATA.is_dir() else None


def kept_alignments(options: argparse.Namespace) -> Alignments:
    """What the desk has found out about how models lie in each other, and what this command finds."""
    from lib_merge.rebasin import Alignments

    data = data_folder(options)
    return Alignments(data / "alignments" if data else None)


def _from_recipe(options: argparse.Namespace, book: HashBook) -> Found:
    if options.models:
        raise RecipeError(
            "models were given beside a recipe, which names its own", hint="leave one of them out"
        )
    given = [
        f"--{name.replace('_', '-')}" for name in _recipe_flags(options) if getattr(options, name) is not None
    ]
    if given:
        raise RecipeError(
            f"{', '.join(given)} cannot be given beside a recipe", hint="write it into the recipe"
        )
    read = recipe_in(sys.stdin.read()) if options.recipe == "-" else read_imported(options.recipe)
    recipe = read.recipe
    is_file = options.recipe != "-" and "\n" not in options.recipe and Path(options.recipe).is_file()
    beside = [Path(options.recipe).resolve().parent] if is_file else []
    named = [Path(folder) for folder in options.folders or ()]
    folders = Folders(named or beside or [Path()], given=bool(named))

    def hashes(path: Path) -> Hashes:
        return book.hashes(path, wanted_by(recipe), progress=progress)

    with progress_bar() as progress:
        found = find_ingredients(
            recipe,
            folders.named,
            folders.paths,
            hashes,
            trust_names=options.trust_names,
        )
    return replace(found, notes=(*read.notes, *found.notes))


def _recipe_flags(options: argparse.Namespace) -> Iterator[str]:
    names = {parameter.name for method in METHODS.all() for parameter in method.parameters}
    return (name for name in vars(options) if name in names | SAVING)


class Folders:
    """The files below the folders of --models, or of where a recipe lies; listed once, and only if asked for.

    given  whether the folders were named; others may hold anything, and are not searched needlessly
    """

    def __init__(self, folders: Sequence[Path], *, given: bool) -> None:
        self._folders, self._given = folders, given
        self._files: list[Named] | None = None

    def named(self, wanted: Recorded) -> Fits:
        """The files that a name fits; a name that is a path from one of the folders is the file there."""
        direct = distinct(path for folder in self._folders for path in _at(folder, wanted.file))
        if direct and not self._given:
            return Fits(direct)
        fits = fitting(wanted.file, self._listed())
        if not direct:
            return fits
        return Fits(direct, distinct((*direct, *fits.files, *fits.also))[len(direct) :])

    def paths(self) -> list[Path]:
        """Every checkpoint."""
        return [each.path for each in self._listed()]

    def _listed(self) -> list[Named]:
        if self._files is None:
            self._files = [each for folder in self._folders for each in files_in(folder)]
        return self._files


def _at(folder: Path, file: str) -> list[Path]:
    """The file of that path in a folder, or those that have it but for their endings."""
    place = folder / file
    with suppress(OSError, ValueError):  # a text that can be no path, or a folder that cannot be read
        if place.is_file():
            return [place]
        beside = [each for each in sorted(place.parent.iterdir()) if is_checkpoint(each)]
        return [each for each in beside if without_ending(each.name) == place.name and each.is_file()]
    return []


def _from_flags(options: argparse.Namespace) -> tuple[Recipe, dict[str, Path]]:
    if len(options.models) > len(NAMES):
        raise RecipeError(
            f"{len(options.models)} models were given; {len(NAMES)} fit on a command line", hint="--recipe"
        )
    method = METHODS.get(options.method)
    method.check_models(len(options.models))
    layout_by_name(options.layout)
    given = [Path(model) for model in options.models]
    vae = _vae_choice(options.vae)
    if vae and vae not in VAE_WORDS:
        given.append(Path(vae))
    names = told_apart(given)
    files = names[: len(options.models)]
    vae = names[-1] if len(names) > len(files) else vae
    ingredients = tuple(Ingredient(name, file) for name, file in zip(NAMES, files, strict=False))
    paths = dict(zip(names, given, strict=True))
    name = "M" if len(files) <= NAMES.index("M") else "MERGED"  # the thirteenth model is called M
    names = list(NAMES[: len(files)])
    if getattr(options, "align", None):
        ingredients, names = aligned_to_first(ingredients, base=method.purpose == "difference")
    step = Step(name, method.id, tuple(names), tuple(sorted(_settings(method, options).items())))
    recipe = Recipe(
        ingredients,
        (step,),
        name,
        vae=vae,
        dtype=_dtype(options),
        text_encoder=options.text_encoder or "",
        ema=options.ema == "use",
        clip=options.overflow == "clip",
        prediction=options.prediction or "",
    )
    return adjusted(recipe, options.adjust or "", where="--adjust"), paths


def _vae_choice(text: str | None) -> str:
    """What --vae says; "" where it was not given. RecipeError where it was, with nothing behind it."""
    if text is not None and not text.strip():
        raise RecipeError("--vae names no VAE", hint="--vae a, b, blend, none, or a file; or leave it out")
    return text or ""


def _dtype(options: argparse.Namespace) -> Dtype | None:
    return parse_save_dtype(SOURCE if options.dtype is None else options.dtype)


def _settings(method: Method, options: argparse.Namespace) -> dict[str, Setting]:
    """What the flags set of the method's parameters; a flag of another method is a mistake."""
    settings: dict[str, Setting] = {}
    every = dict.fromkeys(parameter.name for other in METHODS.all() for parameter in other.parameters)
    for name in every:
        text = _flag_of(method, name, name, options)
        if text is not None:
            settings[name] = _read_setting(method.parameter(name), text)
    for name, flag in LISTS.items():
        text = _flag_of(method, name, flag, options)
        if text is not None:
            settings[name] = read_weights(
                text,
                layout=options.layout,
                given=settings.get(name),
                default=method.parameter(name).default,
                where=f"--{flag.replace('_', '-')}",
            )
    return settings


def _flag_of(method: Method, parameter: str, flag: str, options: argparse.Namespace) -> str | None:
    """The text given with a flag, or None; raises where the method has no such parameter."""
    text: str | None = getattr(options, flag)
    if text is not None and parameter not in {known.name for known in method.parameters}:
        given = f"--{flag.replace('_', '-')}"
        raise MethodError(f"{method.id} takes no {given}", hint=f"merge-desk methods {method.id}")
    return text


def _read_setting(parameter: Parameter, text: str) -> Setting:
    if parameter.kind is bool:
        if text not in ("true", "false"):
            raise RecipeError(f"--{parameter.name} is true or false, not '{text}'")
        return text == "true"
    if parameter.per_model:
        return parse_numbers(text, where=f"--{parameter.name}")
    numbers = parse_numbers(text, where=f"--{parameter.name}")
    if len(numbers) != 1:
        hint = (
            f"--{LISTS[parameter.name].replace('_', '-')} takes a list by block"
            if parameter.name in LISTS
            else ""
        )
        raise RecipeError(f"--{parameter.name} takes one number, and {len(numbers)} were given", hint=hint)
    return numbers[0]
