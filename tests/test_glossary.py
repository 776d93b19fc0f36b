"""docs/glossary.md names what is there, and gives each term one meaning."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.test_names import definitions

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "glossary.md").read_text("utf-8")
TERMS, _, OLD = TEXT.partition("## Old names")
pytestmark = pytest.mark.newest_only


def rows(text: str) -> list[list[str]]:
    """The cells of every row of the tables, without their heads."""
    tables = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in tables]
    return [row for row in cells if row[0] not in ("term", "then")]


def test_every_class_that_the_glossary_names_is_there() -> None:
    named = re.findall(r"`([A-Z][a-z]\w+)`", " ".join(cells[2] for cells in rows(TERMS)))
    assert len(named) > 40
    assert [name for name in named if name not in definitions()["classes"]] == []


def test_every_term_has_one_row_and_a_meaning() -> None:
    counts = Counter(term for cells in rows(TERMS) for term in cells[0].split(", "))
    assert [term for term, count in counts.items() if count > 1] == []
    assert [cells for cells in rows(TERMS) if len(cells) != 4 or not cells[1]] == []


def test_an_old_name_is_no_term_of_today() -> None:
    terms = {term for cells in rows(TERMS) for term in cells[0].split(", ")}
    assert rows(OLD)
    assert [cells[0] for cells in rows(OLD) if cells[0] in terms or len(cells) != 2] == []
