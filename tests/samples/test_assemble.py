"""`python samples/assemble.py`: its words are a folder or a flag, and a flag is no folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from samples import assemble


@pytest.mark.parametrize(("word", "status"), [("--help", 0), ("--where", 2)])
def test_a_flag_is_no_folder(tmp_path: Path, word: str, status: int) -> None:
    command = [sys.executable, assemble.__file__, word]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == status
    assert "folder" in ended.stdout + ended.stderr
    assert list(tmp_path.iterdir()) == []
