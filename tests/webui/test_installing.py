"""Installed, updated or disabled, the extension leaves the WebUI's pictures and packages as they are."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.webui.server import ROOT, Drawn, WebUI, python_of

pytestmark = [pytest.mark.webui, pytest.mark.slow, pytest.mark.timeout(1800)]

NAMES = ("ink", "pastel", "ink")
VERSIONS = """
import json
from importlib.metadata import distributions
print(json.dumps(sorted((each.metadata["Name"], each.version) for each in distributions())))
"""


def drawn(ui: WebUI) -> list[Drawn]:
    """Pictures of two checkpoints, and of the first one again."""
    pictures = []
    for name in NAMES:
        ui.pick(name)
        pictures.append(ui.draw())
    return pictures


def packages(webui: Path) -> list[list[str]]:
    """All that is installed for the WebUI, with versions."""
    asked = subprocess.run([python_of(webui), "-c", VERSIONS], capture_output=True, text=True, check=True)
    return json.loads(asked.stdout)


@pytest.fixture(scope="module")
def packages_before(webui: Path) -> list[list[str]]:
    return packages(webui)


@pytest.fixture(scope="module")
def without_us(webui: Path, stage: Path, packages_before: list[list[str]]) -> list[Drawn]:
    """What it draws where our extension was never installed."""
    with WebUI(webui, stage, extension=False) as running:
        pictures = drawn(running)
    assert pictures[0] != pictures[1]
    assert pictures[0] == pictures[2]
    return pictures


def test_installing_and_updating_move_no_package(webui: Path, packages_before: list[list[str]]) -> None:
    path = f"{webui}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    for _ in range(2):  # the WebUI runs it at every start, so also after an update
        installed = subprocess.run(
            [python_of(webui), ROOT / "install.py"],
            cwd=webui,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert installed.returncode == 0, installed.stderr
        assert packages(webui) == packages_before


def test_pictures_and_checkpoints_are_as_without_us(
    webui: Path, stage: Path, without_us: list[Drawn], packages_before: list[list[str]]
) -> None:
    with WebUI(webui, stage) as running:
        pictures = drawn(running)
        assert running.status()["base"] == "ink"
    assert pictures == without_us
    assert [each.infotext for each in pictures] == [each.infotext for each in without_us]
    assert packages(webui) == packages_before


def test_disabled_it_is_not_there(webui: Path, stage: Path, without_us: list[Drawn]) -> None:
    with WebUI(webui, stage, disabled=True) as running:
        pictures = drawn(running)
        ids = {part["props"].get("elem_id") for part in running.get("/config")["components"]}
    assert pictures == without_us
    assert [each.infotext for each in pictures] == [each.infotext for each in without_us]
    assert "tab_merge_desk" not in ids
