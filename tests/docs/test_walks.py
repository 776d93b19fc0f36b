"""The walks of docs/architecture.md lead from one function to the next: each that they name is there."""

from __future__ import annotations

import pkgutil
import re

import pytest

from docs.write import ROOT
from lib_merge.desk.table import endpoints
from tests.docs.pages import page

WALKS = page("docs/architecture.md").text.partition("## Two walks")[2].partition("\n## ")[0]
STEP = re.compile(r"^\d+\. `([^`]+)`: (.*(?:\n    .*)*)", re.MULTILINE)
STEPS = [(path, re.findall(r"`([^`]+)`", text)) for path, text in STEP.findall(WALKS)]
NAME = re.compile(r"(?:[A-Z]\w+\.)?\w+")  # a function, a class, or a method of a class


def defines(path: str, name: str) -> bool:
    """Whether a script or a module defines every part of a name, or imports the class that it is."""
    text = (ROOT / path).read_text(encoding="utf-8")
    start = r"^\s*(?:async )?(?:get |def |class |function )?#?"
    imported = re.search(rf"^from [\w.]+ import .*\b{name}\b", text, re.MULTILINE)
    parts = name.split(".")
    return bool(imported) or all(
        re.search(rf"{start}{part}\b[\[({{: ]", text, re.MULTILINE) for part in parts
    )


@pytest.mark.parametrize(
    ("path", "names"), STEPS, ids=[f"{number} {path}" for number, (path, _) in enumerate(STEPS, 1)]
)
def test_a_step_names_a_file_and_what_it_defines(path: str, names: list[str]) -> None:
    assert (ROOT / path).is_file()
    own = [name for name in names if NAME.fullmatch(name)]
    assert own
    assert [name for name in own if not defines(path, name)] == []


def test_every_dotted_name_and_every_endpoint_of_the_walks_is_there() -> None:
    spans = re.findall(r"`([^`]+)`", WALKS)
    dotted = [span for span in spans if span.startswith("lib_merge.")]
    assert dotted
    for name in dotted:
        assert pkgutil.resolve_name(name)
    known = {endpoint.name for endpoint in endpoints()}
    assert {span for span in spans if re.fullmatch(r"mix\.[a-z_]+", span)} <= known


def test_the_second_walk_goes_from_the_slider_to_the_memory_of_the_model() -> None:
    assert len(STEPS) > 20
    assert (STEPS[0][0], STEPS[-1][0]) == ("javascript/view_mix_fader_events.js", "lib_merge/live/sink.py")


@pytest.mark.parametrize("name", ["nothing_here", "DeskState.nothing_here"])
def test_a_name_that_is_not_there_is_noticed(name: str) -> None:
    assert not defines("javascript/state.js", name)
