"""The command line: its output, the files that it writes, and its error messages."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_merge.cli import main
from lib_merge.methods import METHODS
from lib_merge.recipe import parse_recipe
from lib_merge.service.request_values import flag_name
from tests.cases.kit import sd1
from tests.support.full_size import write_tiny
from tests.support.merging import same_bits

RAMP = ",".join(str(n / 25) for n in range(26))
Capture = pytest.CaptureFixture[str]
Tiny = Callable[..., str]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """Writes `NAME.safetensors` into the current folder and gives its name."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, **options: object) -> str:
        return write_tiny(Path(f"{name}.safetensors"), **{"seed": ord(name[0]), **options}).name

    return write


def run(capture: Capture, *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one command."""
    status = main(arguments)
    return status, *capture.readouterr()


def refusal(capture: Capture, *arguments: str) -> str:
    """The message of a command that must refuse: status 2, one message, nothing on standard output."""
    status, out, err = run(capture, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("merge-desk: ")
    assert err.count("merge-desk: ") == 1
    assert "Traceback" not in err
    return err


def test_merge_writes_the_file_and_says_so(tiny: Tiny, capsys: Capture) -> None:
    status, out, err = run(capsys, "merge", tiny("a"), tiny("b"), "--weights", RAMP, "-o", "m.safetensors")
    assert (status, err) == (0, "")
    assert out.startswith("m.safetensors: 1131 keys, 1130 fp16, 1 int64, 264 KB, in ")
    assert len(load_file("m.safetensors")) == 1131


def test_a_merged_file_tells_its_recipe_and_is_rebuilt_from_it_byte_for_byte(
    tiny: Tiny, capsys: Capture
) -> None:
    run(capsys, "merge", tiny("a"), tiny("b"), "--weights", RAMP, "--dtype", "bf16", "-o", "m.safetensors")
    _, out, _ = run(capsys, "inspect", "m.safetensors", "--json")
    recipe = json.loads(out)["metadata"]["merge_desk.recipe"]
    Path("m.recipe").write_text(recipe, encoding="utf-8")
    status, _, err = run(capsys, "merge", "--recipe", "m.recipe", "--models", ".", "-o", "again.safetensors")
    assert (status, err) == (0, "")
    assert Path("again.safetensors").read_bytes() == Path("m.safetensors").read_bytes()


def test_a_recipe_comes_through_a_pipe_and_finds_files_without_their_endings(
    tiny: Tiny, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny("a"), tiny("b")
    recipe = 'merge-desk recipe 1\nA = "a"\nB = "b"\nM = weighted_sum(A, B, alpha = 0.25)\n'
    monkeypatch.setattr(sys, "stdin", io.StringIO(recipe))
    status, _, err = run(capsys, "merge", "--recipe", "-", "--models", ".", "-o", "m.safetensors")
    assert (status, err) == (0, "")


def test_merge_answers_in_json(tiny: Tiny, capsys: Capture) -> None:
    _, out, _ = run(capsys, "merge", tiny("a"), tiny("b"), "-o", "m.safetensors", "--json")
    answer = json.loads(out)
    assert (answer["output"], answer["keys"]) == ("m.safetensors", 1131)
    assert answer["bytes"] == Path("m.safetensors").stat().st_size


def test_every_method_of_the_registry_merges_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"{name}.safetensors" for name in "abc"]
    for name in names:  # a few keys each: execute/test_methods.py merges whole files by every method
        save_file(sd1(ord(name[0])), name)
    for method in METHODS.all():
        models = names[: method.max_models or 3]
        flags = [
            f"{flag_name(p.name)}={','.join(['0.5'] * method.per_model_count(len(models)))}"
            for p in method.parameters
            if p.per_model
        ]
        arguments = ["merge", *models, "--method", method.id, *flags, "-o", "m.safetensors", "--overwrite"]
        status, _, err = run(capsys, *arguments)
        assert status == 0, f"{method.id}: {err}"


def test_25_numbers_take_alpha_for_the_text_encoder(tiny: Tiny, capsys: Capture) -> None:
    _, out, _ = run(
        capsys, "plan", tiny("a"), tiny("b"), "--weights", ",".join(["0.1"] * 25), "--alpha", "0.7", "--json"
    )
    slots = json.loads(out)["slots"]
    assert slots["BASE"]["amounts"] == {"A": 0.3, "B": 0.7}
    assert slots["M00"]["amounts"] == {"A": 0.9, "B": 0.1}
    assert slots["VAE"]["amounts"] == {"A": 1.0}


@pytest.mark.parametrize(("vae", "source"), [("a", "a"), ("b", "b"), ("v.safetensors", "v")])
def test_the_vae_is_taken_from_where_it_is_asked_to(
    vae: str, source: str, tiny: Tiny, capsys: Capture
) -> None:
    names = {name: tiny(name) for name in "abv"}
    run(capsys, "merge", names["a"], names["b"], "--alpha", "0.5", "--vae", vae, "-o", "m.safetensors")
    key = "first_stage_model.decoder.conv_in.weight"
    assert same_bits(load_file("m.safetensors")[key], load_file(names[source])[key])


def test_plan_prints_a_line_for_every_slot_and_writes_nothing(tiny: Tiny, capsys: Capture) -> None:
    status, out, _ = run(capsys, "plan", tiny("a"), tiny("b"), "--weights", RAMP, "-o", "m.safetensors")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[4:33]][:3] == ["BASE", "IN00", "IN01"]
    assert "0.96 A + 0.04 B" in out
    assert not Path("m.safetensors").exists()


def test_inspect_tells_what_a_file_is(tiny: Tiny, capsys: Capture) -> None:
    _, out, _ = run(capsys, "inspect", tiny("a", family="sdxl", parts=("unet", "text")))
    assert "Stable Diffusion XL" in out
    assert "U-Net, text encoder (no VAE)" in out
    _, out, _ = run(capsys, "inspect", tiny("a", variant="inpaint"), "--hashes", "--json")
    answer = json.loads(out)
    assert (answer["family"], answer["variant"], answer["slots"]["M00"]) == ("sd1", "inpaint", 46)
    assert len(answer["hashes"]["sha256"]) == 64


def test_inspect_tells_what_is_no_checkpoint(tiny: Tiny, capsys: Capture) -> None:
    tiny("a")
    save_file(
        {"lora_unet_mid_block_attentions_0_proj_in.lora_up.weight": torch.zeros(2, 2)}, "lora.safetensors"
    )
    status, out, _ = run(capsys, "inspect", "lora.safetensors")
    assert status == 0
    assert "LoRA" in out


def test_methods_are_listed_and_explained(capsys: Capture) -> None:
    _, out, _ = run(capsys, "methods")
    assert "weighted_sum" in out
    assert "out = A + alpha (B - C)" in out
    _, out, _ = run(capsys, "methods", "triple_sum")
    assert "--beta  usually 0 to 1, default 0.33: the amount of C" in out
    _, out, _ = run(capsys, "methods", "--json")
    listed = json.loads(out)
    assert [entry["name"] for entry in listed] == [method.id for method in METHODS.all()]
    assert all(entry["formula"] and entry["source"] for entry in listed)


# --- how it says no ------------------------------------------------------------------------------


def test_an_input_is_never_replaced(tiny: Tiny, capsys: Capture) -> None:
    a, b = tiny("a"), tiny("b")
    before = Path(a).read_bytes()
    Path("link.safetensors").symlink_to(a)
    for target in (a, "link.safetensors", "./" + a):
        err = refusal(capsys, "merge", a, b, "-o", target, "--overwrite")
        assert "one of its own inputs" in err
    assert Path(a).read_bytes() == before


def test_an_existing_file_is_replaced_only_when_asked(tiny: Tiny, capsys: Capture) -> None:
    a, b = tiny("a"), tiny("b")
    Path("m.safetensors").write_bytes(b"mine")
    for output in ("m.safetensors", "m/"):
        Path("m").mkdir(exist_ok=True)
        refused = refusal(capsys, "merge", a, b, "-o", output)
        assert f"'{output.rstrip('/')}' is there already" in refused
        assert "try  another name, or --overwrite" in refused
    assert Path("m.safetensors").read_bytes() == b"mine"
    assert run(capsys, "merge", a, b, "-o", "m.safetensors", "--overwrite")[0] == 0


def test_a_truncated_input_is_reported(tiny: Tiny, capsys: Capture) -> None:
    a, b = tiny("a"), tiny("b")
    Path(b).write_bytes(Path(b).read_bytes()[:-1000])
    err = refusal(capsys, "merge", a, b, "-o", "m.safetensors")
    assert b in err
    assert not Path("m.safetensors").exists()


def test_a_header_that_lies_is_reported(tiny: Tiny, capsys: Capture) -> None:
    a, b = tiny("a"), tiny("b")
    raw = Path(b).read_bytes()
    Path(b).write_bytes((len(raw) * 2).to_bytes(8, "little") + raw[8:])
    assert b in refusal(capsys, "merge", a, b, "-o", "m.safetensors")


class Evil:
    """Unpickled the ordinary way, it makes a folder."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, ("taken_over",)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tiny: Tiny, capsys: Capture) -> None:
    a = tiny("a")
    Path("bare.ckpt").write_bytes(pickle.dumps({"state_dict": Evil()}))
    torch.save({"state_dict": {"w": torch.zeros(1)}, "extra": Evil()}, "zip.ckpt")
    for name in ("bare.ckpt", "zip.ckpt"):
        assert name in refusal(capsys, "merge", a, name, "-o", "m.safetensors")
    assert not Path("taken_over").exists()
    pickle.loads(Path("bare.ckpt").read_bytes())
    assert Path("taken_over").exists(), "the file was not evil after all"


def test_every_unreadable_input_is_reported_at_once(tiny: Tiny, capsys: Capture) -> None:
    tiny("a")
    Path("empty.safetensors").touch()
    err = refusal(capsys, "merge", "nowhere.safetensors", "empty.safetensors", "-o", "m.safetensors")
    assert "this merge has 2 problems" in err


def test_a_target_that_cannot_be_is_reported_with_the_rest(tiny: Tiny, capsys: Capture) -> None:
    err = refusal(capsys, "merge", tiny("a"), tiny("b", family="sdxl"), "-o", "no/such/folder/m.safetensors")
    assert "1. " in err
    assert "Stable Diffusion XL" in err
    assert "the folder does not exist" in err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--method", "wieghted_sum"], "did you mean 'weighted_sum'"),
        (["--method", "add_difference"], "add_difference takes 3 models (A, B, C), not 2"),
        (["--beta", "0.5"], "weighted_sum takes no --beta"),
        (["--beta-weights", RAMP], "weighted_sum takes no --beta-weights"),
        (["--alpha", "half"], "--alpha"),
        (["--alpha", "nan"], "--alpha"),
        (["--weights", "0.1,0.2"], "the list has 2 numbers, but Stable Diffusion 1 takes 26"),
        (["--layout", "supermerge"], "did you mean 'supermerger'"),
        (["--dtype", "fp12"], "a merge cannot be saved as 'fp12'"),
        (["--vae", "nowhere.vae.safetensors"], "nowhere.vae.safetensors"),
        (["--device", "abacus"], "torch cannot use the device 'abacus'"),
    ],
    ids=lambda value: "=".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_wrong_flag_is_refused_with_a_way_out(
    arguments: list[str], what: str, tiny: Tiny, capsys: Capture
) -> None:
    assert what in refusal(capsys, "merge", tiny("a"), tiny("b"), *arguments, "-o", "m.safetensors")
    assert not Path("m.safetensors").exists()


