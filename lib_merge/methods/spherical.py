"""Means of directions, with the mean of the norms.

A tensor is treated as one vector. These means are linear combinations of the models, whose coefficients
depend on the models' dot products alone: one pass over the tensors computes these, and the coefficients are
computed from them in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, cast

from lib_merge.methods.numerics import gram, power_
from lib_merge.parameters import Range, Reduction
from lib_merge.registry import exact_at, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

MIN_ANGLE = 1e-6  # radians: the sine of a smaller angle, or of one as near to pi, is not divided by
CLOSE = 1e-12  # radians: when the Karcher mean has converged
MOST_ROUNDS = 200
SETTLED = 1e-12  # of all models' pull: so much is left of it at the geometric median
NEAR = 1e-9  # of the models' spread: so close to a model is that model
Rows = Sequence[Sequence[float]]
AMOUNT_OF_B = Range(0, 1, help="0 keeps A, 1 takes B")
MODEL_WEIGHTS = Range(0, 1, help="the weight of each model, in order; their sum does not matter")


def slerp_weights(products: Rows, alpha: float) -> tuple[float, float]:
    """The coefficients of A and of B at a point of the arc between them.

    products  the dot products of the two
    """
    length_a, length_b = (math.sqrt(products[n][n]) for n in range(2))
    if not length_a or not length_b:
        return 1 - alpha, alpha
    angle = math.acos(max(-1.0, min(1.0, products[0][1] / length_a / length_b)))
    if math.pi - angle < MIN_ANGLE:
        return 1 - alpha, alpha
    length = (1 - alpha) * length_a + alpha * length_b
    if angle < MIN_ANGLE:
        return (1 - alpha) * length / length_a, alpha * length / length_b
    shares = (math.sin((1 - alpha) * angle) / length_a, math.sin(alpha * angle) / length_b)
    return shares[0] * length / math.sin(angle), shares[1] * length / math.sin(angle)


def _slerp_weights(a: Tensor, b: Tensor, *, dtype: torch.dtype, alpha: float) -> tuple[float, float]:
    return slerp_weights(gram((a, b)), alpha)


def _delta_slerp_weights(
    a: Tensor, b: Tensor, c: Tensor, *, dtype: torch.dtype, alpha: float
) -> tuple[float, float]:
    return slerp_weights(gram((a, b), c), alpha)


@merge_method(
    "slerp",
    title="Spherical (slerp)",
    source="Shoemake 1985, doi:10.1145/325334.325242; length as in ljleb sd-mecha, merge_methods/linear.py",
    purpose="spherical",
    exact=[exact_at(0, alpha=0), exact_at(1, alpha=1)],
)
def slerp(
    a: Tensor,
    b: Tensor,
    *,
    alpha: Annotated[float, AMOUNT_OF_B] = 0.5,
    coefficients: Annotated[Sequence[float] | None, Reduction(_slerp_weights)] = None,
) -> Tensor:
    """Interpolate from A to B along the great circle, with linearly interpolated norm.

        out = r (sin((1 - alpha) w) A / norm(A) + sin(alpha w) B / norm(B)) / sin(w)
        w = the angle between A and B, r = (1 - alpha) norm(A) + alpha norm(B)

    alpha 0 is A and alpha 1 is B, to the bit. Where A or B is 0, or they point in opposite directions, there
    is no arc and the way is straight. Models of one base are so near that it hardly differs from the
    weighted sum: delta_slerp turns what they learnt.
    """
    coefficients = coefficients or _slerp_weights(a, b, dtype=a.dtype, alpha=alpha)
    return (a * coefficients[0]).add_(b, alpha=coefficients[1])


@merge_method(
    "delta_slerp",
    title="Spherical, of differences (delta slerp)",
    source="arcee-ai mergekit, merge_methods/nuslerp.py with a base; length as in slerp",
    purpose="spherical",
    exact=[exact_at(0, alpha=0), exact_at(1, alpha=1)],
)
def delta_slerp(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, AMOUNT_OF_B] = 0.5,
    coefficients: Annotated[Sequence[float] | None, Reduction(_delta_slerp_weights)] = None,
) -> Tensor:
    """Interpolate spherically between the differences A - C and B - C.

        out = C + slerp(A - C, B - C, alpha)

    alpha 0 is A and alpha 1 is B, to the bit. Unlike a weighted sum it does not weaken what two models
    learnt in different directions. mergekit keeps each length where we go from one to the other.
    """
    coefficients = coefficients or _delta_slerp_weights(a, b, c, dtype=a.dtype, alpha=alpha)
    return torch.add(c, a - c, alpha=coefficients[0]).add_(b - c, alpha=coefficients[1])


def karcher_coefficients(products: Rows, model_weights: Sequence[float]) -> tuple[float, ...]:
    """The coefficients of the models in their mean on the sphere.

    products  the dot products of the models;  amounts  of sum 1
    """
    lengths = [math.sqrt(products[n][n]) for n in range(len(products))]
    used = [n for n, length in enumerate(lengths) if length and model_weights[n]]
    if not used:
        return tuple(model_weights)
    cosines = [[products[i][j] / lengths[i] / lengths[j] for j in used] for i in used]
    total = sum(model_weights[n] for n in used)
    point = _karcher(cosines, [model_weights[n] / total for n in used])
    length = sum(amount * length for amount, length in zip(model_weights, lengths, strict=True))
    shares = dict(zip(used, point, strict=True))
    return tuple(length * shares[n] / lengths[n] if n in shares else 0.0 for n in range(len(lengths)))


def _karcher(cosines: Rows, amounts: Sequence[float]) -> list[float]:
    """The mean direction as coefficients of the unit vectors, from their cosines alone."""

    def normed(shares: Sequence[float]) -> list[float]:
        length = math.sqrt(max(_dot(cosines, shares, shares), 0.0))
        return [share / length for share in shares] if length > MIN_ANGLE else []

    point = normed(amounts) or [1.0, *[0.0] * (len(amounts) - 1)]
    for _ in range(MOST_ROUNDS):
        step = [0.0] * len(amounts)
        for n, amount in enumerate(amounts):
            cosine = max(-1.0, min(1.0, sum(c * p for c, p in zip(cosines[n], point, strict=True))))
            angle = math.acos(cosine)
            pull = amount * (angle / math.sin(angle) if MIN_ANGLE < angle < math.pi - MIN_ANGLE else 1.0)
            step = [s - pull * cosine * p for s, p in zip(step, point, strict=True)]
            step[n] += pull
        reach = math.sqrt(max(_dot(cosines, step, step), 0.0))
        if reach < CLOSE:
            break
        turn = math.sin(reach) / reach
        point = normed([math.cos(reach) * p + turn * s for p, s in zip(point, step, strict=True)]) or point
    return point


def _dot(products: Rows, left: Sequence[float], right: Sequence[float]) -> float:
    return sum(
        one * two * product
        for one, row in zip(left, products, strict=True)
        for two, product in zip(right, row, strict=True)
    )


def _karcher_coefficients(
    *models: Tensor, dtype: torch.dtype, model_weights: Sequence[float]
) -> tuple[float, ...]:
    return karcher_coefficients(gram(models), normalized_weights(model_weights, len(models)))


def normalized_weights(model_weights: Sequence[float], count: int) -> list[float]:
    """The models' weights divided by their sum; equal ones where the sum is 0."""
    weights = list(model_weights) if len(model_weights) == count else list(model_weights) * count
    total = sum(weights)
    return [share / total for share in weights] if total else [1 / count] * count


