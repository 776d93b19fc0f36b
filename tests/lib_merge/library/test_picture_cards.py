"""The cards of the pictures are kept up to a number and a size; those with a mark go last."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.errors import RecipeError, StoreError
from lib_merge.library import picture_cards
from lib_merge.library.desk_state import MAX_PICTURES, keep_picture, read_picture
from lib_merge.library.picture_cards import FILE, MAX_CARDS, MAX_TEXT, KeptCard, keep_cards, read_cards


def name(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()[:16]


CARDS = st.builds(KeptCard, st.integers(0, 9).map(name), st.booleans(), st.text(max_size=5))
STEPS = st.lists(st.tuples(st.lists(CARDS, max_size=3), st.lists(st.integers(0, 9).map(name), max_size=2)))


@given(STEPS, st.integers(1, 6))
def test_each_card_is_as_it_was_kept_last_and_what_goes_is_the_oldest_without_a_mark(
    steps: list[tuple[list[KeptCard], list[str]]], most: int
) -> None:
    expected: list[KeptCard] = []
    with TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        folder = Path(place)
        patch.setattr(picture_cards, "MAX_CARDS", most)
        for changed, gone in steps:
            keep_cards(folder, changed, gone)
            expected = [card for card in expected if card.id not in gone]
            for card in changed:
                at = next((n for n, old in enumerate(expected) if old.id == card.id), len(expected))
                expected[at : at + 1] = [card]
            while len(expected) > most:
                expected.remove(next((card for card in expected if not card.marked), expected[0]))
            assert list(read_cards(folder)) == expected


def test_cards_of_large_pictures_are_bounded_by_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_cards, "MAX_PICTURE_BYTES", 25)
    names = [keep_picture(tmp_path, b"%d" % number * 10) for number in (1, 2, 3)]
    keep_cards(tmp_path, [KeptCard(id, number == 0, "{}") for number, id in enumerate(names)])
    assert [card.id for card in read_cards(tmp_path)] == [names[0], names[2]]


def test_the_pictures_of_cards_stay_however_many_are_drawn_after_them(tmp_path: Path) -> None:
    first = keep_picture(tmp_path, b"first")
    for number in range(MAX_PICTURES + 3):
        keep_picture(tmp_path, b"%d" % number, {first})
    assert read_picture(tmp_path, first) == b"first"
    kept = len(list((tmp_path / "desk-pictures").iterdir()))
    assert kept == MAX_PICTURES + 1


def test_a_card_without_measure_or_without_a_picture_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="too large"):
        keep_cards(tmp_path, [KeptCard(name(1), True, "x" * (MAX_TEXT + 1))])
    keep_cards(tmp_path, [KeptCard("../x", True, "{}"), KeptCard("", True, "{}")])
    assert read_cards(tmp_path) == ()
    keep_cards(tmp_path, [KeptCard(name(number), False, "{}") for number in range(MAX_CARDS + 5)])
    assert len(read_cards(tmp_path)) == MAX_CARDS


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "merge-desk cards 9", "cards": []}'])
def test_a_file_that_cannot_be_read_is_an_error_and_stays(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StoreError, match="the cards of the pictures"):
        keep_cards(tmp_path, [KeptCard(name(1), False, "{}")])
    assert (tmp_path / FILE).read_text() == text
