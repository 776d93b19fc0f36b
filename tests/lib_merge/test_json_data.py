"""JSON that every reader takes, and JSON of strangers that harms nothing."""

from __future__ import annotations

import json
from typing import NoReturn

import pytest

from lib_merge.json_data import dump, load


def strict(text: str) -> object:
    """Read as a browser reads it: NaN and Infinity are syntax errors there."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(constant)

    return json.loads(text.encode("utf-8"), parse_constant=refuse)


def test_numbers_that_are_not_finite_become_null_at_any_depth() -> None:
    value = {"a": [1.5, float("nan"), (float("inf"), {"b": -float("inf")})], "c": "é"}
    assert strict(dump(value)) == {"a": [1.5, None, [None, {"b": None}]], "c": "é"}
    assert "é" in dump(value, indent=2)


def test_half_a_surrogate_pair_leaves_escaped() -> None:
    assert dump("a\udcff") == '"a\\udcff"'


@pytest.mark.parametrize(
    "text", ["NaN", '{"a": Infinity}', "[-Infinity]", '"\\ud800"', "[" * 100_000, "9" * 5000, "{", b"\xff"]
)
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the kind is what is promised
        load(text)
    assert str(refused.value)


def test_what_is_json_is_read() -> None:
    assert load('{"a": [1, 2.5, null, "\\ud83d\\ude00"]}') == {"a": [1, 2.5, None, "😀"]}
