"""Which blocks an axis moves, in SuperMerger's words: `IN05`, `OUT10 OUT11`, `OUT03-OUT06`, `NOT M00`.

A block is a slot of the family or a name for several of them (BASE on SDXL). A number may stand behind
each word: `IN05=0.3 OUT03-OUT06=0.5`. (hako-mikan/sd-webui-supermerger 0b1c491, scripts/mergers/xyplot.py,
"pinpoint blocks".)
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from lib_merge.architectures import Family
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.grid.values import split_list

NOT, ALL = "NOT", "ALL"
VAE = "VAE"

Pins = Mapping[str, float | None]


def known_blocks(family: Family) -> tuple[str, ...]:
    """Every name that a block may be called by: the numbers of a list first, then the other slots."""
    return tuple(dict.fromkeys((*family.numbers, *(slot.id for slot in family.slots))))


def slots_of(name: str, family: Family) -> tuple[str, ...]:
    """The slots behind one name; RecipeError for a name that the family has not."""
    slots = family.groups.get(name, (name,))
    if any(slot not in family.slot_by_id for slot in slots):
        known = known_blocks(family)
        raise RecipeError(
            f"{family.title} has no block '{name}'",
            hint=did_you_mean(name, known) or f"blocks are called {known[0]}, {known[1]}, ...",
        )
    return slots


def _run(word: str, family: Family) -> tuple[str, ...]:
    """`OUT03-OUT06`, or `OUT06-OUT03`: every block of the list between two, or one block."""
    first, dash, last = word.partition("-")
    if not dash:
        return slots_of(word, family)
    for name in (first, last):
        slots_of(name, family)
    order = known_blocks(family)
    start, stop = sorted((order.index(first), order.index(last)))
    names = order[start : stop + 1]
    return tuple(slot for name in names for slot in slots_of(name, family))


def read_pins(text: str, family: Family) -> Pins:
    """The slots of one value and the number of each, None where the other axis is to give it.

    NOT in front stands for every block but these; the VAE is never among those, since it is A's unless asked
    for by its name.
    """
    words = text.split()
    turned = bool(words) and words[0].upper() == NOT
    pins: dict[str, float | None] = {}
    for word in words[turned:]:
        name, equals, number = word.partition("=")
        pins.update(dict.fromkeys(_run(name, family), _number(number, word) if equals else None))
    if not pins:
        raise RecipeError(f"'{text}' names no block", hint="IN05, or OUT10 OUT11, or NOT M00")
    if not turned:
        return pins
    if any(number is not None for number in pins.values()):
        raise RecipeError(f"'{text}' gives numbers to the blocks that it leaves out", hint="NOT M00 OUT03")
    return {slot.id: None for slot in family.slots if slot.id not in (*pins, VAE)}


def _number(text: str, word: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RecipeError(f"'{word}' has no number behind its =", hint="IN05=0.3")
    return number


def expand(text: str, family: Family) -> tuple[str, ...]:
    """The values of an axis of blocks: commas or line ends between them; ALL is every block in turn."""
    values: list[str] = []
    for entry in split_list(text):
        if entry.upper() == ALL:
            blocks = [name for name in known_blocks(family) if name != VAE]
            values += dict.fromkeys(blocks)
        else:
            values.append(entry)
    return tuple(values)
