"""Values as metadata strings, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.checkpoint import decode_value, encode_metadata, encode_value, nested
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
    assert nested(metadata, "recipe") == {"type": "webui"}
    assert [nested(metadata, name) for name in ("list", "text", "tower", "missing")] == [{}] * 4
    assert decode_value("plain words") == "plain words"
