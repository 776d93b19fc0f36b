"""Means of directions, with lengths apart.

A tensor is taken as one long vector. All of these means lie in the plane (or space) that the models
span, so that one pass over the tensors for their dot products is all that has to be known: what is
left is a sum of models, whose shares are computed in float64 from a few numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, cast

from lib_merge.methods.numerics import gram
from lib_merge.registry import Knob, Survey, end, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

SHORTEST = 1e-6  # radians: sin of a shorter angle, or of one as near to a half turn, is not divided by
CLOSE = 1e-12  # radians: when the Karcher mean has settled
MOST_ROUNDS = 200
SETTLED = 1e-12  # of all models' pull: so much is left of it at the geometric median
NEAR = 1e-9  # of the models' spread: so close to a model is that model
Rows = Sequence[Sequence[float]]
AMOUNT_OF_B = Knob(0, 1, help="0 keeps A, 1 takes B")
SHARES = Knob(0, 1, help="the amount of each model, in order; their sum does not matter")


def arc_shares(products: Rows, alpha: float) -> tuple[float, float]:
    """How much of A and of B makes the point of the arc between them.

    products  the dot products of the two
    """
    length_a, length_b = (math.sqrt(products[n][n]) for n in range(2))
    if not length_a or not length_b:
        return 1 - alpha, alpha
    angle = math.acos(max(-1.0, min(1.0, products[0][1] / length_a / length_b)))
    if math.pi - angle < SHORTEST:
        return 1 - alpha, alpha
    length = (1 - alpha) * length_a + alpha * length_b
    if angle < SHORTEST:
        return (1 - alpha) * length / length_a, alpha * length / length_b
    shares = (math.sin((1 - alpha) * angle) / length_a, math.sin(alpha * angle) / length_b)
    return shares[0] * length / math.sin(angle), shares[1] * length / math.sin(angle)


def _arc(a: Tensor, b: Tensor, *, dtype: torch.dtype, alpha: float) -> tuple[float, float]:
    return arc_shares(gram((a, b)), alpha)


def _delta_arc(a: Tensor, b: Tensor, c: Tensor, *, dtype: torch.dtype, alpha: float) -> tuple[float, float]:
    return arc_shares(gram((a, b), c), alpha)


@merge_method(
    "slerp",
    title="Spherical (slerp)",
    source="Shoemake 1985, doi:10.1145/325334.325242; length as in ljleb sd-mecha, merge_methods/linear.py",
    purpose="spherical",
    ends=[end(0, alpha=0), end(1, alpha=1)],
)
def slerp(
    a: Tensor,
    b: Tensor,
    *,
    alpha: Annotated[float, AMOUNT_OF_B] = 0.5,
    shares: Annotated[Sequence[float] | None, Survey(_arc)] = None,
) -> Tensor:
    """Walk the great circle from A to B at constant angular speed, and from one length to the other.

        out = r (sin((1 - alpha) w) A / norm(A) + sin(alpha w) B / norm(B)) / sin(w)
        w = the angle between A and B, r = (1 - alpha) norm(A) + alpha norm(B)

    alpha 0 is A and alpha 1 is B, to the bit. Where A or B is 0, or they point in opposite directions, there
    is no arc and the way is straight. Models of one base are so near that it hardly differs from the
    weighted sum: delta_slerp turns what they learnt.
    """
    shares = shares or _arc(a, b, dtype=a.dtype, alpha=alpha)
    return (a * shares[0]).add_(b, alpha=shares[1])


@merge_method(
    "delta_slerp",
    title="Spherical, of differences (delta slerp)",
    source="arcee-ai mergekit, merge_methods/nuslerp.py with a base; length as in slerp",
    purpose="spherical",
    ends=[end(0, alpha=0), end(1, alpha=1)],
)
def delta_slerp(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, AMOUNT_OF_B] = 0.5,
    shares: Annotated[Sequence[float] | None, Survey(_delta_arc)] = None,
) -> Tensor:
    """Turn what A learnt over C into what B learnt over C.

        out = C + slerp(A - C, B - C, alpha)

    alpha 0 is A and alpha 1 is B, to the bit. Unlike a weighted sum it does not weaken what two models
    learnt in different directions. mergekit keeps each length where we go from one to the other.
    """
    shares = shares or _delta_arc(a, b, c, dtype=a.dtype, alpha=alpha)
    return torch.add(c, a - c, alpha=shares[0]).add_(b - c, alpha=shares[1])


def karcher_shares(products: Rows, amounts: Sequence[float]) -> tuple[float, ...]:
    """How much of each model makes their mean on the sphere.

    products  the dot products of the models;  amounts  of sum 1
    """
    lengths = [math.sqrt(products[n][n]) for n in range(len(products))]
    used = [n for n, length in enumerate(lengths) if length and amounts[n]]
    if not used:
        return tuple(amounts)
    cosines = [[products[i][j] / lengths[i] / lengths[j] for j in used] for i in used]
    total = sum(amounts[n] for n in used)
    point = _karcher(cosines, [amounts[n] / total for n in used])
    length = sum(amount * length for amount, length in zip(amounts, lengths, strict=True))
    shares = dict(zip(used, point, strict=True))
    return tuple(length * shares[n] / lengths[n] if n in shares else 0.0 for n in range(len(lengths)))


def _karcher(cosines: Rows, amounts: Sequence[float]) -> list[float]:
    """The mean direction as shares of unit vectors, of which the cosines are all that is known."""

    def normed(shares: Sequence[float]) -> list[float]:
        length = math.sqrt(max(_along(cosines, shares, shares), 0.0))
        return [share / length for share in shares] if length > SHORTEST else []

    point = normed(amounts) or [1.0, *[0.0] * (len(amounts) - 1)]
    for _ in range(MOST_ROUNDS):
        step = [0.0] * len(amounts)
        for n, amount in enumerate(amounts):
            cosine = max(-1.0, min(1.0, sum(c * p for c, p in zip(cosines[n], point, strict=True))))
            angle = math.acos(cosine)
            pull = amount * (angle / math.sin(angle) if SHORTEST < angle < math.pi - SHORTEST else 1.0)
            step = [s - pull * cosine * p for s, p in zip(step, point, strict=True)]
            step[n] += pull
        reach = math.sqrt(max(_along(cosines, step, step), 0.0))
        if reach < CLOSE:
            break
        turn = math.sin(reach) / reach
        point = normed([math.cos(reach) * p + turn * s for p, s in zip(point, step, strict=True)]) or point
    return point


def _along(products: Rows, left: Sequence[float], right: Sequence[float]) -> float:
    return sum(
        one * two * product
        for one, row in zip(left, products, strict=True)
        for two, product in zip(right, row, strict=True)
    )


def _karcher_shares(*models: Tensor, dtype: torch.dtype, shares: Sequence[float]) -> tuple[float, ...]:
    return karcher_shares(gram(models), amounts_of(shares, len(models)))


def amounts_of(shares: Sequence[float], count: int) -> list[float]:
    """One amount for each model, of sum 1; equal ones where none is left."""
    each = list(shares) if len(shares) == count else list(shares) * count
    total = sum(each)
    return [share / total for share in each] if total else [1 / count] * count


@merge_method(
    "karcher_mean",
    title="Karcher mean",
    source="Karcher 1977, doi:10.1002/cpa.3160300502; arcee-ai mergekit, merge_methods/karcher.py",
    purpose="spherical",
    exempt={"float64": "models that point in opposite directions have no one mean"},
)
def karcher_mean(
    *models: Tensor,
    shares: Annotated[Sequence[float], SHARES] = (1.0,),
    found: Annotated[Sequence[float] | None, Survey(_karcher_shares)] = None,
) -> Tensor:
    """Take the mean direction of any number of models, and their mean length.

        out = sum(s_i norm(M_i)) u
        u = the point of the sphere whose squared angles to the models, times their s_i, sum to the least

    The shares are divided by their sum. Two models with equal shares meet in the middle of slerp. mergekit
    stops after ten rounds or at 1e-5; this goes on to 1e-12, which costs nothing as the rounds see the
    models' dot products alone.
    """
    found = found or _karcher_shares(*models, dtype=models[0].dtype, shares=shares)
    return _sum(models, found)


def _sum(models: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    total = models[0] * shares[0]
    for model, share in zip(models[1:], shares[1:], strict=True):
        total.add_(model, alpha=share)
    return total


def median_shares(products: Rows, amounts: Sequence[float]) -> tuple[float, ...]:
    """How much of each model makes their geometric median, from their dot products alone.

    products  of the models' differences from one of them;  amounts  of sum 1

    Sought where the models span a few dimensions, until their pulls cancel or no step lowers the sum of
    distances any more: Newton's step or Weiszfeld's, whichever lowers it more. Weiszfeld's alone takes
    hundreds of rounds where the median is close to a model. A model that is the median is found without any.
    """
    known = torch.tensor(products, dtype=torch.float64)
    spread = float(known.diagonal().max().sqrt())
    if not 0 < spread < math.inf:
        return tuple(amounts)
    values, vectors = cast("tuple[Tensor, Tensor]", torch.linalg.eigh(known / spread**2))
    points = vectors * values.clamp(min=0).sqrt()
    weights = torch.tensor(amounts, dtype=torch.float64)
    shares = weights
    if float(_lengths(_pull(points, weights, weights @ points))) > SETTLED:
        shares = _model_in_the_middle(points, weights)
        if shares is None:
            shares = _pulls(points, weights, _lowest(points, weights))[0]
    return tuple(float(share) for share in shares / shares.sum())


def _lengths(rows: Tensor) -> Tensor:
    return rows.square().sum(-1).sqrt()


def _pulls(points: Tensor, weights: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """How strongly each model pulls for each unit of its distance, and the directions to the models."""
    off = points - place
    away = _lengths(off).clamp_(min=NEAR)
    return weights / away, off / away[:, None]


def _pull(points: Tensor, weights: Tensor, place: Tensor) -> Tensor:
    """Where to and how strongly all models pull: 0 at the median."""
    return weights @ _pulls(points, weights, place)[1]


def _model_in_the_middle(points: Tensor, weights: Tensor) -> Tensor | None:
    """All to the model that the others cannot pull away from its place; None where there is none."""
    for index, place in enumerate(points):
        here = _lengths(points - place) < NEAR  # the model, and others with it
        pull = _pull(points[~here], weights[~here], place)
        if float(_lengths(pull)) <= float(weights[here].sum()) + SETTLED:
            return torch.nn.functional.one_hot(torch.tensor(index), len(points)).double()
    return None


def _lowest(points: Tensor, weights: Tensor) -> Tensor:
    """The place, none of the models', with the least sum of distances."""

    def cost(place: Tensor) -> float:
        return float(weights @ _lengths(points - place))

    place = weights @ points
    while True:
        pulls, directions = _pulls(points, weights, place)
        pull = weights @ directions
        bend = torch.diag_embed(pulls.sum().expand(len(pull))) - directions.T @ (pulls[:, None] * directions)
        newton = cast("Tensor", torch.linalg.pinv(bend, hermitian=True)) @ pull
        steps = pull / pulls.sum(), newton, newton / 2, newton / 8
        lowest = min([place + step for step in steps], key=cost)
        if float(_lengths(pull)) <= SETTLED or not cost(lowest) < cost(place):
            return place
        place = lowest


