"""In which order the merges of a grid are made: each changes as little as it can of the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib_merge.plan import Plan, resolved

MOST = 500  # merges that are put in order; finding the nearest costs the square of their number


@dataclass(frozen=True)
class Print:
    """What a merge comes down to: equal prints are equal merges, however their recipes are written.

    slots  slot -> its expression over files, and the number format
    sizes  slot -> bytes
    """

    slots: Mapping[str, object]
    sizes: Mapping[str, int]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Print) and self.slots == other.slots

    def __hash__(self) -> int:
        return hash(tuple(sorted((slot, repr(value)) for slot, value in self.slots.items())))

    def cost(self, before: Print | None) -> int:
        """How many bytes are computed anew to get here from another merge; all of them from none."""
        old = before.slots if before else dict[str, object]()
        return sum(size for slot, size in self.sizes.items() if old.get(slot) != self.slots[slot])

    def changed(self, before: Print | None) -> tuple[str, ...]:
        """Which slots those bytes belong to."""
        old = before.slots if before else dict[str, object]()
        return tuple(slot for slot in self.sizes if old.get(slot) != self.slots[slot])


def print_of(plan: Plan) -> Print:
    """The print of a planned merge: files by their paths and the state that their headers were read in."""
    files = [(str(header.path), header.file_size) for header in plan.sources]
    known: dict[int, object] = {}  # keys share expressions
    sizes: dict[str, int] = {}
    slots: dict[str, dict[object, None]] = {}
    for entry in plan.keys:
        sizes[entry.slot] = sizes.get(entry.slot, 0) + entry.nbytes
        if entry.expression is not None:
            if id(entry.expression) not in known:
                known[id(entry.expression)] = resolved(entry.expression, files)
            told = entry.key if entry.slot in plan.by_key else ""  # rules tell such a slot's tensors apart
            slots.setdefault(entry.slot, {})[told, known[id(entry.expression)], entry.dtype.label] = None
    return Print({slot: tuple(slots.get(slot, ())) for slot in sizes}, sizes)


def in_order(prints: Sequence[Print], now: Print | None) -> tuple[int, ...]:
    """Places of the prints, each the nearest to the one before, from what is in memory now.

    The nearest neighbour is no proof of the shortest way, but on one or two axes of amounts it is the way a
    person would go; among equals the order that the axes were written in stays.
    """
    if len(prints) > MOST:
        return tuple(range(len(prints)))
    left, order, here = list(range(len(prints))), list[int](), now
    while left:
        following = min(left, key=lambda place: prints[place].cost(here))
        left.remove(following)
        order.append(following)
        here = prints[following]
    return tuple(order)
