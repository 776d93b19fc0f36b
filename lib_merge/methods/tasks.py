"""Any number of models over one base: what each learnt is thinned out, voted on and added up.

The methods (these, and those of `dropping`) are rows of one table: which numbers of a difference are
kept (all, the largest, random ones, all but outliers), whether the signs are put to the vote, and how
what is left is added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from lib_merge.methods.numerics import gram, just_below, kept, kth_smallest, stretches
from lib_merge.registry import Knob, Survey, end, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

SHARES = Knob(0, 1, help="the amount of each model after the base, in order")
SCALE = Knob(0, 2, help="0 keeps the base, 1 adds what is left of the differences")
DENSITY = Knob(0.01, 1, help="the share of each difference that is kept, 1 keeps all", least=0, most=1)
COUNT = Knob(0, 1, 1, help="each model has one vote on a sign, however large its number")
Shares = Annotated[Sequence[float], SHARES]
EVERY = 64  # of a model's numbers one is looked at to find what is large
NO_VOTE = "what one model's rounding error decides differs between formats"
KIT = "arcee-ai mergekit, merge_methods/generalized_task_arithmetic.py"


def each_share(shares: Sequence[float], count: int) -> Sequence[float]:
    """One share for each of `count` models; a single one stands for all."""
    return shares if len(shares) == count else [*shares] * count


def summed(base: Tensor, deltas: Sequence[Tensor], scale: float) -> Tensor:
    """The base and all that is left of the differences, which are written over."""
    total = deltas[0]
    for delta in deltas[1:]:
        total.add_(delta)
    return torch.add(base, total, alpha=scale)


def elected(
    base: Tensor, deltas: Sequence[Tensor], shares: Sequence[float], scale: float, *, count: bool = False
) -> Tensor:
    """The base and, of each number, the mean over the models that agree with the elected sign.

    deltas  times their shares; written over
    count   one vote for each model instead of one as large as its number
    """
    sign = torch.sign(deltas[0]) if count else deltas[0].clone()
    for delta in deltas[1:]:
        sign.add_(torch.sign(delta) if count else delta)
    sign.sign_()
    total, weight = torch.zeros_like(base), torch.zeros_like(base)
    for delta, share in zip(deltas, shares, strict=True):
        total.add_(delta.mul_(sign).clamp_(min=0))  # its size where it agrees, else 0
        weight.add_(delta.sign_(), alpha=abs(share))
    weight.clamp_(min=torch.finfo(base.dtype).tiny)  # where nobody agrees the total is 0, and 0 it stays
    return total.div_(weight).mul_(sign).mul_(scale).add_(base)


def joined(
    base: Tensor, deltas: Sequence[Tensor], shares: Sequence[float], scale: float, elect: bool
) -> Tensor:
    """One or the other of the two."""
    return elected(base, deltas, shares, scale) if elect else summed(base, deltas, scale)


@merge_method(
    "task_arithmetic",
    title="Task arithmetic",
    source="Ilharco et al. 2023, 'Editing models with task arithmetic', arXiv:2212.04089",
    purpose="tasks",
    ends=[end(0, scale=0)],
)
def task_arithmetic(
    base: Tensor, *models: Tensor, shares: Shares = (1.0,), scale: Annotated[float, SCALE] = 1.0
) -> Tensor:
    """Add up what models learnt over their common base.

        out = base + scale (s_1 (M_1 - base) + ... + s_n (M_n - base))

    scale 0 is the base, to the bit. One model with share and scale 1 is that model. Negative shares
    unlearn.
    """
    deltas = [(model - base).mul_(share) for model, share in with_shares(models, shares)]
    return summed(base, deltas, scale)


def with_shares(models: Sequence[Tensor], shares: Sequence[float]) -> Sequence[tuple[Tensor, float]]:
    """Each model and its share."""
    return list(zip(models, each_share(shares, len(models)), strict=True))


def size(base: Tensor, model: Tensor) -> Tensor:
    """How far each number of a model is from the base's."""
    return (model - base).abs_()


def _trims(base: Tensor, *models: Tensor, dtype: torch.dtype, density: float) -> tuple[float, ...]:
    """For each model the size that a number of its difference needs to stay."""
    count = base.numel()
    keep = kept(density, count)
    if keep >= count:
        return (0.0,) * len(models)
    return tuple(kth_smallest((base, model), size, dtype, count - keep + 1) for model in models)


def trimmed(delta: Tensor, least: float) -> Tensor:
    """The difference with every number smaller than `least` made 0."""
    return torch.hardshrink(delta, just_below(least, delta.dtype)) if least > 0 else delta


