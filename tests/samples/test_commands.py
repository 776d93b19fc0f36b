"""`python -m samples COMMAND`, which start.py runs: it makes the samples that a command names."""

from __future__ import annotations

from pathlib import Path

import pytest

from samples import __main__ as samples
from samples.assemble import NAMES

SAID = "Putting the sample checkpoints together in "


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the samples in a fresh clone, which is the current folder."""
    folder = tmp_path / "samples" / "models"
    monkeypatch.setattr(samples, "MODELS", folder)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments that merge-desk gets, which does nothing."""
    calls: list[list[str]] = []
    monkeypatch.setattr(samples, "main", lambda arguments: calls.append(list(arguments)) or 0)
    return calls


def test_a_command_that_names_a_missing_sample_makes_all_of_them(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert samples.run(["inspect", "samples/models/ink.safetensors"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("samples/models/ink.safetensors\n")
    assert printed.err == f"{SAID}{models} ...\n"
    assert {path.stem for path in models.glob("*.safetensors")} == set(NAMES)
    assert samples.run(["inspect", "samples/models/ink.safetensors"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("word", ["--models=samples/models", "samples/../samples/models/base.safetensors"])
def test_a_folder_and_the_value_of_a_flag_may_name_the_samples(
    models: Path, received: list[list[str]], monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    made: list[Path] = []
    monkeypatch.setattr(samples, "assemble", made.append)
    assert samples.run(["plan", word]) == 0
    assert (made, received) == ([models], [["plan", word]])


def test_a_command_on_other_files_makes_nothing(
    models: Path, received: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert samples.run(["inspect", "mine.safetensors", "samples/mine.safetensors"]) == 0
    assert (received[0][0], capsys.readouterr().err, models.exists()) == ("inspect", "", False)


def test_the_desk_opens_on_the_samples_or_on_the_models_that_are_named(
    models: Path, received: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    monkeypatch.setattr(samples, "assemble", made.append)
    assert samples.run(["--port", "7866"]) == samples.run(["--models", "mine"]) == 0
    output = ["desk", "--output", str(samples.OUTPUT)]
    assert received == [[*output, "--models", str(models), "--port", "7866"], [*output, "--models", "mine"]]
    assert made == [models]
