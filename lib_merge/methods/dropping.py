"""Task vectors with a part of their elements dropped: at random (DARE, DELLA) or by size (Breadcrumbs)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from lib_merge.methods.numerics import CHUNK, DEVICE_CHUNK, bernoulli_mask, kth_smallest, num_kept, random_u16
from lib_merge.methods.orders import argsort_rows
from lib_merge.methods.tasks import (
    DENSITY,
    NO_VOTE,
    SCALE,
    ModelWeights,
    magnitude,
    merge_deltas,
    trim,
    weight_per_model,
    with_weights,
)
from lib_merge.parameters import Offset, Range, Reduction, Seed, seed_for
from lib_merge.registry import exact_at, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

ELECT_SIGN = Range(0, 1, 1, help="elect a sign for each element, as TIES does")
SEED = Seed(0, 999_999, 1, help="another seed keeps other elements")


@merge_method(
    "dare",
    title="DARE",
    source="Yu et al. 2024, 'Language models are super Mario', arXiv:2311.03099",
    purpose="tasks",
    exact=[exact_at(0, scale=0)],
    exempt={"float64": f"with `elect`, {NO_VOTE}"},
)
def dare(
    base: Tensor,
    *models: Tensor,
    density: Annotated[float, DENSITY] = 0.5,
    model_weights: ModelWeights = (1.0,),
    scale: Annotated[float, SCALE] = 1.0,
    elect: Annotated[bool, ELECT_SIGN] = False,
    seed: Annotated[int, SEED] = 0,
    start: Annotated[int, Offset()] = 0,
) -> Tensor:
    """Keep a random part of each task vector, and rescale it so that its mean stays.

        out = base + scale sum(s_i m_i (M_i - base) / density)
        m_i = 1 with probability `density`, else 0, drawn for each model and element

    density 1 is task_arithmetic (with `elect`, TIES without trimming); scale 0 is the base, to the bit.
    The mean over all seeds is task_arithmetic. density is a multiple of 1/65536. mergekit rescales to the
    sum of magnitudes instead; sd-mecha draws from one generator, so that its result depends on the order.
    """
    deltas: list[Tensor] = []
    for index, (model, weight) in enumerate(with_weights(models, model_weights)):
        delta = model - base
        if density < 1:
            mask, probability = bernoulli_mask(seed_for(seed, index), start, density, base)
            delta.mul_(mask.mul_(1 / probability))
        deltas.append(delta.mul_(weight))
    return merge_deltas(base, deltas, weight_per_model(model_weights, len(models)), scale, elect)


@merge_method(
    "della",
    title="DELLA",
    source="Deep et al. 2024, arXiv:2406.11617",
    purpose="tasks",
    elementwise=False,
    exact=[exact_at(0, scale=0)],
    exempt={"float64": "rounding errors, which differ between dtypes, decide ranks"},
)
def della(
    base: Tensor,
    *models: Tensor,
    density: Annotated[float, DENSITY] = 0.5,
    epsilon: Annotated[
        float,
        Range(
            0,
            0.5,
            help="0 is DARE; how much more likely the largest changes stay",
            min=0,
            max=1,
        ),
    ] = 0.1,
    model_weights: ModelWeights = (1.0,),
    scale: Annotated[float, SCALE] = 1.0,
    elect: Annotated[bool, ELECT_SIGN] = True,
    seed: Annotated[int, SEED] = 0,
) -> Tensor:
    """Keep a random part of each task vector, large changes with a higher probability.

        out = base + scale (sum of s_i m_i (M_i - base) / p_i over those that agree) / (sum of their s_i)
        m_i = 1 with probability p_i, from density - epsilon (smallest of a row) to density + epsilon

    A row is the weights of one output channel. epsilon 0 is DARE, with the same seed the same elements.
    Without `elect` it is a plain sum. scale 0 is the base, to the bit. Each element is divided by its own
    p_i, as in the paper; mergekit rescales to the sum of magnitudes, sd-mecha divides by the density and
    ranks whole tensors.
    """
    if not base.numel():
        return base.clone()
    tensors = [tensor.reshape(len(base) if base.ndim > 1 else 1, -1) for tensor in (base, *models)]
    count, width = tensors[0].shape
    out = torch.empty_like(tensors[0])
    # rows are independent: a few at a time stay in the cache
    step = max(1, (CHUNK if base.device.type == "cpu" else DEVICE_CHUNK) // width)
    for start in range(0, count, step):
        first, *others = (tensor[start : start + step] for tensor in tensors)
        deltas: list[Tensor] = []
        for index, (model, weight) in enumerate(with_weights(others, model_weights)):
            delta = model - first
            factors = _dropout(delta, density, epsilon, seed_for(seed, index), start * width)
            deltas.append(delta.mul_(factors).mul_(weight))
        weights = weight_per_model(model_weights, len(models))
        out[start : start + step] = merge_deltas(first, deltas, weights, scale, elect)
    return out.view(base.shape)


def _dropout(rows: Tensor, density: float, epsilon: float, seed: int, start: int) -> Tensor:
    """1 / p where an element is kept and 0 where it is dropped.

    rows   of a difference
    start  index of their first element within the tensor
    """
    if density >= 1:
        return torch.ones_like(rows)
    if not epsilon:
        mask, probability = bernoulli_mask(seed, start, density, rows)
        return mask.mul_(1 / probability)
    width = rows.shape[1]
    # from -epsilon to epsilon in even steps by rank; the only element of a row is in the middle
    steps = torch.linspace(-epsilon, epsilon, width, dtype=rows.dtype, device=rows.device)
    steps = steps if width > 1 else torch.zeros_like(steps)
    steps = steps.add_(density).mul_(65536).round_().clamp_(1, 65536)
    odds = torch.empty_like(rows).scatter_(1, argsort_rows(rows.abs()), steps.expand_as(rows))
    uniform = random_u16(seed, start, rows.numel(), rows).view_as(rows)
    return torch.sub(odds, uniform, out=uniform).clamp_(0, 1).mul_(65536).div_(odds)


def _magnitude_bounds(
    base: Tensor, *models: Tensor, dtype: torch.dtype, density: float, gamma: float
) -> tuple[float, ...]:
    """For each model the smallest and the largest magnitude that is kept."""
    count = base.numel()
    keep = num_kept(density, count)
    cut = min(int(gamma * count), count - keep)
    bounds: list[float] = []
    for model in models:
        pair = base, model
        least = kth_smallest(pair, magnitude, dtype, count - cut - keep + 1) if keep + cut < count else 0.0
        greatest = kth_smallest(pair, magnitude, dtype, count - cut) if cut else float("inf")
        bounds += [least, greatest]
    return tuple(bounds)


@merge_method(
    "breadcrumbs",
    title="Breadcrumbs",
    source="Davari and Belilovsky 2023, 'Model breadcrumbs', arXiv:2312.06795",
    purpose="tasks",
    exact=[exact_at(0, scale=0)],
    exempt={"float64": "rounding errors decide which element is the largest that is kept"},
)
def breadcrumbs(
    base: Tensor,
    *models: Tensor,
    density: Annotated[float, DENSITY] = 0.9,
    gamma: Annotated[
        float, Range(0, 0.2, help="the fraction of the largest changes that is dropped", min=0, max=1)
    ] = 0.01,
    model_weights: ModelWeights = (1.0,),
    scale: Annotated[float, SCALE] = 1.0,
    elect: Annotated[bool, ELECT_SIGN] = False,
    bounds: Annotated[Sequence[float] | None, Reduction(_magnitude_bounds)] = None,
) -> Tensor:
    """Drop the largest and the smallest changes of each model and add up the rest.

        out = base + scale sum(s_i t_i)
        t_i = M_i - base without its largest `gamma`, and without its smallest so that `density` is left

    scale 0 is the base, to the bit. gamma 0 keeps the largest, as TIES does. Where gamma is less than one
    element of a tensor, none is dropped at the top: mergekit empties such tensors. It was called outliers.
    """
    bounds = bounds or _magnitude_bounds(base, *models, dtype=base.dtype, density=density, gamma=gamma)
    deltas: list[Tensor] = []
    for index, (model, weight) in enumerate(with_weights(models, model_weights)):
        least, greatest = bounds[2 * index : 2 * index + 2]
        delta = trim(model - base, least)
        if greatest < float("inf"):
            delta = delta - torch.hardshrink(delta, greatest)  # elements beyond it become 0
        deltas.append(delta.mul_(weight))
    return merge_deltas(base, deltas, weight_per_model(model_weights, len(models)), scale, elect)
