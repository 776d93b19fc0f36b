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
from lib_merge.grid.axes.values import format_number, parse_axis_numbers, split_list, split_sets
from lib_merge.grid.blocks import ALL_BLOCKS, SlotNumbers, expand_blocks, read_slot_numbers
from lib_merge.grid.cell import (
    AxisKind,
    AxisRank,
    AxisValue,
    GridBase,
    GridCell,
    OpenValue,
    read_values,
    with_parameter,
)
from lib_merge.recipe import Rules, parse_rules
from lib_merge.recipe.weights.rules import XL

BLOCK_WORD = re.compile(r"[A-Z][A-Z0-9-]*")
ELEMENT = re.compile(r"(?:\d+\.)*[a-z_][\w.]*")


def block_axis(name: str, parameter: str = "alpha") -> AxisKind:
    """`OUT05`, `IN03-IN05`: a number for these blocks; the others stay as they are."""

    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        read_slot_numbers(name, base.family)
        return [AxisValue(format_number(number), number) for number in parse_axis_numbers(text)]

    def apply(cell: GridCell, value: object, base: GridBase) -> GridCell:
        pins = dict.fromkeys(read_slot_numbers(name, base.family), cast("float", value))
        return with_parameter(cell, parameter, "", lambda old: edit.with_slots(old, pins, base.family))

    return AxisKind(
        name,
        f"{parameter} of {name}, the other blocks as they are",
        True,
        AxisRank.BLOCKS,
        read,
        apply,
        (name,),
    )


@dataclass(frozen=True)
class Elements(OpenValue):
    """The target of a rule that takes its number from another axis: `OUT03-OUT05 attn2`, `OUT03:attn2`."""

    target: str

    def with_number(self, number: float) -> Rules:
        """The rule for this target with this number."""
        return parse_rules(f"{self.target}: {number!r}")


def _read_blocks(entry: str, base: GridBase) -> SlotNumbers | Elements | Rules:
    """The value of one entry: blocks by name, or with lowercase words (parts of keys) rules or a target."""
    names = [word.partition("=")[0] for word in entry.split()]
    if all(name.upper() == name and "*" not in name for name in names) and ":" not in entry:
        return read_slot_numbers(entry, base.family)
    if ":" in entry and not _lacks_ratio(entry):
        return parse_rules(entry)
    return Elements(entry) if Elements(entry).with_number(0.0) else {}


def _lacks_ratio(entry: str) -> bool:
    """Whether the entry is SuperMerger's BLOCKS:ELEMENTS without a ratio."""
    blocks, _, rest = entry.partition(":")
    elements = rest.split()
    elements = elements[elements[:1] == ["NOT"] and len(elements) > 1 :]
    blocks_match = all(BLOCK_WORD.fullmatch(word) for word in blocks.split())
    return blocks_match and all(ELEMENT.fullmatch(word) for word in elements)


def blocks_axis(parameter: str = "alpha") -> AxisKind:
    """`blocks`: SuperMerger's pinpoint; numbers come from an axis of alpha, or follow the blocks after =."""

    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        return read_values(expand_blocks(text, base.family), lambda entry: _read_blocks(entry, base))

    def apply(cell: GridCell, value: object, base: GridBase) -> GridCell:
        if isinstance(value, Rules):
            return with_parameter(cell, parameter, "", lambda old: edit.with_rules(old, value))
        if is_open_value(value):
            raise RecipeError(
                "these blocks have no number", hint=f"an axis of {parameter} beside them, or IN05=0.3"
            )
        pins = {slot: number for slot, number in cast("SlotNumbers", value).items() if number is not None}
        return with_parameter(cell, parameter, "", lambda old: edit.with_slots(old, pins, base.family))

    name = "blocks" if parameter == "alpha" else f"{parameter} blocks"
    text = f"IN05, OUT10 OUT11, OUT03-OUT06 attn2, NOT M00, ALL; {parameter} from another axis, or IN05=0.3"
    plain = parameter == "alpha"
    return AxisKind(
        name,
        text,
        True,
        AxisRank.BLOCKS,
        read,
        apply,
        (name,),
        aliases=("pinpoint blocks", "pinpoint element") if plain else (),
        number_from=parameter,
        in_webui=plain,
    )


