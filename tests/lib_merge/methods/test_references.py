"""Each method against a plain float64 reference, written from its source and not from our code.

The numbers lie on a grid, so that differences of float32 are exact and ranks and signs have one answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import scipy.optimize
import torch
from numpy.typing import NDArray

from lib_merge.methods import METHODS
from lib_merge.methods.numerics import bernoulli_mask, normal, random_u16
from lib_merge.methods.rotation import power as rotation_power
from lib_merge.parameters import seed_for

Array = NDArray[np.float64]
SHAPES = [(40,), (12, 7), (5, 3, 3, 3), (6, 4, 1, 1)]


def grid(shape: Sequence[int], count: int, seed: int = 0) -> list[Array]:
    """Models near each other, of multiples of 1/1024; a tenth of their numbers is the first one's."""
    dice = np.random.default_rng(seed)
    base = dice.normal(0, 1, shape)
    models = [base + dice.normal(0, 0.3, shape) * (dice.random(shape) > 0.1) for _ in range(count)]
    return [np.round(model * 1024) / 1024 for model in (base, *models)][:count]


def ours(method: str, models: Sequence[Array], **settings: Any) -> Array:
    tensors = [torch.tensor(model, dtype=torch.float32) for model in models]
    return METHODS.get(method)(*tensors, **settings).double().numpy()


def train_difference(a: Array, b: Array, c: Array, alpha: float) -> Array:
    total = abs(b - a) + abs(b - c)
    scale = np.divide(abs(b - a), total, out=np.zeros_like(a), where=total != 0)
    return a + 1.8 * alpha * scale * np.sign(b - c) * abs(b - c)


def extract(a: Array, b: Array, c: Array, alpha: float, beta: float, gamma: float) -> Array:
    one, two = ((x - a).reshape(len(a) if a.ndim > 1 else 1, -1) for x in (b, c))
    lengths = [np.maximum(np.linalg.norm(rows, axis=1), 1e-8) for rows in (one, two)]
    cosine = np.clip((one * two).sum(1) / lengths[0] / lengths[1], -1, 1)
    d = ((cosine + 1) / 2) ** gamma
    share = d + beta * (1 - 2 * d)
    return a + (((1 - alpha) * one + alpha * two) * share[:, None]).reshape(a.shape)


def smooth_add(a: Array, b: Array, c: Array, alpha: float) -> Array:
    return a + alpha * scipy.ndimage.gaussian_filter(scipy.ndimage.median_filter(b - c, size=3), sigma=1)


def slerp(a: Array, b: Array, alpha: float) -> Array:
    la, lb = np.linalg.norm(a), np.linalg.norm(b)
    angle = 2 * np.arctan2(np.linalg.norm(a / la - b / lb), np.linalg.norm(a / la + b / lb))
    arc = np.sin((1 - alpha) * angle) * a / la + np.sin(alpha * angle) * b / lb
    return ((1 - alpha) * la + alpha * lb) * arc / np.sin(angle)


def geometric_sum(a: Array, b: Array, alpha: float) -> Array:
    return (a.astype(complex) ** (1 - alpha) * b.astype(complex) ** alpha).real


def add_perpendicular(a: Array, b: Array, c: Array, alpha: float) -> Array:
    one, two = a - c, b - c
    return a + alpha * (two - one * (one * two).sum() / (one * one).sum())


def similarity(a: Array, b: Array, c: Array, alpha: float, beta: float) -> Array:
    most = np.maximum(abs(a), abs(b)) ** 2
    r = (np.divide(a * b, most, out=np.ones_like(a), where=most != 0) + 1) / 2 * beta
    return (1 - r) * (a + alpha * (b - c)) + r * ((1 - alpha / 2) * a + alpha / 2 * b)


def multiply(a: Array, b: Array, c: Array, alpha: float, beta: float) -> Array:
    size = abs(a - c) ** (1 - alpha) * abs(b - c) ** alpha
    return c + np.copysign(size, (1 - beta) * a + beta * b - c)


def euclidean(a: Array, b: Array, c: Array, alpha: float) -> Array:
    u, v = (a - c) / np.linalg.norm(a - c), (b - c) / np.linalg.norm(b - c)
    mix = (1 - alpha) * a + alpha * b - c
    m = np.copysign(np.sqrt((1 - alpha) * u**2 + alpha * v**2), mix)
    return c + m / np.linalg.norm(m) * np.linalg.norm(mix)


