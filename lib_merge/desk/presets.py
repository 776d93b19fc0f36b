"""The presets of the desk: those that every mixer ships, and the user's own, in one file of the host."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from lib_merge.architectures import DEFAULT_LAYOUT, Family, layout_by_name, read_numbers, slot_of
from lib_merge.checkpoint import keep_file
from lib_merge.errors import MergeError, RecipeError
from lib_merge.json_data import load_file, number_of, object_of, text_of
from lib_merge.plan.ruler import Ruler
from lib_merge.recipe import Numbers, Rules, read_weights
from lib_merge.recipe.imports.preset_files import read_presets
from lib_merge.recipe.presets import about, curves, preset_names

FILE = "presets.json"
MOST_NAME = 60  # characters
CLOSE = 1e-5  # files have their numbers with as many digits as they like


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
        rows = load_file(path)
        if not isinstance(rows, list):
            raise ValueError("it is no list")
        return tuple(map(_preset, cast("list[object]", rows)))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError) as cause:
        raise RecipeError(
            "your own presets cannot be read", where=FILE, hint="move this file away, or mend it; it is JSON"
        ) from cause


def _preset(row: object) -> Preset:
    found = object_of(row)
    return Preset(
        text_of(found["name"]), text_of(found["family"]), _values(object_of(found["values"])), own=True
    )


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


@dataclass(frozen=True)
class Taken:
    """What came of a preset file.

    known  names that were left, since every desk has these presets under these numbers
    odd    what was not understood, with why
    """

    names: tuple[str, ...]
    known: tuple[str, ...]
    odd: tuple[str, ...]

    @property
    def told(self) -> str:
        """How many, in words."""
        count = len(self.names)
        words = "1 preset was taken over" if count == 1 else f"{count} presets were taken over"
        here = "1 is" if len(self.known) == 1 else f"{len(self.known)} are"
        return words + (f"; {here} here already" if self.known else "")

    def left_out(self, most: int) -> tuple[str, ...]:
        """What was not taken over, and beyond so many of them how many more."""
        shown = tuple(f"not taken over: {each}" for each in self.odd[:most])
        return shown if len(self.odd) <= most else (*shown, f"and {len(self.odd) - most} more")


def take_over(folder: Path, text: str, family: Family) -> Taken:
    """Presets of another tool's file join the user's own; see recipe/imports/preset_files.py."""
    found, odd = read_presets(text)
    made: list[Preset] = []
    known: list[str] = []
    for name, written in found.items():
        try:
            values = _values_of(written, family, name)
        except MergeError as problem:
            odd.append(f"{name}: {problem.what}")
            continue
        if _is_shipped(name, values, family):
            known.append(name)
        elif not name or len(name) > MOST_NAME:
            odd.append(f"{name}: a preset's name has 1 to {MOST_NAME} characters")
        else:
            made.append(Preset(name, family.id, values, own=True))
    if made:
        fresh = {(each.name, each.family): each for each in made}
        kept = [fresh.pop((old.name, old.family), old) for old in own(folder)]
        _write(folder, [*kept, *fresh.values()])
    return Taken(tuple(each.name for each in made), tuple(known), tuple(odd))


def _values_of(written: str, family: Family, where: str) -> Mapping[str, float]:
    """Slot -> amount; RecipeError where tensors of one slot would differ, which no fader can say."""
    amount = read_weights(written, layout=DEFAULT_LAYOUT.id, default=0.0, where=where)
    if isinstance(amount, Numbers):
        return read_numbers(
            amount.numbers, family, layout_by_name(amount.layout), base=amount.base or 0.0, where=where
        )
    assert isinstance(amount, Rules)
    ruler = Ruler(amount, family, tuple(family.shapes))
    values: dict[str, float] = {}
    for key in family.shapes:
        slot = slot_of(family, key) or ""
        number = ruler.at(slot, key)
        if values.setdefault(slot, number) != number:
            hint = "try it as rules in the room Weights"
            raise RecipeError(f"its tensors of {slot} differ, which no fader can say", where=where, hint=hint)
    return {slot.id: values.get(slot.id, 0.0) for slot in family.slots}


def _is_shipped(name: str, values: Mapping[str, float], family: Family) -> bool:
    there = curves(family).get(preset_names().get(name, name))
    return there is not None and all(abs(values[slot] - number) < CLOSE for slot, number in there.items())


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


def _values(found: Mapping[str, object]) -> dict[str, float]:
    return {slot: number_of(value) for slot, value in found.items()}


def _write(folder: Path, presets: Sequence[Preset]) -> None:
    rows = [
        {key: value for key, value in asdict(preset).items() if key not in ("own", "about")}
        for preset in presets
    ]
    keep_file(folder / FILE, json.dumps(rows, indent=1))
