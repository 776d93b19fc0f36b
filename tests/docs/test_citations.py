"""Every page that the code cites is there, with the heading that it cites."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.write import ROOT
from tests.docs.pages import PAGES

CODE = ("lib_merge", "tests", "samples", "scripts", "javascript", "types", "docs", "recipes", "start.py")
SUFFIXES = (".py", ".js", ".ts", ".css", ".recipe")
# in prose, not the name of a file that Python joins to a path
CITED = re.compile(r"(?<![\w.\"/-])((?:[\w.-]+/)*[\w-]+\.md)(?![\w-])(?:#([\w-]+))?")
# pages of other projects, each cited with the project's name in the same sentence
ELSEWHERE = {"QUANTIZATION.md", "docs/merge_methods.md", "docs/create_a_merge.md"}
ANCHORS = {page.path: page.anchors() for page in PAGES}


def files() -> Iterator[Path]:
    """What may cite a page; tests/docs cites made-up pages, tests/.cache is others' code."""
    for name in CODE:
        top = ROOT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            file = path.relative_to(ROOT).as_posix()
            if path.suffix in SUFFIXES and not file.startswith(("tests/docs/", "tests/.cache/")):
                yield path


def citations() -> dict[str, str]:
    """Every cited page, with its heading, and a file that cites it."""
    texts = {path: path.read_text(encoding="utf-8") for path in files()}
    return {
        "#".join(filter(None, match.groups())): path.relative_to(ROOT).as_posix()
        for path, text in texts.items()
        for match in CITED.finditer(text)
    }


def resolves(citation: str) -> bool:
    path, _, anchor = citation.partition("#")
    if path in ELSEWHERE:
        return True
    return (ROOT / path).is_file() and (not anchor or anchor in ANCHORS[path])


def test_every_citation_resolves_to_a_page_and_a_heading() -> None:
    cited = citations()
    assert any(citation.startswith("docs/references.md#") for citation in cited)
    assert {citation: file for citation, file in cited.items() if not resolves(citation)} == {}


@pytest.mark.parametrize("citation", ["algorithms.md", "docs/references.md#nothing", "docs/nothing.md"])
def test_a_citation_of_nothing_is_found(citation: str) -> None:
    assert CITED.fullmatch(citation)
    assert not resolves(citation)


def test_pages_of_other_projects_are_still_cited() -> None:
    assert {citation.partition("#")[0] for citation in citations()} >= ELSEWHERE