@merge_method(
    "karcher_mean",
    title="Karcher mean",
    source="Karcher 1977, doi:10.1002/cpa.3160300502; arcee-ai mergekit, merge_methods/karcher.py",
    purpose="spherical",
    exempt={"float64": "models that point in opposite directions have no one mean"},
)
def karcher_mean(
    *models: Tensor,
    model_weights: Annotated[Sequence[float], MODEL_WEIGHTS] = (1.0,),
    coefficients: Annotated[Sequence[float] | None, Reduction(_karcher_coefficients)] = None,
) -> Tensor:
    """Take the mean direction of any number of models, with their mean norm.

        out = sum(s_i norm(M_i)) u
        u = the point of the sphere whose squared angles to the models, times their s_i, sum to the least

    The weights are divided by their sum. Two models with equal weights give the middle of slerp. mergekit
    stops after ten rounds or at 1e-5; this goes on to 1e-12, which costs nothing as the rounds see the
    models' dot products alone.
    """
    coefficients = coefficients or _karcher_coefficients(
        *models, dtype=models[0].dtype, model_weights=model_weights
    )
    return _weighted_sum(models, coefficients)


def _weighted_sum(models: Sequence[Tensor], coefficients: Sequence[float]) -> Tensor:
    total = models[0] * coefficients[0]
    for model, share in zip(models[1:], coefficients[1:], strict=True):
        total.add_(model, alpha=share)
    return total


def median_coefficients(products: Rows, model_weights: Sequence[float]) -> tuple[float, ...]:
    """The coefficients of the models in their geometric median, from their dot products alone.

    products  of the models' differences from one of them;  amounts  of sum 1

    Sought where the models span a few dimensions, until their pulls cancel or no step lowers the sum of
    distances any more: Newton's step or Weiszfeld's, whichever lowers it more. Weiszfeld's alone takes
    hundreds of rounds where the median is close to a model. A model that is the median is found without any.
    """
    gram_matrix = torch.tensor(products, dtype=torch.float64)
    spread = float(gram_matrix.diagonal().max().sqrt())
    if not 0 < spread < math.inf:
        return tuple(model_weights)
    values, vectors = cast("tuple[Tensor, Tensor]", torch.linalg.eigh(gram_matrix / spread**2))
    points = vectors * values.clamp(min=0).sqrt()
    weights = torch.tensor(model_weights, dtype=torch.float64)
    shares = weights
    if float(_norms(_pull(points, weights, weights @ points))) > SETTLED:
        shares = _median_model(points, weights)
        if shares is None:
            shares = _pulls(points, weights, _minimize(points, weights))[0]
    return tuple(float(share) for share in shares / shares.sum())


