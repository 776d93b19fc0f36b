"""No link of the documentation leads nowhere, and every picture is shown."""

from __future__ import annotations

import posixpath

import pytest

from docs.write import ROOT
from tests.docs.pages import PAGES, Page, page

BY_PATH = {page.path: page for page in PAGES}


def broken(text: Page) -> list[str]:
    """The links of a page to files and headings that are not there."""
    return [link for link in text.links() if not leads_somewhere(text, link)]


def leads_somewhere(text: Page, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(text.path), path)) if path else text.path
    if not (ROOT / target).exists():
        return False
    return not anchor or anchor in BY_PATH[target].anchors()


@pytest.mark.parametrize("text", PAGES, ids=lambda page: page.path)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(text: Page) -> None:
    assert broken(text) == []


def test_a_link_to_a_missing_file_or_heading_is_found() -> None:
    readme = page("README.md")
    assert readme.links()
    for link in ("docs/nothing.md", "docs/methods.md#nothing", "#nothing"):
        assert not leads_somewhere(readme, link)


def test_every_picture_is_on_a_page() -> None:
    shown = {posixpath.basename(link) for page in PAGES for link in page.links()}
    pictures = {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    assert pictures
    assert pictures - shown == set()
