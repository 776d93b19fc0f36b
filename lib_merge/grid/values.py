"""The values of an axis as people write them: numbers, ranges, lists, one thing a line.

    0, 0.25, 1        a list
    0-1 [5]           five numbers from 0 to 1, ends included
    0-1 (+0.25)       from 0 in steps of 0.25, as far as 1; (-0.25) downwards
    1-5               in steps of 1

These are the words of the WebUI's own X/Y/Z script (AUTOMATIC1111 v1.10.1, scripts/xyz_grid.py).
Numbers are worked out as fractions of the decimals that were written, so that 0-1 (+0.1) ends at 1.
"""

from __future__ import annotations

import csv
import re
from fractions import Fraction

from lib_merge.errors import RecipeError

DIGITS = r"(?:\d+\.?\d*|\.\d+)"
NUMBER = rf"[+-]?{DIGITS}"
COUNT, STEP = r"\s*\[\s*(?P<count>\d+)\s*\]", rf"\s*\(\s*(?P<step>[+-]{DIGITS})\s*\)"
RANGE = re.compile(rf"(?P<first>{NUMBER})\s*-\s*(?P<last>{NUMBER})(?:{COUNT}|{STEP})?")
MOST = 1000  # values on one axis; more is a slip of the finger
HINT = "numbers (0, 0.25, 1), a range with a count (0-1 [5]) or with a step (0-1 (+0.25))"


def split_list(text: str) -> tuple[str, ...]:
    """The entries of a list between commas or line ends; a value with a comma stands in double quotes."""
    entries: list[str] = []
    for line in text.splitlines():
        entries += next(csv.reader([line], skipinitialspace=True), list[str]())
    return tuple(entry.strip() for entry in entries if entry.strip())


def split_lines(text: str) -> tuple[str, ...]:
    """One value a line; empty lines are passed over."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def split_sets(text: str, *, always: bool = False) -> tuple[str, ...]:
    """One set of rules a line; where there are empty lines, or `always`, what stands between these is a set.

    A set of several lines comes back as one, with semicolons.
    """
    sets = [split_lines(each) for each in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").strip())]
    if len(sets) < 2 and not always:
        return split_lines(text)
    return tuple("; ".join(lines) for lines in sets if lines)


def numbers(text: str, *, whole: bool = False, where: str = "") -> tuple[float, ...]:
    """Every number that the text stands for, in order; raises RecipeError for what is none.

    whole  seeds and steps: fractions are refused, and the count of a range is spread over whole numbers
    """
    found: list[Fraction] = []
    for entry in split_list(text):
        found += _entry(entry, where)
        if len(found) > MOST:
            raise RecipeError(f"'{text}' stands for more than {MOST} values", where=where, hint="fewer")
    if whole:
        odd = [each for each in found if each.denominator != 1]
        if odd and "[" not in text:
            raise RecipeError(f"{float(odd[0]):g} is no whole number", where=where)
        found = [Fraction(round(each)) for each in found]
    return tuple(int(each) if whole else float(each) for each in found)


def _entry(entry: str, where: str) -> list[Fraction]:
    if re.fullmatch(NUMBER, entry):
        return [Fraction(entry)]
    found = RANGE.fullmatch(entry)
    if found is None:
        raise RecipeError(f"'{entry}' is no number and no range", where=where, hint=HINT)
    first, last = Fraction(found["first"]), Fraction(found["last"])
    if found["count"] is not None:
        return _counted(first, last, int(found["count"]), entry, where)
    step = Fraction(found["step"]) if found["step"] else Fraction(1 if last >= first else -1)
    return _stepped(first, last, step, entry, where)


def _counted(first: Fraction, last: Fraction, count: int, entry: str, where: str) -> list[Fraction]:
    if not 1 <= count <= MOST:
        raise RecipeError(f"'{entry}' asks for {count} values", where=where, hint=f"1 to {MOST}")
    if count == 1:
        return [first]
    return [first + (last - first) * place / (count - 1) for place in range(count)]


def _stepped(first: Fraction, last: Fraction, step: Fraction, entry: str, where: str) -> list[Fraction]:
    if step == 0 or (last - first) / step < 0:
        raise RecipeError(f"'{entry}' never gets from {first} to {last}", where=where, hint=HINT)
    count = int((last - first) / step) + 1
    if count > MOST:
        raise RecipeError(f"'{entry}' stands for {count} values", where=where, hint=f"{MOST} at most")
    return [first + step * place for place in range(count)]


def shown(number: float) -> str:
    """A number as a label: at most six digits, without the tail of a fraction that has no end."""
    return str(number) if isinstance(number, int) else f"{number:.6g}"
