"""The wheel: built here, installed into an empty environment, and the desk opened from it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
import zipfile
from collections.abc import Generator
from pathlib import Path

import pytest

import lib_merge
from samples.assemble import assemble

ROOT = Path(__file__).parents[1]
SOURCES = ("lib_merge", "javascript", "style.css", "pyproject.toml", "setup.py", "README.md", "LICENSE")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OLDEST_SETUPTOOLS = 77  # pyproject.toml's

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def elsewhere() -> dict[str, str]:
    """This process's variables, less those by which Python would find the repository."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints, away from the repository; it must succeed."""
    done = subprocess.run(command, cwd=cwd, env=elsewhere(), capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the repository, with the setuptools of this environment."""
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.split(".")[0]) < OLDEST_SETUPTOOLS:
        pytest.skip(f"setuptools {setuptools.__version__} is older than what pyproject.toml asks for")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        whole = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        whole(ROOT / name, source / name)
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "wheel", *options, "-w", folder, source, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel alone; it sees the other packages of this one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.EnvBuilder(with_pip=False).create(folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    (ours,) = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).split()
    needed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    lines = [f"import site; site.addsitedir({path!r})\n" for path in sorted(needed)]
    Path(ours, "needed.pth").write_text("".join(lines), encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    return programs


def test_the_wheel_holds_the_page_the_types_the_tokenizer_and_the_licences(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    page = {path.relative_to(ROOT).as_posix() for path in (ROOT / "javascript").rglob("*") if path.is_file()}
    assert {f"lib_merge/desk/static/{name}" for name in (*page, "style.css")} <= names
    package = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "lib_merge").rglob("*") if path.is_file()
    }
    assert {name for name in package if "__pycache__" not in name} <= names
    assert {"lib_merge/py.typed", "lib_merge/clip_tokenizer/merges.txt"} <= names
    info = f"merge_desk-{lib_merge.__version__}.dist-info"
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/lib_merge/clip_tokenizer/LICENSE"} <= names
    assert {name.partition("/")[0] for name in names} == {"lib_merge", info}


def test_the_version_of_the_wheel_the_package_and_the_command_is_one(wheel: Path, installed: Path) -> None:
    assert wheel.name == f"merge_desk-{lib_merge.__version__}-py3-none-any.whl"
    told = run(installed / "merge-desk", "--version", cwd=installed)
    assert told.strip() == f"merge-desk {lib_merge.__version__}"


def test_the_library_is_that_of_the_wheel_and_lists_every_method(installed: Path) -> None:
    where = run(installed / "python", "-c", "import lib_merge; print(lib_merge.__file__)", cwd=installed)
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert "out = " in run(installed / "merge-desk", "methods", cwd=installed)


@pytest.fixture
def address(installed: Path, tmp_path: Path) -> Generator[str]:
    """The desk's page, served by the installed command."""
    assemble(tmp_path / "models")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [installed / "merge-desk", "desk", "--models", "models", "--port", str(port), "--no-browser"]
    log = (tmp_path / "desk.log").open("wb")
    server = subprocess.Popen(command, cwd=tmp_path, env=elsewhere(), stdout=log, stderr=log)
    try:
        yield _once_it_answers(f"http://127.0.0.1:{port}/", server, Path(log.name))
    finally:
        server.terminate()
        server.wait(120)
        log.close()


def _once_it_answers(address: str, server: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(480):
        try:
            urllib.request.urlopen(address, timeout=60).close()
            return address
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.5)
    raise AssertionError("the desk's page did not come up")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
def test_the_desk_of_the_wheel_draws_its_faders_and_misses_no_file(address: str) -> None:
    pytest.importorskip("gradio", reason="Gradio is not installed")
    from tests.browser.driver import CHROMIUM_WORDS, WAIT, expect, sync_api

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_WORDS)
        page = browser.new_page()
        missed: list[str] = []
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("response", lambda each: each.status >= 400 and missed.append(f"{each.status} {each.url}"))
        page.goto(address)
        page.wait_for_selector("[data-slot=IN05] .md-range", timeout=WAIT)
        expect(page.locator("[data-slot]")).not_to_have_count(0)
        fader = page.locator("[data-slot=OUT05] .md-range")
        expect(fader).to_be_visible()
        assert page.evaluate("getComputedStyle(document.querySelector('.md-range')).appearance") == "none"
        browser.close()
    assert [each for each in missed if each.partition(" ")[2].startswith(address)] == []
    assert errors == []


def test_a_copy_of_the_package_without_the_page_says_what_is_missing(tmp_path: Path, installed: Path) -> None:
    shutil.copytree(ROOT / "lib_merge", tmp_path / "lib_merge")
    program = "from lib_merge.desk.serve import head; head()"
    done = subprocess.run(
        [installed / "python", "-c", program], cwd=tmp_path, env=elsewhere(), capture_output=True, text=True
    )
    assert re.search("MergeError: the page's scripts and style are missing", done.stderr), done.stderr
