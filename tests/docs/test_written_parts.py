"""The parts of the documentation that the program knows are what it says now."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from docs.write import MEASURED, PARTS, ROOT, pages, written
from lib_merge.methods import METHODS

PAGES = [str(page.relative_to(ROOT)) for page in pages()]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_what_the_program_would_write(page: str) -> None:
    text = Path(ROOT, page).read_text(encoding="utf-8")
    assert text == written(text), "run: python3 start.py docs"


def test_every_part_stands_on_one_page() -> None:
    every = "".join(Path(ROOT, page).read_text(encoding="utf-8") for page in PAGES)
    assert sorted(re.findall(r"^<!-- ([a-z ]+): written by", every, re.MULTILINE)) == sorted(PARTS)
    assert sorted(re.findall(r"^<!-- end of ([a-z ]+) -->", every, re.MULTILINE)) == sorted(PARTS)


def test_a_part_that_is_out_of_date_is_written_again_and_nothing_else_is_touched() -> None:
    begin, end = "<!-- methods: written by python3 start.py docs -->\n", "<!-- end of methods -->"
    new = written(f"before\n{begin}old\n{end}\nafter\n")
    assert new == f"before\n{begin}{PARTS['methods']()}\n{end}\nafter\n"


def test_what_was_measured_is_of_methods_that_are_there() -> None:
    assert set(json.loads(MEASURED.read_text(encoding="utf-8"))) <= {method.id for method in METHODS.all()}