def near_swap(a: Array, b: Array, limit: float) -> Array:
    weight = np.clip(limit / np.maximum(abs(a - b), 1e-12), 0, 1)
    return weight * b + (1 - weight) * a


def supermerger_bounds(looks: Sequence[Array]) -> tuple[float, float]:
    sims = np.concatenate([look.reshape(-1) for look in looks])
    sims = np.delete(sims, np.where(sims < np.percentile(sims, 1, method="midpoint")))
    sims = np.delete(sims, np.where(sims > np.percentile(sims, 99, method="midpoint")))
    return sims.min(), sims.max()


def column_cosines(a: Array, b: Array) -> Array:
    lengths = [np.maximum(np.linalg.norm(model, axis=0), 1e-8) for model in (a, b)]
    return (a * b).sum(0) / lengths[0] / lengths[1]


def supermerger_cosine_a(a: Array, b: Array, alpha: float) -> Array:
    """`cosine` for "A" of SuperMerger's mergers.py, with the tensor for the whole model."""
    low, high = supermerger_bounds([np.atleast_1d(column_cosines(a, b))])
    a_norm, b_norm = (x / np.maximum(np.linalg.norm(x, axis=0), 1e-12) for x in (a, b))
    overall = (a_norm * b_norm).sum() / (np.linalg.norm(a_norm) * np.linalg.norm(b_norm))
    k = ((column_cosines(a, b) + overall) / 2 - low) / (high - low)
    k = np.clip(k - abs(alpha), 0, 1)
    return b + k * (a - b)


def cosine_measure_b(a: Array, b: Array) -> Array:
    return (column_cosines(a, b) + (a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b))) / 2


def supermerger_cosine_b(a: Array, b: Array, alpha: float) -> Array:
    measure = cosine_measure_b(a, b)
    low, high = supermerger_bounds([np.atleast_1d(measure)])
    k = np.clip((measure - low) / (high - low) - alpha, 0, 1)
    return b + k * (a - b)


def corrected(measure: Callable[[Array, Array], Array]) -> Callable[[Array, Array, float], Array]:
    def cosine(a: Array, b: Array, alpha: float) -> Array:
        low, high = supermerger_bounds([np.atleast_1d(measure(a, b))])
        m = np.clip((measure(a, b) - low) / (high - low), 0, 1)
        return a + np.clip(2 * alpha - m, 0, 1) * (b - a)

    return cosine


def distribution(a: Array, b: Array, c: Array, alpha: float, beta: float) -> Array:
    order = np.argsort(c.reshape(-1), kind="stable")
    slow, fast = np.fft.rfft(b.reshape(-1)[order]), np.fft.rfft(a.reshape(-1)[order])
    f = np.arange(len(slow)) / len(slow)
    h = np.clip((f - alpha) / beta + 0.5, 0, 1) if beta else (f >= alpha).astype(float)
    out = np.empty(a.size)
    out[order] = np.fft.irfft((1 - h) * slow + h * fast, a.size)
    return out.reshape(a.shape)