def extended_blocks_axis() -> AxisKind:
    """`XL blocks`: SuperMerger's pinpoint element ext: its extended names of SDXL, and elements of them."""

    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        listed: list[str] = []
        for entry in split_list(text):
            names = [name for name in EXTENDED_NAMES if name not in ("IN0", "VAE")]  # no tensors; stays A's
            listed += names if entry == ALL_BLOCKS else [entry]
        return read_values(listed, _read_extended)

    def apply(cell: GridCell, value: object, base: GridBase) -> GridCell:
        if isinstance(value, Rules):
            return with_parameter(cell, "alpha", "", lambda old: edit.with_rules(old, value))
        raise RecipeError(
            "these names have no number", hint="an axis of alpha beside them, or IN40:attn1:0.3"
        )

    text = "SuperMerger's extended names of SDXL: IN40, OUT00:attn1, ALL; alpha by another axis, or IN40::0.3"
    return AxisKind(
        "XL blocks",
        text,
        True,
        AxisRank.BLOCKS,
        read,
        apply,
        ("XL blocks",),
        aliases=("pinpoint element ext",),
        number_from="alpha",
        in_webui=True,
    )


def _read_extended(entry: str) -> Elements | Rules:
    """The rules of one entry of extended names, or their target where the entry has no number."""
    marked = f"{XL} {entry.removeprefix(XL).strip()}"
    if entry.count(":") == 2:
        return parse_rules(marked)
    open_elements = Elements(marked if ":" in entry else f"{marked}:")
    open_elements.with_number(0.0)
    return open_elements


def is_open_value(value: object) -> bool:
    """Whether a value of an axis of blocks takes its number from another axis."""
    if isinstance(value, Mapping):
        return any(number is None for number in cast("SlotNumbers", value).values())
    return isinstance(value, OpenValue)


def fill_value(value: object, number: float) -> object:
    """The value with this number wherever it has none of its own."""
    if isinstance(value, OpenValue):
        return value.with_number(number)
    return {slot: number if own is None else own for slot, own in cast("SlotNumbers", value).items()}


def elements_axis(split: Callable[[str], Sequence[str]] = split_sets) -> AxisKind:
    """`elements`: rules laid over alpha, one set a line; SuperMerger's elemental syntax is read too.

    split  splits the text into sets
    """

    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        return read_values(split(text), parse_rules)

    def apply(cell: GridCell, value: object, base: GridBase) -> GridCell:
        return with_parameter(cell, "alpha", "", lambda old: edit.with_rules(old, cast("Rules", value)))

    text = (
        "rules over alpha, one set a line: OUT03-OUT05 attn2: 0.4; or SuperMerger's OUT03:attn2:0.4; with "
        "empty lines, what stands between them is a set"
    )
    return AxisKind(
        "elements",
        text,
        True,
        AxisRank.BLOCKS,
        read,
        apply,
        ("elements",),
        lines=True,
        split=split,
        in_webui=True,
    )


def elemental_axis() -> AxisKind:
    """`elemental`, `add elemental`: SuperMerger's `elements`, whose sets only empty lines separate."""
    return elements_axis(partial(split_sets, always=True))


def restriction_axis(name: str) -> AxisKind:
    """`exclude`: these blocks stay A's; `include`: all others do. Any target of a rule can be named."""

    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        return read_values(expand_blocks(text, base.family), lambda entry: parse_rules(f"{name} {entry}"))

    def apply(cell: GridCell, value: object, base: GridBase) -> GridCell:
        step = edit.amount_step(cell.recipe)
        return with_parameter(cell, step[1], step[0], lambda old: edit.with_rules(old, cast("Rules", value)))

    effect = "that stay A's" if name == "exclude" else "that are merged, all the others A's"
    text, aliases = f"blocks {effect}: IN05, OUT10 OUT11, NOT M00", (f"{name} blocks", f"add {name}")
    return AxisKind(
        name, text, True, AxisRank.RESTRICTIONS, read, apply, (name,), aliases=aliases, in_webui=True
    )


def block_kinds() -> tuple[AxisKind, ...]:
    """The axes of blocks with fixed names; `block_axis` makes the others."""
    return (
        blocks_axis(),
        blocks_axis("beta"),
        extended_blocks_axis(),
        elements_axis(),
        restriction_axis("include"),
        restriction_axis("exclude"),
    )
