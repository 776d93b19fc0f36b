"""What every text from outside is held to before it is read: a length, whole characters, a depth.

The readers take time in proportion to a text's length, so that a limit is also a limit of time.
"""

from __future__ import annotations

import re

from lib_merge.errors import RecipeError

MOST_RECIPE = 1 << 20  # characters of a recipe, an infotext, or another tool's recipe
MOST_HISTORY = 1 << 22  # characters of SuperMerger's mergehistory.csv: about 6,000 merges
MOST_YAML = 1 << 15  # characters of a mergekit configuration: its parser is slow
MOST_RULES = 1 << 17  # characters of block weights
MOST_ENTRY = 1 << 14  # characters of one rule, one sum of models, one value of an axis
MOST_AXIS = 1 << 17  # characters of the values of an axis
MOST_NUMBERS = 1000  # in a list of numbers; the longest that is read has 110
MOST_DEPTH = 50  # brackets within brackets
MOST_DIGITS = 400  # of a number; more is a slip, and Python refuses whole numbers of 4,300
OPENING, CLOSING = "([{", ")]}"
HALF = re.compile(r"[\ud800-\udfff]")


def require_text(text: str, most: int, what: str = "this text", *, where: str = "") -> None:
    """Raise RecipeError for a text that is longer than `most` characters, or holds half of a character."""
    if len(text) > most:
        raise RecipeError(f"{what} has {len(text)} characters", where=where, hint=f"{most} at most")
    half = HALF.search(text)
    if half is not None:
        raise RecipeError(
            f"{what} holds half of a character ({half[0]!r}) at place {half.start() + 1}",
            where=where,
            hint="copy it again, as UTF-8",
        )


def require_shallow(text: str, what: str = "this text", *, where: str = "") -> None:
    """Raise RecipeError where brackets stand within more than MOST_DEPTH others, or may do."""
    depth = 0
    for character in text:
        if character in OPENING:
            depth += 1
            if depth > MOST_DEPTH:
                raise RecipeError(
                    f"{what} has more than {MOST_DEPTH} brackets within each other",
                    where=where,
                    hint="give the inner parts names of their own",
                )
        elif character in CLOSING:
            depth = max(depth - 1, 0)