def crossover(a: Array, b: Array, alpha: float, tilt: float) -> Array:
    """Over the transform of all frequencies, without halves: each axis goes 0 to 1 and back."""
    squares = np.zeros(a.shape)
    for axis, size in enumerate(a.shape):
        along = np.minimum(np.arange(size), size - np.arange(size)) / max(size // 2, 1)
        squares = squares + (along**2).reshape([-1 if n == axis else 1 for n in range(a.ndim)])
    f = np.sqrt(squares / a.ndim)
    h = (f > 1 - alpha).astype(float)
    if tilt:
        h = np.clip((f + alpha - 1) / np.tan(np.pi * tilt / 2) + alpha, 0, 1)
    return np.fft.ifftn((1 - h) * np.fft.fftn(a) + h * np.fft.fftn(b)).real


def top_k(a: Array, b: Array, alpha: float, beta: float) -> Array:
    flat, count = a.reshape(-1), a.size
    ranks = np.argsort(np.argsort(b.reshape(-1), kind="stable"), kind="stable")
    ordered = np.sort(flat)
    sizes = np.sort(abs(ordered))
    low, high = round(beta * count), round((alpha + beta) * count)
    least = sizes[low - 1] if low else -1
    greatest = sizes[high - 1] if high else -1
    chosen = ((abs(ordered) > least) & (abs(ordered) <= greatest))[ranks]
    return np.where(chosen, ordered[ranks], flat).reshape(a.shape)


def clamp(a: Array, *bounds: Array) -> Array:
    return np.clip(a, np.minimum.reduce(bounds), np.maximum.reduce(bounds))


TWO_OR_THREE: list[tuple[str, Callable[..., Array], int, dict[str, Any]]] = [
    ("train_difference", train_difference, 3, {"alpha": 0.7}),
    ("extract", extract, 3, {"alpha": 0.3, "beta": 0.2, "gamma": 2.5}),
    ("smooth_add", smooth_add, 3, {"alpha": 0.7}),
    ("slerp", slerp, 2, {"alpha": 0.3}),
    ("geometric_sum", geometric_sum, 2, {"alpha": 0.3}),
    ("add_perpendicular", add_perpendicular, 3, {"alpha": 0.7}),
    ("similarity_add_difference", similarity, 3, {"alpha": 0.7, "beta": 0.6}),
    ("multiply_difference", multiply, 3, {"alpha": 0.4, "beta": 0.6}),
    ("euclidean_add_difference", euclidean, 3, {"alpha": 0.3}),
    ("near_swap", near_swap, 2, {"limit": 0.125}),
    ("supermerger_cosine_a", supermerger_cosine_a, 2, {"alpha": 0.2}),
    ("supermerger_cosine_b", supermerger_cosine_b, 2, {"alpha": 0.2}),
    ("cosine_a", corrected(column_cosines), 2, {"alpha": 0.4}),
    ("cosine_b", corrected(cosine_measure_b), 2, {"alpha": 0.4}),
    ("distribution_crossover", distribution, 3, {"alpha": 0.3, "beta": 0.0}),
    ("distribution_crossover", distribution, 3, {"alpha": 0.3, "beta": 0.25}),
    ("crossover", crossover, 2, {"alpha": 0.4, "tilt": 0.0}),
    ("crossover", crossover, 2, {"alpha": 0.7, "tilt": 0.3}),
    ("top_k_tensor_sum", top_k, 2, {"alpha": 0.4, "beta": 0.25}),
    ("top_k_tensor_sum", top_k, 2, {"alpha": 0.4, "beta": 0.0}),
    ("top_k_tensor_sum", top_k, 2, {"alpha": 0.5, "beta": 0.1}),
    ("clamp", clamp, 4, {}),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("method", "reference", "count", "settings"), TWO_OR_THREE)
def test_it_is_the_reference(
    method: str, reference: Callable[..., Array], count: int, settings: dict[str, Any], shape: tuple[int, ...]
) -> None:
    if "cosine" in method and len(shape) == 1:
        return  # a vector has one column, and so no spread
    first, *others = grid(shape, max(count, 3) + 1)[:count]
    models = [others[0], *others[1:], first] if count == 3 else [first, *others]
    np.testing.assert_allclose(
        ours(method, models, **settings), reference(*models, **settings), rtol=2e-5, atol=3e-6
    )


def supermerger_cosine(letter: str, a: torch.Tensor, b: torch.Tensor, alpha: float) -> torch.Tensor:
    """Both stages of SuperMerger's mergers.py for one tensor, with the calls of torch that it makes."""
    columns = torch.nn.CosineSimilarity(dim=0)
    if letter == "a":
        one, two = (torch.nn.functional.normalize(model, p=2, dim=0) for model in (a, b))
    else:
        one, two = a, b
    overall = torch.dot(one.reshape(-1), two.reshape(-1)) / (torch.norm(one) * torch.norm(two))
    combined = (columns(one, two) + overall) / 2
    low, high = supermerger_bounds([(columns(one, two) if letter == "a" else combined).numpy()])
    k = ((combined - low) / (high - low) - alpha).clip(min=0, max=1)
    return b * (1 - k) + a * k


@pytest.mark.parametrize("size", [1.0, 1e-4, 1e-5, 1e-8, 1e-11])
@pytest.mark.parametrize("letter", ["a", "b"])
def test_columns_of_any_length_count_as_in_supermergers_own_code(letter: str, size: float) -> None:
    # one column in three is as long as usual, one of `size`, one between
    lengths = torch.tensor([1, size, size**0.5], dtype=torch.float64).repeat(4)
    a, b = (torch.tensor(model) * lengths for model in grid((20, 12), 2, seed=3))
    out = METHODS.get(f"supermerger_cosine_{letter}")(a.clone(), b.clone(), alpha=0.1)
    want = supermerger_cosine(letter, a, b, 0.1)
    torch.testing.assert_close(out / lengths, want / lengths, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [1.0, 1e-4, 1e-5, 1e-8])
@pytest.mark.parametrize("by_kernel", [False, True])
def test_rows_of_any_length_count_as_in_torchs_cosine_similarity(size: float, by_kernel: bool) -> None:
    a, b, c = (torch.tensor(model) * size for model in grid((5, 3, 3, 3), 3))
    rows = (b - a, c - a) if by_kernel else ((b - a).reshape(5, -1), (c - a).reshape(5, -1))
    likeness = (torch.nn.functional.cosine_similarity(*rows, dim=-1) + 1) / 2
    share = likeness.view(*likeness.shape, *[1] * (4 - likeness.ndim))
    want = a + ((b - a) * 0.7 + (c - a) * 0.3) * share
    out = METHODS.get("extract")(a, b, c, alpha=0.3, by_kernel=by_kernel)
    torch.testing.assert_close(out / size, want / size, rtol=1e-9, atol=1e-9)


def kept_largest(delta: Array, density: float, outliers: float = 0.0) -> Array:
    """By sorting; the grid has ties at the edge, which stay."""
    sizes = np.sort(abs(delta).reshape(-1))
    keep = max(1, int(density * delta.size + 0.5))
    cut = min(int(outliers * delta.size), delta.size - keep)
    least, greatest = sizes[delta.size - cut - keep], sizes[delta.size - cut - 1]
    return np.where((abs(delta) >= least) & (abs(delta) <= greatest), delta, 0)


def elected(deltas: Sequence[Array], weights: Sequence[float], votes: Array) -> Array:
    sign = np.sign(votes)
    agree = [(np.sign(delta) == sign) & (delta != 0) for delta in deltas]
    total = sum(delta * mask for delta, mask in zip(deltas, agree, strict=True))
    weight = sum(w * mask for w, mask in zip(weights, agree, strict=True))
    return np.divide(total, weight, out=np.zeros_like(total), where=weight != 0)


@pytest.mark.parametrize("count_votes", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("density", [0.2, 0.5, 1.0])
def test_ties_is_the_papers_three_steps(shape: tuple[int, ...], density: float, count_votes: bool) -> None:
    base, *models = grid(shape, 5)
    shares = (1, 0.5, 0.25, 1)
    deltas = [s * kept_largest(m - base, density) for s, m in zip(shares, models, strict=True)]
    votes = sum(np.sign(delta) if count_votes else delta for delta in deltas)
    want = base + 0.75 * elected(deltas, shares, votes)
    got = ours(
        "ties", [base, *models], density=density, model_weights=shares, scale=0.75, count_votes=count_votes
    )
    np.testing.assert_allclose(got, want, atol=2e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("elect", [False, True])
def test_breadcrumbs_are_sorted_and_cut_at_both_ends(shape: tuple[int, ...], elect: bool) -> None:
    base, *models = grid(shape, 4)
    deltas = [kept_largest(m - base, 0.6, 0.1) for m in models]
    want = base + (elected(deltas, (1, 1, 1), sum(deltas)) if elect else sum(deltas))
    got = ours("breadcrumbs", [base, *models], density=0.6, gamma=0.1, elect=elect)
    np.testing.assert_allclose(got, want, atol=2e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sce_selects_calculates_and_erases(shape: tuple[int, ...]) -> None:
    base, *models = grid(shape, 5)
    deltas = np.stack([model - base for model in models])
    variance = deltas.var(0)
    keep = int(np.count_nonzero(variance) * 0.25 + 0.5)
    stays = variance >= np.sort(variance.reshape(-1))[-keep]
    deltas = deltas * stays
    weights = (deltas**2).reshape(4, -1).mean(1)
    weights /= weights.sum()
    weighted = [w * delta for w, delta in zip(weights, deltas, strict=True)]
    want = base + elected(weighted, list(weights), deltas.sum(0))
    got = ours("sce", [base, *models], density=0.25)
    assert np.mean(abs(got - want) < 3e-6) > 0.97  # variances of float32 may order two neighbours otherwise


@pytest.mark.parametrize("elect", [False, True])
def test_dare_drops_what_the_mask_says(elect: bool) -> None:
    base, *models = grid((50, 40), 4)
    flips = [bernoulli_mask(seed_for(7, n), 0, 0.3, torch.empty(50, 40)) for n in range(3)]
    deltas = [(m - base) * f.double().numpy() / odds for m, (f, odds) in zip(models, flips, strict=True)]
    want = base + (elected(deltas, (1, 1, 1), sum(deltas)) if elect else sum(deltas))
    np.testing.assert_allclose(
        ours("dare", [base, *models], density=0.3, elect=elect, seed=7), want, atol=1e-5
    )


def test_della_gives_each_rank_of_a_row_its_probability() -> None:
    base, model = (np.zeros((8, 11)), np.random.default_rng(0).permutation(88).reshape(8, 11) + 1.0)
    got = ours("della", [base, model], density=0.5, epsilon=0.2, elect=False, seed=3)
    odds = np.round((0.3 + 0.4 * model.argsort(1).argsort(1) / 10) * 65536) / 65536
    stays = random_u16(seed_for(3, 0), 0, 88, torch.empty(88)).numpy().reshape(8, 11) < odds * 65536
    np.testing.assert_allclose(got, np.where(stays, model / odds, 0), rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_model_stock_weighs_the_mean_by_all_pairs_cosines(shape: tuple[int, ...]) -> None:
    base, *models = grid(shape, 4)
    # something in common, or the mean cosine is below 0 and the result the base
    models = [model + 0.25 for model in models]
    deltas = [(model - base).reshape(-1) for model in models]
    cosine = np.mean(
        [x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x, y in itertools.combinations(deltas, 2)]
    )
    t = 3 * cosine / (1 + 2 * cosine)
    np.testing.assert_allclose(
        ours("model_stock", [base, *models]), t * sum(models) / 3 + (1 - t) * base, atol=3e-6
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_karcher_mean_is_where_the_pulls_cancel(shape: tuple[int, ...]) -> None:
    models, shares = grid(shape, 4), np.array([0.1, 0.2, 0.3, 0.4])
    mean = ours("karcher_mean", models, model_weights=tuple(shares * 5))
    lengths = np.array([np.linalg.norm(model) for model in models])
    assert np.linalg.norm(mean) == pytest.approx(shares @ lengths, rel=1e-6)
    u, pull = mean / np.linalg.norm(mean), np.zeros_like(mean)
    for share, model, length in zip(shares, models, lengths, strict=True):
        angle = np.arccos((u * model).sum() / length)
        pull += share * angle / np.sin(angle) * (model / length - np.cos(angle) * u)
    assert np.linalg.norm(pull) < 1e-6


def test_the_geometric_median_has_the_least_sum_of_distances() -> None:
    models, shares = grid((6,), 5), np.array([1, 2, 1, 0.5, 1])

    def cost(point: Array) -> float:
        return sum(s * np.linalg.norm(point - m) for s, m in zip(shares, models, strict=True))

    got = ours("geometric_median", models, model_weights=tuple(shares))
    best = scipy.optimize.minimize(cost, sum(models) / 5, method="Nelder-Mead", options={"xatol": 1e-10})
    assert cost(got) <= best.fun * (1 + 1e-6)


def weiszfelds_rounds(models: Array, shares: Array) -> int:
    """How often the mean weighted by inverse distances has to be taken until it stays where it is."""
    point, rounds = shares @ models, 0
    while True:
        weights = shares / np.linalg.norm(models - point, axis=1)
        new = weights @ models / weights.sum()
        rounds += 1
        if np.linalg.norm(new - point) < 1e-10:
            return rounds
        point = new


def heavy_model(share: float) -> tuple[Array, Array]:
    """Four models, of which the first has so great a share that the median is next to it."""
    models = np.array([[0.0, 0, 0, 0], [1.0, 0.2, 0, 0], [0.1, 1.0, 0.3, 0], [0.3, -0.2, 1.0, 0.5]])
    return models, np.array([share, *[(1 - share) / 3] * 3])


@pytest.mark.parametrize(("share", "rounds"), [(0.25, 20), (0.38, 150), (0.404, 900)])
def test_the_geometric_median_is_found_where_weiszfelds_rounds_hardly_move(share: float, rounds: int) -> None:
    models, shares = heavy_model(share)
    assert weiszfelds_rounds(models, shares) >= rounds
    median = METHODS.get("geometric_median")(*map(torch.tensor, models), model_weights=tuple(shares)).numpy()
    off = models - median
    pull = shares @ (off / np.linalg.norm(off, axis=1)[:, None])
    assert np.linalg.norm(pull) < 1e-8  # 1.2e-9 on one processor, under 1e-9 on another


@pytest.mark.parametrize("share", [0.36, 0.405, 0.407, 0.6])
def test_a_model_that_the_others_cannot_pull_away_is_the_geometric_median(share: float) -> None:
    models, shares = heavy_model(share)
    others = models[1:] / np.linalg.norm(models[1:], axis=1)[:, None]
    assert (np.linalg.norm(shares[1:] @ others) < share) == (share > 0.406)
    median = METHODS.get("geometric_median")(*map(torch.tensor, models), model_weights=tuple(shares)).numpy()
    assert np.array_equal(median, models[0]) == (share > 0.406)


@pytest.mark.parametrize("shape", [(9, 5), (5, 9), (4, 2, 3, 3), (6, 4, 1, 1)], ids=str)
def test_rotate_solves_the_procrustes_problem(shape: tuple[int, ...]) -> None:
    a, b = grid(shape, 2)
    flat = (shape[0] * shape[1], 9) if shape[-1] == 3 else (shape[0], -1)
    one, two = (x.reshape(flat) - x.reshape(flat).mean(0) for x in (a, b))
    sizes = np.linalg.svd(one.T @ two, compute_uv=False)
    got = ours("rotate", [a, b]).reshape(flat) - b.reshape(flat).mean(0)
    least = (one**2).sum() + (two**2).sum() - 2 * sizes.sum()
    assert ((got - two) ** 2).sum() == pytest.approx(least, rel=1e-4, abs=1e-4)
    np.testing.assert_allclose(np.linalg.norm(got), np.linalg.norm(one), rtol=1e-5)


@pytest.mark.parametrize("shape", [(30, 9), (9, 30), (12, 14), (5, 4, 3, 3), (6, 4, 1, 1)], ids=str)
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("alignment", [0.0, 1.0])
@pytest.mark.parametrize("centralization", [0.0, 0.4, 1.0])
def test_rotate_is_its_formula_at_both_alignments(
    shape: tuple[int, ...], alpha: float, alignment: float, centralization: float
) -> None:
    a, b = grid(shape, 2)
    flat = (shape[0] * shape[1], 9) if shape[-1] == 3 else (shape[0], -1)
    one, two = (x.reshape(flat) for x in (a, b))
    means = [x.mean(0) * centralization for x in (one, two)]
    one, two = one - means[0], two - means[1]
    left, _, right = np.linalg.svd(one.T @ two)
    turn = left @ right
    want = one + alpha * (two @ turn.T - one) if alignment < 1 else one @ turn * (1 - alpha) + alpha * two
    got = ours("rotate", [a, b], alpha=alpha, alignment=alignment, centralization=centralization)
    np.testing.assert_allclose(got.reshape(flat), want + means[int(alignment)], rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize(
    "angles",
    [[0.3, 1.0, 2.0], [np.pi, 0.5, 0.0], [np.pi - 1e-4, np.pi, 3.0], [1e-9, np.pi - 1e-3, 1.0], [0.7] * 3],
    ids=str,
)
@pytest.mark.parametrize("odd", [False, True])
def test_a_fraction_of_a_rotation_turns_each_plane_by_that_fraction(angles: list[float], odd: bool) -> None:
    size = 2 * len(angles) + odd
    basis = np.linalg.qr(np.random.default_rng(1).normal(size=(size, size)))[0]

    def turned(share: float) -> Array:
        planes = [[[np.cos(w), -np.sin(w)], [np.sin(w), np.cos(w)]] for w in share * np.array(angles)]
        return basis @ scipy.linalg.block_diag(*planes, *[[[1.0]]] * odd) @ basis.T

    got = rotation_power(torch.tensor(turned(1.0)), 0.3).numpy()
    if np.pi not in angles:  # of a half turn either way round is as near
        np.testing.assert_allclose(got, turned(0.3), atol=1e-8)
    half = rotation_power(torch.tensor(turned(1.0)), 0.5).numpy()
    np.testing.assert_allclose(half @ half, turned(1.0), atol=1e-9)
    np.testing.assert_allclose(got @ got.T, np.eye(size), atol=1e-9)


def test_noise_is_normal_and_hangs_on_nothing_but_seed_and_place() -> None:
    like = torch.empty(100_000)
    noise = normal(5, 0, like)
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 1) < 0.01
    assert torch.equal(normal(5, 777, torch.empty(50)), noise[777:827])
    assert not torch.equal(normal(6, 0, like), noise)
