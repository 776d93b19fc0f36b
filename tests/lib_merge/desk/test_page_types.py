"""The types that the page's scripts are checked with are those of the dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from lib_merge.desk.protocol import Action, action
from lib_merge.desk.table import endpoints
from lib_merge.service.services import Services
from tests.support.page_types import FILE, page_types


@dataclass(frozen=True)
class Inner:
    place: tuple[int, str]


@dataclass(frozen=True)
class Outer:
    inner: Inner | None
    several: tuple[Inner, ...]
    by_name: Mapping[str, tuple[float, ...]]


def test_the_types_of_the_page_are_up_to_date() -> None:
    assert FILE.read_text("utf-8") == page_types(endpoints()), "run: python3 start.py docs"


@action("toy.ask")
def ask(service: Services, action: Action[Inner]) -> Outer:
    """Takes one and brings the other."""
    return Outer(None, (), {})


def test_an_endpoint_is_declared_with_all_that_it_takes_and_brings() -> None:
    text = page_types([ask])
    assert "interface Inner {\n    place: [number, string];\n  }" in text
    assert "inner: Inner | null;" in text
    assert "several: Inner[];" in text
    assert "by_name: Record<string, number[]>;" in text
    assert 'interface Requests {\n    "toy.ask": Inner;\n  }' in text
    assert 'interface Results {\n    "toy.ask": Outer;\n  }' in text


def test_two_classes_of_one_name_are_refused() -> None:
    other = dataclass(type("Outer", (), {"__annotations__": {"n": int}}))
    with pytest.raises(TypeError, match="two classes for the page have the name Outer"):
        page_types([ask, replace(ask, result=other)])
