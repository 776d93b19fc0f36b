"""Each fault of a newcomer's first hour at the desk, F1 to F38, has a test whose docstring names it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
FAULTS = range(1, 39)
NAMED = re.compile(r"\bF(\d+): ")
PLACES = (HERE / "browser", HERE / "lib_merge" / "desk" / "test_http_guard.py")  # a taken port is no page's
RUN = "test_"


def named_faults(path: Path) -> dict[int, list[str]]:
    """The faults that the docstrings of a file's tests name, with these tests."""
    found: dict[int, list[str]] = defaultdict(list)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith(RUN):
            for number in NAMED.findall(ast.get_docstring(node) or ""):
                found[int(number)].append(f"{path.name}::{node.name}")
    return found


def test_each_fault_is_named_by_a_test_and_no_other_is() -> None:
    files = [file for place in PLACES for file in ([place] if place.is_file() else place.glob("test_*.py"))]
    found = {number for file in files for number in named_faults(file)}
    assert sorted(found) == list(FAULTS)
