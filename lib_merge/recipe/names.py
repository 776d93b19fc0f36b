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

from lib_merge.checkpoint.suffixes import is_checkpoint, without_suffix
from lib_merge.errors import encodable

ESCAPES = {ord("\b"): "\\b", ord("\f"): "\\f", ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}

Parts = tuple[str, ...]


@dataclass(frozen=True)
class NamedFile:
    """A file and its name in the folder of models: its path below that folder, with "/" and the ending."""

    name: str
    path: Path


@dataclass(frozen=True)
class NameMatch:
    """The files that a name fits.

    files  the files that it names: none, one, or several that it does not distinguish
    others further files that it would fit, had one not exactly this name
    """

    files: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()


def file_below(folder: Path, path: Path) -> NamedFile:
    """A file by its name in a folder of models."""
    return NamedFile(encodable(path.relative_to(folder).as_posix()), path)


def checkpoint_files(folder: Path) -> list[NamedFile]:
    """Every checkpoint in a folder and the folders below it, by its ending; hidden files are left out."""
    paths = (path for path in folder.rglob("*") if is_checkpoint(path) and not path.name.startswith("."))
    return [file_below(folder, path) for path in sorted(paths) if path.is_file()]


def match_name(name: str, files: Iterable[NamedFile]) -> NameMatch:
    """The files that are called so, with or without ending; "\\" parts folders where no name holds one.

    Files of this name, and files of the name with `escape_controls`: together they may be several.
    """
    files = list(files)
    match = _first(_spellings(name), files)
    other = _first(_spellings(escape_controls(name)), files) if escape_controls(name) != name else NameMatch()
    if not match.files or not other.files:
        return match if match.files else other
    return NameMatch(
        distinct_files((*match.files, *other.files)), distinct_files((*match.others, *other.others))
    )


def escape_controls(name: str) -> str:
    """The name with the escapes of control characters, as a path of Windows holds them: SD15\\new."""
    return name.translate(ESCAPES)


def _first(spellings: Iterable[Parts], files: Sequence[NamedFile]) -> NameMatch:
    fits = (_fitting(parts, files) for parts in spellings)
    return next((match for match in fits if match.files), NameMatch())


def _spellings(name: str) -> Iterator[Parts]:
    bare = name.strip()
    for spelling in dict.fromkeys((name, bare, bare.replace("\\", "/"))):
        if parts := _parts(spelling):
            yield parts


def _fitting(parts: Parts, files: Sequence[NamedFile]) -> NameMatch:
    ends = [file for file in files if _ends(parts, file.path)]
    bare = [file for file in files if file not in ends and _ends(parts, file.path, ending=False)]
    for fits in (ends, bare):
        exact = [file for file in fits if parts in (_parts(file.name), _bare(_parts(file.name)))]
        if exact:
            also = [file for file in (*ends, *bare) if file not in exact]
            return NameMatch(
                distinct_files(file.path for file in exact), distinct_files(file.path for file in also)
            )
    return NameMatch(distinct_files(file.path for file in ends or bare))


def distinct_files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The paths of different files; of links to one file the first."""
    path_by_real_path: dict[str, Path] = {}
    for path in paths:
        path_by_real_path.setdefault(_real(path), path)
    return tuple(path_by_real_path.values())


def _real(path: Path) -> str:
    """The path with links resolved; unchanged where it is no valid path, which opening it reports."""
    try:
        return os.path.realpath(path)
    except ValueError:
        return str(path)


def shortest_name(path: Path, others: Iterable[Path]) -> str:
    """The shortest end of a path that fits none of the others, which may hold the path itself."""
    alike = [other for other in others if other.name == path.name]
    apart = [_parts_of(other) for other in distinct_files((path, *alike))[1:]]
    parts = _parts_of(path)
    count = 1
    while count < len(parts) and any(other_parts[-count:] == parts[-count:] for other_parts in apart):
        count += 1
    return str(PurePosixPath(*parts[-count:]))


def full_name(name: str, path: Path) -> str:
    """The name of a file that a name fits: with its ending, and no more folders than it has."""
    whole = _parts_of(path)
    for parts in (*_spellings(name), *_spellings(escape_controls(name))):
        if _ends(parts, path) or _ends(parts, path, ending=False):
            return str(PurePosixPath(*whole[-len(parts) :]))
    return whole[-1]


def unique_names(paths: Sequence[Path]) -> list[str]:
    """For each path its shortest name that fits none of the others."""
    return [shortest_name(path, paths) for path in paths]


def short_labels(files: Iterable[str]) -> list[str]:
    """Names for people, without endings; without folders where they are different all the same."""
    names = list(dict.fromkeys(files))
    bare = [without_suffix(name) for name in names]
    for labels in ([PurePosixPath(name).name for name in bare], bare):
        if len(set(labels)) == len(labels):
            return labels
    return names


def _parts(name: str) -> Parts:
    return PurePosixPath(name).parts


def _parts_of(path: Path) -> Parts:
    return _parts(encodable(path.absolute().as_posix()))


def _bare(parts: Parts) -> Parts:
    return (*parts[:-1], without_suffix(parts[-1])) if parts else parts


def _ends(parts: Parts, path: Path, *, ending: bool = True) -> bool:
    """Whether a path ends with these parts; `ending=False` compares it without its suffix."""
    whole = _parts_of(path) if ending else _bare(_parts_of(path))
    return 0 < len(parts) <= len(whole) and whole[-len(parts) :] == parts
