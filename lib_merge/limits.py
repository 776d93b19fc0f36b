"""Limits on text from outside, checked before it is parsed: its length, lone surrogates, nested brackets.

The parsers take time in proportion to the length of a text, so a limit on the length also limits the time.
"""

from __future__ import annotations

import re

from lib_merge.errors import RecipeError

MAX_RECIPE = 1 << 20  # characters of a recipe, an infotext, or another tool's recipe file
MAX_HISTORY = 1 << 22  # characters of SuperMerger's mergehistory.csv: about 6,000 merges
MAX_YAML = 1 << 15  # characters of a mergekit configuration: its parser is slow
MAX_RULES = 1 << 17  # characters of block weights
MAX_ENTRY = 1 << 14  # characters of one rule, one sum of models, one value of a grid axis
MAX_AXIS = 1 << 17  # characters of all values of a grid axis
MAX_NUMBERS = 1000  # numbers in a list; the longest list with a meaning has 110
MAX_DEPTH = 50  # levels of nested brackets
MAX_DIGITS = 400  # digits of a number; Python refuses integers of more than 4,300
# the largest seed of NumPy's generator; random seeds are 0 to MAX_SEED, which every host accepts
MAX_SEED = 2**32 - 1
MAX_PICTURE_SEED = 2**63 - 1  # torch's seeds have 64 bits, and other programs write such seeds into infotexts
MAX_SAFE_INTEGER = 2**53 - 1  # JavaScript's Number.MAX_SAFE_INTEGER: up to it a float64 holds every integer
OPENING, CLOSING = "([{", ")]}"
LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def check_text(text: str, max_length: int, what: str = "this text", *, where: str = "") -> None:
    """Raise RecipeError for a text of more than `max_length` characters, or one with a lone surrogate."""
    if len(text) > max_length:
        raise RecipeError(f"{what} has {len(text)} characters", where=where, hint=f"{max_length} at most")
    surrogate = LONE_SURROGATE.search(text)
    if surrogate is not None:
        raise RecipeError(
            f"{what} contains half of a character ({surrogate[0]!r}) at position {surrogate.start() + 1}",
            where=where,
            hint="copy it again, as UTF-8",
        )


def check_nesting(text: str, what: str = "this text", *, where: str = "") -> None:
    """Raise RecipeError for brackets nested more than MAX_DEPTH deep (counted without looking at quotes)."""
    depth = 0
    for character in text:
        if character in OPENING:
            depth += 1
            if depth > MAX_DEPTH:
                raise RecipeError(
                    f"{what} has brackets nested more than {MAX_DEPTH} deep",
                    where=where,
                    hint="give the inner parts names, and use the names",
                )
        elif character in CLOSING:
            depth = max(depth - 1, 0)
