"""The order in which a grid's merges are computed: each changes as little as possible of the previous."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib_merge.plan import Plan, substitute_sources

MOST = 500  # merges; a grid with more is computed in the written order, since the search is quadratic


@dataclass(frozen=True)
class MergeSignature:
    """What a merge computes: equal signatures are equal merges, however their recipes are written.

    slots  slot -> its expressions over files, with their dtypes
    sizes  slot -> bytes
    """

    slots: Mapping[str, object]
    sizes: Mapping[str, int]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MergeSignature) and self.slots == other.slots

    def __hash__(self) -> int:
        return hash(tuple(sorted((slot, repr(value)) for slot, value in self.slots.items())))

    def cost(self, before: MergeSignature | None) -> int:
        """The number of bytes that differ from the merge `before`; all bytes without one."""
        slots_before = before.slots if before else dict[str, object]()
        return sum(size for slot, size in self.sizes.items() if slots_before.get(slot) != self.slots[slot])

    def changed(self, before: MergeSignature | None) -> tuple[str, ...]:
        """The slots that differ from the merge `before`; all slots without one."""
        slots_before = before.slots if before else dict[str, object]()
        return tuple(slot for slot in self.sizes if slots_before.get(slot) != self.slots[slot])


def signature_of_plan(plan: Plan) -> MergeSignature:
    """The signature of a planned merge; files are identified by path and size."""
    files = [(str(header.path), header.file_size) for header in plan.sources]
    substituted: dict[int, object] = {}  # by the id of an expression, which many keys share
    sizes: dict[str, int] = {}
    slots: dict[str, dict[object, None]] = {}
    for entry in plan.keys:
        sizes[entry.slot] = sizes.get(entry.slot, 0) + entry.nbytes
        if entry.expression is not None:
            if id(entry.expression) not in substituted:
                substituted[id(entry.expression)] = substitute_sources(entry.expression, files)
            expression = substituted[id(entry.expression)]
            # rules give the tensors of such a slot different amounts
            own_key = entry.key if entry.slot in plan.per_key_slots else ""
            slots.setdefault(entry.slot, {})[own_key, expression, entry.dtype.label] = None
    return MergeSignature({slot: tuple(slots.get(slot, ())) for slot in sizes}, sizes)


def merge_order(signatures: Sequence[MergeSignature], loaded: MergeSignature | None) -> tuple[int, ...]:
    """Indices of the signatures: the one nearest to the merge in memory first, then the one nearest to that.

    The nearest neighbour does not always give the shortest order, but along one or two axes of amounts it
    gives the natural one. Among equally near merges the written order is kept.

    loaded  the signature of the merge in memory; None where it is unknown
    """
    if len(signatures) > MOST:
        return tuple(range(len(signatures)))
    remaining, order, current = list(range(len(signatures))), list[int](), loaded
    while remaining:
        nearest = min(remaining, key=lambda index: signatures[index].cost(current))
        remaining.remove(nearest)
        order.append(nearest)
        current = signatures[nearest]
    return tuple(order)
