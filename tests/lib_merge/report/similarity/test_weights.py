"""Comparing weights: laws of the numbers first, then an example by hand, then float64 beside them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from lib_merge.architectures import Role, family_by_id, read_header, role_of, slot_of
from lib_merge.errors import FamilyError, StoppedError
from lib_merge.report.similarity.cache import slot_differences
from lib_merge.report.similarity.kernel import LARGE, PairKernel, bits
from lib_merge.report.similarity.loop import fast_pair_sums, pair_sums
from lib_merge.report.similarity.values import KeyGroup, PairSums, WeightComparison, sum_parts
from lib_merge.report.similarity.weights import compare_weights
from lib_merge.report.stream import PIECE_ELEMENTS
from tests.support.full_size import write_file, write_tiny
from tests.support.merging import rewrite
from tests.support.strategies import DTYPES, tensors

DIGITS = 1e-9
SD1 = family_by_id("sd1")
pairs = st.sampled_from(DTYPES).flatmap(lambda dtype: tensors(2, (dtype,)))


def sums_of(a: Tensor, b: Tensor, c: Tensor | None = None) -> PairSums:
    """The kernel's, on whole tensors."""
    flat = [x.reshape(-1) for x in (a, b, c) if x is not None]
    return PairKernel().sums(*flat) if a.numel() else PairSums()


def in_float64(a: Tensor, b: Tensor) -> dict[str, float]:
    """Every number by its definition."""
    x, y = a.double().reshape(-1), b.double().reshape(-1)
    d = y - x
    u, v = x / x.norm(), y / y.norm()
    return {
        "cosine": torch.dot(u, v).item(),
        "one_minus_cosine": (u - v).square().sum().item() / 2,
        "relative_l2": (d.norm() / x.norm()).item(),
        "rms": d.square().mean().sqrt().item(),
        "max_difference": d.abs().max().item(),
        "equal_share": ((a == b) & (a.signbit() == b.signbit())).double().mean().item(),
    }


@given(pair=pairs)
def test_a_tensor_beside_itself_is_equal_in_every_number(pair: list[Tensor]) -> None:
    seen = sums_of(pair[0], pair[0])
    assert (seen.cosine, seen.one_minus_cosine, seen.relative_l2, seen.rms, seen.max_difference) == (
        1,
        0,
        0,
        0,
        0,
    )
    assert (seen.equal_share, seen.symmetric_l2) == (1, 0)


@given(pair=pairs)
def test_what_does_not_ask_which_is_first_is_the_same_both_ways(pair: list[Tensor]) -> None:
    there, back = sums_of(*pair), sums_of(*reversed(pair))
    for name in ("cosine", "one_minus_cosine", "rms", "max_difference", "equal_share", "symmetric_l2"):
        assert getattr(there, name) == pytest.approx(getattr(back, name), rel=1e-12, abs=1e-12), name


@given(pair=pairs, power=st.integers(-3, 3))
def test_the_cosine_does_not_ask_for_size(pair: list[Tensor], power: int) -> None:
    a, b = (x.float().clamp(-100, 100) for x in pair)
    scaled = sums_of(a, b * 2.0**power)
    assert scaled.cosine == pytest.approx(sums_of(a, b).cosine, abs=1e-6)


@given(pair=tensors(2))
def test_one_minus_cosine_is_what_its_name_says(pair: list[Tensor]) -> None:
    seen = sums_of(*pair)
    assert seen.one_minus_cosine == pytest.approx(1 - seen.cosine, abs=1e-12)
    assert -1 <= seen.cosine <= 1


@given(parts=st.lists(tensors(2), min_size=1, max_size=5))
def test_sums_over_parts_are_the_sums_of_the_whole_in_any_order(parts: list[list[Tensor]]) -> None:
    sums = [sums_of(*part) for part in parts]
    whole = sums_of(*(torch.cat([part[n].reshape(-1) for part in parts]) for n in (0, 1)))
    total = sum_parts(sums)
    assert total == sum_parts(reversed(sums))
    assert (total.count, total.equal, total.max_difference) == (
        whole.count,
        whole.equal,
        whole.max_difference,
    )
    for name in ("aa", "bb", "dd"):
        assert getattr(total, name) == pytest.approx(getattr(whole, name), rel=1e-12), name


def test_numbers_of_a_pair_by_hand() -> None:
    # A = (3, 4), B = (3, 0): <A,B> = 9, |A| = 5, |B| = 3, B - A = (0, -4)
    seen = sums_of(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 0.0]), torch.tensor([2.0, 0.0]))
    assert seen.cosine == pytest.approx(9 / 15)
    assert seen.one_minus_cosine == pytest.approx(6 / 15)
    assert seen.relative_l2 == pytest.approx(4 / 5)
    assert seen.rms == pytest.approx(math.sqrt(16 / 2))
    assert (seen.max_difference, seen.equal_share) == (4, 0.5)
    # A - C = (1, 4), B - C = (1, 0): 1 / (sqrt(17) * 1)
    assert seen.cosine_of_differences == pytest.approx(1 / math.sqrt(17))