@merge_method(
    "ties",
    title="TIES",
    source=f"Yadav et al. 2023, arXiv:2306.01708; {KIT}",
    purpose="tasks",
    ends=[end(0, scale=0)],
    exempt={"float64": NO_VOTE},
)
def ties(
    base: Tensor,
    *models: Tensor,
    density: Annotated[float, DENSITY] = 0.2,
    shares: Shares = (1.0,),
    scale: Annotated[float, SCALE] = 1.0,
    count: Annotated[bool, COUNT] = False,
    trims: Annotated[Sequence[float] | None, Survey(_trims)] = None,
) -> Tensor:
    """Keep the largest changes of each model, elect a sign for each number, average those that agree.

        out = base + scale (sum of s_i t_i over those that agree with g) / (sum of their s_i)
        t_i = M_i - base with all but the largest `density` of its numbers made 0; g = sign(sum of s_i t_i)

    scale 0 is the base, to the bit. density 1 and one model is task_arithmetic. It trims tensor by tensor;
    numbers as large as the smallest that is kept stay as well. Where the votes are even, the base stays:
    mergekit takes + there. With `count` it votes as sd-meh and sd-mecha do, which keep one number more.
    """
    trims = trims or _trims(base, *models, dtype=base.dtype, density=density)
    deltas = [
        trimmed(model - base, least).mul_(share)
        for (model, share), least in zip(with_shares(models, shares), trims, strict=True)
    ]
    return elected(base, deltas, each_share(shares, len(models)), scale, count=count)


def _sampled(
    base: Tensor, *models: Tensor, dtype: torch.dtype, density: float
) -> tuple[Sequence[Tensor], float]:
    """Of each model's difference the size of every 64th number."""
    thin = [tensor.reshape(-1)[::EVERY].to(dtype) for tensor in (base, *models)]
    return [size(thin[0], model).cpu() for model in thin[1:]], density


def _model_trims(looks: Sequence[tuple[Sequence[Tensor], float]]) -> tuple[float, ...]:
    """For each model the size that a number anywhere in its difference needs to stay."""
    density = looks[0][1]
    found: list[float] = []
    for model in range(len(looks[0][0])):
        sizes = torch.cat([sample[model] for sample, _ in looks])
        keep = kept(density, sizes.numel())
        place = sizes.numel() - keep + 1
        cut = keep < sizes.numel()
        found.append(kth_smallest([sizes], torch.abs, sizes.dtype, place) if cut else 0.0)
    return tuple(found)


@merge_method(
    "ties_whole",
    title="TIES, trimmed over the whole model",
    source="Yadav et al. 2023, arXiv:2306.01708",
    purpose="tasks",
    ends=[end(0, scale=0)],
    exempt={"float64": NO_VOTE},
)
def ties_whole(
    base: Tensor,
    *models: Tensor,
    density: Annotated[float, DENSITY] = 0.2,
    shares: Shares = (1.0,),
    scale: Annotated[float, SCALE] = 1.0,
    count: Annotated[bool, COUNT] = False,
    trims: Annotated[Sequence[float] | None, Survey(_sampled, _model_trims)] = None,
) -> Tensor:
    """Do as TIES does, but trim each model as a whole, as its paper has it: quiet layers lose more.

        out = base + scale (sum of s_i t_i over those that agree with g) / (sum of their s_i)
        t_i = M_i - base without all but the largest `density` of the model's numbers; g as in ties

    scale 0 is the base, to the bit. What is large is found from every 64th number of each tensor but the
    VAE's: of a model of 860 million that is off by some hundredths of a percent. Peers trim by tensor.
    """
    trims = trims or _model_trims([_sampled(base, *models, dtype=base.dtype, density=density)])
    return ties(base, *models, density=density, shares=shares, scale=scale, count=count, trims=trims)


def _stock(base: Tensor, *models: Tensor, dtype: torch.dtype) -> tuple[float]:
    """How far to go from the base to the mean."""
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
    base: Tensor, *models: Tensor, ratio: Annotated[Sequence[float] | None, Survey(_stock)] = None
) -> Tensor:
    """Go from the base to the models' mean as far as they agree.

        out = base + t mean(M_i - base)
        t = n cos / (1 + (n - 1) cos), cos = the mean over every two differences' cosines, at least 0

    Models that learnt the same give their mean, models that learnt nothing in common the base. mergekit
    lets cos be negative, where t has a pole; sd-mecha takes neighbours alone, along the last axis.
    """
    (share,) = ratio or _stock(base, *models, dtype=base.dtype)
    return summed(base, [model - base for model in models], share / len(models))


