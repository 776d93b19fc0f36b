"""Each method against the peer on PyPI that has it, where that is installed (requirements/bench.txt).

    pip install --no-deps -r requirements/bench.txt

Where we differ on purpose the call says so; the reasons stand in the methods' docstrings.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lib_merge.methods import METHODS
from tests.lib_merge.methods.agreements import AGREES

SHAPES = [(40,), (12, 8), (6, 4, 3, 3)]
EACH_SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=str)


def peer(module: str) -> Any:
    """A module of a peer, or a skip that says what is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        pytest.skip(f"{module} is not installed here: {missing}")


def models(shape: tuple[int, ...], count: int) -> list[Tensor]:
    """Models near each other, on a grid so that differences are exact."""
    generator = torch.Generator().manual_seed(sum(shape))
    base = torch.randn(shape, generator=generator)
    tensors = [base + 0.3 * torch.randn(shape, generator=generator) for _ in range(count)]
    return [(model * 1024).round() / 1024 for model in tensors]


def ours(method: str, *inputs: Tensor, **settings: Any) -> Tensor:
    return METHODS.get(method)(*inputs, **settings)


def assert_alike(got: Tensor, want: Tensor, atol: float = 3e-6) -> None:
    torch.testing.assert_close(got, want, rtol=1e-5, atol=atol)


MEH: list[tuple[str, int, dict[str, Any], Callable[..., Tensor]]] = [
    ("tensor_sum", 2, {"alpha": 0.4, "beta": 0.3}, lambda *m: ours("tensor_sum", *m, alpha=0.4, beta=0.3)),
    ("tensor_sum", 2, {"alpha": 0.6, "beta": 0.7}, lambda *m: ours("tensor_sum", *m, alpha=0.6, beta=0.7)),
    (
        "weighted_subtraction",
        2,
        {"alpha": 0.5, "beta": 0.6},
        lambda *m: ours("weighted_subtraction", *m, alpha=0.3),
    ),
    *(
        (name, 3, {"alpha": 0.4, "beta": 0.6}, lambda *m, name=name: ours(name, *m, alpha=0.4, beta=0.6))
        for name in ("multiply_difference", "similarity_add_difference")
    ),
    (
        "euclidean_add_difference",
        3,
        {"alpha": 0.4},
        lambda *m: ours("euclidean_add_difference", *m, alpha=0.4),
    ),
    (
        "top_k_tensor_sum",
        2,
        {"alpha": 0.4, "beta": 0.3},
        lambda *m: ours("top_k_tensor_sum", *m, alpha=0.4, beta=0.3),
    ),
    # its alpha goes from B to A
    (
        "distribution_crossover",
        3,
        {"alpha": 0.4, "beta": 0.3},
        lambda a, b, c: ours("distribution_crossover", b, a, c, alpha=0.4, beta=0.3),
    ),
]


@EACH_SHAPE
@pytest.mark.parametrize(("name", "count", "settings", "call"), MEH)
def test_sd_meh(
    name: str, count: int, settings: dict[str, Any], call: Callable[..., Tensor], shape: tuple[int, ...]
) -> None:
    theirs = getattr(peer("sd_meh.merge_methods"), name)
    inputs = models(shape, count)
    inputs[-1] += torch.arange(inputs[-1].numel()).view(shape) * 1e-5  # its order of equal numbers is chance
    assert_alike(call(*inputs), theirs(*[model.clone() for model in inputs], **settings))


@EACH_SHAPE
def test_sd_meh_ties_keeps_one_number_more_and_counts_votes(shape: tuple[int, ...]) -> None:
    theirs = peer("sd_meh.merge_methods").ties_add_difference
    a, b, c = models(shape, 3)
    size = a.numel()
    keep = size // 4
    beta = (keep - 1) / size  # int((1 - beta) n) is n - keep + 1: its threshold is the keep-th largest
    got = ours("ties", c, a, b, density=keep / size, scale=0.7, count_votes=True)
    assert_alike(got, theirs(a, b, c, alpha=0.7, beta=beta - 1e-9))


def mecha(module: str, name: str) -> Callable[..., Tensor]:
    return getattr(peer(f"sd_mecha.extensions.builtin.merge_methods.{module}"), name).__wrapped__


@EACH_SHAPE
def test_sd_mecha_slerp_geometric_sum_and_perpendicular(shape: tuple[int, ...]) -> None:
    a, b, c = models(shape, 3)
    alpha = torch.tensor(0.3)
    assert_alike(ours("slerp", a, b, alpha=0.3), mecha("linear", "slerp")(a, b, alpha))
    assert_alike(ours("geometric_sum", a, b, alpha=0.3), mecha("linear", "geometric_sum")(a, b, alpha))
    new = mecha("linear", "perpendicular_component")(a - c, b - c)
    assert_alike(ours("add_perpendicular", a, b, c, alpha=0.7), a + 0.7 * new)


@EACH_SHAPE
def test_sd_mecha_train_difference(shape: tuple[int, ...]) -> None:
    a, b, c = models(shape, 3)
    mask = mecha("linear", "train_difference_mask")(a, b, c, torch.tensor(0.7))
    assert_alike(ours("train_difference", a, b, c, alpha=0.7), a + (b - c) * mask)


@EACH_SHAPE
@pytest.mark.parametrize("stiffness", [0.0, 0.4])
def test_sd_mecha_clamp(shape: tuple[int, ...], stiffness: float) -> None:
    a, *bounds = models(shape, 4)
    assert_alike(
        ours("clamp", a, *bounds, stiffness=stiffness),
        mecha("limiting", "clamp")(a, *bounds, stiffness=stiffness),
    )