def _median_shares(*models: Tensor, dtype: torch.dtype, shares: Sequence[float]) -> tuple[float, ...]:
    return median_shares(gram(models, models[0]), amounts_of(shares, len(models)))


@merge_method(
    "geometric_median",
    title="Geometric median",
    source="Weiszfeld 1937; Pillutla et al. 2019, arXiv:1912.13445; ljleb sd-mecha, merge_methods/ties.py",
    purpose="mix",
)
def geometric_median(
    *models: Tensor,
    shares: Annotated[Sequence[float], SHARES] = (1.0,),
    found: Annotated[Sequence[float] | None, Survey(_median_shares)] = None,
) -> Tensor:
    """Take the point whose distances to the models sum to the least: one odd model does not move it far.

        out = the M for which sum(s_i norm(M - M_i)) is least

    A tensor is one point. Of two models with equal shares every point between them would do, and the
    middle is taken. A model that has half of all shares or more is the median by itself.
    """
    found = found or _median_shares(*models, dtype=models[0].dtype, shares=shares)
    # a sum of differences, so that equal models come back to the bit
    out = models[0].clone()
    for model, share in zip(models[1:], found[1:], strict=True):
        out.add_(model - models[0], alpha=share)
    return out


@merge_method(
    "geometric_sum",
    title="Geometric sum",
    source="ljleb sd-mecha 1.1.8, merge_methods/linear.py, geometric_sum",
    purpose="spherical",
    ends=[end(0, alpha=0), end(1, alpha=1)],
)
def geometric_sum(a: Tensor, b: Tensor, *, alpha: Annotated[float, AMOUNT_OF_B] = 0.5) -> Tensor:
    """Go from A to B by factors instead of by differences.

        out = Re(A^(1 - alpha) B^alpha)

    alpha 0 is A and alpha 1 is B, to the bit. Of two numbers of one sign it is the weighted geometric mean
    with that sign; of unequal signs the mean turns through the complex plane and its real part is taken:
    times cos(pi alpha) where B is negative, -cos(pi alpha) where A is. A 0 in either makes 0.
    """
    if alpha == 1:
        return b.clone()
    size = a.abs().pow_(1 - alpha).mul_(b.abs().pow_(alpha))
    turn = math.cos(math.pi * alpha)
    # +, -: (1 + 1) / 2 and so on: sign A where the signs agree, sign A cos(pi alpha) where they do not
    signs_a, signs_b = torch.sign(a), torch.sign(b)
    same = (signs_a * signs_b).mul_((1 - turn) / 2).add_((1 + turn) / 2)
    return size.mul_(same).mul_(signs_a)
