"""The desk as it was left is kept whole, and its pictures up to a number."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lib_merge.errors import RecipeError, StoreError
from lib_merge.library.desk_state import (
    FILE,
    MAX_PAGE,
    MAX_PICTURES,
    PICTURES,
    KeptDesk,
    keep_picture,
    read_desk,
    read_picture,
    write_desk,
)

DESK = KeptDesk(
    {"a": "ink", "b": "päß tel", "method": "Weighted sum"},
    True,
    {"prompt": "a cat\n日本", "seed": -1, "cfg": 4.5},
    "merge-1",
    '{"version": 1}',
)


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    assert read_desk(tmp_path) is None
    write_desk(tmp_path, KeptDesk())
    write_desk(tmp_path, DESK)
    assert read_desk(tmp_path) == DESK


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": "merge-desk desk 9"}', '{"format": "merge-desk desk 1"}']
)
def test_a_file_that_cannot_be_read_is_an_error_and_stays(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StoreError, match="the desk as it was left"):
        read_desk(tmp_path)
    assert (tmp_path / FILE).read_text() == text


def test_a_page_without_measure_is_refused_and_the_one_before_stays(tmp_path: Path) -> None:
    write_desk(tmp_path, DESK)
    with pytest.raises(RecipeError, match="too large"):
        write_desk(tmp_path, KeptDesk(page="x" * (MAX_PAGE + 1)))
    assert read_desk(tmp_path) == DESK


def test_a_picture_is_kept_under_one_id_and_only_the_last_ones_are(tmp_path: Path) -> None:
    names = [keep_picture(tmp_path, b"%d" % number) for number in range(MAX_PICTURES)]
    for age, name in enumerate(reversed(names)):
        os.utime(tmp_path / PICTURES / f"{name}.png", (1e9 - age, 1e9 - age))
    assert keep_picture(tmp_path, b"0") == names[0]  # kept again, and so the newest
    keep_picture(tmp_path, b"one more")
    assert read_picture(tmp_path, names[0]) == b"0"
    assert read_picture(tmp_path, names[1]) == b""
    assert len(list((tmp_path / PICTURES).iterdir())) == MAX_PICTURES


@pytest.mark.parametrize("name", ["", "../desk", "0" * 16, "..", "a/b", "\0"])
def test_an_id_of_no_picture_brings_none(tmp_path: Path, name: str) -> None:
    write_desk(tmp_path, DESK)
    assert read_picture(tmp_path, name) == b""
