"""Presets of block weights: those that are shipped, and the user's own, in one JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from lib_merge.architectures import DEFAULT_LAYOUT, Family, layout_by_name, read_numbers, slot_of
from lib_merge.errors import MergeError, RecipeError
from lib_merge.json_data import expect_number, expect_object, expect_text
from lib_merge.plan.rule_resolver import RuleResolver
from lib_merge.recipe import Numbers, Rules, read_weights
from lib_merge.recipe.imports.preset_files import read_presets
from lib_merge.recipe.weights.presets import describe_preset, family_presets, preset_names
from lib_merge.store import JsonFile

FILE = "presets.json"
MOST_NAME = 60  # characters
CLOSE = 1e-5  # preset files round their numbers to any number of digits


@dataclass(frozen=True)
class NamedPreset:
    """A named set of block weights.

    values  slot -> amount; other slots stay as they are
    own     whether it is the user's, who may rename and delete it
    about   what it is for, "" for nothing
    """

    name: str
    family: str
    values: Mapping[str, float]
    own: bool = False
    about: str = ""


def shipped_presets(family: Family) -> tuple[NamedPreset, ...]:
    """The shipped presets of a family; none for a family without U-Net down/up block pairs."""
    return tuple(
        NamedPreset(name, family.id, values, about=describe_preset(name))
        for name, values in family_presets(family).items()
    )


def own_presets(folder: Path) -> tuple[NamedPreset, ...]:
    """The user's presets of all families, the oldest first; MergeError where the file cannot be read."""
    return _file(folder).read(_presets) or ()


def _file(folder: Path) -> JsonFile:
    return JsonFile(folder / FILE, "your own presets", "presets", has_format=False)


def _presets(rows: object) -> tuple[NamedPreset, ...]:
    if not isinstance(rows, list):
        raise ValueError("it is no list")
    return tuple(map(_preset, cast("list[object]", rows)))


def _preset(row: object) -> NamedPreset:
    fields = expect_object(row)
    return NamedPreset(
        expect_text(fields["name"]),
        expect_text(fields["family"]),
        _values(expect_object(fields["values"])),
        own=True,
    )


def save_preset(folder: Path, preset: NamedPreset) -> None:
    """Add a preset, or replace the one of this name and family."""
    name = preset.name.strip()
    if not name or len(name) > MOST_NAME:
        raise RecipeError("a preset needs a name", hint=f"1 to {MOST_NAME} characters")
    new = NamedPreset(name, preset.family, _values(preset.values), own=True)
    presets = list(own_presets(folder))
    for index, old in enumerate(presets):
        if (old.name, old.family) == (new.name, new.family):
            presets[index] = new
            break
    else:
        presets.append(new)
    _write(folder, presets)


@dataclass(frozen=True)
class ImportedPresets:
    """The result of importing a preset file.

    names            the presets that were added
    already_shipped  names that were skipped, because shipped presets have the same numbers
    rejected         lines that were not understood, with the reason
    """

    names: tuple[str, ...]
    already_shipped: tuple[str, ...]
    rejected: tuple[str, ...]

    @property
    def summary(self) -> str:
        """How many presets were added, and how many are shipped already, as one sentence."""
        count = len(self.names)
        sentence = "1 preset was taken over" if count == 1 else f"{count} presets were taken over"
        here = "1 is" if len(self.already_shipped) == 1 else f"{len(self.already_shipped)} are"
        return sentence + (f"; {here} here already" if self.already_shipped else "")

    def rejected_lines(self, most: int) -> tuple[str, ...]:
        """The first `most` rejected lines, and how many more there are."""
        shown = tuple(f"not taken over: {line}" for line in self.rejected[:most])
        return shown if len(self.rejected) <= most else (*shown, f"and {len(self.rejected) - most} more")


def import_presets(folder: Path, text: str, family: Family) -> ImportedPresets:
    """Add the presets of another tool's file to the user's; see recipe/imports/preset_files.py."""
    texts, rejected = read_presets(text)
    added: list[NamedPreset] = []
    already_shipped: list[str] = []
    for name, weights in texts.items():
        try:
            values = _values_of(weights, family, name)
        except MergeError as problem:
            rejected.append(f"{name}: {problem.what}")
            continue
        if _is_shipped(name, values, family):
            already_shipped.append(name)
        elif not name or len(name) > MOST_NAME:
            rejected.append(f"{name}: a preset's name has 1 to {MOST_NAME} characters")
        else:
            added.append(NamedPreset(name, family.id, values, own=True))
    if added:
        fresh = {(preset.name, preset.family): preset for preset in added}
        kept = [fresh.pop((old.name, old.family), old) for old in own_presets(folder)]
        _write(folder, [*kept, *fresh.values()])
    return ImportedPresets(tuple(preset.name for preset in added), tuple(already_shipped), tuple(rejected))


def _values_of(weights: str, family: Family, where: str) -> Mapping[str, float]:
    """Slot -> amount; RecipeError where tensors of one slot get different amounts."""
    amount = read_weights(weights, layout=DEFAULT_LAYOUT.id, default=0.0, where=where)
    if isinstance(amount, Numbers):
        return read_numbers(
            amount.numbers, family, layout_by_name(amount.layout), base=amount.base or 0.0, where=where
        )
    assert isinstance(amount, Rules)
    resolver = RuleResolver(amount, family, tuple(family.shapes))
    values: dict[str, float] = {}
    for key in family.shapes:
        slot = slot_of(family, key) or ""
        number = resolver.amount(slot, key)
        if values.setdefault(slot, number) != number:
            hint = "use it as rules in the tab Weights"
            raise RecipeError(
                f"its tensors of {slot} have different amounts, and a preset has one for each slot",
                where=where,
                hint=hint,
            )
    return {slot.id: values.get(slot.id, 0.0) for slot in family.slots}


def _is_shipped(name: str, values: Mapping[str, float], family: Family) -> bool:
    there = family_presets(family).get(preset_names().get(name, name))
    return there is not None and all(abs(values[slot] - number) < CLOSE for slot, number in there.items())


def delete_preset(folder: Path, name: str, family: str) -> None:
    """Delete a preset, if there is one of this name."""
    _write(
        folder, [preset for preset in own_presets(folder) if (preset.name, preset.family) != (name, family)]
    )


def rename_preset(folder: Path, old: str, new: str, family: str) -> None:
    """Rename a preset; RecipeError where another one has the new name."""
    presets = own_presets(folder)
    name = new.strip()
    if not name or len(name) > MOST_NAME:
        raise RecipeError("a preset needs a name", hint=f"1 to {MOST_NAME} characters")
    if any((preset.name, preset.family) == (name, family) for preset in presets) and name != old:
        raise RecipeError(f"there is a preset '{name}' already", hint="delete that one first")
    renamed = (old, family)
    _write(
        folder,
        [
            NamedPreset(name, family, preset.values, own=True)
            if (preset.name, preset.family) == renamed
            else preset
            for preset in presets
        ],
    )


def _values(values: Mapping[str, object]) -> dict[str, float]:
    return {slot: expect_number(value) for slot, value in values.items()}


def _write(folder: Path, presets: Sequence[NamedPreset]) -> None:
    rows = [
        {key: value for key, value in asdict(preset).items() if key not in ("own", "about")}
        for preset in presets
    ]
    _file(folder).write(rows)
