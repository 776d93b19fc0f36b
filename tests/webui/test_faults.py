"""The faults of a newcomer's first hour, F1 to F38, on the page of a real WebUI.

The tests are those of tests/browser, with the WebUI's page for the standalone one: each module of it has a
WebUI of its own, as it has a page of its own there. faults.py says which of them are left out, and why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from samples.assemble import assemble
from tests.browser.driver import OFFLINE, OUTPUTS, chromium_browser, needs_chromium
from tests.support.faults import NOT_ON_A_WEBUI, fault_tests
from tests.webui.host_desk import BEGINNING, HostDesk
from tests.webui.kinds import kind
from tests.webui.server import WebUI

BROWSER = Path(__file__).parents[1] / "browser"

pytestmark = [
    pytest.mark.webui,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    needs_chromium,
]


def collect(module: ModuleType, names: list[str]) -> type:
    """A class with these tests of a module in tests/browser."""
    title = module.__name__.rpartition(".")[2].removeprefix("test_").title().replace("_", "")
    functions = {name: staticmethod(getattr(module, name)) for name in names}
    return type(f"Test{title}", (), {"module": module, **functions})


for file in sorted(BROWSER.glob("test_*.py")):
    if names := list(fault_tests(file)):
        group = collect(import_module(f"tests.browser.{file.stem}"), names)
        globals()[group.__name__] = group


@pytest.fixture(autouse=True)
def left_out(request: pytest.FixtureRequest) -> None:
    """Skips what faults.py says cannot be on a WebUI's page."""
    name = request.node.name
    for left, reason in NOT_ON_A_WEBUI.items():
        if name == left or name.partition("[")[0] == left:
            pytest.skip(reason)


@pytest.fixture(scope="class")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The WebUI's data and checkpoints."""
    made = tmp_path_factory.mktemp("webui")
    (made / "data").mkdir()
    (made / "data/ui-config.json").write_text(json.dumps(BEGINNING), encoding="utf-8")
    return made


@pytest.fixture(scope="class")
def models(folder: Path, request: pytest.FixtureRequest) -> Path:
    """The samples, and what else the module's tests have."""
    place = folder / "checkpoints"
    assemble(place)
    add = getattr(request.cls.module, "add_models", None)
    if add is not None:
        add(place)
    return place


@pytest.fixture(scope="class")
def server(webui: Path, folder: Path, models: Path) -> Iterator[WebUI]:
    """A WebUI that has base loaded, as the standalone desk."""
    flags = [flag.format(webui=webui) for flag in kind(webui).page.split()]
    with WebUI(webui, folder, "float32", *flags) as running:
        running.options(samples_save=False)
        running.load("base")
        OUTPUTS[running.url] = running.data / "merge-desk"
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    with chromium_browser() as browser:
        yield browser


@pytest.fixture
def desk(chromium: Any, server: WebUI, request: pytest.FixtureRequest) -> Iterator[HostDesk]:
    """A page with base loaded and no merge in memory, that begins as the module's pages do."""
    server.pick("base")
    server.desk("restore")
    opened = HostDesk(chromium, server.url)
    begin = getattr(request.cls.module, "set_up", None)
    if begin is not None:
        begin(opened)
    yield opened
    opened.take_out()
    opened.page.close()
    assert [said for said in opened.complaints if not OFFLINE.search(said)] == []
