"""The pictures of the page in the documentation show the words that the page has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from docs.screenshots import LABELS, NAMES, TABS, labels
from lib_merge.desk.table import TABS as PAGE_TABS

REMEDY = f"take the pictures again: python3 start.py docs --pictures {' '.join(NAMES)}"


@pytest.fixture(scope="module")
def models(models: Path) -> Path:
    """The samples, and the damaged one that the pictures show."""
    from docs.screenshots import add_torn

    add_torn(models)
    return models


def test_the_pictures_show_the_tabs_and_labels_of_the_page(chromium: Any, address: str) -> None:
    shown = json.loads(LABELS.read_text(encoding="utf-8"))
    assert labels(chromium, address, shown) == shown, REMEDY


def test_every_picture_shows_the_tabs_of_the_page() -> None:
    shown = json.loads(LABELS.read_text(encoding="utf-8"))
    assert set(shown) == set(TABS)
    for words in shown.values():
        assert {tab.title for tab in PAGE_TABS} <= set(words)
