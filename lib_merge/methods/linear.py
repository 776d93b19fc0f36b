"""Linear methods: every element is a weighted sum of the same element of the models.

Each is given twice, as arithmetic on tensors and as exact coefficients; a law holds the two
together. The coefficients let a chain of linear steps fold into one pass with one rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

from lib_merge.registry import Knob, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

AMOUNT_OF_B = Knob(0, 1, help="0 keeps A, 1 takes B")


def _weighted_sum(alpha: Fraction) -> Sequence[Fraction]:
    return 1 - alpha, alpha


def _add_difference(alpha: Fraction) -> Sequence[Fraction]:
    return Fraction(1), alpha, -alpha


def _triple_sum(alpha: Fraction, beta: Fraction) -> Sequence[Fraction]:
    return 1 - alpha - beta, alpha, beta


def _sum_twice(alpha: Fraction, beta: Fraction) -> Sequence[Fraction]:
    return (1 - beta) * (1 - alpha), (1 - beta) * alpha, beta


def _weighted_models(shares: Sequence[Fraction], normalise: bool) -> Sequence[Fraction]:
    total = sum(shares)
    return [share / total for share in shares] if normalise and total else shares


@merge_method(
    "weighted_sum",
    title="Weighted sum",
    source="AUTOMATIC1111 stable-diffusion-webui, modules/extras.py, weighted_sum",
    coefficients=_weighted_sum,
)
def weighted_sum(a: Tensor, b: Tensor, *, alpha: Annotated[float, AMOUNT_OF_B] = 0.5) -> Tensor:
    """Go from A towards B in a straight line.

        out = (1 - alpha) A + alpha B

    alpha 0 is A and alpha 1 is B, to the bit; beyond that range it extrapolates.
    """
    return torch.lerp(a, b, alpha)


@merge_method(
    "add_difference",
    title="Add difference",
    source="AUTOMATIC1111 stable-diffusion-webui, modules/extras.py, add_difference",
    coefficients=_add_difference,
)
def add_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Knob(0, 2, help="0 keeps A, 1 adds all that B learnt over C")] = 1.0,
) -> Tensor:
    """Add to A what B learnt beyond its own base C.

        out = A + alpha (B - C)

    alpha 0 is A, to the bit. Where B equals C nothing is added; where A equals C it is the weighted sum.
    """
    return a + alpha * (b - c)


@merge_method(
    "triple_sum",
    title="Triple sum",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, mode 'Triple sum'",
    coefficients=_triple_sum,
)
def triple_sum(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Knob(0, 1, help="the amount of B")] = 0.33,
    beta: Annotated[float, Knob(0, 1, help="the amount of C")] = 0.33,
) -> Tensor:
    """Mix three models in stated amounts; A takes what B and C leave.

        out = (1 - alpha - beta) A + alpha B + beta C

    (0, 0) is A, (1, 0) is B and (0, 1) is C, to the bit. Where alpha + beta exceeds 1, A is subtracted.
    """
    return (1 - alpha - beta) * a + alpha * b + beta * c


@merge_method(
    "sum_twice",
    title="Sum twice",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, mode 'sum Twice'",
    coefficients=_sum_twice,
)
def sum_twice(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, AMOUNT_OF_B] = 0.5,
    beta: Annotated[float, Knob(0, 1, help="0 keeps the mix of A and B, 1 takes C")] = 0.5,
) -> Tensor:
    """Mix A with B, then the result with C.

        out = (1 - beta) ((1 - alpha) A + alpha B) + beta C

    beta 0 is the weighted sum of A and B; beta 1 is C, to the bit.
    """
    return torch.lerp(torch.lerp(a, b, alpha), c, beta)


@merge_method(
    "weighted_models",
    title="Weighted sum of any number of models",
    source="Wortsman et al. 2022, 'Model soups', arXiv:2203.05482, with weights",
    coefficients=_weighted_models,
    exempt={"changes nothing": "only shares that sum to one leave equal models as they are"},
)
def weighted_models(
    *models: Tensor,
    shares: Annotated[Sequence[float], Knob(0, 1, help="the amount of each model, in order")] = (),
    normalise: Annotated[bool, Knob(0, 1, 1, help="divide the shares by their sum")] = False,
) -> Tensor:
    """Mix any number of models in stated shares.

        out = s_1 M_1 + s_2 M_2 + ... + s_n M_n

    One share a model. Shares that do not sum to one are taken as they are, unless `normalise` is
    set; a share of 1 beside zeros is that model, to the bit.
    """
    if normalise and sum(shares):
        shares = [share / sum(shares) for share in shares]
    total = models[0] * shares[0]
    for model, share in zip(models[1:], shares[1:], strict=True):
        total = total + model * share
    return total
