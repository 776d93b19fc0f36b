"""`merge-desk search` on the samples: the text, the JSON, errors, resume, workers."""

# pyright: basic
from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

import torch
from PIL import Image

from lib_merge.cli import main
from lib_merge.recipe import parse_recipe
from lib_merge.search.studies import study_names
from samples.assemble import assemble
from tests.support.children import hear_ctrl_c

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[3]
SMALL = ("--prompt", "a red circle", "--steps", "1", "--width", "32", "--height", "32")
SPACE = ("--space", "OUT: tied 0..1 step 0.25; M00: 0.3")
SCORE = ("--score", "colourfulness")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample checkpoints."""
    folder = tmp_path_factory.mktemp("samples")
    assemble(folder)
    return folder


@pytest.fixture
def models(samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ink and pastel; the test works in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return [str(samples / f"{name}.safetensors") for name in ("ink", "pastel")]


@pytest.fixture(autouse=True)
def one_thread():  # type: ignore[no-untyped-def]
    """Threads that wait for each other are slow on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(capture: Capture, *arguments: str) -> tuple[int, str, str]:
    status = main(["search", *arguments])
    printed = capture.readouterr()
    return status, printed.out, printed.err


def answer(capture: Capture, *arguments: str) -> dict[str, object]:
    """The JSON of a search that succeeds."""
    status, out, err = run(capture, *arguments, "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


@pytest.mark.slow
def test_a_search_prints_its_trials_and_the_best_and_saves_its_picture(
    models: list[str], capsys: Capture
) -> None:
    space = ("--space", "OUT00-OUT05: tied 0..1; M00: 0.5")
    arguments = (*models, "--alpha", "0.5", *SMALL, *space, *SCORE, "--start", "GRAD_V", "-o", "best.png")
    status, out, err = run(capsys, *arguments, "--budget", "3")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "study 'search': 1 dimension, 3 trials"
    assert lines[1].startswith("trial 0: ")
    assert lines[1].endswith(", the recipe as it was")
    assert lines[2].endswith(", preset GRAD_V")
    assert "3 trials are done; 3 trials in the study 'search'" in lines
    assert lines[-1] == "saved as best.png"
    recipe = parse_recipe(out[out.index("merge-desk recipe") : out.index("saved as")])
    with Image.open("best.png") as picture:
        assert picture.size == (32, 32)
        assert "a red circle" in picture.info["parameters"]
    assert main(["recipe", "best.png"]) == 0
    saved = parse_recipe(capsys.readouterr().out)
    assert saved.steps == recipe.steps


@pytest.mark.slow
def test_a_search_is_resumed_and_joined_by_workers(models: list[str], capsys: Capture) -> None:
    arguments = (*models, *SMALL, *SPACE, *SCORE, "--storage", "kept/study.db", "--study", "colours")
    first = answer(capsys, *arguments, "--budget", "2")
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert "there is a study called 'colours' already" in err
    assert "--resume" in err
    more = answer(capsys, *arguments, "--budget", "4", "--resume")
    assert more["trials"][:2] == first["trials"]  # type: ignore[index]
    assert len(more["trials"]) == 4  # type: ignore[arg-type]
    worker = (
        "worker",
        "--models",
        str(Path(models[0]).parent),
        "--storage",
        "kept/study.db",
        "--study",
        "colours",
    )
    assert answer(capsys, *worker)["trials_of_this_run"] == 0
    assert answer(capsys, *worker, "--budget", "5 trials, 10 minutes")["trials_of_this_run"] == 1
    status, _, err = run(capsys, *arguments, "--resume", "--guidance", "3")
    assert status == 2
    assert "the study 'colours' was begun with other settings: --guidance" in err


@pytest.mark.slow
def test_two_objectives_have_a_front(models: list[str], capsys: Capture) -> None:
    arguments = (*models, *SMALL, *SPACE, *SCORE, "--score", "-1*colourfulness", "--sampler", "random")
    done = answer(capsys, *arguments, "--budget", "3")
    own = [trial["number"] for trial in done["trials"] if trial["same_as"] < 0]  # type: ignore[union-attr]
    assert sorted(done["pareto"]) == own  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "a search needs a space"),
        (SPACE, "a search needs a score"),
        ((*SPACE, *SCORE, "--budget", "soon"), "'soon' is no budget"),
        ((*SPACE, *SCORE, "--sampler", "tpes"), "there is no sampler 'tpes'"),
        ((*SPACE, *SCORE, "--seeds", "x"), "'x' is no number and no range"),
        ((*SPACE, *SCORE, "--prune", "1"), "trials of 1 pictures cannot be pruned after 1"),
        ((*SPACE, *SCORE, "--start", "GRAD_X"), "there is no preset 'GRAD_X'"),
        (("--space", "OUT4: 0..1", *SCORE), "has no block 'OUT4'"),
        ((*SPACE, "--score", "colourfulnes"), "there is no scorer 'colourfulnes'"),
        ((*SPACE, "--score", "clip"), "the scorer 'clip' has no weights"),
        ((*SPACE, *SCORE, "-o", "best.gif"), "best.gif"),
        ((*SPACE, "--score", ""), "'' is no score"),
        ((*SPACE, "--score", "contrast contrast"), "'contrast' is no score"),
        ((*SPACE, "--score", "1e400*contrast"), "the factor 1e400 is no finite number"),
        ((*SPACE, "--score", "closeness(C)"), "this merge has no C"),
        ((*SPACE, "--score", "closeness(nope.png)"), "nope.png"),
        ((*SPACE, *SCORE, "--seeds", "9" * 23), "a seed of the pictures is out of range"),
        ((*SPACE, *SCORE, "--budget", "2 trials or 3 trials"), "'2 trials or 3 trials' is two budgets"),
        (("--space", "OUT4: 0..1", "--score", "clip"), "the scorer 'clip' has no weights"),
        ((*SPACE, *SCORE, "--storage", "nosuch://x"), "the storage of the study cannot be used"),
    ],
)
def test_what_cannot_be_searched_says_why(
    arguments: tuple[str, ...], said: str, models: list[str], capsys: Capture
) -> None:
    status, out, err = run(capsys, *models, *SMALL, *arguments)
    assert status == 2
    assert said in err
    assert "Traceback" not in err
    assert "trial 0" not in out
    assert not Path("search.db").exists() or study_names("search.db") == [], "nothing was begun"


