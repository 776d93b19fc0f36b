"""Settings of a grid's axes that the user has named, in one JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from lib_merge.errors import RecipeError
from lib_merge.json_data import expect_object, expect_text
from lib_merge.store import JsonFile

AXES_FILE = "grid_axes.json"
MOST_AXES_NAME = 60  # characters
MOST_SAVED_AXES = 200


@dataclass(frozen=True)
class SavedAxes:
    """The axes of a grid under a name: x, y, z -> what the axis changes, and its values as text."""

    name: str
    axes: Mapping[str, tuple[str, str]]


def saved_axes(folder: Path) -> tuple[SavedAxes, ...]:
    """All of them, the oldest first; StoreError where the file cannot be read."""
    return _file(folder).read(_parse) or ()


def save_axes(folder: Path, new: SavedAxes) -> None:
    """Add settings of axes, or replace those of this name."""
    name = new.name.strip()
    if not name or len(name) > MOST_AXES_NAME:
        raise RecipeError("saved axes need a name", hint=f"1 to {MOST_AXES_NAME} characters")
    if not any(what.strip() for what, _ in new.axes.values()):
        raise RecipeError("there is no axis to save", hint="choose what X changes first")
    entry, saved = SavedAxes(name, new.axes), saved_axes(folder)
    if all(old.name != name for old in saved):
        saved = (*saved, entry)
    if len(saved) > MOST_SAVED_AXES:
        raise RecipeError(f"{MOST_SAVED_AXES} settings of axes are saved already", hint="delete one first")
    _write(folder, tuple(entry if old.name == name else old for old in saved))


def delete_axes(folder: Path, name: str) -> None:
    """Delete the settings of this name, if there are any."""
    _write(folder, tuple(old for old in saved_axes(folder) if old.name != name))


def _file(folder: Path) -> JsonFile:
    return JsonFile(folder / AXES_FILE, "the saved axes", "axes")


def _write(folder: Path, saved: tuple[SavedAxes, ...]) -> None:
    _file(folder).write({"saved": [{"name": entry.name, "axes": dict(entry.axes)} for entry in saved]})


def _parse(data: object) -> tuple[SavedAxes, ...]:
    rows = expect_object(data)["saved"]
    if not isinstance(rows, list):
        raise ValueError("'saved' is no list")
    return tuple(map(_saved, cast("list[object]", rows)))


def _saved(row: object) -> SavedAxes:
    fields = expect_object(row)
    axes = expect_object(fields["axes"])
    return SavedAxes(expect_text(fields["name"]), {name: _pair(value) for name, value in axes.items()})


def _pair(value: object) -> tuple[str, str]:
    if not isinstance(value, list) or len(cast("list[object]", value)) != 2:
        raise ValueError("an axis is no pair of name and values")
    what, text = cast("list[object]", value)
    return expect_text(what), expect_text(text)
