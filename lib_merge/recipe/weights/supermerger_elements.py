"""SuperMerger's `BLOCKS:ELEMENTS:RATIO`: which of its two sets of names for blocks an entry is written in.

Its setting "use extended XL" says it for the whole text. Here a line `use extended XL` does, or XL before
the entry, or any name in the text that only the extended set has: IN40, MID103, OUT010, CLIPL. Names that
both sets have, IN00, OUT00, OUT10, mean blocks otherwise.

Read off hako-mikan/sd-webui-supermerger 0b1c491, scripts/mergers/mergers.py (elementals, blocker).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lib_merge.architectures import EXTENDED_NAMES, FAMILIES
from lib_merge.recipe.weights.rules import EXTENDED, NOT, SUPERMERGER, XL, Line, Rule, Target, WordSet

USE_EXTENDED = re.compile(r"use\s+extended\s+XL", re.IGNORECASE)
SLOTS = {slot.id for family in FAMILIES for slot in family.slots}
ONLY_EXTENDED = (
    frozenset(EXTENDED_NAMES) - SLOTS - {name for family in FAMILIES for name in family.listed_names}
)


def split_elements(blocks: str, elements: str) -> tuple[Target, str]:
    """The target of the first two parts of an entry, and the tool whose names it is marked with."""
    words = blocks.split()
    marked = words[:1] == [XL]
    target = Target(_words(words[marked:]), _words(elements.split()))
    return target, EXTENDED if marked else SUPERMERGER


def _words(words: Sequence[str]) -> WordSet:
    return WordSet(tuple(words[1:]), True) if words[:1] == [NOT] else WordSet(tuple(words))


def with_extended(lines: Sequence[Line], *, always: bool) -> tuple[Line, ...]:
    """The lines, SuperMerger's entries read as extended where one of them can be nothing else."""
    ours = [isinstance(line, Rule) and line.tool == SUPERMERGER for line in lines]
    words = (word for line, own in zip(lines, ours, strict=True) if own for word in _ends(line))
    if not always and not any(word in ONLY_EXTENDED for word in words):
        return tuple(lines)
    return tuple(_extended(line) if own else line for line, own in zip(lines, ours, strict=True))


def _extended(line: Line) -> Line:
    return replace(line, tool=EXTENDED) if isinstance(line, Rule) else line


def _ends(line: Line) -> Iterator[str]:
    for word in line.target.blocks.words if isinstance(line, Rule) else ():
        yield from word.split("-")
