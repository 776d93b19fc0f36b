"""What draws the pictures of the documentation names parts of the page that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    ROOT / "docs" / "screenshots.py",
    ROOT / "docs" / "guide" / "draw.py",
]
PAGE = "\n".join(
    file.read_text("utf-8")
    for file in (*(ROOT / "javascript").iterdir(), *(ROOT / "lib_merge/desk").rglob("*.py"))
)
# data-part=trial, part("infotext"), act("unload"), .md-pending, #merge_desk_saving
NAMES = re.compile(r"""data-(?:part|act|mount)=([\w-]+)|\b(?:part|act)\("([\w-]+)"\)|\.(md-[\w-]+)""")
pytestmark = pytest.mark.newest_only


def names(text: str) -> set[str]:
    """Parts, buttons and classes of the page that a script names."""
    return {name for groups in NAMES.findall(text) for name in groups if name}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_part_of_the_page_that_a_picture_needs_is_there(script: Path) -> None:
    missing = {name for name in names(script.read_text("utf-8")) if name not in PAGE}
    assert missing == set()


def test_a_part_that_is_missing_would_be_noticed() -> None:
    assert names('desk.part("nothing"); "[data-part=no-such] table"; ".md-none"') == {
        "nothing",
        "no-such",
        "md-none",
    }
    assert "no-such-part" not in PAGE
