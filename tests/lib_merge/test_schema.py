"""Requests as dataclasses: what fits is read, what does not is one sentence, and both are described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytest

from lib_merge.errors import RecipeError
from lib_merge.schema import (
    EmptyRequest,
    FieldDescription,
    describe_fields,
    described_field,
    parse_dataclass,
    render_type,
)


@dataclass(frozen=True)
class Place:
    """Where something is."""

    x: int
    y: int = 0


@dataclass(frozen=True)
class Request:
    """Something to be read.

    name, title  what it is called
    amounts      slot -> amount,
                 none by default
    """

    name: str
    title: str = ""
    amounts: Mapping[str, float] | None = None
    many: tuple[str, ...] = described_field("a list of names", '["ink"]', default=())
    pair: tuple[int, str] = (0, "")
    kind: Literal["big", "small"] = "big"
    place: Place | None = None
    value: bool | int | float = False

    taker: ClassVar[str] = "a test"


def read(**values: Any) -> Request:
    return parse_dataclass(Request, values, "nobody")


def test_every_field_is_read_by_its_type_and_null_is_as_if_it_were_missing() -> None:
    request = read(
        name="n",
        title=None,
        amounts={"OUT05": 1},
        many=["a", "b"],
        pair=[3, "x"],
        kind="small",
        place={"x": 2},
        value=3,
    )
    expected = Request("n", "", {"OUT05": 1.0}, ("a", "b"), (3, "x"), "small", Place(2), 3)
    assert request == expected
    assert isinstance(request.amounts, dict)
    assert isinstance(request.amounts["OUT05"], float)
    assert type(read(name="n", value=True).value) is bool


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({}, "'name' is missing"),
        ({"name": 3}, "'name' must be text, not 3"),
        ({"name": "n", "title": True}, "'title' must be text, not True"),
        ({"name": "n", "amounts": {"OUT05": "x"}}, "'amounts' must be an object of numbers by name or null"),
        ({"name": "n", "amounts": {"OUT05": True}}, "'amounts' must be"),
        ({"name": "n", "amounts": {"OUT05": float("nan")}}, "'amounts' must be"),
        ({"name": "n", "amounts": {"OUT05": 10**400}}, "'amounts' must be"),
        ({"name": "n", "many": "ink"}, "'many' must be a list of names, not 'ink'"),
        ({"name": "n", "many": ["ink", 3]}, "'many' must be a list of names"),
        ({"name": "n", "pair": [1]}, "'pair' must be a list of 2: an integer, text, not [1]"),
        ({"name": "n", "pair": [1.5, "x"]}, "'pair' must be"),
        ({"name": "n", "kind": "odd"}, "'kind' must be \"big\" or \"small\", not 'odd'"),
        ({"name": "n", "place": {"z": 1}}, "'z' is nothing that Place takes"),
        ({"name": "n", "nam": "x"}, "'nam' is nothing that a test takes"),
        ({"name": "n", "value": 2.0**60, "title": "x" * 500, "many": "y" * 500}, "'many' must be"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(values: dict[str, object], what: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_dataclass(Request, values, "nobody")
    assert caught.value.what.startswith(what)
    assert len(caught.value.what) < 250


def test_the_nearest_word_or_the_fields_own_hint_is_what_to_try() -> None:
    with pytest.raises(RecipeError) as unknown:
        read(name="n", amount={})
    assert "amounts" in unknown.value.hint
    with pytest.raises(RecipeError) as odd:
        read(name="n", many="ink")
    assert odd.value.hint == '["ink"]'


def test_a_request_without_a_word_takes_none() -> None:
    assert parse_dataclass(EmptyRequest, {}, "stop") == EmptyRequest()
    with pytest.raises(RecipeError, match="stop takes nothing"):
        parse_dataclass(EmptyRequest, {"now": True}, "stop")


def test_a_class_may_read_itself() -> None:
    @dataclass(frozen=True)
    class Own:
        """Something.

        words  whatever
        """

        words: Mapping[str, object]

        @classmethod
        def from_json(cls, data: Mapping[str, object]) -> Own:
            return cls(data)

    assert parse_dataclass(Own, {"any": 1}, "nobody").words == {"any": 1}
    assert describe_fields(Own) == (FieldDescription("words", "", "", "whatever"),)


def test_fields_are_described_by_their_types_and_the_docstring() -> None:
    notes = {note.name: note for note in describe_fields(Request)}
    assert notes["name"] == FieldDescription("name", "text", "", "what it is called")
    assert notes["title"].description == "what it is called"
    assert notes["amounts"].description == "slot -> amount, none by default"
    assert notes["many"].type_name == "a list of names"
    assert (notes["kind"].type_name, notes["kind"].default) == ('"big" or "small"', "big")
    assert notes["place"].type_name == "an object (Place) or null"
    assert notes["value"].default == "false"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (tuple[Place, ...], "a list of objects (Place)"),
        (Mapping[str, object], "an object"),
        (tuple[Mapping[str, object], ...], "a list of objects"),
        (Mapping[str, Mapping[str, float]], "an object of objects of numbers by name by name"),
        (int | str, "an integer or text"),
    ],
)
def test_types_are_said_in_words(kind: Any, text: str) -> None:
    assert render_type(kind) == text
