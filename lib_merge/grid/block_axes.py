"""Axes of some blocks: numbers for one of them, SuperMerger's pinpoint, include and exclude."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from lib_merge.errors import RecipeError
from lib_merge.grid import edit
from lib_merge.grid.blocks import VAE, Pins, expand, read_pins
from lib_merge.grid.cell import BLOCKS, LIMITS, Base, Cell, Kind, Value, read_each, set_on
from lib_merge.grid.values import numbers, shown
from lib_merge.methods import METHODS


def block(name: str, parameter: str = "alpha") -> Kind:
    """`OUT05`, `IN03-IN05`: numbers for some blocks, the others as they are."""

    def read(text: str, base: Base) -> Sequence[Value]:
        read_pins(name, base.family)
        return [Value(shown(number), number) for number in numbers(text)]

    def apply(cell: Cell, value: object, base: Base) -> Cell:
        pins = dict.fromkeys(read_pins(name, base.family), cast("float", value))
        return set_on(cell, parameter, "", lambda old: edit.at_slots(old, pins, base.family))

    return Kind(
        name, f"{parameter} of {name}, the other blocks as they are", True, BLOCKS, read, apply, (name,)
    )


def blocks(parameter: str = "alpha") -> Kind:
    """`blocks`: SuperMerger's pinpoint; which blocks, and an axis of alpha (or = behind each) how much."""

    def read(text: str, base: Base) -> Sequence[Value]:
        return read_each(expand(text, base.family), lambda entry: read_pins(entry, base.family))

    def apply(cell: Cell, value: object, base: Base) -> Cell:
        pins = cast("Pins", value)
        if is_open(value):
            raise RecipeError(
                "these blocks have no number", hint=f"an axis of {parameter} beside them, or IN05=0.3"
            )
        known = {slot: number for slot, number in pins.items() if number is not None}
        return set_on(cell, parameter, "", lambda old: edit.at_slots(old, known, base.family))

    name = "blocks" if parameter == "alpha" else f"{parameter} blocks"
    text = f"IN05, OUT10 OUT11, OUT03-OUT06, NOT M00, ALL; {parameter} from another axis, or IN05=0.3"
    return Kind(name, text, True, BLOCKS, read, apply, (name,))


def is_open(value: object) -> bool:
    """Whether blocks wait for another axis to give the number."""
    pins = cast("Mapping[str, float | None]", value)
    return any(number is None for number in pins.values())


def filled(value: object, number: float) -> Pins:
    """The blocks with that number where they have none of their own."""
    pins = cast("Mapping[str, float | None]", value)
    return {slot: number if own is None else own for slot, own in pins.items()}


def kept_out(name: str) -> Kind:
    """`exclude` leaves these blocks A's; `include` leaves all the others A's."""

    def read(text: str, base: Base) -> Sequence[Value]:
        return read_each(expand(text, base.family), lambda entry: frozenset(read_pins(entry, base.family)))

    def apply(cell: Cell, value: object, base: Base) -> Cell:
        named = cast("frozenset[str]", value)
        every = {slot.id for slot in base.family.slots if slot.id != VAE}
        out = dict.fromkeys(sorted(named & every if name == "exclude" else every - named), 0.0)
        step = edit.step_of(cell.recipe, "alpha")
        ends = METHODS.get(step.method).ends
        at_a = next((end.at for end in ends if end.model == 0 and "alpha" in end.at), None)
        if at_a is None:
            raise RecipeError(f"{step.method} has no setting that leaves a block A's")
        for parameter, number in at_a.items():
            pins = dict.fromkeys(out, number)
            cell = set_on(
                cell, parameter, step.name, lambda old, pins=pins: edit.at_slots(old, pins, base.family)
            )
        return cell

    words = "that stay A's" if name == "exclude" else "that are merged, all the others A's"
    return Kind(name, f"blocks {words}: IN05, OUT10 OUT11, NOT M00", True, LIMITS, read, apply, (name,))
