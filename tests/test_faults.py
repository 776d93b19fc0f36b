"""Each fault of a newcomer's first hour at the desk, F1 to F38, has a test on the Gradio of every WebUI, and
one on the page of a WebUI, or a reason why it has none.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from tests.support.faults import (
    CURRENT,
    CURRENT_ALONE,
    FAULTS,
    NO_FAULT_OF_A_WEBUI,
    NOT_ON_A_WEBUI,
    fault_tests,
    gradios_of_faults,
)
from tests.support.gradio_env import PINS

HERE = Path(__file__).parent
PLACES = (HERE / "browser", HERE / "lib_merge" / "desk" / "test_http_guard.py")  # a taken port is no page's


def faults_by_gradio() -> dict[tuple[int, str], list[str]]:
    """Fault and version of Gradio -> the tests that name it in their docstring, and run on that version."""
    found: dict[tuple[int, str], list[str]] = defaultdict(list)
    files = [file for place in PLACES for file in ([place] if place.is_file() else place.glob("test_*.py"))]
    for file in files:
        for name, numbers in fault_tests(file).items():
            for version in gradios_of_faults(numbers):
                for number in numbers:
                    found[number, version].append(f"{file.name}::{name}")
    return found


def browser_tests() -> dict[str, list[int]]:
    """Every test in a browser that names faults, and these."""
    files = sorted((HERE / "browser").glob("test_*.py"))
    return {name: numbers for file in files for name, numbers in fault_tests(file).items()}


def test_each_fault_has_a_test_on_each_gradio_or_a_reason_why_there_is_none() -> None:
    cells = {(number, version) for number in FAULTS for version in (CURRENT, *PINS)}
    without = {(number, version) for number in CURRENT_ALONE for version in PINS}
    assert set(faults_by_gradio()) == cells - without


def test_each_fault_has_a_test_on_the_page_of_a_webui_or_a_reason_why_there_is_none() -> None:
    run = {name: numbers for name, numbers in browser_tests().items() if name not in NOT_ON_A_WEBUI}
    faults = {number for numbers in run.values() for number in numbers}
    assert faults == set(FAULTS) - set(NO_FAULT_OF_A_WEBUI)


def test_no_reason_is_given_for_a_fault_or_a_test_that_is_none() -> None:
    for reasons in (CURRENT_ALONE, NO_FAULT_OF_A_WEBUI):
        assert set(reasons) <= set(FAULTS)
    assert {name.partition("[")[0] for name in NOT_ON_A_WEBUI} <= set(browser_tests())
    for reason in (*CURRENT_ALONE.values(), *NO_FAULT_OF_A_WEBUI.values(), *NOT_ON_A_WEBUI.values()):
        assert len(reason.split()) > 5