def test_flags_beside_a_recipe_are_refused(tiny: Tiny, capsys: Capture) -> None:
    tiny("a")
    Path("m.recipe").write_text('merge-desk recipe 1\nA = "a"\n', encoding="utf-8")
    arguments = ["merge", "--recipe", "m.recipe", "--alpha", "0.3", "--dtype", "fp16", "-o", "m.safetensors"]
    assert "--alpha, --dtype cannot be used with --recipe" in refusal(capsys, *arguments)


def test_a_missing_ingredient_is_reported_with_what_is_there(tiny: Tiny, capsys: Capture) -> None:
    tiny("ink")
    recipe = 'merge-desk recipe 1\nA = "inc.safetensors"\n'
    parse_recipe(recipe)
    Path("m.recipe").write_text(recipe, encoding="utf-8")
    err = refusal(capsys, "merge", "--recipe", "m.recipe", "-o", "m.safetensors")
    assert "there is no 'inc.safetensors'" in err
    assert "did you mean 'ink.safetensors'" in err


# --- real processes ------------------------------------------------------------------------------

ROOT = Path(__file__).parents[3]


def spawn(*arguments: str, **options: object) -> subprocess.Popen[str]:
    """`merge-desk` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "lib_merge", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.newest_only
def test_a_file_too_large_for_the_users_limit_leaves_nothing(tiny: Tiny) -> None:
    """A real limit of the operating system (ulimit -f), met in the middle of the merge."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    merge = spawn("merge", tiny("a"), tiny("b"), "-o", "m.safetensors", preexec_fn=limited)
    out, err = merge.communicate()
    assert (merge.returncode, out) == (2, "")
    assert err.startswith("merge-desk: the result cannot be written")
    assert sorted(path.name for path in Path().iterdir()) == ["a.safetensors", "b.safetensors"]


