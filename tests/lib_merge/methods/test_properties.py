"""What the authors of the methods promise of them, and the helpers they stand on."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.errors import MethodError
from lib_merge.methods import METHODS, smooth
from lib_merge.methods.medians import median_of_neighbours, middle, sorting
from lib_merge.methods.numerics import CHUNK, bernoulli_mask, kth_smallest, power_, random_u16
from lib_merge.parameters import seed_for
from lib_merge.registry import Method
from tests.support.examples import examples
from tests.support.merging import same_bits

TASKS = ["task_arithmetic", "ties", "dare", "della", "breadcrumbs", "model_stock", "sce"]


def models(count: int, size: int = 4000) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(size, generator=generator) for _ in range(count)]


def merged(method: str, *inputs: torch.Tensor, **knobs: object) -> torch.Tensor:
    return METHODS.get(method)(*inputs, **knobs)


@given(
    size=st.integers(0, 300),
    cut=st.integers(0, 300),
    exponent=st.floats(0.0009765625, 2, width=32),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_the_power_of_an_element_does_not_depend_on_its_position(
    size: int, cut: int, exponent: float, dtype: torch.dtype
) -> None:
    values = torch.rand(size, generator=torch.Generator().manual_seed(size), dtype=dtype)
    whole = power_(values.clone(), exponent)
    assert same_bits(
        torch.cat([power_(part.clone(), exponent) for part in (values[:cut], values[cut:])]), whole
    )
    torch.testing.assert_close(whole, values**exponent)


def test_powers_of_a_transposed_tensor_are_those_of_its_copy() -> None:
    values = torch.rand(30, 70, generator=torch.Generator().manual_seed(1))
    assert same_bits(power_(values.t().clone().t(), 0.3), power_(values.clone(), 0.3))
    assert torch.equal(power_(torch.tensor([0.0, 2.0]), 0), torch.ones(2))


@pytest.mark.parametrize(
    "method", ["ties", "model_stock", "sce", "breadcrumbs", "karcher_mean", "geometric_median"]
)
def test_the_order_of_the_models_does_not_matter(method: str) -> None:
    base, *others = models(4)
    fixed = [base] if method in TASKS else []
    results = [merged(method, *fixed, *order) for order in itertools.permutations(others)]
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [2, 14, 20])
@pytest.mark.parametrize("method", [m.id for m in METHODS.all() if m.max_models is None])
def test_as_many_models_as_one_likes(method: str, count: int) -> None:
    knobs = {"model_weights": (1 / count,) * count} if method == "weighted_models" else {}
    assert torch.isfinite(merged(method, *models(count, 60), **knobs)).all()


@pytest.mark.parametrize("method", ["ties", "dare", "della", "breadcrumbs", "sce"])
def test_with_density_one_a_single_model_is_itself(method: str) -> None:
    base, model = models(2)
    knobs = {"gamma": 0.0} if method == "breadcrumbs" else {}
    torch.testing.assert_close(merged(method, base, model, density=1.0, **knobs), model)


@pytest.mark.parametrize("method", ["ties", "sce"])
def test_opposite_changes_leave_the_base(method: str) -> None:
    base, delta = models(2)
    out = merged(method, base * 0, delta, -delta, density=1.0)
    assert torch.equal(out, torch.zeros_like(base))


def test_ties_of_changes_in_one_direction_is_their_mean() -> None:
    base, *others = models(4)
    others = [base + model.abs() for model in others]
    torch.testing.assert_close(merged("ties", base, *others, density=1.0), sum(others) / 3)


@pytest.mark.parametrize("method", ["dare", "della"])
def test_dropping_is_unbiased_over_the_seeds(method: str) -> None:
    base, model = models(2, 400)
    knobs = {"density": 0.5, "elect": False}
    mean = sum(merged(method, base, model, seed=seed, **knobs) for seed in range(400)) / 400
    error = (mean - model) / (model - base).abs().clamp(min=1e-6)
    assert float(error.abs().mean()) < 0.06  # a mean of 400 coins is off by 1 / 20
    assert abs(float(error.mean())) < 0.01


@pytest.mark.parametrize(
    ("method", "density"), [("dare", 0.3), ("della", 0.3), ("ties", 0.3), ("breadcrumbs", 0.3)]
)
def test_the_density_is_the_share_that_is_kept(method: str, density: float) -> None:
    base, model = torch.zeros(40_000), models(1, 40_000)[0]
    changed = float((merged(method, base, model, density=density) != 0).float().mean())
    assert changed == pytest.approx(density, abs=0.01 if method in ("dare", "della") else 1e-4)


def test_della_without_a_spread_is_dare_number_for_number() -> None:
    inputs = models(3)
    knobs = {"density": 0.4, "elect": True, "seed": 9}
    assert same_bits(merged("della", *inputs, epsilon=0.0, **knobs), merged("dare", *inputs, **knobs))


def test_breadcrumbs_without_outliers_trim_as_ties_does() -> None:
    base, model = models(2)
    assert same_bits(
        merged("breadcrumbs", base, model, density=0.3, gamma=0.0),
        merged("ties", base, model, density=0.3),
    )


@pytest.mark.parametrize("size", [1, 7, 60])
def test_a_small_tensor_does_not_lose_all_to_its_outliers(size: int) -> None:
    base, model = torch.zeros(size), models(1, size)[0]
    assert (merged("breadcrumbs", base, model, density=1.0, gamma=0.01) == model).all()


def test_equal_changes_are_the_stock_and_unrelated_ones_the_base() -> None:
    base = torch.zeros(4)
    one = torch.tensor([1.0, 0, 0, 0])
    torch.testing.assert_close(merged("model_stock", base, one, one.clone()), one)
    assert torch.equal(merged("model_stock", base, one, one.roll(1)), base)


def test_slerp_runs_alike_from_both_sides_and_keeps_a_length() -> None:
    a, b = models(2)
    b *= a.norm() / b.norm()
    torch.testing.assert_close(merged("slerp", a, b, alpha=0.3), merged("slerp", b, a, alpha=0.7))
    assert float(merged("slerp", a, b, alpha=0.3).norm()) == pytest.approx(float(a.norm()), rel=1e-5)


def test_slerp_between_opposites_and_from_nothing_is_a_straight_line() -> None:
    a = models(1)[0]
    for b in (-a, torch.zeros_like(a)):
        torch.testing.assert_close(merged("slerp", a, b, alpha=0.3), torch.lerp(a, b, 0.3))


def test_two_models_mean_on_the_sphere_is_the_middle_of_slerp() -> None:
    a, b = models(2)
    torch.testing.assert_close(merged("karcher_mean", a, b), merged("slerp", a, b, alpha=0.5))


def test_weighted_subtraction_undoes_a_weighted_sum() -> None:
    x, b = models(2)
    mixed = merged("weighted_sum", x, b, alpha=0.3)
    torch.testing.assert_close(merged("weighted_subtraction", mixed, b, alpha=0.3), x, rtol=1e-5, atol=1e-6)
    with pytest.raises(MethodError, match="alpha is 1"):
        merged("weighted_subtraction", mixed, b, alpha=1.0)


def test_train_difference_never_overshoots() -> None:
    a, b, c = models(3)
    moved = (merged("train_difference", a, b, c, alpha=0.7) - a).abs()
    assert bool((moved <= 1.8 * 0.7 * (b - c).abs() * (1 + 1e-5) + 1e-6).all())
    torch.testing.assert_close(merged("train_difference", a, b, a), a + 0.9 * (b - a))


def test_extracts_middle_is_half_the_mix_for_any_sharpness() -> None:
    a, b, c = (model.view(40, 100) for model in models(3))
    for gamma in (0.0, 1.0, 7.0):
        out = merged("extract", a, b, c, alpha=0.3, beta=0.5, gamma=gamma)
        torch.testing.assert_close(out, a + (torch.lerp(b, c, 0.3) - a) / 2)


def test_extract_can_take_the_cosine_over_the_last_axis_as_supermerger_does() -> None:
    a, b, c = (model.view(10, 8, 10, 5) for model in models(3))
    one, two = b - a, c - a
    d = ((torch.cosine_similarity(one, two, -1).clamp(-1, 1).unsqueeze(-1) + 1) / 2) ** 2.0
    want = a + torch.lerp(one, two, 0.3) * torch.lerp(d, 1 - d, 0.2)
    got = merged("extract", a, b, c, alpha=0.3, beta=0.2, gamma=2.0, by_kernel=True)
    torch.testing.assert_close(got, want)


def test_a_larger_cosine_alpha_never_brings_less_of_b() -> None:
    a, b = (model.view(40, 100) for model in models(2))
    shares = [((merged("cosine_a", a, b, alpha=n / 10) - a) / (b - a)).mean(0) for n in range(11)]
    assert all(bool((more >= less - 1e-5).all()) for less, more in itertools.pairwise(shares))


@given(st.data())
@examples(30)
def test_the_kth_smallest_is_the_one_that_sorting_finds(data: st.DataObject) -> None:
    size = data.draw(st.sampled_from([1, 5, 131_073, 200_000]))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 100)))
    values = torch.randn(size, generator=generator).abs()
    if data.draw(st.booleans()):
        values = (values * 8).round()  # ties, and zeros
    if data.draw(st.booleans()):
        values = values.sort().values  # so ordered that no sample is fair
    k = data.draw(st.one_of(st.integers(1, size), st.sampled_from([1, size])))
    assert kth_smallest([values], lambda part: part, torch.float32, k) == float(values.sort().values[k - 1])


@pytest.mark.parametrize(("start", "count"), [(0, 1), (0, 5), (3, 70), (CHUNK - 3, 10), (5, 3 * CHUNK)])
def test_random_numbers_depend_on_the_position(start: int, count: int) -> None:
    whole = random_u16(11, 0, 4 * CHUNK, torch.empty(0))
    assert torch.equal(random_u16(11, start, count, torch.empty(0)), whole[start : start + count])


def test_bernoulli_masks_keep_the_share_they_say() -> None:
    flips, odds = bernoulli_mask(1, 0, 0.1, torch.empty(1_000_000))
    assert odds == pytest.approx(0.1, abs=1e-5)
    assert float(flips.mean()) == pytest.approx(odds, abs=2e-3)
    assert set(flips.unique().tolist()) == {0.0, 1.0}


def test_seeds_of_names_are_far_apart_and_always_the_same() -> None:
    assert seed_for(0, "a.weight") == 9031788701875803044
    seeds = {seed_for(seed, name) for seed in range(50) for name in ("a", "b", 0, 1)}
    assert len(seeds) == 200


@pytest.mark.parametrize("width", [1, 3, 9, 27])
def test_the_networks_sort_every_order_of_zeros_and_ones(width: int) -> None:
    """Which is all: a network of comparators that sorts these sorts anything."""
    for counts in itertools.product(range(width + 1), repeat=3):
        lists = [[0] * (width - ones) + [1] * ones for ones in counts]
        inputs = [value for column in lists for value in column]
        for network in [middle(width), *([sorting(width)] if width < 27 else [])]:
            values = list(inputs)
            for smaller, one, two in network.steps:
                values.append((min if smaller else max)(values[one], values[two]))
            want = sorted(inputs)
            got = [values[result] for result in network.results]
            assert got == (want if len(got) > 1 else [want[(3 * width - 1) // 2]])


@pytest.mark.parametrize("shape", [(9,), (5, 8), (4, 5, 6), (4, 5, 3, 4)])
def test_the_median_of_windows_is_the_one_that_sorting_finds(shape: tuple[int, ...]) -> None:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    windows = values
    for axis in range(len(shape)):
        windows = windows.unfold(axis, 3, 1)
    want = windows.reshape(*(size - 2 for size in shape), -1).median(-1).values
    assert torch.equal(median_of_neighbours(values, list(range(len(shape)))), want)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 1000), st.booleans())
@examples(30)
def test_the_median_of_3x3_kernels_is_the_one_that_sorting_finds(
    rows: int, columns: int, seed: int, ties: bool
) -> None:
    delta = torch.randn(rows, columns, 3, 3, generator=torch.Generator().manual_seed(seed))
    delta = (delta * 2).round() if ties else delta
    windows = delta
    for axis, size in enumerate(delta.shape):
        windows = windows.index_select(axis, torch.arange(-1, size + 1).clamp(0, size - 1))
    for axis in range(4):
        windows = windows.unfold(axis, 3, 1)
    want = windows.reshape(rows, columns, 3, 3, -1).median(-1).values
    laid = delta.permute(2, 3, 0, 1).contiguous()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smooth, "KERNELS", 16 * columns)  # in several stretches
        assert torch.equal(smooth.median_in_kernels(laid).permute(2, 3, 0, 1), want)


@pytest.mark.parametrize("shape", [(8, 4), (8, 6), (5, 40), (3, 2, 3, 3)])
def test_half_a_turn_is_a_turn_even_towards_the_opposite(shape: tuple[int, ...]) -> None:
    a = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    for b in (torch.randn(shape, generator=torch.Generator().manual_seed(3)), -a):
        knobs = {"centralization": 0.0}
        half = merged("rotate", a, b, alignment=0.5, **knobs)
        torch.testing.assert_close(half.norm(), a.norm())
        # half a turn is itself a turn of A: the whole turn towards it ends there
        torch.testing.assert_close(merged("rotate", a, half, **knobs), half, rtol=1e-4, atol=1e-4)


# a limit, a length or a deviation is a setting or a constant that does not grow with the numbers
ABSOLUTE = ("add_noise", "adjust", "near_swap")


@pytest.mark.parametrize("shape", [(12, 7), (8, 4, 3, 3)], ids=str)
@pytest.mark.parametrize("power", [83, 110])  # 1e25 and 1e33, whose squares float32 does not hold
@pytest.mark.parametrize("method", [m for m in METHODS.all() if m.id not in ABSOLUTE], ids=lambda m: m.id)
def test_large_numbers_are_merged_as_usual_ones_are(
    method: Method, power: int, shape: tuple[int, ...]
) -> None:
    base, *others = (model.view(shape) for model in models(4, math.prod(shape)))
    inputs = [base, *[base + other / 4 for other in others]][: method.max_models or 4]
    knobs = {"model_weights": (0.25,) * 4} if method.id == "weighted_models" else {}
    out = method(*[model * 2.0**power for model in inputs], **knobs)
    torch.testing.assert_close(out / 2.0**power, method(*inputs, **knobs), rtol=1e-4, atol=1e-5)


def test_sce_weighs_small_changes_as_it_does_large_ones() -> None:
    _, *others = models(4, 60)
    base, tiny = torch.zeros(60), 2.0**-90  # squares are 0 in float32
    out = merged("sce", base, *[model * tiny for model in others])
    torch.testing.assert_close(out / tiny, merged("sce", base, *others))
