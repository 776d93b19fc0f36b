"""What a merge writes: the right numbers, rounded once, the same on every run; or nothing at all."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_merge.dtypes import BF16, F16, F32, Dtype, to_torch
from lib_merge.errors import MergeError, NumericalError, StoppedError
from lib_merge.execute import MergeOptions, merge_to_file, merge_to_memory
from lib_merge.plan import LINEAR_CHUNK
from lib_merge.progress import NoProgress
from lib_merge.recipe import Numbers, Slots
from tests.laws.test_arithmetic import ulp
from tests.support.children import hear_ctrl_c
from tests.support.full_size import write_tiny
from tests.support.merging import merge_files, plan_of, rewrite, same_bits, simple_recipe

RAMP = tuple(n / 25 for n in range(26))
CONV_IN = "model.diffusion_model.input_blocks.0.0.weight"
IN05 = "model.diffusion_model.input_blocks.5.1.transformer_blocks.0.attn1.to_q.weight"
OUT05 = "model.diffusion_model.output_blocks.5.0.in_layers.2.weight"
IDS = "cond_stage_model.transformer.text_model.embeddings.position_ids"
FORMATS = ("F16", "BF16", "F32")

Tiny = Callable[..., Path]


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """Writes `NAME.safetensors` with all the keys of a real file and hardly any numbers."""
    return lambda name, **options: write_tiny(
        tmp_path / f"{name}.safetensors", **{"seed": ord(name[0]), **options}
    )


def assert_rounded_once(got: torch.Tensor, want: torch.Tensor, terms: torch.Tensor) -> None:
    """`got` is `want` in its own format, or the neighbour where float32 cannot tell."""
    tolerance = 0.5 * ulp(want, got.dtype) * (1 + 1e-6) + 8 * 2**-24 * terms
    assert bool(((got.double() - want).abs() <= tolerance).all())


@pytest.mark.parametrize("a", FORMATS)
@pytest.mark.parametrize("b", FORMATS)
@pytest.mark.parametrize(
    "dtype", [None, F16, BF16, F32], ids=lambda dtype: dtype.label if dtype else "source"
)
def test_a_weighted_sum_with_26_weights_equals_float64_rounded_once(
    a: str, b: str, dtype: Dtype | None, tiny: Tiny, tmp_path: Path
) -> None:
    files = [tiny("a", dtype=a), tiny("b", dtype=b)]
    merged = merge_files(files, tmp_path / "m.safetensors", dtype=dtype, alpha=Numbers("supermerger", RAMP))
    first, second = load_file(files[0]), load_file(files[1])
    for key, alpha in {CONV_IN: RAMP[1], IN05: RAMP[6], OUT05: RAMP[19]}.items():
        terms = (1 - alpha) * first[key].double(), alpha * second[key].double()
        assert merged[key].dtype == (to_torch(dtype) if dtype else first[key].dtype)
        assert_rounded_once(merged[key], terms[0] + terms[1], terms[0].abs() + terms[1].abs())


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
@pytest.mark.parametrize("method", ["add_difference", "triple_sum", "sum_twice"])
def test_three_models_equal_float64_rounded_once(
    family: str, method: str, tiny: Tiny, tmp_path: Path
) -> None:
    files = [tiny(name, family=family, dtype=dtype) for name, dtype in zip("abc", FORMATS, strict=True)]
    settings = {"alpha": 0.7} if method == "add_difference" else {"alpha": 0.3, "beta": 0.2}
    shares = {
        "add_difference": (1, 0.7, -0.7),
        "triple_sum": (0.5, 0.3, 0.2),
        "sum_twice": (0.8 * 0.7, 0.8 * 0.3, 0.2),
    }[method]
    merged = merge_files(files, tmp_path / "m.safetensors", method, vae="blend", **settings)
    sources = [load_file(file) for file in files]
    keys = [key for key, got in merged.items() if got.is_floating_point()]
    together = [torch.cat([tensors[key].reshape(-1) for key in keys]) for tensors in (merged, *sources)]
    terms = [share * source.double() for share, source in zip(shares, together[1:], strict=True)]
    assert_rounded_once(together[0], sum(terms), sum(term.abs() for term in terms))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(("alpha", "source"), [(0.0, 0), (1.0, 1)])
def test_an_end_of_the_range_is_the_sources_own_bytes(
    alpha: float, source: int, dtype: str, tiny: Tiny, tmp_path: Path
) -> None:
    files = [tiny("a", dtype=dtype), tiny("b", dtype=dtype)]
    merged = merge_files(files, tmp_path / "m.safetensors", alpha=alpha, vae="blend")
    want = load_file(files[source])
    assert merged.keys() == want.keys()
    assert all(same_bits(merged[key], want[key]) for key in want)


def test_blocks_at_an_end_are_bytes_while_others_mix(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a"), tiny("b")]
    amount = Slots((("IN05", 1.0), ("OUT05", 0.5)))
    merged = merge_files(files, tmp_path / "m.safetensors", alpha=amount)
    a, b = map(load_file, files)
    assert same_bits(merged[CONV_IN], a[CONV_IN])
    assert same_bits(merged[IN05], b[IN05])
    assert not same_bits(merged[OUT05], a[OUT05])


@pytest.mark.parametrize("broken", [torch.float16, torch.float32])
def test_position_ids_come_out_whole_however_they_went_in(
    broken: torch.dtype, tiny: Tiny, tmp_path: Path
) -> None:
    ids = torch.arange(77).reshape(1, 77).to(broken) - 0.001
    damaged = rewrite(tiny("a"), {IDS: ids}, tmp_path / "damaged.safetensors")
    merged = merge_files([damaged, tiny("b")], tmp_path / "m.safetensors", alpha=0.04, dtype=F16)
    assert same_bits(merged[IDS], torch.arange(77).reshape(1, 77))


def test_the_same_recipe_gives_the_same_file_with_any_number_of_threads(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a"), tiny("b"), tiny("c")]
    plan = plan_of(simple_recipe(files, "add_difference", alpha=0.7), tmp_path)
    written = []
    for threads in (1, 2, 4, 4):
        merge_to_file(plan, tmp_path / "m.safetensors", MergeOptions(overwrite=True, threads=threads))
        written.append((tmp_path / "m.safetensors").read_bytes())
    assert len(set(written)) == 1


def test_memory_holds_what_the_file_holds(tiny: Tiny, tmp_path: Path) -> None:
    plan = plan_of(simple_recipe([tiny("a"), tiny("b")], alpha=0.3), tmp_path)
    merge_to_file(plan, tmp_path / "m.safetensors")
    in_memory, on_disk = merge_to_memory(plan), load_file(tmp_path / "m.safetensors")
    assert in_memory.keys() == on_disk.keys()
    assert all(same_bits(in_memory[key], on_disk[key]) for key in on_disk)


def test_tensors_of_many_pieces_come_out_whole(tmp_path: Path) -> None:
    size = 2 * LINEAR_CHUNK + 1  # two pieces and a rest
    for name in "ab":
        generator = torch.Generator().manual_seed(ord(name))
        wide = torch.randn(size, generator=generator).reshape(size, 1).half()
        rewrite(write_tiny(tmp_path / f"{name}.safetensors"), {OUT05: wide}, tmp_path / f"{name}.safetensors")
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    merged = merge_files(files, tmp_path / "m.safetensors", alpha=0.3)
    a, b = (load_file(file)[OUT05] for file in files)
    assert same_bits(merged[OUT05], torch.lerp(a.float(), b.float(), 0.3).half())


def test_an_inpainting_model_keeps_its_own_channels(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a", variant="inpaint"), tiny("b")]
    merged = merge_files(files, tmp_path / "m.safetensors", alpha=0.5)[CONV_IN]
    a, b = (load_file(file)[CONV_IN] for file in files)
    assert same_bits(merged[:, 4:], a[:, 4:])
    assert torch.equal(merged[:, :4], torch.lerp(a[:, :4].float(), b.float(), 0.5).half())


def test_inpainting_by_added_difference_is_the_usual_recipe(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a", variant="inpaint"), tiny("b"), tiny("c")]
    merged = merge_files(files, tmp_path / "m.safetensors", "add_difference", alpha=1.0)[CONV_IN]
    a, b, c = (load_file(file)[CONV_IN].float() for file in files)
    torch.testing.assert_close(merged[:, :4].float(), a[:, :4] + b - c, atol=2e-4, rtol=0)


def test_a_vae_file_is_baked_in_byte_for_byte(tiny: Tiny, tmp_path: Path) -> None:
    vae = load_file(tiny("v", parts=("vae",)))
    bare = {key.removeprefix("first_stage_model."): tensor for key, tensor in vae.items()}
    save_file(bare, tmp_path / "bare.safetensors")
    merged = merge_files(
        [tiny("a"), tiny("b")], tmp_path / "m.safetensors", alpha=0.5, vae="bare.safetensors"
    )
    assert all(same_bits(merged[key], vae[key]) for key in vae)


def test_a_legacy_checkpoint_merges_like_the_same_tensors_in_a_safetensors_file(
    tiny: Tiny, tmp_path: Path
) -> None:
    files = [tiny("a"), tiny("b")]
    torch.save({"state_dict": load_file(files[1]), "epoch": 3}, tmp_path / "old.ckpt")
    merged = merge_files(files, tmp_path / "m.safetensors", alpha=0.3)
    legacy = merge_files([files[0], tmp_path / "old.ckpt"], tmp_path / "n.safetensors", alpha=0.3)
    assert all(same_bits(merged[key], legacy[key]) for key in merged)


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=["NaN", "infinity"])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_nan_and_infinity_in_what_is_used_are_named_and_nothing_is_written(
    value: float, alpha: float, tiny: Tiny, tmp_path: Path
) -> None:
    whole = tiny("b")
    tensor = load_file(whole)[IN05].clone()
    tensor.view(-1)[1] = value
    damaged = rewrite(whole, {IN05: tensor}, tmp_path / "damaged.safetensors")
    plan = plan_of(simple_recipe([tiny("a"), damaged], alpha=alpha), tmp_path)
    target = tmp_path / "m.safetensors"
    if alpha == 0:
        merge_to_file(plan, target)
        return
    with pytest.raises(NumericalError) as caught:
        merge_to_file(plan, target)
    assert caught.value.what == f"B (damaged) holds NaN or infinity: 1 of {tensor.numel()} values"
    assert caught.value.where == IN05
    assert leftovers(tmp_path) == []


def test_a_result_too_large_for_its_dtype_is_distinguished_from_a_damaged_input(
    tiny: Tiny, tmp_path: Path
) -> None:
    large = torch.full((4, 4), 60_000.0, dtype=torch.float16)
    files = [rewrite(tiny(name), {IN05: large}, tmp_path / f"{name}.safetensors") for name in "ab"]
    plan = plan_of(simple_recipe(files, "weighted_models", model_weights=(1.0, 1.0)), tmp_path)
    with pytest.raises(NumericalError) as caught:
        merge_to_file(plan, tmp_path / "m.safetensors")
    assert caught.value.what == "the result overflows fp16"
    assert caught.value.where == f"16 values overflow fp16: in {IN05}"
    assert leftovers(tmp_path) == []


class StopsAfter:
    """A progress that asks for a stop once so many bytes are done."""

    def __init__(self, amount: int) -> None:
        self.left = amount

    def start(self, total: int, what: str) -> None:
        """Nothing to do."""

    def advance(self, amount: int) -> None:
        """Count down."""
        self.left -= amount

    def stopped(self) -> bool:
        """Whether it is time."""
        return self.left < 0


def test_a_stop_leaves_nothing_behind_and_the_old_file_as_it_was(tiny: Tiny, tmp_path: Path) -> None:
    target = tmp_path / "m.safetensors"
    target.write_bytes(b"the old file")
    plan = plan_of(simple_recipe([tiny("a"), tiny("b")], alpha=0.5), tmp_path)
    with pytest.raises(StoppedError):
        merge_to_file(plan, target, MergeOptions(overwrite=True, progress=StopsAfter(20_000)))
    assert target.read_bytes() == b"the old file"
    assert leftovers(tmp_path) == ["m.safetensors"]


def leftovers(folder: Path) -> list[str]:
    """What a merge left in the folder beside its inputs."""
    inputs = {"a", "b", "c", "v", "damaged"}
    return sorted(path.name for path in folder.iterdir() if path.stem not in inputs)


SLOW_MERGE = """
import sys, time
from pathlib import Path
from lib_merge.execute import MergeOptions, merge_to_file
from tests.support.merging import plan_of, simple_recipe