def test_the_folder_of_a_study_with_an_odd_name_stays_here_and_says_which(
    models: list[str], capsys: Capture
) -> None:
    names = ("../esc/x", "..\\esc\\x", "形" * 150, "colours of may")
    for number, name in enumerate(names):
        words = (*SPACE, *SCORE, "--budget", "1", "--study", name, "--storage", f"{number}.db")
        answer(capsys, *models, *SMALL, *words)
    folders = {entry.name for entry in Path.cwd().iterdir() if entry.name.endswith(".data")}
    assert len(folders) == len(names)
    assert "colours of may.data" in folders
    assert not Path("../esc").exists()


def test_a_worker_without_a_study_says_so(models: list[str], capsys: Capture) -> None:
    status, _, err = run(capsys, "worker", "--models", str(Path(models[0]).parent))
    assert status == 2
    assert "there is no study called 'search'" in err


@pytest.mark.slow
def test_a_scorer_that_always_fails_is_an_exit_status(models: list[str], capsys: Capture) -> None:
    folder = Path("data", "scorers")
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text("def score(images, prompts):\n    return float('nan')\n")
    status, out, _ = run(capsys, *models, *SMALL, *SPACE, "--score", "mine", "--data", "data")
    assert status == 1
    assert "trial 0: failed, its score is nan" in out
    assert "3 trials in a row failed: its score is nan" in out


@pytest.mark.slow
@pytest.mark.newest_only
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_keeps_the_study(models: list[str], capsys: Capture) -> None:
    arguments = (*models, *SMALL, *SPACE, *SCORE)
    command = [sys.executable, "-m", "lib_merge", "search", *arguments, "--budget", "10 minutes"]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
        env=environment,
    ) as child:
        assert child.stdout is not None
        while not child.stdout.readline().startswith("trial 0"):
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=120)
    assert (child.returncode, "--resume goes on with the study 'search'" in err) == (130, True), err
    assert study_names("search.db") == ["search"]
    again = answer(capsys, *arguments, "--budget", "3", "--resume")
    assert again["trials"][0]["state"] == "done"  # type: ignore[index]
