"""What a search may choose from for one dimension: a range of numbers, a list of words, or one fixed value.

0..1              any number from 0 to 1
0..1 step 0.05    0, 0.05, 0.1 ... 1, both ends included
GRAD_V | COSINE   one of these
0.3               this and nothing else
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from lib_merge.errors import RecipeError
from lib_merge.recipe.weights.lists import print_number
from lib_merge.recipe.weights.parse import UNSIGNED_NUMBER

SIGNED = rf"[+-]?{UNSIGNED_NUMBER.pattern}"
RANGE_TEXT = re.compile(
    rf"(?P<low>{SIGNED})\s*(?<!\.)\.\.(?!\.)\s*(?P<high>{SIGNED})(?:\s+step\s+(?P<step>{UNSIGNED_NUMBER.pattern}))?"
)
BAR = "|"
MOST_STEPS = 1_000_000  # of one range: a step as fine as that is none
RANGE_HINT = "0..1, 0..1 step 0.05, GRAD_V | COSINE, or a fixed number such as 0.3"


@dataclass(frozen=True)
class NumberRange:
    """All numbers from `low` to `high`; with a step only low, low + step, ... high."""

    low: float
    high: float
    step: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise RecipeError(f"the range {self} has no end", hint=RANGE_HINT)
        if self.low >= self.high:
            hint = "the smaller number first; one number alone is a fixed value"
            raise RecipeError(f"the range {self} has no numbers to choose from", hint=hint)
        if self.step is None:
            return
        if self._step <= 0:
            raise RecipeError(f"the step of {self} is not above 0", hint=RANGE_HINT)
        steps = self._width / self._step
        if steps.denominator != 1:
            end = self.low + float(int(steps) * self._step)
            hint = f"a step that divides {float(self._width):g}, or {print_number(end)} as the upper end"
            raise RecipeError(f"the steps of {self} do not reach {print_number(self.high)}", hint=hint)
        if steps > MOST_STEPS:
            raise RecipeError(f"{self} has more than {MOST_STEPS} steps", hint="leave the step out")

    def __str__(self) -> str:
        step = "" if self.step is None else f" step {print_number(self.step)}"
        return f"{print_number(self.low)}..{print_number(self.high)}{step}"

    @cached_property
    def _step(self) -> Fraction:
        return Fraction(repr(self.step or 0.0))

    @cached_property
    def _width(self) -> Fraction:
        return Fraction(repr(self.high)) - Fraction(repr(self.low))

    @cached_property
    def _digits(self) -> int:
        """Decimals of a number without a step: a ten thousandth of the range is fine enough, and is read."""
        return max(0, 4 - math.floor(math.log10(self.high - self.low)))

    def nearest(self, number: float) -> float:
        """The nearest number of the range, as a decimal fraction: three steps of 0.1 are 0.3."""
        inside = min(max(number, self.low), self.high)
        if self.step is None:
            return min(max(round(inside, self._digits), self.low), self.high)
        low = Fraction(repr(self.low))
        return float(low + round((Fraction(inside) - low) / self._step) * self._step)

    def share(self, number: float) -> float:
        """Where a number is between the ends, from 0 to 1."""
        return (number - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Choices:
    """One of several words or numbers, without an order."""

    options: tuple[str, ...]

    def __post_init__(self) -> None:
        twice = next((option for option in self.options if self.options.count(option) > 1), None)
        if twice is not None:
            raise RecipeError(f"'{twice}' is listed twice", where=str(self), hint="name each choice once")

    def __str__(self) -> str:
        return f" {BAR} ".join(self.options)


@dataclass(frozen=True)
class FixedValue:
    """One word or number, which the search leaves as it is."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def number(self) -> float | None:
        """The number, None for a word."""
        return read_number(self.text)


Values = NumberRange | Choices | FixedValue


def read_number(text: str) -> float | None:
    """A finite number, None for any other text."""
    if not re.fullmatch(SIGNED, text):
        return None
    number = float(text)
    return number + 0.0 if math.isfinite(number) else None


def parse_values(text: str) -> Values:
    """What a text allows; see the top of this module."""
    text = text.strip()
    match = RANGE_TEXT.fullmatch(text)
    if match is not None:
        step = float(match["step"]) if match["step"] else None
        return NumberRange(float(match["low"]) + 0.0, float(match["high"]) + 0.0, step)
    if ".." in text and re.match(SIGNED, text):
        raise RecipeError(f"'{text}' is no range", hint=RANGE_HINT)
    options = [_canonical(option.strip()) for option in text.split(BAR)]
    if not all(options):
        raise RecipeError("a value is missing", where=text, hint=RANGE_HINT)
    return Choices(tuple(options)) if len(options) > 1 else FixedValue(options[0])


def _canonical(option: str) -> str:
    number = read_number(option)
    return option if number is None else print_number(number)
