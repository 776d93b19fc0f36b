"""The faults of a newcomer's first hour at the desk, F1 to F38, and the Gradios that their tests run on.

Each fault has a test whose docstring names it; in tests/browser such a test runs on the Gradio of each WebUI.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from tests.support.gradio_env import PINS

FAULTS = range(1, 39)
CURRENT = "current"  # the Gradio of the environment that the tests run in
NAMED = re.compile(r"\bF(\d+): ")
# fault -> why no test of it runs on the Gradios of WebUIs
CURRENT_ALONE: Mapping[int, str] = {
    8: "a WebUI opens the port itself; ours is opened by the standalone desk, which has one Gradio",
}


def named_faults(docstring: str | None) -> list[int]:
    """The faults that a test's docstring names."""
    return [int(number) for number in NAMED.findall(docstring or "")]


def gradios_of_faults(numbers: Collection[int]) -> tuple[str, ...]:
    """The Gradios that a test of these faults runs on."""
    return (CURRENT, *PINS) if set(numbers) - set(CURRENT_ALONE) else (CURRENT,)


def gradios_of(test: Callable[..., object]) -> tuple[str, ...]:
    """The Gradios that a test in a browser runs on."""
    return gradios_of_faults(named_faults(test.__doc__))
