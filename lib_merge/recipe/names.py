"""What files are called in a recipe: the end of a path, long enough to fit no other file.

`ink.safetensors`, or `sd15/ink.safetensors` where two files are called ink.safetensors. The file's ending
may be left out. A name fits every file whose path ends so; where one of them has exactly this name in the
folder of models, that file is meant. Names hold no half characters: see errors.encodable.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lib_merge.errors import encodable

ENDINGS = (".safetensors", ".ckpt", ".pt", ".pth")  # of checkpoints and VAE files, in small letters
ESCAPES = {ord("\b"): "\\b", ord("\f"): "\\f", ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """A file and its name in the folder of models: its path below that folder, with "/" and the ending."""

    name: str
    path: Path


@dataclass(frozen=True)
class Fits:
    """The files that a name fits.

    files  those that it names: none, one, or several that cannot be told apart by it
    also   further files that it would fit, had one not exactly this name
    """

    files: tuple[Path, ...] = ()
    also: tuple[Path, ...] = ()


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint (or a VAE file) by its ending, in small letters or capitals."""
    return path.suffix.lower() in ENDINGS


def without_ending(name: str) -> str:
    """A file's name, or the end of its path, without the ending of checkpoints."""
    ending = next((each for each in ENDINGS if name.lower().endswith(each) and len(name) > len(each)), "")
    return name[: len(name) - len(ending)]


def below(folder: Path, path: Path) -> Named:
    """A file by its name in a folder of models."""
    return Named(encodable(path.relative_to(folder).as_posix()), path)


def files_in(folder: Path) -> list[Named]:
    """Every checkpoint in a folder and the folders below it, by its ending; hidden files are left out."""
    found = (path for path in folder.rglob("*") if is_checkpoint(path) and not path.name.startswith("."))
    return [below(folder, path) for path in sorted(found) if path.is_file()]


def fitting(name: str, known: Iterable[Named]) -> Fits:
    """The files that are called so, with or without ending; "\\" parts folders where no name holds one.

    Both what is called so and what `escaped` names: together they may be several.
    """
    files = list(known)
    found = _first(_spellings(name), files)
    other = _first(_spellings(escaped(name)), files) if escaped(name) != name else Fits()
    if not found.files or not other.files:
        return found if found.files else other
    return Fits(distinct((*found.files, *other.files)), distinct((*found.also, *other.also)))


def escaped(name: str) -> str:
    """The name with the escapes of control characters, as a path of Windows holds them: SD15\\new."""
    return name.translate(ESCAPES)


def _first(spellings: Iterable[Parts], files: Sequence[Named]) -> Fits:
    fits = (_fitting(parts, files) for parts in spellings)
    return next((each for each in fits if each.files), Fits())


def _spellings(name: str) -> Iterator[Parts]:
    bare = name.strip()
    for spelling in dict.fromkeys((name, bare, bare.replace("\\", "/"))):
        if parts := _parts(spelling):
            yield parts


def _fitting(parts: Parts, files: Sequence[Named]) -> Fits:
    ends = [each for each in files if _ends(parts, each.path)]
    bare = [each for each in files if each not in ends and _ends(parts, each.path, ending=False)]
    for fits in (ends, bare):
        exact = [each for each in fits if parts in (_parts(each.name), _bare(_parts(each.name)))]
        if exact:
            also = [each for each in (*ends, *bare) if each not in exact]
            return Fits(distinct(each.path for each in exact), distinct(each.path for each in also))
    return Fits(distinct(each.path for each in ends or bare))


def distinct(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The paths of different files; of links to one file the first."""
    found: dict[str, Path] = {}
    for path in paths:
        found.setdefault(_real(path), path)
    return tuple(found.values())


def _real(path: Path) -> str:
    """Where links lead; the path itself where it can be none (a NUL in it), which opening it tells."""
    try:
        return os.path.realpath(path)
    except ValueError:
        return str(path)


def shortest(path: Path, others: Iterable[Path]) -> str:
    """The shortest end of a path that fits none of the others, which may hold the path itself."""
    alike = [other for other in others if other.name == path.name]
    apart = [_parts_of(each) for each in distinct((path, *alike))[1:]]
    parts = _parts_of(path)
    count = 1
    while count < len(parts) and any(each[-count:] == parts[-count:] for each in apart):
        count += 1
    return str(PurePosixPath(*parts[-count:]))


def as_written(name: str, path: Path) -> str:
    """The name of a file that a name fits: with its ending, and no more folders than it has."""
    whole = _parts_of(path)
    for parts in (*_spellings(name), *_spellings(escaped(name))):
        if _ends(parts, path) or _ends(parts, path, ending=False):
            return str(PurePosixPath(*whole[-len(parts) :]))
    return whole[-1]


def told_apart(paths: Sequence[Path]) -> list[str]:
    """The shortest name of each that fits none of the others."""
    return [shortest(path, paths) for path in paths]


def labels(files: Iterable[str]) -> list[str]:
    """Names for people, without endings; without folders where they are different all the same."""
    names = list(dict.fromkeys(files))
    bare = [without_ending(name) for name in names]
    for made in ([PurePosixPath(name).name for name in bare], bare):
        if len(set(made)) == len(made):
            return made
    return names


def _parts(name: str) -> Parts:
    return PurePosixPath(name).parts


def _parts_of(path: Path) -> Parts:
    return _parts(encodable(path.absolute().as_posix()))


def _bare(parts: Parts) -> Parts:
    return (*parts[:-1], without_ending(parts[-1])) if parts else parts


def _ends(parts: Parts, path: Path, *, ending: bool = True) -> bool:
    """Whether a path ends so; without its own ending if asked."""
    whole = _parts_of(path) if ending else _bare(_parts_of(path))
    return 0 < len(parts) <= len(whole) and whole[-len(parts) :] == parts
