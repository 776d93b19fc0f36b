"""Reads a pasted list of block weights for the faders, and says what is wrong with an incomplete one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lib_merge.architectures import DEFAULT_LAYOUT, Family, layout_by_name
from lib_merge.desk.lists.view import number_layouts
from lib_merge.desk.tabs.mix.view import NumbersResult

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
RANDOM_LETTER = re.compile(r"E?[RUX]|D")  # SuperMerger's letters for a random number
ELEMENTAL_COUNT = 110  # numbers of SuperMerger's elemental list
MAX_WORD = 30  # characters of a wrong number that are shown


def read_list(text: str, family: Family, layout: str = "", *, rest: float = 0.0) -> NumbersResult:
    """What the list sets, or in one sentence why it sets nothing.

    layout  id of the layout, which says what slots outside of the list get; "" for the default one
    rest    the amount that keeps A, for slots that the layout leaves A's
    """
    bare = re.sub(r"^[\[({]|[\])}]$", "", text.strip())
    numbers = [number for number in re.split(r"[,;\s]+", bare) if number]
    why = _problem_of_numbers(numbers)
    if why:
        return NumbersResult(problem=why)
    number_layout = layout_by_name(layout or DEFAULT_LAYOUT.id)
    spreads = next(
        candidate.positions for candidate in number_layouts(family) if candidate.id == number_layout.id
    )
    spread = spreads.get(str(len(numbers)))
    if spread is None:
        takes = " or ".join(", ".join(reversed(list(spreads))).rsplit(", ", 1))
        return NumbersResult(
            problem=f"{len(numbers)} numbers so far; {family.title} takes {takes or 'no list'}."
        )
    return NumbersResult(
        {slot: float(numbers[index]) if index >= 0 else rest for slot, index in spread.items() if index != -1}
    )


def _problem_of_numbers(numbers: Sequence[str]) -> str:
    """Why these are no numbers for faders; "" where they are."""
    wrong_index = next((index for index, number in enumerate(numbers) if not NUMBER.fullmatch(number)), None)
    if wrong_index is None:
        if len(numbers) != ELEMENTAL_COUNT:
            return ""
        return (
            f"SuperMerger's {ELEMENTAL_COUNT} numbers set single layers, not blocks: put them into Rules "
            "on the Weights tab."
        )
    wrong = numbers[wrong_index]
    if RANDOM_LETTER.fullmatch(wrong):
        return f"SuperMerger's {wrong} is a random number: put this list into Rules on the Weights tab."
    return f'Number {wrong_index + 1} is "{wrong[:MAX_WORD]}", which is not a number.'
