"""`merge-desk search --host`: the trials of a WebUI over HTTP are those of this machine."""

# pyright: basic
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")
pytest.importorskip("uvicorn")

from lib_merge.cli import main
from samples.assemble import assemble
from tests.support.children import hear_ctrl_c

pytestmark = [pytest.mark.slow, pytest.mark.newest_only]
Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[3]
SMALL = ("--prompt", "a red circle", "--steps", "1", "--width", "32", "--height", "32", "--alpha", "0.5")
STUDY = (*SMALL, "--space", "OUT: tied 0..1 step 0.25; M00: 0.3", "--score", "colourfulness")
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample checkpoints."""
    folder = tmp_path_factory.mktemp("samples")
    assemble(folder)
    return folder


@pytest.fixture(scope="module")
def address(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A server in another process that draws the samples, for the account me:secret."""
    folder = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "tests.support.api_server", str(samples), str(folder), "me:secret"]
    with subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


@pytest.fixture(autouse=True)
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to work in, and the password where it belongs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MERGE_DESK_PASSWORD", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def answer(capture: Capture, *arguments: str) -> tuple[dict, str]:
    """The JSON of a search that succeeds, and what it says on standard error."""
    status = main(["search", *arguments, "--json"])
    printed = capture.readouterr()
    assert status == 0, printed.err
    return json.loads(printed.out), printed.err


def kept(address: str) -> dict:
    """What the server holds in memory."""
    request = urllib.request.Request(f"{address}/merge-desk/v1/status")
    request.add_header("Authorization", "Basic bWU6c2VjcmV0")
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def test_a_search_over_http_equals_one_on_this_machine_and_is_joined_by_workers(
    samples: Path, address: str, capsys: Capture
) -> None:
    models = [str(samples / f"{name}.safetensors") for name in ("ink", "pastel")]
    local, _ = answer(capsys, *models, *STUDY, "--budget", "3", "--storage", "local.db")
    there = ("--host", address, "--user", "me")
    remote, said = answer(capsys, "ink", "pastel", *STUDY, *there, "--budget", "2", "--storage", "remote.db")
    held = kept(address)["base"]
    assert said.endswith(f"merge-desk: the model of {address} is what it was before: {held}\n")
    worker = ("worker", "--storage", "remote.db", "--budget", "3")
    joined, _ = answer(capsys, *worker, *there)
    assert joined["trials_of_this_run"] == 1
    scored = [[(trial["point"], trial["scores"]) for trial in study["trials"]] for study in (local, joined)]
    assert scored[0] == scored[1]
    assert remote["trials"] == joined["trials"][:2]
    assert kept(address)["live"] is None
    # its files are found by the hashes that the study of the WebUI's names has
    more, _ = answer(capsys, *worker[:-1], "4", "--models", str(samples))
    assert more["trials_of_this_run"] == 1


def test_ctrl_c_restores_the_model_of_the_webui(address: str) -> None:
    command = [sys.executable, "-m", "lib_merge", "search", "ink", "pastel", *STUDY]
    command += ["--host", address, "--user", "me", "--budget", "10 minutes"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
        env={**ENVIRONMENT, "MERGE_DESK_PASSWORD": "secret"},
    ) as child:
        assert child.stdout is not None
        while not child.stdout.readline().startswith("trial 0"):
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=120)
    assert child.returncode == 130, err
    assert "is what it was before: " in err
    assert "--resume goes on with the study" in err
    assert kept(address)["live"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ink", "pastel", "--host", "http://127.0.0.1:9"), "the WebUI does not answer"),
        (("ink", "pastel", "--host", "HERE"), "the WebUI asks for an account"),
        (("ink", "pastel", "--host", "HERE", "--user", "you"), "refuses this password of 'you'"),
        (("ink", "pastels", "--host", "HERE", "--user", "me"), "there is no checkpoint called 'pastels'"),
        (("ink", "pastel", "--user", "me"), "--user and --password-file belong to --host"),
        (("ink", "pastel", "--host", "me:secret@gpu"), "is no address of a WebUI"),
        (("ink", "pastel", "--host", "HERE", "--models", "."), "the files are those of the WebUI"),
        (("ink", "pastel", "--host", "HERE", "--user", "me", "--password-file", "no"), "password cannot be"),
    ],
)
def test_what_cannot_be_done_over_http_says_why(
    arguments: tuple[str, ...], said: str, address: str, capsys: Capture
) -> None:
    words = [address if word == "HERE" else word for word in arguments]
    assert main(["search", *words, *STUDY]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert os.environ["MERGE_DESK_PASSWORD"] not in err.replace("me:secret@gpu", "")


def test_a_grid_is_made_by_workers_on_this_machine_and_in_a_webui(
    samples: Path, address: str, capsys: Capture
) -> None:
    models = [str(samples / f"{name}.safetensors") for name in ("ink", "pastel")]
    small = ("--prompt", "a red circle", "--steps", "1", "--width", "32", "--height", "32")
    arguments = ("grid", *models, *small, "--x", "alpha: 0.25, 0.75", "--y", "seed: 1, 2", "-o", "grid.png")
    command = [sys.executable, "-m", "lib_merge", *arguments, "--workers", "cells.db", "--only-workers"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as starter:
        assert starter.stdout is not None
        line = starter.stdout.readline()
        assert line.startswith("workers join with: merge-desk grid worker --workers cells.db --study 'grid ")
        name = line.split("'")[1]
        worker = ("grid", "worker", "--workers", "cells.db", "--json")
        assert main([*worker, "--study", name, "--host", address, "--user", "me"]) == 0
        there = json.loads(capsys.readouterr().out)
        out, _ = starter.communicate(timeout=120)
    assert starter.returncode == 0
    assert there["grids"] == {name: 4}
    assert "grid.png: 4 of 4 cells, 2 merges" in out
    assert kept(address)["live"] is None
    cells = {path.name: path.read_bytes() for path in Path("grid.cells").glob("*.png")}
    assert len(cells) == 4
    assert main([*worker, "--models", str(samples)]) == 0
    assert json.loads(capsys.readouterr().out)["grids"] == {}
    assert main([*arguments, "--resume", "--json"]) == 0
    assert {cell["state"] for cell in json.loads(capsys.readouterr().out)["each_cell"]} == {"kept"}
