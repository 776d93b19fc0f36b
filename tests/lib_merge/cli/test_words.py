"""The command line takes any text as a value, prints on any terminal, and writes JSON that is JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_merge.cli import main
from tests.support.full_size import write_tiny

pytestmark = pytest.mark.newest_only

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two small models, one of them called by letters that few code pages have."""
    folder = tmp_path_factory.mktemp("models")
    return write_tiny(folder / "モデル é.safetensors", seed=1), write_tiny(folder / "b.safetensors", seed=2)


def desk(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "lib_merge", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, env={**os.environ, **environment}, timeout=280
    )


@pytest.mark.parametrize(
    "values",
    [
        ("--adjust", "-2,0,0,2,0,0,0,0"),
        ("--weights", "-0.1," + ",".join(["0"] * 25)),
        ("--weights", "-GRAD_V+1"),
        ("--alpha", "-.5"),
        ("--method", "weighted_models", "--model-weights", "-0.5,1.5"),
    ],
)
def test_a_value_may_begin_with_a_minus(values: tuple[str, ...], models: tuple[Path, Path]) -> None:
    assert main(["plan", *map(str, models), *values]) == 0


def test_rules_may_begin_with_a_minus(models: tuple[Path, Path]) -> None:
    assert main(["rules", "-0.5*GRAD_V+1", str(models[0])]) == 0


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp932", "utf-8"])
def test_every_name_is_printed_in_every_code_page(encoding: str, models: tuple[Path, Path]) -> None:
    process = desk("inspect", models[0], PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert (process.returncode, process.stderr) == (0, b"")
    missing = desk("inspect", "모델.safetensors", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert missing.returncode == 2
    assert missing.stderr.startswith(b"merge-desk: ")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_json_is_json_in_every_code_page(encoding: str, models: tuple[Path, Path]) -> None:
    process = desk("inspect", models[0], "--json", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert "モデル é" in json.dumps(json.loads(process.stdout.decode(encoding)), ensure_ascii=False)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize("arguments", [["compare", "A", "B"], ["check", "B"], ["check", "B", "--base", "A"]])
def test_a_number_that_is_not_finite_is_null_in_json(
    arguments: list[str], models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = load_file(models[1])
    key = "model.diffusion_model.out.0.weight"
    broken[key] = torch.full_like(broken[key], float("nan"))
    save_file(broken, tmp_path / "nan.safetensors")
    files = {"A": str(models[0]), "B": str(tmp_path / "nan.safetensors")}
    assert main([*(files.get(word, word) for word in arguments), "--json"]) == 0
    json.loads(capsys.readouterr().out, parse_constant=_refuse)


@pytest.mark.parametrize("count", ["1000000000", "9" * 5000, "0", "-1", "1e3", "²"])
def test_a_number_of_threads_that_no_machine_has_is_refused(count: str, models: tuple[Path, Path]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["merge", *map(str, models), "-o", "x.safetensors", f"--threads={count}"])


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "-1"])
def test_an_entry_of_a_number_that_no_history_has_is_refused(number: str, tmp_path: Path) -> None:
    for arguments in (["--show", number], ["--limit", number], ["--delete", number]):
        with pytest.raises(SystemExit, match="2"):
            main(["history", *arguments, "--data", str(tmp_path)])
    assert main(["history", "--name", number, "x", "--data", str(tmp_path)]) == 2


def test_bytes_that_are_no_text_on_standard_input_are_refused_in_one_sentence() -> None:
    command = [sys.executable, "-m", "lib_merge", "recipe", "-"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, input=b"A + \xff\xfe = M", timeout=280)
    assert process.returncode == 2
    assert b"half of a character" in process.stderr
    assert b"Traceback" not in process.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="limits on address space are Linux's")
def test_a_system_that_gives_no_more_threads_is_reported_in_one_sentence(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    program = (
        "import threading, sys\n"
        'def refuse(self): raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = refuse\n"
        "from lib_merge.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["merge", *map(str, models), "-o", str(tmp_path / "m.safetensors"), "--no-hashes"]
    process = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, timeout=280
    )
    assert (process.returncode, process.stderr.count(b"\n") <= 2) == (2, True), process.stderr
    assert b"no more memory or threads" in process.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="limits on address space are Linux's")
def test_a_limit_on_memory_ends_in_a_file_or_in_one_sentence(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    target = tmp_path / "m.safetensors"

    def few() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))

    command = [sys.executable, "-m", "lib_merge", "merge", *map(str, models), "-o", str(target)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=280, preexec_fn=few)
    assert b"Traceback" not in process.stderr, process.stderr
    assert (process.returncode == 0) == target.exists()
