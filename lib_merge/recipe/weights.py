"""Block weights as people give them, on a command line, in a text box or to the API: a list, or rules."""

from __future__ import annotations

import re

from lib_merge.architectures import FAMILIES, parse_numbers
from lib_merge.recipe.model import Amount
from lib_merge.recipe.numbers import Numbers, Slots
from lib_merge.recipe.rules import Rules, over, whole
from lib_merge.recipe.rules_text import parse_rules

LIST = re.compile(r"[\s\d.,;+\-eE()\[\]{}]*")


def read_weights(
    text: str, *, layout: str, given: object = None, default: float = 0.5, where: str = ""
) -> Amount:
    """Block weights from a text: a list of numbers by block, or rules (see recipe/rules.py).

    given    the amount that was set besides: BASE's where a list leaves it open, and below rules it is
             that of everything that no rule hits
    default  BASE's where none was given
    """
    if LIST.fullmatch(text):
        numbers = parse_numbers(text, where=where)
        short = any(len(numbers) == len(family.numbers) - 1 for family in FAMILIES)
        base = default if given is None else given
        plain = float(base) if short and isinstance(base, (int, float)) else None
        return whole(Numbers(layout, numbers, plain))
    rules = parse_rules(text, layout=layout, slider=given if isinstance(given, (int, float)) else None)
    return over(given, rules) if isinstance(given, (int, float, Numbers, Slots, Rules)) else rules
