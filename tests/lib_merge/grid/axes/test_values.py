"""Values of axes: the WebUI's words for numbers and ranges, read exactly."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.errors import RecipeError
from lib_merge.grid.axes.values import MOST, parse_axis_numbers, split_lines, split_list

HUNDREDTHS = st.integers(-500, 500).map(lambda n: Fraction(n, 100))


def text(number: Fraction) -> str:
    return f"{float(number):.2f}"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0, 0.25, 1", (0, 0.25, 1)),
        ("0-1 [5]", (0, 0.25, 0.5, 0.75, 1)),
        ("0-1 (+0.25)", (0, 0.25, 0.5, 0.75, 1)),
        ("1-0 (-0.5)", (1, 0.5, 0)),
        ("1-5", (1, 2, 3, 4, 5)),
        ("-1-1 [3]", (-1, 0, 1)),
        ("0-0.2 [3], 1", (0, 0.1, 0.2, 1)),
        ("0\n1", (0, 1)),
    ],
)
def test_lists_and_ranges(written: str, expected: tuple[float, ...]) -> None:
    assert parse_axis_numbers(written) == expected


@given(HUNDREDTHS, HUNDREDTHS, st.integers(2, 60))
def test_a_counted_range_has_that_many_values_and_both_ends(first: Fraction, last: Fraction, n: int) -> None:
    numbers = parse_axis_numbers(f"{text(first)}-{text(last)} [{n}]")
    assert len(numbers) == n
    assert (numbers[0], numbers[-1]) == (float(first), float(last))
    assert sorted(numbers, reverse=last < first) == list(numbers)


@given(HUNDREDTHS, st.integers(1, 50).map(lambda n: Fraction(n, 100)), st.integers(0, 40))
def test_a_stepped_range_lands_on_its_end_when_the_steps_do(
    first: Fraction, step: Fraction, count: int
) -> None:
    numbers = parse_axis_numbers(f"{text(first)}-{text(first + count * step)} (+{text(step)})")
    assert numbers == tuple(float(first + n * step) for n in range(count + 1))


@pytest.mark.parametrize(
    "written", ["0..1", "0-1 [0]", "0-1 (-0.1)", "0-1 (+0)", "a", "1-2-3", f"0-{MOST + 1}"]
)
def test_what_is_no_range_is_refused_with_what_is_one(written: str) -> None:
    with pytest.raises(RecipeError):
        parse_axis_numbers(written)


def test_seeds_are_whole() -> None:
    assert parse_axis_numbers("1-4 [3]", whole=True) == (1, 2, 4)
    with pytest.raises(RecipeError, match=r"0\.5 is not an integer"):
        parse_axis_numbers("0.5", whole=True)


def test_a_value_with_a_comma_is_in_quotes() -> None:
    assert split_list('cat, "a dog, sitting", 3') == ("cat", "a dog, sitting", "3")
    assert split_lines("a, b\n\nc") == ("a, b", "c")
