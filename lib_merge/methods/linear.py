"""Linear methods: every element is a weighted sum of the same element of the models.

Each is written twice, as arithmetic on tensors and as exact coefficients; a property test compares the two.
The coefficients let a chain of linear steps fold into one pass with one rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

from lib_merge.errors import MethodError
from lib_merge.parameters import Range
from lib_merge.registry import exact_at, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

AMOUNT_OF_B = Range(0, 1, help="0 keeps A, 1 takes B")


def _weighted_sum(alpha: Fraction) -> Sequence[Fraction]:
    return 1 - alpha, alpha


def _add_difference(alpha: Fraction) -> Sequence[Fraction]:
    return Fraction(1), alpha, -alpha


def _triple_sum(alpha: Fraction, beta: Fraction) -> Sequence[Fraction]:
    return 1 - alpha - beta, alpha, beta


def _sum_twice(alpha: Fraction, beta: Fraction) -> Sequence[Fraction]:
    return (1 - beta) * (1 - alpha), (1 - beta) * alpha, beta


def _weighted_subtraction(alpha: Fraction) -> Sequence[Fraction]:
    _check_subtraction(alpha)
    return 1 / (1 - alpha), -alpha / (1 - alpha)


def _check_subtraction(alpha: Fraction | float) -> None:
    if alpha == 1:
        what = "weighted_subtraction cannot remove a B that is the whole of A: alpha is 1"
        raise MethodError(what, hint="an alpha of 0.9 or less")


def _self(alpha: Fraction) -> Sequence[Fraction]:
    return (alpha,)


def _replace() -> Sequence[Fraction]:
    return Fraction(0), Fraction(1)


def _weighted_models(model_weights: Sequence[Fraction], normalize: bool) -> Sequence[Fraction]:
    total = sum(model_weights)
    return [weight / total for weight in model_weights] if normalize and total else model_weights


@merge_method(
    "weighted_sum",
    title="Weighted sum",
    source="AUTOMATIC1111 stable-diffusion-webui, modules/extras.py, weighted_sum",
    coefficients=_weighted_sum,
    exact=[exact_at(0, alpha=0), exact_at(1, alpha=1)],
)
def weighted_sum(a: Tensor, b: Tensor, *, alpha: Annotated[float, AMOUNT_OF_B] = 0.5) -> Tensor:
    """Interpolate linearly between A and B.

        out = (1 - alpha) A + alpha B

    alpha 0 is A and alpha 1 is B, to the bit; beyond that range it extrapolates.
    """
    return torch.lerp(a, b, alpha)


@merge_method(
    "add_difference",
    title="Add difference",
    source="AUTOMATIC1111 stable-diffusion-webui, modules/extras.py, add_difference",
    purpose="difference",
    coefficients=_add_difference,
    exact=[exact_at(0, alpha=0)],
)
def add_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Range(0, 2, help="0 keeps A, 1 adds the whole difference of B and C")] = 1.0,
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
    exact=[exact_at(0, alpha=0, beta=0), exact_at(1, alpha=1, beta=0), exact_at(2, alpha=0, beta=1)],
)
def triple_sum(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Range(0, 1, help="the amount of B")] = 0.33,
    beta: Annotated[float, Range(0, 1, help="the amount of C")] = 0.33,
) -> Tensor:
    """Mix three models by weights; A gets what alpha and beta leave.

        out = (1 - alpha - beta) A + alpha B + beta C

    (0, 0) is A, (1, 0) is B and (0, 1) is C, to the bit. Where alpha + beta exceeds 1, A is subtracted.
    """
    return (1 - alpha - beta) * a + alpha * b + beta * c


@merge_method(
    "sum_twice",
    title="Sum twice",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, mode 'sum Twice'",
    coefficients=_sum_twice,
    exact=[exact_at(0, alpha=0, beta=0), exact_at(1, alpha=1, beta=0), exact_at(2, beta=1)],
)
def sum_twice(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, AMOUNT_OF_B] = 0.5,
    beta: Annotated[float, Range(0, 1, help="0 keeps the mix of A and B, 1 takes C")] = 0.5,
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
    exempt={"changes nothing": "only weights that sum to one leave equal models as they are"},
)
def weighted_models(
    *models: Tensor,
    model_weights: Annotated[Sequence[float], Range(0, 1, help="the weight of each model, in order")] = (),
    normalize: Annotated[bool, Range(0, 1, 1, help="divide the weights by their sum")] = False,
) -> Tensor:
    """Mix any number of models by weights.

        out = s_1 M_1 + s_2 M_2 + ... + s_n M_n

    One weight for each model. Weights that do not sum to one are used as they are, unless `normalize` is
    set; a weight of 1 and zeros for the others is that model, to the bit.
    """
    if normalize and sum(model_weights):
        model_weights = [weight / sum(model_weights) for weight in model_weights]
    total = models[0] * model_weights[0]
    for model, weight in zip(models[1:], model_weights[1:], strict=True):
        total = total + model * weight
    return total


@merge_method(
    "weighted_subtraction",
    title="Weighted subtraction",
    source="s1dlx meh, sd_meh/merge_methods.py, weighted_subtraction, with alpha for its alpha times beta",
    coefficients=_weighted_subtraction,
    exact=[exact_at(0, alpha=0)],
)
def weighted_subtraction(
    a: Tensor,
    b: Tensor,
    *,
    alpha: Annotated[float, Range(0, 0.9, help="0 keeps A; the weight that B has in A")] = 0.3,
) -> Tensor:
    """Remove B from a weighted sum that contains it.

        out = (A - alpha B) / (1 - alpha)

    Where A is (1 - alpha) X + alpha B, this is X. It grows without bound as alpha approaches 1, where sd-meh
    returns values of 4e8; here 1 is refused.
    """
    _check_subtraction(alpha)
    return torch.lerp(a, b, -alpha / (1 - alpha))


@merge_method(
    "self",
    title="Scale (self)",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, calcmode 'self'",
    purpose="limits",
    coefficients=_self,
    exact=[exact_at(0, alpha=1)],
    exempt={"changes nothing": "it scales"},
)
def scale(a: Tensor, *, alpha: Annotated[float, Range(0, 2, help="1 keeps A, 0 is nothing")] = 1.0) -> Tensor:
    """Multiply all weights of a model.

        out = alpha A

    alpha 1 is A, to the bit. In SuperMerger alpha 0 changes nothing, and to_out, proj_out and norm
    are skipped; here 0 is 0, and a rule says which keys are meant.
    """
    return a * alpha


@merge_method(
    "replace",
    title="Replace",
    source="wkpark sd-webui-model-mixer, scripts/model_mixer.py, mode 'Replace', which multiplies by alpha",
    purpose="parts",
    coefficients=_replace,
    exact=[exact_at(1)],
)
def replace(a: Tensor, b: Tensor) -> Tensor:
    """Take B unchanged.

        out = B

    To the bit. As one step of several, or with a rule that says for which keys.
    """
    return b.clone()
