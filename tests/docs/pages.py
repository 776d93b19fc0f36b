"""The pages of the documentation: README.md and every page in docs/, read as GitHub reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from docs.write import ROOT, pages

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE_SPAN = re.compile(r"`[^`\n]*`")


@dataclass(frozen=True)
class Page:
    """One page.

    path  relative to the root of the repository
    """

    path: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.path).read_text(encoding="utf-8")

    def blocks(self, language: str) -> list[str]:
        """The fenced blocks of one language."""
        return [body for name, body in FENCE.findall(self.text) if name == language]

    def anchors(self) -> set[str]:
        """The anchors of its headings, as GitHub and pymdownx make them."""
        return {slug(heading) for heading in HEADING.findall(FENCE.sub("", self.text))}

    def links(self) -> list[str]:
        """The targets of its links and pictures that lie in the repository."""
        prose = CODE_SPAN.sub("", FENCE.sub("", self.text))
        return [link for link in LINK.findall(prose) if not link.startswith(("http://", "https://"))]


def slug(heading: str) -> str:
    """The anchor of a heading: lower case, without punctuation, hyphens in place of spaces."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


PAGES = tuple(Page(path.relative_to(ROOT).as_posix()) for path in pages())


def page(path: str | Path) -> Page:
    """The page of a path; an error for a file that is no page."""
    (only,) = (page for page in PAGES if page.path == Path(path).as_posix())
    return only
