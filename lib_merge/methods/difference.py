"""Methods that add the difference of two models to a third, weighted by element, row or direction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, cast

from lib_merge.methods.numerics import chunks, gram, power_
from lib_merge.parameters import Range, Reduction
from lib_merge.registry import exact_at, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

STRENGTH = 1.8  # of train_difference, from SuperMerger's traindiff
MIN_NORM = 1e-8  # smaller norms of a row are set to it, as eps of torch.nn.functional.cosine_similarity
AMOUNT = Range(0, 2, help="0 keeps A, 1 is the usual amount")
MEH = "s1dlx meh, sd_meh/merge_methods.py"


@merge_method(
    "train_difference",
    title="Train difference",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, traindiff",
    purpose="difference",
    exact=[exact_at(0, alpha=0)],
)
def train_difference(a: Tensor, b: Tensor, c: Tensor, *, alpha: Annotated[float, AMOUNT] = 1.0) -> Tensor:
    """Add the difference of B and C to A, more of it where A is further from B.

        out = A + 1.8 alpha s (B - C)
        s = abs(B - A) / (abs(B - A) + abs(B - C)), and 0 where both are 0

    alpha 0 is A, to the bit, and so is an element where B equals C. Where A equals C, s is a half. A is never
    moved further than 1.8 alpha abs(B - C).
    """
    difference = b - c
    scale = (b - a).abs_()
    total = difference.abs().add_(scale).clamp_(min=torch.finfo(a.dtype).tiny)  # 0 / tiny is 0
    scale.div_(total).mul_(difference)
    return torch.add(a, scale, alpha=STRENGTH * alpha, out=difference)


@merge_method(
    "extract",
    title="Extract",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, extract_super",
    purpose="difference",
    elementwise=False,
    exact=[
        exact_at(1, alpha=0, beta=0, gamma=0),
        exact_at(2, alpha=1, beta=0, gamma=0),
        exact_at(0, beta=1, gamma=0),
    ],
    exempt={
        "float64": "gamma below 1 is a root of numbers that are 0 but for rounding",
        "neutral amount": "beta 1 keeps A only where gamma is 0 too",
    },
)
def extract(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Range(0, 1, help="0 takes the change of B, 1 that of C")] = 0.0,
    beta: Annotated[float, Range(0, 1, help="0 takes what B and C have in common, 1 what they do not")] = 0.0,
    gamma: Annotated[
        float, Range(0, 15, help="how sharply the two are separated, 0 not at all", min=0)
    ] = 1.0,
    by_kernel: Annotated[bool, Range(0, 1, 1, help="as SuperMerger: over the last axis alone")] = False,
) -> Tensor:
    """Add to A what B and C both changed in it, or what only one of them did.

        out = A + lerp(B - A, C - A, alpha) lerp(d, 1 - d, beta)
        d = ((1 + cos) / 2)^gamma, cos between B - A and C - A, one for each output channel

    A is the base of both. beta a half is A + lerp(B - A, C - A, alpha) / 2 for any gamma. SuperMerger's
    cosine runs over the last axis: three numbers of a 3x3 kernel, one of a 1x1. by_kernel does the same.
    """
    rows = (-1, a.shape[-1]) if by_kernel and a.ndim else (a.shape[0] if a.ndim > 1 else 1, -1)
    if not a.numel():
        return a.clone()
    base, first, second = (tensor.reshape(rows) for tensor in (a, b, c))
    out = torch.empty_like(base)
    step = max(1, (1 << 17) // base.shape[1])
    for start in range(0, base.shape[0], step):
        part = slice(start, start + step)
        one, two = first[part] - base[part], second[part] - base[part]
        similarity = power_(_row_cosines(one, two).add_(1).div_(2), gamma)
        weight = torch.lerp(similarity, 1 - similarity, beta).unsqueeze_(-1)
        torch.addcmul(base[part], torch.lerp(one, two, alpha), weight, out=out[part])
    return out.view(a.shape)


def _row_cosines(first: Tensor, two: Tensor) -> Tensor:
    """torch.nn.functional.cosine_similarity over the last axis, also where squares overflow float32."""
    lengths = [_row_norms(rows) for rows in (first, two)]
    if first.dtype != torch.float64 and not all(bool(length.isfinite().all()) for length in lengths):
        return _row_cosines(first.double(), two.double()).to(first.dtype)
    units = [rows / length.clamp_(min=MIN_NORM) for rows, length in zip((first, two), lengths, strict=True)]
    return units[0].mul_(units[1]).sum(-1).clamp_(-1, 1)


def _row_norms(rows: Tensor) -> Tensor:
    return cast("Tensor", torch.linalg.vector_norm(rows, dim=-1, keepdim=True))


@merge_method(
    "similarity_add_difference",
    title="Add difference by similarity",
    source=f"{MEH}, similarity_add_difference",
    purpose="difference",
    exact=[exact_at(0, alpha=0)],
)
def similarity_add_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, AMOUNT] = 1.0,
    beta: Annotated[float, Range(0, 1, help="0 adds the difference, 1 mixes where A and B agree")] = 0.5,
) -> Tensor:
    """Add the difference where A and B differ, mix A and B where they are similar.

        out = (1 - r) (A + alpha (B - C)) + r ((1 - alpha / 2) A + alpha / 2 B)
        r = beta (A B / max(abs A, abs B)^2 + 1) / 2, and beta where both are 0

    alpha 0 is A, to the bit; beta 0 is add_difference. The square is not computed: the quotient is
    min(abs A, abs B) / max(abs A, abs B) with its sign, so that squares do not underflow.
    """
    low, high = torch.minimum(a.abs(), b.abs()), torch.maximum(a.abs(), b.abs())
    similarity = low.div_(high).nan_to_num_(nan=1.0).mul_(torch.sign(a)).mul_(torch.sign(b))
    both_zero = high == 0
    similarity.masked_fill_(both_zero, 1.0)
    ratio = similarity.add_(1).mul_(beta / 2)
    added = torch.add(a, b - c, alpha=alpha)
    mixed = torch.lerp(a, b, alpha / 2)
    return torch.lerp(added, mixed, ratio)


def _delta_norms(a: Tensor, b: Tensor, c: Tensor, *, dtype: torch.dtype, alpha: float) -> tuple[float, ...]:
    """The norms of A - C, of B - C, and of the weighted sum of the two."""
    squares = [0.0, 0.0, 0.0]
    for one, two, base in chunks((a, b, c), torch.float64):
        from_a, from_b = one - base, two - base  # not in place: a float64 input is not a copy
        for index, vector in enumerate((from_a, from_b, torch.lerp(from_a, from_b, alpha))):
            squares[index] += float(torch.dot(vector, vector))
    return tuple(map(math.sqrt, squares))


@merge_method(
    "euclidean_add_difference",
    title="Euclidean add difference",
    source=f"{MEH}, euclidean_add_difference",
    purpose="difference",
    exact=[exact_at(0, alpha=0), exact_at(1, alpha=1)],
    exempt={"float64": "the sign of a sum that is 0 but for rounding decides"},
)
def euclidean_add_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Range(0, 1, help="0 keeps A, 1 takes B", min=0, max=1)] = 0.5,
    norms: Annotated[Sequence[float] | None, Reduction(_delta_norms)] = None,
) -> Tensor:
    """Mix A - C and B - C by the root mean square of their elements, with the norm of their weighted sum.

        out = C + m / norm(m) norm(mix - C)
        mix = (1 - alpha) A + alpha B
        m = sqrt((1 - alpha) u^2 + alpha v^2) with the sign of mix - C; u, v = A - C, B - C, normalized

    alpha 0 is A and alpha 1 is B, to the bit. norm(m) is not computed: it is 1, or the root of the weight
    that is left where A or B equals C.
    """
    first, second, mix = norms or _delta_norms(a, b, c, dtype=a.dtype, alpha=alpha)
    one, two = a - c, b - c
    plain = torch.lerp(one, two, alpha)
    weight_a, weight_b = (1 - alpha) * (first > 0), alpha * (second > 0)
    if weight_a + weight_b == 0:
        return c + plain
    if first:
        one.div_(first).square_().mul_(weight_a)
    if second:
        two.div_(second).square_().mul_(weight_b)
    root = one.add_(two).sqrt_().copysign_(plain)
    return torch.add(c, root, alpha=mix / math.sqrt(weight_a + weight_b), out=plain)


@merge_method(
    "multiply_difference",
    title="Multiply differences",
    source=f"{MEH}, multiply_difference",
    purpose="difference",
    exact=[exact_at(0, alpha=0, beta=0), exact_at(1, alpha=1, beta=1)],
    exempt={"float64": "roots of differences that are 0 but for rounding, and their signs, decide"},
)
def multiply_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Range(0, 1, help="0 takes the magnitude of A's change, 1 that of B's")] = 0.5,
    beta: Annotated[float, Range(0, 1, help="0 takes the sign of A's change, 1 that of B's")] = 0.5,
) -> Tensor:
    """Change C by the geometric mean of the changes of A and B.

        out = C + abs(A - C)^(1 - alpha) abs(B - C)^alpha, with the sign of mix - C
        mix = (1 - beta) A + beta B

    (0, 0) is A and (1, 1) is B, to the bit. Between them an element that A or B has as in C stays; at
    alpha 0 and 1 it gets the other's whole change, as 0^0 is 1.
    """
    one, two = a - c, b - c
    direction = torch.lerp(one, two, beta)
    magnitude = power_(one.abs_(), 1 - alpha).mul_(power_(two.abs_(), alpha))
    return magnitude.copysign_(direction).add_(c)


def _projection(a: Tensor, b: Tensor, c: Tensor, *, dtype: torch.dtype) -> tuple[float]:
    """The scalar projection of B - C onto A - C, in units of A - C."""
    products = gram((a, b), c)
    return (products[0][1] / products[0][0] if products[0][0] else 0.0,)


@merge_method(
    "add_perpendicular",
    title="Add perpendicular difference",
    source="ljleb sd-mecha 1.1.8, merge_methods/linear.py, perpendicular_component",
    purpose="difference",
    exact=[exact_at(0, alpha=0)],
)
def add_perpendicular(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Range(0, 2, help="0 keeps A, 1 adds all that is perpendicular to A - C")] = 1.0,
    projection: Annotated[Sequence[float] | None, Reduction(_projection)] = None,
) -> Tensor:
    """Add to A the part of B - C that is perpendicular to A - C.

        out = A + alpha (b - p a), a = A - C, b = B - C, p = dot(a, b) / dot(a, a)

    alpha 0 is A, to the bit. Where a and b are parallel nothing is added; where A equals C all of b is
    added (sd-mecha adds nothing there).
    """
    (p,) = projection or _projection(a, b, c, dtype=a.dtype)
    return torch.add(a, (b - c).sub_(a - c, alpha=p), alpha=alpha)
