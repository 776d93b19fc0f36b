"""Blocks in the values of axes, in SuperMerger's notation: `IN05`, `OUT10 OUT11`, `OUT03-OUT06`, `NOT M00`.

A block is a slot of the family or a group of slots (BASE on SDXL). A number may follow each name:
`IN05=0.3 OUT03-OUT06=0.5`. Source: hako-mikan/sd-webui-supermerger 0b1c491, scripts/mergers/xyplot.py,
"pinpoint blocks".
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from lib_merge.architectures import Family
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.grid.axes.values import split_list
from lib_merge.recipe.weights.rules import NOT, VAE_SLOT_ID

ALL_BLOCKS = "ALL"

SlotNumbers = Mapping[str, float | None]


def blocks_of_family(family: Family) -> tuple[str, ...]:
    """All names of blocks: those that a list has numbers for, in its order, then the other slots."""
    return tuple(dict.fromkeys((*family.listed_names, *(slot.id for slot in family.slots))))


def slots_of_block(name: str, family: Family) -> tuple[str, ...]:
    """The slots of one block; RecipeError for a name that the family does not have."""
    slots = family.groups.get(name, (name,))
    if any(slot not in family.slot_by_id for slot in slots):
        names = blocks_of_family(family)
        raise RecipeError(
            f"{family.title} has no block '{name}'",
            hint=did_you_mean(name, names) or f"blocks are called {names[0]}, {names[1]}, ...",
        )
    return slots


def _slots_of_range(word: str, family: Family) -> tuple[str, ...]:
    """The slots of one block, or of a range of the list's blocks: `OUT03-OUT06`, or `OUT06-OUT03`."""
    first, dash, last = word.partition("-")
    if not dash:
        return slots_of_block(word, family)
    for name in (first, last):
        slots_of_block(name, family)
    order = blocks_of_family(family)
    start, stop = sorted((order.index(first), order.index(last)))
    names = order[start : stop + 1]
    return tuple(slot for name in names for slot in slots_of_block(name, family))


def read_slot_numbers(text: str, family: Family) -> SlotNumbers:
    """Slot -> number, for one value of an axis; None where the number comes from another axis.

    NOT in front selects all blocks except these. It never selects the VAE, which stays A's unless it is
    named.
    """
    words = text.split()
    negated = bool(words) and words[0].upper() == NOT
    pins: dict[str, float | None] = {}
    for word in words[negated:]:
        name, equals, number = word.partition("=")
        pins.update(dict.fromkeys(_slots_of_range(name, family), _number(number, word) if equals else None))
    if not pins:
        raise RecipeError(f"'{text}' names no block", hint="IN05, or OUT10 OUT11, or NOT M00")
    if not negated:
        return pins
    if any(number is not None for number in pins.values()):
        raise RecipeError(f"'{text}' gives numbers to the blocks that it leaves out", hint="NOT M00 OUT03")
    return {slot.id: None for slot in family.slots if slot.id not in (*pins, VAE_SLOT_ID)}


def _number(text: str, word: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RecipeError(f"'{word}' has no number behind its =", hint="IN05=0.3")
    return number


def expand_blocks(text: str, family: Family) -> tuple[str, ...]:
    """The values of an axis of blocks, separated by commas or line ends; ALL stands for all blocks."""
    values: list[str] = []
    for entry in split_list(text):
        if entry.upper() == ALL_BLOCKS:
            blocks = [name for name in blocks_of_family(family) if name != VAE_SLOT_ID]
            values += dict.fromkeys(blocks)
        else:
            values.append(entry)
    return tuple(values)
