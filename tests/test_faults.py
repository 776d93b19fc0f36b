"""Each fault of a newcomer's first hour at the desk, F1 to F38, has a test on the Gradio of every WebUI."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from tests.support.faults import CURRENT, CURRENT_ALONE, FAULTS, gradios_of_faults, named_faults
from tests.support.gradio_env import PINS

HERE = Path(__file__).parent
PLACES = (HERE / "browser", HERE / "lib_merge" / "desk" / "test_http_guard.py")  # a taken port is no page's


def tests_of_faults() -> dict[tuple[int, str], list[str]]:
    """Fault and version of Gradio -> the tests that name it in their docstring, and run on that version."""
    found: dict[tuple[int, str], list[str]] = defaultdict(list)
    files = [file for place in PLACES for file in ([place] if place.is_file() else place.glob("test_*.py"))]
    for file in files:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                numbers = named_faults(ast.get_docstring(node))
                for version in gradios_of_faults(numbers) if numbers else ():
                    for number in numbers:
                        found[number, version].append(f"{file.name}::{node.name}")
    return found


def test_each_fault_has_a_test_on_each_gradio_or_a_reason_why_there_is_none() -> None:
    cells = {(number, version) for number in FAULTS for version in (CURRENT, *PINS)}
    without = {(number, version) for number in CURRENT_ALONE for version in PINS}
    assert set(tests_of_faults()) == cells - without


def test_no_reason_is_given_for_a_fault_that_is_none() -> None:
    assert set(CURRENT_ALONE) <= set(FAULTS)
    assert all(len(reason.split()) > 5 for reason in CURRENT_ALONE.values())
