"""Axes of some blocks: numbers for one of them, SuperMerger's pinpoint, include and exclude."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from lib_merge.architectures import EXTENDED_NAMES
from lib_merge.errors import RecipeError
from lib_merge.grid import edit
from lib_merge.grid.blocks import ALL, Pins, expand, read_pins
from lib_merge.grid.cell import BLOCKS, LIMITS, Base, Cell, Kind, Value, Waiting, read_each, set_on
from lib_merge.grid.values import numbers, shown, split_list, split_sets
from lib_merge.recipe import Rules, parse_rules
from lib_merge.recipe.rules import XL

BLOCK_WORD = re.compile(r"[A-Z][A-Z0-9-]*")
ELEMENT = re.compile(r"(?:\d+\.)*[a-z_][\w.]*")


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


@dataclass(frozen=True)
class Elements(Waiting):
    """Tensors that a rule's target names, which wait for a number: `OUT03-OUT05 attn2`, `OUT03:attn2`."""

    target: str

    def at(self, number: float) -> Rules:
        """The rule with that number."""
        return parse_rules(f"{self.target}: {number!r}")


def _pinned(entry: str, base: Base) -> Pins | Elements | Rules:
    """Blocks by name; words in small letters are parts of tensors' names, and with a number rules."""
    names = [word.partition("=")[0] for word in entry.split()]
    if all(name.upper() == name and "*" not in name for name in names) and ":" not in entry:
        return read_pins(entry, base.family)
    if ":" in entry and not _waits(entry):
        return parse_rules(entry)
    return Elements(entry) if Elements(entry).at(0.0) else {}


def _waits(entry: str) -> bool:
    """Whether it is SuperMerger's BLOCKS:ELEMENTS without its ratio."""
    blocks, _, rest = entry.partition(":")
    elements = rest.split()
    elements = elements[elements[:1] == ["NOT"] and len(elements) > 1 :]
    words = all(BLOCK_WORD.fullmatch(word) for word in blocks.split())
    return words and all(ELEMENT.fullmatch(word) for word in elements)


def blocks(parameter: str = "alpha") -> Kind:
    """`blocks`: SuperMerger's pinpoint; which blocks, and an axis of alpha (or = behind each) how much."""

    def read(text: str, base: Base) -> Sequence[Value]:
        return read_each(expand(text, base.family), lambda entry: _pinned(entry, base))

    def apply(cell: Cell, value: object, base: Base) -> Cell:
        if isinstance(value, Rules):
            return set_on(cell, parameter, "", lambda old: edit.with_rules(old, value))
        if is_open(value):
            raise RecipeError(
                "these blocks have no number", hint=f"an axis of {parameter} beside them, or IN05=0.3"
            )
        pins = {slot: number for slot, number in cast("Pins", value).items() if number is not None}
        return set_on(cell, parameter, "", lambda old: edit.at_slots(old, pins, base.family))

    name = "blocks" if parameter == "alpha" else f"{parameter} blocks"
    text = f"IN05, OUT10 OUT11, OUT03-OUT06 attn2, NOT M00, ALL; {parameter} from another axis, or IN05=0.3"
    return Kind(name, text, True, BLOCKS, read, apply, (name,))


def extended_blocks() -> Kind:
    """`XL blocks`: SuperMerger's pinpoint element ext; its extended names of SDXL, elements behind them."""

    def read(text: str, base: Base) -> Sequence[Value]:
        listed: list[str] = []
        for entry in split_list(text):
            every = [name for name in EXTENDED_NAMES if name not in ("IN0", "VAE")]  # no tensor; A's
            listed += every if entry == ALL else [entry]
        return read_each(listed, _extended)

    def apply(cell: Cell, value: object, base: Base) -> Cell:
        if isinstance(value, Rules):
            return set_on(cell, "alpha", "", lambda old: edit.with_rules(old, value))
        raise RecipeError(
            "these names have no number", hint="an axis of alpha beside them, or IN40:attn1:0.3"
        )

    text = "SuperMerger's extended names of SDXL: IN40, OUT00:attn1, ALL; alpha by another axis, or IN40::0.3"
    return Kind("XL blocks", text, True, BLOCKS, read, apply, ("XL blocks",))


def _extended(entry: str) -> Elements | Rules:
    """One entry of extended names, which waits for its number where it has none."""
    marked = f"{XL} {entry.removeprefix(XL).strip()}"
    if entry.count(":") == 2:
        return parse_rules(marked)
    found = Elements(marked if ":" in entry else f"{marked}:")
    found.at(0.0)
    return found


def is_open(value: object) -> bool:
    """Whether blocks wait for another axis to give the number."""
    if isinstance(value, Mapping):
        return any(number is None for number in cast("Pins", value).values())
    return isinstance(value, Waiting)


def filled(value: object, number: float) -> object:
    """A value with that number where it has none of its own."""
    if isinstance(value, Waiting):
        return value.at(number)
    return {slot: number if own is None else own for slot, own in cast("Pins", value).items()}


def elements(split: Callable[[str], Sequence[str]] = split_sets) -> Kind:
    """`elements`: rules over alpha as it is, one set a line; SuperMerger's elemental syntax among them.

    split  what parts the sets
    """

    def read(text: str, base: Base) -> Sequence[Value]:
        return read_each(split(text), parse_rules)

    def apply(cell: Cell, value: object, base: Base) -> Cell:
        return set_on(cell, "alpha", "", lambda old: edit.with_rules(old, cast("Rules", value)))

    text = (
        "rules over alpha, one set a line: OUT03-OUT05 attn2: 0.4; or SuperMerger's OUT03:attn2:0.4; with "
        "empty lines, what stands between them is a set"
    )
    return Kind("elements", text, True, BLOCKS, read, apply, ("elements",), lines=True, split=split)


def elemental() -> Kind:
    """The same under SuperMerger's names, `elemental`, `add elemental`: empty lines alone part its sets."""
    return elements(partial(split_sets, always=True))


def kept_out(name: str) -> Kind:
    """`exclude` leaves these blocks A's; `include` all the others. Parts of names will do as well."""

    def read(text: str, base: Base) -> Sequence[Value]:
        return read_each(expand(text, base.family), lambda entry: parse_rules(f"{name} {entry}"))

    def apply(cell: Cell, value: object, base: Base) -> Cell:
        step = edit.amount_step(cell.recipe)
        return set_on(cell, step[1], step[0], lambda old: edit.with_rules(old, cast("Rules", value)))

    words = "that stay A's" if name == "exclude" else "that are merged, all the others A's"
    return Kind(name, f"blocks {words}: IN05, OUT10 OUT11, NOT M00", True, LIMITS, read, apply, (name,))
