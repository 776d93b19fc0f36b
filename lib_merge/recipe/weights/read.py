"""Reads block weights from a text of the command line, the page or the API: a list, or rules."""

from __future__ import annotations

import re

from lib_merge.architectures import FAMILIES, parse_numbers
from lib_merge.recipe.model import Amount
from lib_merge.recipe.weights.lists import Numbers, Slots
from lib_merge.recipe.weights.parse import parse_rules
from lib_merge.recipe.weights.rules import Rules, list_or_rules, overlay_rules

LIST = re.compile(r"[\s\d.,;+\-eE()\[\]{}]*")


def read_weights(
    text: str, *, layout: str, plain: object = None, default: float = 0.5, where: str = ""
) -> Amount:
    """Block weights from a text: a list of numbers by block, or rules (see recipe/weights/rules.py).

    plain    the amount that is set without block weights: BASE's where a list leaves it open, and that of
             all tensors that no rule matches
    default  BASE's amount where `plain` is None
    """
    if LIST.fullmatch(text):
        numbers = parse_numbers(text, where=where)
        short = any(len(numbers) == len(family.listed_names) - 1 for family in FAMILIES)
        base = default if plain is None else plain
        plain = float(base) if short and isinstance(base, (int, float)) else None
        return list_or_rules(Numbers(layout, numbers, plain))
    rules = parse_rules(text, layout=layout, slider=plain if isinstance(plain, (int, float)) else None)
    return overlay_rules(plain, rules) if isinstance(plain, (int, float, Numbers, Slots, Rules)) else rules
