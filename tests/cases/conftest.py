"""A folder and the command line for every case."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.kit import Case


@pytest.fixture
def case(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.chdir(tmp_path)
    return Case(tmp_path, capsys)
