"""`merge-desk rebasin`: its output, its file and its error messages."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_merge.architectures import read_header
from lib_merge.cli import main
from lib_merge.cli.alignment import _stoppable
from lib_merge.progress import NoProgress
from samples.assemble import assemble

pytestmark = pytest.mark.newest_only

Capture = pytest.CaptureFixture[str]
QUICK = ("--layers", "M00, IN07", "--sweeps", "2")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("base", "other", "ink", "pastel"):
        shutil.copy(assemble()[name], tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capture: Capture, *arguments: str) -> tuple[int, str, str]:
    status = main(["rebasin", *arguments])
    return status, *capture.readouterr()


def test_it_writes_b_aligned_and_says_what_moved(folder: Path, capsys: Capture) -> None:
    status, out, err = run(capsys, "base.safetensors", "other.safetensors", "-o", "b.safetensors", *QUICK)
    assert status == 0
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith(("geglu", "heads"))}
    assert rows["geglu"][1:3] == ["2", "2"]
    assert "LoRAs trained on that no longer fit" in err
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
    step = 'B2 = rebasin(B, to = A, layers = "M00, IN07", procrustes = true, seed = 3, sweeps = 2)'
    assert step in recipe
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
    report = json.loads(out)
    assert report["output"] is None
    assert [kind["kind"] for kind in report["kinds"]] == ["geglu"]
    assert (report["moved"], report["already_aligned"], report["stopped"]) == (2, False, False)
    assert report["similarity"][0] < report["similarity"][1]
    assert report["likeness"] == report["similarity"]  # as 0.1.0 called it
    assert report["distance"][0] > report["distance"][1]
    assert 0.9 < report["share"] <= 1
    assert sorted(path.name for path in folder.glob("*.safetensors")) == [
        f"{name}.safetensors" for name in ("base", "ink", "other", "pastel")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--groups", "hads"), "there is no group 'hads'"),
        (("--layers", "IN99"), "has no slot 'IN99'"),
        (("--sweeps", "0"), "sweeps cannot be 0"),
        (("-o", "other.safetensors"), "other.safetensors"),
        (("-o", "b.png"), "b.png"),
        (("--dtype", "fp12"), "cannot be saved as 'fp12'"),
        (("--device", "abacus"), "torch cannot use the device 'abacus'"),
    ],
)
def test_mistakes_are_listed_in_one_message(
    arguments: tuple[str, ...], message: str, folder: Path, capsys: Capture
) -> None:
    status, out, err = run(capsys, "base.safetensors", "other.safetensors", *arguments)
    assert (status, out) == (2, "")
    assert err.count("merge-desk: ") == 1
    assert message in err


def test_a_copy_under_another_name_is_aligned_already(folder: Path, capsys: Capture) -> None:
    shutil.copy("base.safetensors", "copy.safetensors")
    _, out, _ = run(capsys, "base.safetensors", "copy.safetensors", "-o", "b.safetensors")
    assert "already aligned" in out


def eight_bits(name: str) -> str:
    """A model saved anew in fp8."""
    state = load_file(f"{name}.safetensors")
    narrow = {k: v.to(torch.float8_e4m3fn) for k, v in state.items() if v.is_floating_point()}
    save_file({**state, **narrow}, f"{name}8.safetensors")
    return f"{name}8.safetensors"


def test_so_is_a_copy_in_eight_bits(folder: Path, capsys: Capture) -> None:
    shutil.copy(eight_bits("base"), "copy.safetensors")
    _, out, _ = run(capsys, "base8.safetensors", "copy.safetensors", "-o", "b.safetensors")
    assert "already aligned" in out


def test_models_in_eight_bits_are_aligned_as_such(folder: Path, capsys: Capture) -> None:
    status, _, _ = run(capsys, eight_bits("base"), eight_bits("other"), "-o", "b.safetensors", *QUICK)
    assert status == 0
    state, floats = load_file("b.safetensors"), {torch.float8_e4m3fn}
    assert {value.dtype for value in state.values() if value.is_floating_point()} == floats


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
    with _stoppable(NoProgress()) as progress:
        assert not progress.stopped()
        signal.raise_signal(signal.SIGINT)
        assert progress.stopped()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert "ending the search" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is usual


def test_a_merge_aligns_first_where_it_is_asked_to(folder: Path, capsys: Capture) -> None:
    arguments = ["base.safetensors", "other.safetensors", "--alpha", "0.5", "--align"]
    assert main(["plan", *arguments]) == 0
    text = capsys.readouterr().out
    assert "  B2 = other.safetensors, aligned to A" in text
    assert "0.5 A + 0.5 B2" in text
