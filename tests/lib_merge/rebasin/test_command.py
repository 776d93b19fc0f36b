"""`merge-desk rebasin` as its user meets it."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_merge.checkpoint import read_header
from lib_merge.cli import main
from lib_merge.cli.rebasin import _stoppable
from lib_merge.progress import Silent
from samples.assemble import assemble

Capture = pytest.CaptureFixture[str]
QUICK = ("--layers", "M00, IN07", "--sweeps", "2")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("base", "other", "ink", "pastel"):
        shutil.copy(assemble()[name], tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capture: Capture, *words: str) -> tuple[int, str, str]:
    status = main(["rebasin", *words])
    return status, *capture.readouterr()


def test_it_writes_b_aligned_and_says_what_moved(folder: Path, capsys: Capture) -> None:
    status, out, err = run(capsys, "base.safetensors", "other.safetensors", "-o", "b.safetensors", *QUICK)
    assert status == 0
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith(("geglu", "heads"))}
    assert rows["geglu"][1:3] == ["2", "2"]
    assert "LoRAs trained on that fit it no more" in err
    assert out.splitlines()[-1].startswith("b.safetensors: B aligned to A, in ")
    before, after = load_file("other.safetensors"), load_file("b.safetensors")
    changed = {key for key in after if not torch.equal(after[key], before[key])}
    assert changed
    assert all("middle_block." in key or "input_blocks.7." in key for key in changed)


def test_its_file_is_rebuilt_from_its_own_recipe(folder: Path, capsys: Capture) -> None:
    run(
        capsys,
        "base.safetensors",
        "other.safetensors",
        "-o",
        "b.safetensors",
        *QUICK,
        "--seed",
        "3",
        "--procrustes",
    )
    recipe = read_header(Path("b.safetensors")).metadata["merge_desk.recipe"]
    told = 'B2 = rebasin(B, to = A, layers = "M00, IN07", procrustes = true, seed = 3, sweeps = 2)'
    assert told in recipe
    Path("b.recipe").write_text(recipe, encoding="utf-8")
    assert main(["merge", "--recipe", "b.recipe", "--models", ".", "-o", "again.safetensors"]) == 0
    assert Path("again.safetensors").read_bytes() == Path("b.safetensors").read_bytes()


def test_models_of_one_lineage_are_aligned_already_and_nothing_is_written(
    folder: Path, capsys: Capture
) -> None:
    assert run(capsys, "ink.safetensors", "pastel.safetensors")[0] == 0
    status, out, _ = run(capsys, "ink.safetensors", "pastel.safetensors", "-o", "b.safetensors")
    assert status == 1  # what was asked for was not written
    assert "already aligned" in out
    assert out.splitlines()[-1] == "b.safetensors was not written: use B as it is"
    assert not Path("b.safetensors").exists()


def test_it_answers_in_json_and_without_an_output_writes_nothing(folder: Path, capsys: Capture) -> None:
    _, out, _ = run(capsys, "base.safetensors", "other.safetensors", "--json", "--groups", "geglu", *QUICK)
    told = json.loads(out)
    assert told["output"] is None
    assert [each["kind"] for each in told["kinds"]] == ["geglu"]
    assert (told["moved"], told["already_aligned"], told["stopped"]) == (2, False, False)
    assert told["likeness"][0] < told["likeness"][1]
    assert told["distance"][0] > told["distance"][1]
    assert 0.9 < told["share"] <= 1
    assert sorted(path.name for path in folder.glob("*.safetensors")) == [
        f"{name}.safetensors" for name in ("base", "ink", "other", "pastel")
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--groups", "hads"), "there is no group 'hads'"),
        (("--layers", "IN99"), "has no slot 'IN99'"),
        (("--sweeps", "0"), "sweeps is 0"),
        (("-o", "other.safetensors"), "other.safetensors"),
        (("-o", "b.png"), "b.png"),
        (("--dtype", "fp12"), "cannot be saved as 'fp12'"),
        (("--device", "abacus"), "torch cannot use the device 'abacus'"),
    ],
)
def test_mistakes_are_told_in_one_message(
    words: tuple[str, ...], message: str, folder: Path, capsys: Capture
) -> None:
    status, out, err = run(capsys, "base.safetensors", "other.safetensors", *words)
    assert (status, out) == (2, "")
    assert err.count("merge-desk: ") == 1
    assert message in err


def test_a_copy_under_another_name_is_aligned_already(folder: Path, capsys: Capture) -> None:
    shutil.copy("base.safetensors", "copy.safetensors")
    _, out, _ = run(capsys, "base.safetensors", "copy.safetensors", "-o", "b.safetensors")
    assert "already aligned" in out


def eight_bits(name: str) -> str:
    """A model saved anew in fp8."""
    known = load_file(f"{name}.safetensors")
    narrow = {k: v.to(torch.float8_e4m3fn) for k, v in known.items() if v.is_floating_point()}
    save_file({**known, **narrow}, f"{name}8.safetensors")
    return f"{name}8.safetensors"


def test_so_is_a_copy_in_eight_bits(folder: Path, capsys: Capture) -> None:
    shutil.copy(eight_bits("base"), "copy.safetensors")
    _, out, _ = run(capsys, "base8.safetensors", "copy.safetensors", "-o", "b.safetensors")
    assert "already aligned" in out


def test_models_in_eight_bits_are_aligned_as_such(folder: Path, capsys: Capture) -> None:
    status, _, _ = run(capsys, eight_bits("base"), eight_bits("other"), "-o", "b.safetensors", *QUICK)
    assert status == 0
    made, floats = load_file("b.safetensors"), {torch.float8_e4m3fn}
    assert {value.dtype for value in made.values() if value.is_floating_point()} == floats


def test_groups_that_were_left_out_are_named(folder: Path, capsys: Capture) -> None:
    state = load_file("other.safetensors")
    state["model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k_ip.weight"] = torch.zeros(
        64, 48
    )
    save_file(state, "other.safetensors")
    _, out, _ = run(capsys, "base.safetensors", "other.safetensors", *QUICK)
    assert "left out: model.diffusion_model.middle_block.1" in out
    assert "to_k_ip.weight is no tensor of this family" in out


def test_the_first_ctrl_c_asks_the_search_to_stop_and_the_second_ends_the_command(capsys: Capture) -> None:
    usual = signal.getsignal(signal.SIGINT)
    with _stoppable(Silent()) as progress:
        assert not progress.stopped()
        signal.raise_signal(signal.SIGINT)
        assert progress.stopped()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert "ending the search" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is usual


def test_a_merge_aligns_first_where_it_is_asked_to(folder: Path, capsys: Capture) -> None:
    words = ["base.safetensors", "other.safetensors", "--alpha", "0.5", "--align"]
    assert main(["plan", *words]) == 0
    told = capsys.readouterr().out
    assert "  B2 = other.safetensors, aligned to A" in told
    assert "0.5 A + 0.5 B2" in told
