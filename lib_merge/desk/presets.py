"""The presets of the desk: those that every mixer ships, and the user's own, in one file of the host."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from lib_merge.architectures import Family
from lib_merge.errors import OutputError, RecipeError
from lib_merge.recipe.presets import about, curves

FILE = "presets.json"
MOST_NAME = 60  # characters


@dataclass(frozen=True)
class Preset:
    """Amounts under a name.

    values  slot -> amount; slots that it does not name stay as they are
    own     whether it is the user's, who may rename and delete it
    about   what it is meant for, where there is something to say
    """

    name: str
    family: str
    values: Mapping[str, float]
    own: bool = False
    about: str = ""


def shipped(family: Family) -> tuple[Preset, ...]:
    """The curves for a family's blocks; none for a family whose blocks do not face each other."""
    return tuple(
        Preset(name, family.id, values, about=about(name)) for name, values in curves(family).items()
    )


def own(folder: Path) -> tuple[Preset, ...]:
    """The user's presets, of all families, in the order of their making; raises where the file is no such."""
    path = folder / FILE
    try:
        rows = cast("list[dict[str, Any]]", json.loads(path.read_text(encoding="utf-8")))
        return tuple(
            Preset(str(row["name"]), str(row["family"]), _values(row["values"]), own=True) for row in rows
        )
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as cause:
        raise RecipeError(
            "your own presets cannot be read", where=FILE, hint="move this file away, or mend it; it is JSON"
        ) from cause


def keep(folder: Path, preset: Preset) -> None:
    """Add a preset; one of the same name and family is replaced, in its place."""
    name = preset.name.strip()
    if not name or len(name) > MOST_NAME:
        raise RecipeError("a preset needs a name", hint=f"1 to {MOST_NAME} characters")
    new = Preset(name, preset.family, _values(preset.values), own=True)
    known = list(own(folder))
    for place, old in enumerate(known):
        if (old.name, old.family) == (new.name, new.family):
            known[place] = new
            break
    else:
        known.append(new)
    _write(folder, known)


def drop(folder: Path, name: str, family: str) -> None:
    """Forget a preset; one that is not there is forgotten already."""
    _write(folder, [each for each in own(folder) if (each.name, each.family) != (name, family)])


def rename(folder: Path, old: str, new: str, family: str) -> None:
    """Give a preset another name; refused where another one is called so."""
    known = own(folder)
    name = new.strip()
    if not name or len(name) > MOST_NAME:
        raise RecipeError("a preset needs a name", hint=f"1 to {MOST_NAME} characters")
    if any((each.name, each.family) == (name, family) for each in known) and name != old:
        raise RecipeError(f"there is a preset '{name}' already", hint="delete that one first")
    here = (old, family)
    _write(
        folder,
        [
            Preset(name, family, each.values, own=True) if (each.name, each.family) == here else each
            for each in known
        ],
    )


def _values(found: Mapping[str, Any]) -> dict[str, float]:
    values = {str(slot): float(value) for slot, value in found.items()}
    if not all(map(math.isfinite, values.values())):
        raise ValueError("a preset holds finite numbers")
    return values


def _write(folder: Path, presets: Sequence[Preset]) -> None:
    rows = [
        {key: value for key, value in asdict(preset).items() if key not in ("own", "about")}
        for preset in presets
    ]
    path = folder / FILE
    part = path.with_name(f".{FILE}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        part.replace(path)
    except OSError as cause:
        part.unlink(missing_ok=True)
        raise OutputError("the preset cannot be kept", where=f"{FILE}: {cause.strerror}") from cause
