"""The README is short enough to be read, and its lines of Python run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from docs.write import ROOT
from samples.assemble import assemble
from tests.docs.pages import page

MAX_BYTES = 8 * 1024


def test_the_readme_has_at_most_8_kilobytes() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= MAX_BYTES


@pytest.mark.slow
def test_the_lines_of_python_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assemble()
    (tmp_path / "samples").mkdir()
    shutil.copytree(ROOT / "samples" / "models", tmp_path / "samples" / "models")
    monkeypatch.chdir(tmp_path)
    (lines,) = page("README.md").blocks("python")
    exec(compile(lines, "README.md", "exec"), {"__name__": "readme"})
    (shown,) = re.findall(r"# (0\.\d+)\.\.\.", lines)
    assert capsys.readouterr().out.startswith(shown)
