"""The faults of a newcomer's first hour at the desk, F1 to F38, and the pages that their tests run on.

Each fault has a test whose docstring names it; in tests/browser such a test runs on the Gradio of each WebUI,
and tests/webui/test_faults.py runs it on the page of a WebUI itself.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from tests.support.gradio_env import PINS

FAULTS = range(1, 39)
CURRENT = "current"  # the Gradio of the environment that the tests run in
NAMED = re.compile(r"\bF(\d+): ")
# fault -> why no test of it runs on the Gradios of WebUIs
CURRENT_ALONE: Mapping[int, str] = {
    8: "a WebUI opens the port itself; ours is opened by the standalone desk, which has one Gradio",
}

# test of a fault, with its parameters where one of them is meant -> why it does not run on a WebUI's page
NOT_ON_A_WEBUI: Mapping[str, str] = {
    **{
        f"test_a_field_that_nothing_can_be_drawn_with_is_refused_in_one_sentence[{field}]": (
            "the WebUI's own field takes no such number: it becomes the least that the field allows"
        )
        for field in ("steps--3--3", "steps-0-0", "width-0-0")
    },
    "test_no_number_of_a_picture_is_cut_at_any_width": (
        "steps, CFG, width and height are the WebUI's own fields there, and it lays them out"
    ),
}
# fault -> why no test of it runs on a WebUI's page
NO_FAULT_OF_A_WEBUI: Mapping[int, str] = {8: CURRENT_ALONE[8]}


def named_faults(docstring: str | None) -> list[int]:
    """The faults that a test's docstring names."""
    return [int(number) for number in NAMED.findall(docstring or "")]


def gradios_of_faults(numbers: Collection[int]) -> tuple[str, ...]:
    """The Gradios that a test of these faults runs on."""
    return (CURRENT, *PINS) if set(numbers) - set(CURRENT_ALONE) else (CURRENT,)


def gradios_of(test: Callable[..., object]) -> tuple[str, ...]:
    """The Gradios that a test in a browser runs on."""
    return gradios_of_faults(named_faults(test.__doc__))


def fault_tests(file: Path) -> dict[str, list[int]]:
    """The tests of a module that name faults in their docstring, and these; the module is not imported."""
    functions = [
        each for each in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(each, ast.FunctionDef)
    ]
    named = {each.name: named_faults(ast.get_docstring(each)) for each in functions}
    return {name: numbers for name, numbers in named.items() if name.startswith("test_") and numbers}