def test_the_two_cosines_of_a_group_differ_as_their_names_say() -> None:
    # keys (3, 4) with (3, 4): cosine 1, and (1, 0) with (0, 1): cosine 0
    alike = sums_of(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.0]))
    across = sums_of(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    measures = KeyGroup({"a": alike, "b": across}).measures
    assert measures["cosine_concatenated"] == pytest.approx(25 / 26)
    assert measures["cosine_mean"] == 0.5
    assert measures["cosine_min"] == 0


def test_a_zero_tensor_is_like_nothing_but_another() -> None:
    zero, one = torch.zeros(4), torch.ones(4)
    assert (sums_of(zero, one).cosine, sums_of(zero, one).relative_l2) == (0, math.inf)
    assert (sums_of(zero, zero).cosine, sums_of(zero, zero).relative_l2) == (1, 0)


def test_nan_is_seen_in_every_number_but_the_share_of_equal_bits() -> None:
    bad = torch.tensor([1.0, math.nan, 2.0])
    for other in (bad, torch.ones(3)):
        seen = sums_of(bad, other)
        assert all(map(math.isnan, (seen.cosine, seen.relative_l2, seen.rms, seen.max_difference)))
    assert sums_of(bad, bad).equal_share == 1


def test_equal_means_equal_bits() -> None:
    assert sums_of(torch.tensor([0.0, 1.0]), torch.tensor([-0.0, 1.0])).equal_share == 0.5


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [320, LARGE, PIECE_ELEMENTS])
@pytest.mark.parametrize("noise", [1.0, 1e-2, 1e-5])
def test_sums_equal_float64_to_nine_digits(dtype: torch.dtype, count: int, noise: float) -> None:
    draw = torch.Generator().manual_seed(count)
    a = (torch.randn(count, generator=draw) * 0.03).to(dtype)
    b = (a.double() + torch.randn(count, generator=draw) * 0.03 * noise).to(dtype)
    seen = sums_of(a, b)
    for name, exact in in_float64(a, b).items():
        assert getattr(seen, name) == pytest.approx(exact, rel=DIGITS, abs=1e-16), name


def test_a_large_tensor_of_one_number_is_added_up_without_bias() -> None:
    # float32 adds this up 1e-6 too high: every rounding goes the same way
    a, b = (
        torch.full((PIECE_ELEMENTS,), 0.1, dtype=torch.float16),
        torch.full((PIECE_ELEMENTS,), 0.103, dtype=torch.float16),
    )
    seen, exact = sums_of(a, b), in_float64(a, b)
    assert seen.rms == pytest.approx(exact["rms"], rel=DIGITS)
    assert seen.relative_l2 == pytest.approx(exact["relative_l2"], rel=DIGITS)