def _norms(rows: Tensor) -> Tensor:
    return rows.square().sum(-1).sqrt()


def _pulls(points: Tensor, weights: Tensor, point: Tensor) -> tuple[Tensor, Tensor]:
    """The weight of each model divided by its distance from the point, and the unit vectors to them."""
    off = points - point
    away = _norms(off).clamp_(min=NEAR)
    return weights / away, off / away[:, None]


def _pull(points: Tensor, weights: Tensor, point: Tensor) -> Tensor:
    """The negative gradient of the sum of distances at the point: 0 at the median."""
    return weights @ _pulls(points, weights, point)[1]


def _median_model(points: Tensor, weights: Tensor) -> Tensor | None:
    """Weight 1 for the model that is the median itself, 0 for the others; None where none is."""
    for index, point in enumerate(points):
        here = _norms(points - point) < NEAR  # the model, and others with it
        pull = _pull(points[~here], weights[~here], point)
        if float(_norms(pull)) <= float(weights[here].sum()) + SETTLED:
            return torch.nn.functional.one_hot(torch.tensor(index), len(points)).double()
    return None


def _minimize(points: Tensor, weights: Tensor) -> Tensor:
    """The point with the least sum of distances, where that is none of the models."""

    def cost(point: Tensor) -> float:
        return float(weights @ _norms(points - point))

    point = weights @ points
    while True:
        pulls, directions = _pulls(points, weights, point)
        pull = weights @ directions
        bend = torch.diag_embed(pulls.sum().expand(len(pull))) - directions.T @ (pulls[:, None] * directions)
        newton = cast("Tensor", torch.linalg.pinv(bend, hermitian=True)) @ pull
        steps = pull / pulls.sum(), newton, newton / 2, newton / 8
        lowest = min([point + step for step in steps], key=cost)
        if float(_norms(pull)) <= SETTLED or not cost(lowest) < cost(point):
            return point
        point = lowest


def _median_coefficients(
    *models: Tensor, dtype: torch.dtype, model_weights: Sequence[float]
) -> tuple[float, ...]:
    return median_coefficients(gram(models, models[0]), normalized_weights(model_weights, len(models)))


@merge_method(
    "geometric_median",
    title="Geometric median",
    source="Weiszfeld 1937; Pillutla et al. 2019, arXiv:1912.13445; ljleb sd-mecha, merge_methods/ties.py",
    purpose="mix",
)
def geometric_median(
    *models: Tensor,
    model_weights: Annotated[Sequence[float], MODEL_WEIGHTS] = (1.0,),
    coefficients: Annotated[Sequence[float] | None, Reduction(_median_coefficients)] = None,
) -> Tensor:
    """Take the point with the least sum of distances to the models: an outlier hardly moves it.

        out = the M for which sum(s_i norm(M - M_i)) is least

    A tensor is one point. Of two models with equal weights every point between them is one, and the
    middle is taken. A model with at least half of all the weight is the median.
    """
    coefficients = coefficients or _median_coefficients(
        *models, dtype=models[0].dtype, model_weights=model_weights
    )
    # a sum of differences, so that equal models come back to the bit
    out = models[0].clone()
    for model, share in zip(models[1:], coefficients[1:], strict=True):
        out.add_(model - models[0], alpha=share)
    return out


@merge_method(
    "geometric_sum",
    title="Geometric sum",
    source="ljleb sd-mecha 1.1.8, merge_methods/linear.py, geometric_sum",
    purpose="spherical",
    exact=[exact_at(0, alpha=0), exact_at(1, alpha=1)],
)
def geometric_sum(a: Tensor, b: Tensor, *, alpha: Annotated[float, AMOUNT_OF_B] = 0.5) -> Tensor:
    """Interpolate geometrically between A and B, element by element.

        out = Re(A^(1 - alpha) B^alpha)

    alpha 0 is A and alpha 1 is B, to the bit. Of two numbers of one sign it is the weighted geometric mean
    with that sign; of unequal signs the mean turns through the complex plane and its real part is taken:
    times cos(pi alpha) where B is negative, -cos(pi alpha) where A is. A 0 in either makes 0.
    """
    if alpha == 1:
        return b.clone()
    size = power_(a.abs(), 1 - alpha).mul_(power_(b.abs(), alpha))
    turn = math.cos(math.pi * alpha)
    # +, -: (1 + 1) / 2 and so on: sign A where the signs agree, sign A cos(pi alpha) where they do not
    signs_a, signs_b = torch.sign(a), torch.sign(b)
    same = (signs_a * signs_b).mul_((1 - turn) / 2).add_((1 + turn) / 2)
    return size.mul_(same).mul_(signs_a)