def _selection(base: Tensor, *models: Tensor, dtype: torch.dtype, density: float) -> tuple[float, ...]:
    """What to multiply differences by before they are squared, the least variance that stays, the weights."""
    tensors = (base, *models)
    unit = 1.0
    nonzero, largest = _count_variances(tensors, dtype, unit)
    if not torch.finfo(dtype).tiny / torch.finfo(dtype).eps ** 2 < largest < math.inf:
        unit = _unit(tensors, dtype)
        nonzero, _ = _count_variances(tensors, dtype, unit)

    def variance(one: Tensor, *others: Tensor) -> Tensor:
        return _variance([other - one for other in others], unit)

    keep = kept(density, nonzero) if nonzero else 0
    least = kth_smallest(tensors, variance, dtype, base.numel() - keep + 1) if 0 < keep < nonzero else 0.0
    powers = [0.0] * len(models)
    for one, *others in stretches(tensors, dtype):
        deltas = [other - one for other in others]
        stays = (_variance(deltas, unit) >= least).to(dtype)
        for index, delta in enumerate(deltas):
            powers[index] += float(delta.mul_(stays).mul_(unit).square_().sum(dtype=torch.float64))
    total = sum(powers)
    return unit, least, *(power / total if total else 1 / len(models) for power in powers)


def _count_variances(tensors: Sequence[Tensor], dtype: torch.dtype, unit: float) -> tuple[int, float]:
    """How many variances are not 0, and the largest of all."""
    nonzero, largest = 0, 0.0
    for one, *others in stretches(tensors, dtype):
        found = _variance([other - one for other in others], unit)
        nonzero += int(found.count_nonzero())
        largest = max(largest, float(found.max()))
    return nonzero, largest


def _unit(tensors: Sequence[Tensor], dtype: torch.dtype) -> float:
    """The power of two that brings the largest difference near 1, within 2^-100 to 2^100."""
    largest = 0.0
    for one, *others in stretches(tensors, dtype):
        largest = max(largest, *(float((other - one).abs().max()) for other in others))
    exponent = max(-100, min(100, math.frexp(largest)[1])) if math.isfinite(largest) else 0
    return 2.0**-exponent


def _variance(deltas: Sequence[Tensor], unit: float) -> Tensor:
    """Of each number over the models, differences times `unit`, so that squares stay within the format."""
    mean = torch.zeros_like(deltas[0])
    for delta in deltas:
        mean.add_(delta)
    mean.div_(len(deltas))
    total = torch.zeros_like(mean)
    for delta in deltas:
        apart = delta - mean
        total.add_((apart if unit == 1 else apart.mul_(unit)).square_())
    return total.div_(len(deltas))


@merge_method(
    "sce",
    title="SCE",
    source="Wan et al. 2024, 'FuseChat', arXiv:2408.07990; arcee-ai mergekit, merge_methods/sce.py",
    purpose="tasks",
    ends=[end(0, scale=0)],
    exempt={"float64": NO_VOTE},
)
def sce(
    base: Tensor,
    *models: Tensor,
    density: Annotated[float, DENSITY] = 0.2,
    scale: Annotated[float, SCALE] = 1.0,
    found: Annotated[Sequence[float] | None, Survey(_selection)] = None,
) -> Tensor:
    """Select where the models differ most, calculate weights from their changes there, erase the minority.

        out = base + scale (sum of w_i t_i over those that agree with g) / (sum of their w_i)
        t_i = M_i - base where the models' variance is among the largest `density`, else 0
        w_i = mean(t_i^2) over the sum of all; g = sign(sum of t_i)

    scale 0 is the base, to the bit. Of one model, or of equal ones, there is no variance and all stays.
    mergekit takes + where the votes are even; here the base stays.
    """
    unit, least, *weights = found or _selection(base, *models, dtype=base.dtype, density=density)
    deltas = [model - base for model in models]
    if least > 0:
        stays = _variance(deltas, unit) >= least
        deltas = [delta.mul_(stays) for delta in deltas]
    sign = torch.zeros_like(base)
    for delta in deltas:
        sign.add_(delta)
    sign.sign_()
    total, weight = torch.zeros_like(base), torch.zeros_like(base)
    for delta, share in zip(deltas, weights, strict=True):
        total.add_(delta.mul_(sign).clamp_(min=0), alpha=share)
        weight.add_(delta.sign_(), alpha=share)
    weight.clamp_(min=torch.finfo(base.dtype).tiny)
    return total.div_(weight).mul_(sign).mul_(scale).add_(base)
