"""mkdocs builds the site of docs/ in strict mode: the navigation is complete, links and anchors are right."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.write import ROOT
from tests.docs.pages import PAGES

pytestmark = pytest.mark.slow

# what a browser fetches without a click
FETCHED = re.compile(r"""<(?:script|img|link)\b[^>]*?\b(?:src|href)=["']?(https?://[^"'> ]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_of_docs_is_built(site: Path) -> None:
    built = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")}
    pages = {page.path.removeprefix("docs/") for page in PAGES if page.path.startswith("docs/")}
    assert built - {"404.md"} == pages


def test_a_page_of_the_site_fetches_nothing_from_the_network(site: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in site.rglob("*.html")]
    assert texts
    assert {url for text in texts for url in FETCHED.findall(text)} == set()


def test_the_program_that_writes_the_pages_is_not_on_the_site(site: Path) -> None:
    data = ("measured.json", "reviews.json", "searched.json")
    paths = list(site.rglob("*"))
    assert [path for path in paths if path.suffix in (".py", ".pyc") or path.name in data] == []