@pytest.mark.parametrize("factor", [2.0**-7, 2.0**-2, -1.0, 64.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_large_tensors_of_different_size_or_sign_keep_nine_digits(dtype: torch.dtype, factor: float) -> None:
    draw = torch.Generator().manual_seed(7)
    a = (torch.randn(LARGE + 5, generator=draw) * 0.03).to(dtype)
    b = ((a.double() + 0.01 * torch.randn(LARGE + 5, generator=draw)) * factor).to(dtype)
    seen = sums_of(a, b)
    for name, exact in in_float64(a, b).items():
        assert getattr(seen, name) == pytest.approx(exact, rel=DIGITS, abs=1e-16), name


@given(
    pair=tensors(2, (torch.float16, torch.bfloat16)), step=st.sampled_from([4, 8, 64]), narrow=st.booleans()
)
def test_the_compiled_loop_is_the_python_that_it_was_made_of(
    pair: list[Tensor], step: int, narrow: bool
) -> None:
    flat = [x.reshape(-1) for x in pair]
    x, y = torch.empty(step), torch.empty(step)
    wide, apart = torch.empty(step, dtype=torch.float64), torch.empty(step, dtype=torch.float64)
    flags = torch.empty(step, dtype=torch.int16)
    arguments = *flat, *(bits(x) for x in flat), x, y, wide, apart, flags, flags.view(torch.int64), narrow
    assert fast_pair_sums()(*arguments) == pair_sums(*arguments)


def test_infinity_in_a_large_tensor_shows() -> None:
    a, b = torch.ones(LARGE, dtype=torch.float16), torch.full((LARGE,), 0.5, dtype=torch.float16)
    b[3] = math.inf
    seen = sums_of(a, b)
    assert (seen.aa, seen.bb, seen.max_difference) == (LARGE, math.inf, math.inf)


def test_near_equal_fine_tunes_keep_the_digits_of_one_minus_cosine() -> None:
    draw = torch.Generator().manual_seed(1)
    a = torch.randn(100_000, generator=draw)
    b = a.clone()
    b[7] += 1e-3
    exact = in_float64(a, b)["one_minus_cosine"]
    assert 0 < exact < 1e-11
    assert sums_of(a, b).one_minus_cosine == pytest.approx(exact, rel=1e-6)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models of one base and the base, with keys of many pieces and of one, in three formats."""
    folder = tmp_path_factory.mktemp("weights")
    shapes = {
        "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
        "model.diffusion_model.input_blocks.11.0.in_layers.0.weight": (1280,),
        "model.diffusion_model.input_blocks.11.0.in_layers.2.weight": (640, 700, 1, 1),
        "model.diffusion_model.middle_block.1.proj_in.weight": (640, 640, 1, 1),
        "first_stage_model.encoder.conv_in.weight": (128, 3, 3, 3),
    }
    base = write_file(folder / "base.safetensors", shapes, SD1, seed=1, dtype="F32")
    a = write_file(folder / "a.safetensors", shapes, SD1, seed=2, near=base, scale=0.003)
    b = write_file(folder / "b.safetensors", shapes, SD1, seed=3, near=base, scale=0.003, dtype="BF16")
    return [a, b, base]


def compared(*files: Path) -> WeightComparison:
    return compare_weights(*(read_header(file) for file in files))


def test_files_of_three_formats_compare_as_float64_says(files: list[Path]) -> None:
    seen = compared(*files)
    a, b, base = (load_file(file) for file in files)
    assert seen.keys.keys() == a.keys()
    for key, sums in seen.keys.items():
        exact = in_float64(a[key], b[key].to(torch.float64))
        for name in ("cosine", "one_minus_cosine", "relative_l2", "rms", "max_difference"):
            assert getattr(sums, name) == pytest.approx(exact[name], rel=DIGITS), (key, name)
        to_a, to_b = a[key].double() - base[key].double(), b[key].double() - base[key].double()
        assert sums.cosine_of_differences == pytest.approx(in_float64(to_a, to_b)["cosine"], rel=DIGITS)


def test_slots_and_components_hold_each_key_once(files: list[Path]) -> None:
    seen = compared(*files)
    for groups in (seen.slots, seen.components):
        assert sorted(key for group in groups.values() for key in group.keys) == sorted(seen.keys)
        assert sum_parts(group.sums for group in groups.values()).count == sum_parts(seen.keys.values()).count
    assert list(seen.slots) == ["IN00", "IN11", "M00", "VAE"]
    assert list(seen.components) == ["unet", "vae"]


def test_every_run_gives_the_same_digits(files: list[Path]) -> None:
    assert compared(*files).keys == compared(*files).keys


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_all_slots_of_a_family_are_there_in_its_own_order(family: str, tmp_path: Path) -> None:
    files = [write_tiny(tmp_path / f"{seed}.safetensors", family, seed, ema=True) for seed in (1, 2)]
    comparison, data = compared(*files), family_by_id(family)
    present = {slot_of(data, key) for key in load_file(files[0]) if role_of(data, key) is Role.WEIGHT}
    assert list(comparison.slots) == [slot.id for slot in data.slots if slot.id in present]
    assert comparison.left_out == ()


def test_keys_without_a_counterpart_are_left_out_and_named(tmp_path: Path) -> None:
    plain = write_tiny(tmp_path / "plain.safetensors")
    inpaint = write_tiny(tmp_path / "inpaint.safetensors", variant="inpaint", without=["first_stage_model."])
    seen = compared(plain, inpaint)
    assert "model.diffusion_model.input_blocks.0.0.weight" in seen.left_out
    assert any(key.startswith("first_stage_model.") for key in seen.left_out)
    assert "VAE" not in seen.slots


def test_models_of_two_families_are_refused(tmp_path: Path) -> None:
    one, other = write_tiny(tmp_path / "one.safetensors"), write_tiny(tmp_path / "two.safetensors", "sdxl")
    with pytest.raises(FamilyError, match="Stable Diffusion XL"):
        compared(one, other)


def test_a_report_stops_when_asked(files: list[Path]) -> None:
    class Impatient:
        def start(self, total: int, what: str) -> None:
            self.total = total

        def advance(self, amount: int) -> None: ...

        def stopped(self) -> bool:
            return True

    with pytest.raises(StoppedError, match="stopped"):
        compare_weights(read_header(files[0]), read_header(files[1]), progress=Impatient())


def test_progress_ends_where_it_said(files: list[Path]) -> None:
    class Counting:
        total = done = 0

        def start(self, total: int, what: str) -> None:
            self.total = total

        def advance(self, amount: int) -> None:
            self.done += amount

        def stopped(self) -> bool:
            return False

    counting = Counting()
    compare_weights(*(read_header(file) for file in files), progress=counting)
    assert counting.done == counting.total > 0


def test_fader_colours_are_the_same_both_ways_and_zero_for_equal_blocks(
    files: list[Path], tmp_path: Path
) -> None:
    key = "model.diffusion_model.middle_block.1.proj_in.weight"
    c = rewrite(files[0], {key: load_file(files[0])[key] * 2}, tmp_path / "c.safetensors")
    a, c = read_header(files[0]), read_header(c)
    kept = tmp_path / "kept"
    there, back = slot_differences(a, c, kept), slot_differences(c, a, kept)
    assert there == pytest.approx(back)
    # |2A - A| / sqrt(|A| |2A|)
    assert there == pytest.approx({"IN00": 0, "IN11": 0, "M00": 1 / math.sqrt(2), "VAE": 0})
    assert slot_differences(a, c, kept) == there  # from the disk
