"""Any number of models over one base: task vectors (model - base) are trimmed, elect signs and are added.

The methods (these, and those of `dropping`) differ in which elements of a task vector are kept (all, the
largest, random ones, all but the extremes), in whether a sign is elected, and in how what is left is added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from lib_merge.methods.numerics import chunks, gram, kth_smallest, num_kept, prev_float
from lib_merge.parameters import Range, Reduction
from lib_merge.registry import exact_at, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

MODEL_WEIGHTS = Range(0, 1, help="the weight of each model after the base, in order")
SCALE = Range(0, 2, help="0 keeps the base, 1 adds the merged task vector")
DENSITY = Range(0.01, 1, help="the fraction of each task vector that is kept, 1 keeps all", min=0, max=1)
COUNT_VOTES = Range(0, 1, 1, help="each model has one vote on a sign, however large its change is")
ModelWeights = Annotated[Sequence[float], MODEL_WEIGHTS]
EVERY = 64  # one of so many elements is sampled to find a threshold for the whole model
NO_VOTE = "rounding errors, which differ between dtypes, may decide a sign"
KIT = "arcee-ai mergekit, merge_methods/generalized_task_arithmetic.py"


def weight_per_model(model_weights: Sequence[float], count: int) -> Sequence[float]:
    """One weight for each of `count` models; a single one applies to all."""
    return model_weights if len(model_weights) == count else [*model_weights] * count


def sum_deltas(base: Tensor, deltas: Sequence[Tensor], scale: float) -> Tensor:
    """base + scale times the sum of the task vectors, which are overwritten."""
    total = deltas[0]
    for delta in deltas[1:]:
        total.add_(delta)
    return torch.add(base, total, alpha=scale)


def disjoint_merge(
    base: Tensor,
    deltas: Sequence[Tensor],
    model_weights: Sequence[float],
    scale: float,
    *,
    count_votes: bool = False,
) -> Tensor:
    """base + scale times, for each element, the mean over the models whose sign is the elected one.

    deltas       task vectors times their weights; overwritten
    count_votes  each model has one vote on the sign, instead of one as large as its change
    Source: Yadav et al. 2023, arXiv:2306.01708, section 4.
    """
    sign = torch.sign(deltas[0]) if count_votes else deltas[0].clone()
    for delta in deltas[1:]:
        sign.add_(torch.sign(delta) if count_votes else delta)
    sign.sign_()
    total, weight = torch.zeros_like(base), torch.zeros_like(base)
    for delta, model_weight in zip(deltas, model_weights, strict=True):
        total.add_(delta.mul_(sign).clamp_(min=0))  # its magnitude where it agrees, else 0
        weight.add_(delta.sign_(), alpha=abs(model_weight))
    weight.clamp_(min=torch.finfo(base.dtype).tiny)  # where no model agrees the total is 0, and stays 0
    return total.div_(weight).mul_(sign).mul_(scale).add_(base)


def merge_deltas(
    base: Tensor, deltas: Sequence[Tensor], model_weights: Sequence[float], scale: float, elect: bool
) -> Tensor:
    """disjoint_merge with `elect`, else sum_deltas."""
    return disjoint_merge(base, deltas, model_weights, scale) if elect else sum_deltas(base, deltas, scale)


@merge_method(
    "task_arithmetic",
    title="Task arithmetic",
    source="Ilharco et al. 2023, 'Editing models with task arithmetic', arXiv:2212.04089",
    purpose="tasks",
    exact=[exact_at(0, scale=0)],
)
def task_arithmetic(
    base: Tensor, *models: Tensor, model_weights: ModelWeights = (1.0,), scale: Annotated[float, SCALE] = 1.0
) -> Tensor:
    """Add the task vectors of models to their common base.

        out = base + scale (s_1 (M_1 - base) + ... + s_n (M_n - base))

    scale 0 is the base, to the bit. One model with weight and scale 1 is that model. Negative weights
    unlearn.
    """
    deltas = [(model - base).mul_(weight) for model, weight in with_weights(models, model_weights)]
    return sum_deltas(base, deltas, scale)


def with_weights(models: Sequence[Tensor], model_weights: Sequence[float]) -> Sequence[tuple[Tensor, float]]:
    """Each model and its weight."""
    return list(zip(models, weight_per_model(model_weights, len(models)), strict=True))


def magnitude(base: Tensor, model: Tensor) -> Tensor:
    """The magnitude of each element of a task vector."""
    return (model - base).abs_()


def _trim_thresholds(base: Tensor, *models: Tensor, dtype: torch.dtype, density: float) -> tuple[float, ...]:
    """For each model the magnitude from which an element of its task vector is kept."""
    count = base.numel()
    keep = num_kept(density, count)
    if keep >= count:
        return (0.0,) * len(models)
    return tuple(kth_smallest((base, model), magnitude, dtype, count - keep + 1) for model in models)


def trim(delta: Tensor, threshold: float) -> Tensor:
    """The task vector with every element of a smaller magnitude than the threshold set to 0."""
    return torch.hardshrink(delta, prev_float(threshold, delta.dtype)) if threshold > 0 else delta


@merge_method(
    "ties",
    title="TIES",
    source=f"Yadav et al. 2023, arXiv:2306.01708; {KIT}",
    purpose="tasks",
    exact=[exact_at(0, scale=0)],
    exempt={"float64": NO_VOTE},
)
def ties(
    base: Tensor,
    *models: Tensor,
    density: Annotated[float, DENSITY] = 0.2,
    model_weights: ModelWeights = (1.0,),
    scale: Annotated[float, SCALE] = 1.0,
    count_votes: Annotated[bool, COUNT_VOTES] = False,
    thresholds: Annotated[Sequence[float] | None, Reduction(_trim_thresholds)] = None,
) -> Tensor:
    """Trim each task vector to its largest elements, elect a sign for each element, average those that agree.

        out = base + scale (sum of s_i t_i over those that agree with g) / (sum of their s_i)
        t_i = M_i - base with all but the largest `density` of its elements set to 0; g = sign(sum of s_i t_i)

    scale 0 is the base, to the bit. density 1 and one model is task_arithmetic. It trims tensor by tensor;
    elements as large as the smallest that is kept are kept too. On a tie of votes the base stays: mergekit
    takes + there. With `count_votes` it votes as sd-meh and sd-mecha do, which keep one element more.
    """
    thresholds = thresholds or _trim_thresholds(base, *models, dtype=base.dtype, density=density)
    deltas = [
        trim(model - base, threshold).mul_(weight)
        for (model, weight), threshold in zip(with_weights(models, model_weights), thresholds, strict=True)
    ]
    weights = weight_per_model(model_weights, len(models))
    return disjoint_merge(base, deltas, weights, scale, count_votes=count_votes)


def _sample_magnitudes(
    base: Tensor, *models: Tensor, dtype: torch.dtype, density: float
) -> tuple[Sequence[Tensor], float]:
    """The magnitude of every 64th element of each task vector."""
    sampled = [tensor.reshape(-1)[::EVERY].to(dtype) for tensor in (base, *models)]
    return [magnitude(sampled[0], model).cpu() for model in sampled[1:]], density


def _model_thresholds(samples: Sequence[tuple[Sequence[Tensor], float]]) -> tuple[float, ...]:
    """For each model the magnitude from which an element anywhere in its task vector is kept."""
    density = samples[0][1]
    thresholds: list[float] = []
    for model in range(len(samples[0][0])):
        sizes = torch.cat([sample[model] for sample, _ in samples])
        keep = num_kept(density, sizes.numel())
        rank = sizes.numel() - keep + 1
        is_trimmed = keep < sizes.numel()
        thresholds.append(kth_smallest([sizes], torch.abs, sizes.dtype, rank) if is_trimmed else 0.0)
    return tuple(thresholds)


@merge_method(
    "ties_whole",
    title="TIES, trimmed over the whole model",
    source="Yadav et al. 2023, arXiv:2306.01708",
    purpose="tasks",
    exact=[exact_at(0, scale=0)],
    exempt={"float64": NO_VOTE},
)
def ties_whole(
    base: Tensor,
    *models: Tensor,
    density: Annotated[float, DENSITY] = 0.2,
    model_weights: ModelWeights = (1.0,),
    scale: Annotated[float, SCALE] = 1.0,
    count_votes: Annotated[bool, COUNT_VOTES] = False,
    thresholds: Annotated[Sequence[float] | None, Reduction(_sample_magnitudes, _model_thresholds)] = None,
) -> Tensor:
    """TIES with one threshold for the whole model, as in its paper: layers that changed little lose more.

        out = base + scale (sum of s_i t_i over those that agree with g) / (sum of their s_i)
        t_i = M_i - base with all but the largest `density` of the model's elements set to 0; g as in ties

    scale 0 is the base, to the bit. The threshold is computed from every 64th element of each tensor outside
    of the VAE: for a model of 860 million that is off by some hundredths of a percent. Peers trim by tensor.
    """
    thresholds = thresholds or _model_thresholds(
        [_sample_magnitudes(base, *models, dtype=base.dtype, density=density)]
    )
    return ties(
        base,
        *models,
        density=density,
        model_weights=model_weights,
        scale=scale,
        count_votes=count_votes,
        thresholds=thresholds,
    )


def _interpolation_ratio(base: Tensor, *models: Tensor, dtype: torch.dtype) -> tuple[float]:
    """The interpolation ratio t between the base and the mean of the models."""
    products = gram(models, base)
    count = len(models)
    if count == 1:
        return (1.0,)
    cosines = [
        products[i][j] / (products[i][i] * products[j][j]) ** 0.5 if products[i][i] * products[j][j] else 0.0
        for i in range(count)
        for j in range(i)
    ]
    cosine = max(0.0, sum(cosines) / len(cosines))
    return (min(1.0, count * cosine / (1 + (count - 1) * cosine)),)


@merge_method(
    "model_stock",
    title="Model stock",
    source="Jang et al. 2024, arXiv:2403.19522; arcee-ai mergekit, merge_methods/model_stock.py",
    purpose="tasks",
)
def model_stock(
    base: Tensor,
    *models: Tensor,
    ratio: Annotated[Sequence[float] | None, Reduction(_interpolation_ratio)] = None,
) -> Tensor:
    """Interpolate between the base and the models' mean, further the more they agree.

        out = base + t mean(M_i - base)
        t = n cos / (1 + (n - 1) cos), cos = the mean over every two differences' cosines, at least 0

    Equal task vectors give the mean, orthogonal ones the base. mergekit lets cos be negative, where t has a
    pole; sd-mecha takes the cosines of neighbouring models alone, along the last axis.
    """
    (t,) = ratio or _interpolation_ratio(base, *models, dtype=base.dtype)
    return sum_deltas(base, [model - base for model in models], t / len(models))


def _select(base: Tensor, *models: Tensor, dtype: torch.dtype, density: float) -> tuple[float, ...]:
    """The scale of differences before they are squared, the smallest variance that is kept, the weights."""
    tensors = (base, *models)
    unit = 1.0
    nonzero, largest = _count_variances(tensors, dtype, unit)
    if not torch.finfo(dtype).tiny / torch.finfo(dtype).eps ** 2 < largest < math.inf:
        unit = _scale_of(tensors, dtype)
        nonzero, _ = _count_variances(tensors, dtype, unit)

    def variance(one: Tensor, *others: Tensor) -> Tensor:
        return _variance([other - one for other in others], unit)

    keep = num_kept(density, nonzero) if nonzero else 0
    least = kth_smallest(tensors, variance, dtype, base.numel() - keep + 1) if 0 < keep < nonzero else 0.0
    powers = [0.0] * len(models)
    for one, *others in chunks(tensors, dtype):
        deltas = [other - one for other in others]
        mask = (_variance(deltas, unit) >= least).to(dtype)
        for index, delta in enumerate(deltas):
            powers[index] += float(delta.mul_(mask).mul_(unit).square_().sum(dtype=torch.float64))
    total = sum(powers)
    return unit, least, *(power / total if total else 1 / len(models) for power in powers)


def _count_variances(tensors: Sequence[Tensor], dtype: torch.dtype, unit: float) -> tuple[int, float]:
    """The number of variances that are not 0, and the largest variance."""
    nonzero, largest = 0, 0.0
    for one, *others in chunks(tensors, dtype):
        variances = _variance([other - one for other in others], unit)
        nonzero += int(variances.count_nonzero())
        largest = max(largest, float(variances.max()))
    return nonzero, largest


def _scale_of(tensors: Sequence[Tensor], dtype: torch.dtype) -> float:
    """The power of two that brings the largest difference near 1, within 2^-100 to 2^100."""
    largest = 0.0
    for one, *others in chunks(tensors, dtype):
        largest = max(largest, *(float((other - one).abs().max()) for other in others))
    exponent = max(-100, min(100, math.frexp(largest)[1])) if math.isfinite(largest) else 0
    return 2.0**-exponent


def _variance(deltas: Sequence[Tensor], unit: float) -> Tensor:
    """The variance of each element over the models; `unit` scales differences so that squares stay finite."""
    mean = torch.zeros_like(deltas[0])
    for delta in deltas:
        mean.add_(delta)
    mean.div_(len(deltas))
    total = torch.zeros_like(mean)
    for delta in deltas:
        deviation = delta - mean
        total.add_((deviation if unit == 1 else deviation.mul_(unit)).square_())
    return total.div_(len(deltas))


@merge_method(
    "sce",
    title="SCE",
    source="Wan et al. 2024, 'FuseChat', arXiv:2408.07990; arcee-ai mergekit, merge_methods/sce.py",
    purpose="tasks",
    exact=[exact_at(0, scale=0)],
    exempt={"float64": NO_VOTE},
)
def sce(
    base: Tensor,
    *models: Tensor,
    density: Annotated[float, DENSITY] = 0.2,
    scale: Annotated[float, SCALE] = 1.0,
    selection: Annotated[Sequence[float] | None, Reduction(_select)] = None,
) -> Tensor:
    """Select the elements that vary most, calculate weights from their squares, erase the minority sign.

        out = base + scale (sum of w_i t_i over those that agree with g) / (sum of their w_i)
        t_i = M_i - base where the models' variance is among the largest `density`, else 0
        w_i = mean(t_i^2) over the sum of all; g = sign(sum of t_i)

    scale 0 is the base, to the bit. With one model, or equal ones, there is no variance and all is kept.
    On a tie of votes the base stays; mergekit takes +.
    """
    unit, least, *weights = selection or _select(base, *models, dtype=base.dtype, density=density)
    deltas = [model - base for model in models]
    if least > 0:
        mask = _variance(deltas, unit) >= least
        deltas = [delta.mul_(mask) for delta in deltas]
    sign = torch.zeros_like(base)
    for delta in deltas:
        sign.add_(delta)
    sign.sign_()
    total, weight = torch.zeros_like(base), torch.zeros_like(base)
    for delta, model_weight in zip(deltas, weights, strict=True):
        total.add_(delta.mul_(sign).clamp_(min=0), alpha=model_weight)
        weight.add_(delta.sign_(), alpha=model_weight)
    weight.clamp_(min=torch.finfo(base.dtype).tiny)
    return total.div_(weight).mul_(sign).mul_(scale).add_(base)
