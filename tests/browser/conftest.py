"""What every browser test stands on: the samples, the page of the standalone desk, and a browser.

A test that names one of the faults F1 to F38 runs on the Gradio of each WebUI as well: see faults.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from samples.assemble import assemble
from tests.support.faults import CURRENT, gradios_of
from tests.support.gradio_env import python_with_gradio

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder drives a browser, and is skipped where there is none."""
    for item in items:
        if HERE in item.path.parents:
            from tests.browser.driver import needs_chromium  # which skips a module without playwright

            needs_gradio = pytest.mark.skipif(find_spec("gradio") is None, reason="Gradio is not installed")
            for mark in (pytest.mark.browser, pytest.mark.timeout(600), needs_chromium, needs_gradio):
                item.add_marker(mark)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that needs a page, on the Gradio of its own environment or on several."""
    if "gradio" in metafunc.fixturenames:
        versions = gradios_of(metafunc.function)
        metafunc.parametrize("gradio", versions, indirect=True, scope="module")


@pytest.fixture(scope="module")
def gradio(request: pytest.FixtureRequest) -> str:
    """The version of Gradio that the page is on."""
    return request.param


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples in a folder of this module's own; a module that wants more adds to it."""
    folder = tmp_path_factory.mktemp("desk") / "models"
    assemble(folder)
    return folder


@pytest.fixture(scope="module")
def server_words() -> tuple[str, ...]:
    """What the page's process is started with besides folders and port: see page.py."""
    return ()


@pytest.fixture(scope="session")
def pages(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Callable[[str], Any]]:
    """For a version of Gradio the process whose pages are on it, begun when it is first asked for."""
    from tests.browser.driver import Pages

    begun: dict[str, Pages] = {}

    def on(version: str) -> Pages:
        if version not in begun:
            python = python_with_gradio(version, cache)
            begun[version] = Pages(python, tmp_path_factory.mktemp("gradio") / f"{version}.log")
        return begun[version]

    yield on
    for process in begun.values():
        process.stop()


@pytest.fixture(scope="module")
def address(
    models: Path, server_words: tuple[str, ...], gradio: str, pages: Callable[[str], Any]
) -> Generator[str]:
    """Where the page is, in a process of its own; its output is beside the models."""
    from tests.browser.driver import start, stop

    if gradio != CURRENT:  # no diffusers is there, so pictures are noise
        words = server_words if "--paper" in server_words else ("--noise",)
        yield pages(gradio).serve(models, models.parent / f"output {gradio}", *words)
        return
    server, address = start(sys.executable, models, models.parent / "output", *server_words)
    yield address
    stop(server)


@pytest.fixture(scope="module")
def chromium() -> Generator[Any]:
    """A browser without a window."""
    from tests.browser.driver import chromium_browser

    with chromium_browser() as browser:
        yield browser


@pytest.fixture
def desk(chromium: Any, address: str) -> Generator[Any]:
    """A page of its own; a module whose pages begin otherwise has a fixture of its own."""
    from tests.browser.driver import Desk

    opened = Desk(chromium, address)
    yield opened
    opened.take_out()
    opened.page.close()
