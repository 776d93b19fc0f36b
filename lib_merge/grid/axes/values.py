"""Parses the values of an axis: numbers, ranges, lists, one value a line.

    0, 0.25, 1        a list
    0-1 [5]           five numbers from 0 to 1, ends included
    0-1 (+0.25)       from 0 in steps of 0.25, as far as 1; (-0.25) downwards
    1-5               in steps of 1

This is the notation of the WebUI's own X/Y/Z script (AUTOMATIC1111 v1.10.1, scripts/xyz_grid.py). Numbers
are computed as decimal fractions, so that 0-1 (+0.1) ends at 1.
"""

from __future__ import annotations

import csv
import math
import re
from fractions import Fraction

from lib_merge.errors import RecipeError
from lib_merge.limits import MAX_AXIS, check_text

DIGITS = r"(?:\d+(?:\.\d*)?|\.\d+)"
NUMBER = rf"[+-]?{DIGITS}"
COUNT, STEP = r"\s*\[\s*(?P<count>\d+)\s*\]", rf"\s*\(\s*(?P<step>[+-]{DIGITS})\s*\)"
RANGE = re.compile(rf"(?P<first>{NUMBER})\s*-\s*(?P<last>{NUMBER})(?:{COUNT}|{STEP})?")
MOST_VALUE = 1000  # characters of a number or range: Python refuses to read integers of 4,300 digits
MOST = 1000  # values on one axis; more are a typing error
HINT = "numbers (0, 0.25, 1), a range with a count (0-1 [5]) or with a step (0-1 (+0.25))"


def split_list(text: str) -> tuple[str, ...]:
    """The entries of a list, separated by commas or line ends; one with a comma is in double quotes."""
    check_text(text, MAX_AXIS, "this axis")
    entries: list[str] = []
    for line in text.splitlines():
        entries += next(csv.reader([line.replace("\0", " ")], skipinitialspace=True), list[str]())
    return _check_count(tuple(entry.strip() for entry in entries if entry.strip()))


def _check_count(entries: tuple[str, ...]) -> tuple[str, ...]:
    if len(entries) > MOST:
        raise RecipeError(f"there are {len(entries)} values on one axis", hint=f"{MOST} at most")
    return entries


def split_lines(text: str) -> tuple[str, ...]:
    """One value a line; empty lines are skipped."""
    check_text(text, MAX_AXIS, "this axis")
    return _check_count(tuple(line.strip() for line in text.splitlines() if line.strip()))


def split_sets(text: str, *, always: bool = False) -> tuple[str, ...]:
    """One set of rules a line; where there are empty lines, or `always`, these separate the sets.

    The lines of a set are joined with semicolons.
    """
    check_text(text, MAX_AXIS, "this axis")
    sets: list[list[str]] = [[]]
    for line in text.strip().splitlines():
        if line.strip():
            sets[-1].append(line.strip())
        elif sets[-1]:
            sets.append([])
    if len(sets) < 2 and not always:
        return split_lines(text)
    return _check_count(tuple("; ".join(lines) for lines in sets if lines))


def parse_axis_numbers(text: str, *, whole: bool = False, where: str = "") -> tuple[float, ...]:
    """All numbers that the text stands for, in order; RecipeError for anything else.

    whole  for seeds and steps: fractions are refused, and the numbers of a range with a count are rounded
    """
    numbers: list[Fraction] = []
    for entry in split_list(text):
        numbers += _parse_entry(entry, where)
        if len(numbers) > MOST:
            raise RecipeError(f"'{text}' stands for more than {MOST} values", where=where, hint="fewer")
    if whole:
        odd = [number for number in numbers if number.denominator != 1]
        if odd and "[" not in text:
            raise RecipeError(f"{_float(odd[0], where):g} is not an integer", where=where)
        numbers = [Fraction(round(number)) for number in numbers]
    return tuple(int(number) if whole else _float(number, where) for number in numbers)


def _float(number: Fraction, where: str) -> float:
    try:
        return float(number)
    except OverflowError as cause:
        what = f"a number with {len(str(math.floor(abs(number))))} digits is too large"
        raise RecipeError(what, where=where, hint=HINT) from cause


def _parse_entry(entry: str, where: str) -> list[Fraction]:
    if len(entry) > MOST_VALUE:
        raise RecipeError(f"'{entry}' is too long for a number", where=where, hint=HINT)
    if re.fullmatch(NUMBER, entry):
        return [Fraction(entry)]
    match = RANGE.fullmatch(entry)
    if match is None:
        raise RecipeError(f"'{entry}' is no number and no range", where=where, hint=HINT)
    first, last = Fraction(match["first"]), Fraction(match["last"])
    if match["count"] is not None:
        return _range_with_count(first, last, int(match["count"]), entry, where)
    step = Fraction(match["step"]) if match["step"] else Fraction(1 if last >= first else -1)
    return _range_with_step(first, last, step, entry, where)


def _range_with_count(first: Fraction, last: Fraction, count: int, entry: str, where: str) -> list[Fraction]:
    if not 1 <= count <= MOST:
        raise RecipeError(f"'{entry}' asks for {count} values", where=where, hint=f"1 to {MOST}")
    if count == 1:
        return [first]
    return [first + (last - first) * index / (count - 1) for index in range(count)]


def _range_with_step(
    first: Fraction, last: Fraction, step: Fraction, entry: str, where: str
) -> list[Fraction]:
    if step == 0 or (last - first) / step < 0:
        raise RecipeError(f"'{entry}' never gets from {first} to {last}", where=where, hint=HINT)
    count = int((last - first) / step) + 1
    if count > MOST:
        raise RecipeError(f"'{entry}' stands for {count} values", where=where, hint=f"{MOST} at most")
    return [first + step * index for index in range(count)]


def format_number(number: float) -> str:
    """A number as a label, rounded to six significant digits."""
    return str(number) if isinstance(number, int) else f"{number:.6g}"