@EACH_SHAPE
@pytest.mark.parametrize("tilt", [0.0, 0.4, 1.0])
def test_sd_mecha_crossover(shape: tuple[int, ...], tilt: float) -> None:
    a, b = models(shape, 2)
    theirs = mecha("crossover", "crossover")(a, b, alpha=0.4, tilt=tilt)
    assert_alike(ours("crossover", a, b, alpha=0.4, tilt=tilt), theirs)


@EACH_SHAPE
@pytest.mark.parametrize("by_size", [False, True])
def test_sd_mecha_ties(shape: tuple[int, ...], by_size: bool) -> None:
    base, *others = models(shape, 4)
    size = base.numel()
    keep = size // 4
    theirs = mecha("ties", "ties_sum")(
        *[m - base for m in others], k=(keep - 1) / size - 1e-9, vote_sgn=by_size
    )
    got = ours("ties", base, *others, density=keep / size, count_votes=not by_size)
    assert_alike(got, base + theirs)


@EACH_SHAPE
def test_sd_mecha_geometric_median(shape: tuple[int, ...]) -> None:
    every = models(shape, 5)
    theirs = mecha("ties", "geometric_median")(*every, maxiter=1000)
    assert_alike(
        ours("geometric_median", *every), theirs, atol=1e-4
    )  # it stops when its float32 sum stands still


def test_sd_mecha_rotate() -> None:
    a, b = models((9, 5), 2)  # rows enough for one answer; a whole turn may be a mirror in both
    theirs = mecha("svd", "rotate")({"k": a}, {"k": b}, alignment=1.0, alpha=torch.tensor(0.3), key="k")
    assert_alike(ours("rotate", a, b, alpha=0.3), theirs, atol=1e-4)


KIT = "mergekit.merge_methods."


def kit(module: str, name: str, base: Tensor, *others: Tensor, **settings: Any) -> Tensor:
    """A method of mergekit on one tensor."""
    group = peer(KIT + "base").TensorGroup.from_tensors([base, *others], base_index=0)
    return getattr(peer(KIT + module), name).implementation(group, **settings)


@EACH_SHAPE
def test_mergekit_trims_by_magnitude_and_elects_by_sum(shape: tuple[int, ...]) -> None:
    sparsify, arithmetic = peer("mergekit.sparsify"), peer(KIT + "generalized_task_arithmetic")
    base, *others = models(shape, 4)
    deltas = torch.stack([sparsify.magnitude(m - base, 0.5) for m in others])
    mask = arithmetic.get_mask(deltas, method="sum")
    agreeing = mask & (deltas != 0)
    want = base + (deltas * mask).sum(0) / agreeing.sum(0).clamp(min=1)
    got = ours("ties", base, *others, density=0.5)
    # a tie at the threshold stays whole here, and is cut somewhere there
    assert float(((got - want).abs() < 3e-6).float().mean()) > 0.9
    # its divisor counts a trimmed 0 where + wins: of 0 models that agree it makes none
    assert torch.isfinite(got).all()


@EACH_SHAPE
def test_mergekit_breadcrumbs(shape: tuple[int, ...]) -> None:
    cut = peer("mergekit.sparsify").magnitude_outliers
    base, other = models(shape, 2)
    want = base + cut(other - base, 0.6, gamma=0.1)
    got = ours("breadcrumbs", base, other, density=0.6, gamma=0.1)
    assert float(((got - want).abs() < 3e-6).float().mean()) > 0.9  # ties


@EACH_SHAPE
def test_mergekit_karcher_near_swap_and_nuslerp(shape: tuple[int, ...]) -> None:
    karcher, nuslerp = (peer(KIT + name) for name in ("karcher", "nuslerp"))
    every = models(shape, 4)
    shares = [0.1, 0.2, 0.3, 0.4]
    theirs = karcher.karcher_merge_tensors(every, shares, max_iter=100, tol=1e-7)
    assert_alike(ours("karcher_mean", *every, model_weights=tuple(shares)), theirs, atol=2e-5)
    a, b, c, _ = every
    assert_alike(ours("near_swap", a, b, limit=0.05), kit("nearswap", "nearswap_merge", a, b, t=0.05))
    one, two = a - c, b - c
    two = two * (one.norm() / two.norm())  # of one length both ways of taking it agree
    assert_alike(
        ours("delta_slerp", c + one, c + two, c, alpha=0.3), c + nuslerp.nuslerp(0.3, one, two, flatten=True)
    )


@EACH_SHAPE
def test_mergekit_sce(shape: tuple[int, ...]) -> None:
    base, *others = models(shape, 4)
    theirs = kit("sce", "sce_merge", base, *others, select_topk=0.5)
    got = ours("sce", base, *others, density=0.5)
    assert float(((got - theirs).abs() < 1e-5).float().mean()) > 0.95  # an odd number at the edge


@EACH_SHAPE
def test_mergekit_model_stock(shape: tuple[int, ...]) -> None:
    base, *others = models(shape, 4)
    others = [model + 0.25 for model in others]  # a mean cosine above 0, below which we stay at the base
    assert_alike(
        ours("model_stock", base, *others), kit("model_stock", "model_stock_merge_method", base, *others)
    )


@pytest.mark.parametrize("name", AGREES)
def test_the_readmes_table_claims_agreements_that_are_tested(name: str) -> None:
    sources = "".join(
        inspect.getsource(test) for title, test in globals().items() if title.startswith(f"test_{name}")
    )
    sources += str(MEH) if name == "sd_meh" else ""
    for method in AGREES[name]:
        assert method in METHODS.get(method).id
        assert f'"{method}"' in sources or f"'{method}'" in sources, method