class Slow:
    def start(self, total, what): print("merging", flush=True)
    def advance(self, amount):
        print("piece", flush=True)
        time.sleep(0.02)
    def stopped(self): return False

folder = Path(sys.argv[1])
plan = plan_of(simple_recipe([folder / "a.safetensors", folder / "b.safetensors"], alpha=0.5), folder)
merge_to_file(plan, folder / "m.safetensors", MergeOptions(overwrite=True, progress=Slow()))
print("done")
"""


def start_slow_merge(folder: Path) -> subprocess.Popen[str]:
    """A merge that takes at least five seconds, however fast the machine is, and has begun."""
    command = [sys.executable, "-c", SLOW_MERGE, str(folder)]
    merge = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c)
    assert merge.stdout is not None
    assert merge.stdout.readline() == "merging\n"
    return merge


@pytest.mark.newest_only
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX systems")
@pytest.mark.parametrize("moment", [0.0, 0.3, 1.0])
def test_a_merge_that_is_killed_never_leaves_a_file_under_the_final_name(
    moment: float, tiny: Tiny, tmp_path: Path
) -> None:
    tiny("a"), tiny("b")
    target = tmp_path / "m.safetensors"
    target.write_bytes(b"the old file")
    merge = start_slow_merge(tmp_path)
    time.sleep(moment)
    merge.send_signal(signal.SIGKILL)
    assert merge.wait() == -signal.SIGKILL
    assert target.read_bytes() == b"the old file"
    merged = merge_files([tmp_path / "a.safetensors", tmp_path / "b.safetensors"], target, alpha=0.5)
    assert len(merged) == 1131
    assert leftovers(tmp_path) == ["m.safetensors"]  # the killed run's part is gone too


@pytest.mark.newest_only
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT to a process is of POSIX systems")
def test_ctrl_c_stops_every_thread_and_leaves_nothing(tiny: Tiny, tmp_path: Path) -> None:
    tiny("a"), tiny("b")
    merge = start_slow_merge(tmp_path)
    merge.send_signal(signal.SIGINT)
    said, _ = merge.communicate()
    assert merge.returncode != 0
    # each thread ends after the piece that it is at; of more than a thousand most are left
    assert said.count("piece") < 500
    assert leftovers(tmp_path) == []


def test_ctrl_c_while_the_threads_are_being_started_stops_those_that_run_already(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = ThreadPoolExecutor.submit
    pieces = 0

    def interrupted(pool: ThreadPoolExecutor, work: Callable[[], None]) -> None:
        submit(pool, work)
        raise KeyboardInterrupt

    class Slow(NoProgress):
        def advance(self, amount: int) -> None:
            nonlocal pieces
            pieces += 1
            time.sleep(0.01)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    plan = plan_of(simple_recipe([tiny("a"), tiny("b")]), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        merge_to_file(plan, tmp_path / "m.safetensors", MergeOptions(progress=Slow()))
    assert pieces < 500


def test_equal_tensors_come_back_to_the_bit(tiny: Tiny, tmp_path: Path) -> None:
    a = tiny("a")
    merged = merge_files(
        [a, rewrite(a, {}, tmp_path / "b.safetensors")], tmp_path / "m.safetensors", alpha=0.37
    )
    assert all(same_bits(merged[key], tensor) for key, tensor in load_file(a).items())


def test_a_device_that_is_not_there_is_reported_before_anything_is_written(
    tiny: Tiny, tmp_path: Path
) -> None:
    plan = plan_of(simple_recipe([tiny("a"), tiny("b")]), tmp_path)
    with pytest.raises(MergeError, match="torch cannot use the device 'cuda:99'"):
        merge_to_file(plan, tmp_path / "m.safetensors", MergeOptions(device="cuda:99"))
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_gives_the_numbers_of_the_processor(tiny: Tiny, tmp_path: Path) -> None:
    plan = plan_of(simple_recipe([tiny("a"), tiny("b"), tiny("c")], "add_difference", alpha=0.7), tmp_path)
    here, there = merge_to_memory(plan), merge_to_memory(plan, MergeOptions(device="cuda"))
    for key in here:
        torch.testing.assert_close(here[key], there[key], rtol=1e-3, atol=1e-7)
