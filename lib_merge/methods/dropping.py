"""Models over one base, with a part of what each learnt dropped: at random, or at both ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from lib_merge.methods.numerics import DEVICE_STRETCH, STRETCH, coins, kept, kth_smallest, throws
from lib_merge.methods.orders import order_of_sizes
from lib_merge.methods.tasks import (
    DENSITY,
    NO_VOTE,
    SCALE,
    Shares,
    each_share,
    joined,
    size,
    trimmed,
    with_shares,
)
from lib_merge.registry import Knob, Seed, Start, Survey, end, merge_method, seed_for
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

ELECT = Knob(0, 1, 1, help="let the models vote on each number's sign, as TIES does")
SEED = Seed(0, 999_999, 1, help="another seed keeps other numbers")


@merge_method(
    "dare",
    title="DARE",
    source="Yu et al. 2024, 'Language models are super Mario', arXiv:2311.03099",
    purpose="tasks",
    ends=[end(0, scale=0)],
    exempt={"float64": f"with `elect`, {NO_VOTE}"},
)
def dare(
    base: Tensor,
    *models: Tensor,
    density: Annotated[float, DENSITY] = 0.5,
    shares: Shares = (1.0,),
    scale: Annotated[float, SCALE] = 1.0,
    elect: Annotated[bool, ELECT] = False,
    seed: Annotated[int, SEED] = 0,
    start: Annotated[int, Start()] = 0,
) -> Tensor:
    """Keep a random part of what each model learnt, and make it larger by as much as was dropped.

        out = base + scale sum(s_i m_i (M_i - base) / density)
        m_i = 1 with probability `density`, else 0, drawn anew for each model and number

    density 1 is task_arithmetic (with `elect`, TIES without trimming); scale 0 is the base, to the bit.
    The mean over all seeds is task_arithmetic. density is a multiple of 1/65536. mergekit rescales to the
    sum of sizes instead, and sd-mecha draws from one generator, so that its result hangs on the order.
    """
    deltas: list[Tensor] = []
    for index, (model, share) in enumerate(with_shares(models, shares)):
        delta = model - base
        if density < 1:
            coin, odds = coins(seed_for(seed, index), start, density, base)
            delta.mul_(coin.mul_(1 / odds))
        deltas.append(delta.mul_(share))
    return joined(base, deltas, each_share(shares, len(models)), scale, elect)


@merge_method(
    "della",
    title="DELLA",
    source="Deep et al. 2024, arXiv:2406.11617",
    purpose="tasks",
    elementwise=False,
    ends=[end(0, scale=0)],
    exempt={"float64": "ranks of numbers that rounding errors set apart differ between formats"},
)
def della(
    base: Tensor,
    *models: Tensor,
    density: Annotated[float, DENSITY] = 0.5,
    spread: Annotated[
        float,
        Knob(0, 0.5, help="0 is DARE; large changes stay oftener by this, small ones rarer", least=0, most=1),
    ] = 0.1,
    shares: Shares = (1.0,),
    scale: Annotated[float, SCALE] = 1.0,
    elect: Annotated[bool, ELECT] = True,
    seed: Annotated[int, SEED] = 0,
) -> Tensor:
    """Keep a random part of what each model learnt, large changes with a higher probability.

        out = base + scale (sum of s_i m_i (M_i - base) / p_i over those that agree) / (sum of their s_i)
        m_i = 1 with probability p_i, from density - spread (smallest of a row) to density + spread

    A row is what makes one output channel. spread 0 is DARE, with the same seed the same numbers. Without
    `elect` it is a plain sum. scale 0 is the base, to the bit. Each number is divided by its own p_i, as in
    the paper; mergekit rescales to the sum of sizes, sd-mecha divides by the density and ranks whole tensors.
    """
    if not base.numel():
        return base.clone()
    tensors = [tensor.reshape(len(base) if base.ndim > 1 else 1, -1) for tensor in (base, *models)]
    count, width = tensors[0].shape
    out = torch.empty_like(tensors[0])
    # a row knows nothing of another: some at a time stay in the cache
    step = max(1, (STRETCH if base.device.type == "cpu" else DEVICE_STRETCH) // width)
    for start in range(0, count, step):
        first, *others = (tensor[start : start + step] for tensor in tensors)
        deltas: list[Tensor] = []
        for index, (model, share) in enumerate(with_shares(others, shares)):
            delta = model - first
            factors = _dropout(delta, density, spread, seed_for(seed, index), start * width)
            deltas.append(delta.mul_(factors).mul_(share))
        out[start : start + step] = joined(first, deltas, each_share(shares, len(models)), scale, elect)
    return out.view(base.shape)


def _dropout(rows: Tensor, density: float, spread: float, seed: int, start: int) -> Tensor:
    """1 / p where a number stays and 0 where it goes.

    rows  of a difference;  start  the number of their first element
    """
    if density >= 1:
        return torch.ones_like(rows)
    if not spread:
        coin, odds = coins(seed, start, density, rows)
        return coin.mul_(1 / odds)
    width = rows.shape[1]
    # from -spread to spread in even steps, at the places of the ranks; one number alone is in the middle
    steps = torch.linspace(-spread, spread, width, dtype=rows.dtype, device=rows.device)
    steps = steps if width > 1 else torch.zeros_like(steps)
    steps = steps.add_(density).mul_(65536).round_().clamp_(1, 65536)
    odds = torch.empty_like(rows).scatter_(1, order_of_sizes(rows.abs()), steps.expand_as(rows))
    flips = throws(seed, start, rows.numel(), rows).view_as(rows).add_(32768)
    return torch.sub(odds, flips, out=flips).clamp_(0, 1).mul_(65536).div_(odds)


def _crumbs(
    base: Tensor, *models: Tensor, dtype: torch.dtype, density: float, outliers: float
) -> tuple[float, ...]:
    """For each model the least and the greatest size that stays."""
    count = base.numel()
    keep = kept(density, count)
    cut = min(int(outliers * count), count - keep)
    found: list[float] = []
    for model in models:
        pair = base, model
        least = kth_smallest(pair, size, dtype, count - cut - keep + 1) if keep + cut < count else 0.0
        greatest = kth_smallest(pair, size, dtype, count - cut) if cut else float("inf")
        found += [least, greatest]
    return tuple(found)


@merge_method(
    "breadcrumbs",
    title="Breadcrumbs",
    source="Davari and Belilovsky 2023, 'Model breadcrumbs', arXiv:2312.06795",
    purpose="tasks",
    ends=[end(0, scale=0)],
    exempt={"float64": "which number is the largest that stays may hang on a rounding error"},
)
def breadcrumbs(
    base: Tensor,
    *models: Tensor,
    density: Annotated[float, DENSITY] = 0.9,
    outliers: Annotated[
        float, Knob(0, 0.2, help="the share of the largest changes that is dropped", least=0, most=1)
    ] = 0.01,
    shares: Shares = (1.0,),
    scale: Annotated[float, SCALE] = 1.0,
    elect: Annotated[bool, ELECT] = False,
    bounds: Annotated[Sequence[float] | None, Survey(_crumbs)] = None,
) -> Tensor:
    """Drop the largest and the smallest changes of each model and add up the rest.

        out = base + scale sum(s_i t_i)
        t_i = M_i - base without its largest `outliers`, and without its smallest so that `density` is left

    scale 0 is the base, to the bit. outliers 0 keeps the largest, as TIES does. Where less than one number
    in a tensor would be an outlier, none is: mergekit empties such tensors.
    """
    bounds = bounds or _crumbs(base, *models, dtype=base.dtype, density=density, outliers=outliers)
    deltas: list[Tensor] = []
    for index, (model, share) in enumerate(with_shares(models, shares)):
        least, greatest = bounds[2 * index : 2 * index + 2]
        delta = trimmed(model - base, least)
        if greatest < float("inf"):
            delta = delta - torch.hardshrink(delta, greatest)  # larger ones less themselves
        deltas.append(delta.mul_(share))
    return joined(base, deltas, each_share(shares, len(models)), scale, elect)
