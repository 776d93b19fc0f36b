"""Values as metadata strings, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.checkpoint import decode_value, encode_metadata, encode_value, metadata_dict
from lib_merge.errors import OutputError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_a_value_comes_back_from_its_text(value: object) -> None:
    assert decode_value(encode_value(value)) == value


@given(st.text())
def test_a_text_is_stored_as_it_is(text: str) -> None:
    assert encode_value(text) == text


def test_the_same_values_give_the_same_text() -> None:
    assert encode_value({"b": [1, 2.5], "a": {"y": None, "x": "é"}}) == '{"a":{"x":"é","y":null},"b":[1,2.5]}'
    assert list(encode_metadata({"b": 1, "a": "x", "c": None})) == ["a", "b"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes", object()])
def test_what_json_lacks_is_refused(value: object) -> None:
    with pytest.raises(OutputError, match="cannot be stored as metadata"):
        encode_value({"deep": [value]})


def test_nonsense_in_the_metadata_of_others_is_no_error() -> None:
    metadata = {"recipe": '{"type": "webui"}', "list": "[1]", "text": "{not json", "tower": "[" * 100_000}
    assert metadata_dict(metadata, "recipe") == {"type": "webui"}
    assert [metadata_dict(metadata, name) for name in ("list", "text", "tower", "missing")] == [{}] * 4
    assert decode_value("plain words") == "plain words"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (
            '{"multiplier": NaN, "b": [Infinity, -Infinity, 1e999, 2]}',
            {"multiplier": None, "b": [None] * 3 + [2]},
        ),
        ('{"name": "\\ud83d", "\\ude00": 1}', {"name": "\ufffd", "\ufffd": 1}),
        ('{"name": "\\ud83d\\ude00"}', {"name": "\U0001f600"}),
        ("[" * 5000 + "]" * 5000, "[" * 5000 + "]" * 5000),
        ('{"x": ' + "[" * 900 + "]" * 900 + "}", '{"x": ' + "[" * 900 + "]" * 900 + "}"),
        ('{"x": ' + "1" * 5000 + "}", '{"x": ' + "1" * 5000 + "}"),
        ("NaN", None),
    ],
)
def test_odd_metadata_of_an_ingredient_can_be_stored_in_the_result(text: str, kept: object) -> None:
    value = decode_value(text)
    if "1" * 5000 not in text or not isinstance(value, dict):  # Python before 3.10.7 reads 5,000 digits
        assert value == kept
    stored = encode_value({"sd_merge_models": {"abc": value}})
    assert stored.encode("utf-8")
    assert decode_value(stored) == {"sd_merge_models": {"abc": value}}


def test_a_value_that_is_nested_too_deeply_is_refused_by_its_type() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(OutputError, match="cannot be stored as metadata"):
        encode_value(deep)