@pytest.mark.newest_only
def test_the_module_and_its_help_run_in_a_process_of_their_own(tiny: Tiny) -> None:
    helped = spawn("--help")
    out, _ = helped.communicate()
    assert helped.returncode == 0
    for command in ("inspect", "merge", "plan", "methods", "draw"):
        assert command in out
    merge = spawn("merge", tiny("a"), tiny("b"), "-o", "m.safetensors")
    assert merge.communicate()[1] == ""
    assert merge.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "merge a b -o c --alpah 0.3",
            "unrecognized arguments: --alpah 0.3\n  try  did you mean '--alpha'",
        ),
        (
            "compare a b --caceh=c",
            "unrecognized arguments: --caceh=c\n  try  did you mean '--cache'",
        ),
        ("merge1 a b", "there is no command 'merge1'\n  try  did you mean 'merge'"),
        ("merge a b", "required: -o/--output\n  try  merge-desk merge --help shows all flags\n"),
        ("inspect", "required: FILE\n  try  merge-desk inspect --help shows all flags\n"),
    ],
)
def test_a_mistyped_command_line_gets_one_sentence_and_a_hint(
    capsys: Capture, arguments: str, message: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    err = capsys.readouterr().err
    assert (caught.value.code, err.count("\n")) == (2, 2)
    assert message in err


def test_a_missing_file_of_a_recipe_is_reported_with_the_line_that_names_it(
    tiny: Tiny, capsys: Capture
) -> None:
    tiny("a")
    text = 'A = "a.safetensors"\nP = "pastl.safetensors"\nM = weighted_sum(A, P)'
    assert '  at   P = "pastl.safetensors"\n' in refusal(capsys, "plan", "--recipe", text)
