"""What one model learnt beyond another, changed on its way to a third."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, cast

from lib_merge.methods.numerics import gram, stretches
from lib_merge.registry import Knob, Survey, end, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

STRENGTH = 1.8  # of the train difference, as SuperMerger has it: twice the middle of its scale, less a tenth
SHORTEST = 1e-8  # a row's length below it counts as that, as in torch.nn.functional.cosine_similarity
AMOUNT = Knob(0, 2, help="0 keeps A, 1 is the usual amount")
MEH = "s1dlx meh, sd_meh/merge_methods.py"


@merge_method(
    "train_difference",
    title="Train difference",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, traindiff",
    purpose="difference",
    ends=[end(0, alpha=0)],
)
def train_difference(a: Tensor, b: Tensor, c: Tensor, *, alpha: Annotated[float, AMOUNT] = 1.0) -> Tensor:
    """Add to A what B learnt over C, the more of it the further A is from B.

        out = A + 1.8 alpha s (B - C)
        s = abs(B - A) / (abs(B - A) + abs(B - C)), and 0 where both are 0

    alpha 0 is A, to the bit, and so is a number where B equals C. Where A equals C, s is a half. A is never
    moved further than 1.8 alpha abs(B - C).
    """
    learnt = b - c
    scale = (b - a).abs_()
    whole = learnt.abs().add_(scale).clamp_(min=torch.finfo(a.dtype).tiny)  # 0 / tiny is 0
    scale.div_(whole).mul_(learnt)
    return torch.add(a, scale, alpha=STRENGTH * alpha, out=learnt)


@merge_method(
    "extract",
    title="Extract",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, extract_super",
    purpose="difference",
    elementwise=False,
    ends=[
        end(1, alpha=0, beta=0, gamma=0),
        end(2, alpha=1, beta=0, gamma=0),
        end(0, beta=1, gamma=0),
    ],
    exempt={"float64": "gamma below 1 has a root of numbers that are as good as 0"},
)
def extract(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Knob(0, 1, help="0 takes the features of B, 1 those of C")] = 0.0,
    beta: Annotated[
        float, Knob(0, 1, help="0 takes what B and C have in common, 1 what they have not")
    ] = 0.0,
    gamma: Annotated[
        float, Knob(0, 15, help="how sharply the two are told apart, 0 not at all", least=0)
    ] = 1.0,
    by_kernel: Annotated[bool, Knob(0, 1, 1, help="as SuperMerger: over the last axis alone")] = False,
) -> Tensor:
    """Add to A what B and C both learnt over it, or what only one of them did.

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
        likeness = _row_cosines(one, two)
        same = likeness.add_(1).div_(2).pow_(gamma)
        share = torch.lerp(same, 1 - same, beta).unsqueeze_(-1)
        torch.addcmul(base[part], torch.lerp(one, two, alpha), share, out=out[part])
    return out.view(a.shape)


def _row_cosines(one: Tensor, two: Tensor) -> Tensor:
    """What torch.nn.functional.cosine_similarity gives over the last axis, also of squares beyond float32."""
    lengths = [_row_lengths(rows) for rows in (one, two)]
    if one.dtype != torch.float64 and not all(bool(length.isfinite().all()) for length in lengths):
        return _row_cosines(one.double(), two.double()).to(one.dtype)
    units = [rows / length.clamp_(min=SHORTEST) for rows, length in zip((one, two), lengths, strict=True)]
    return units[0].mul_(units[1]).sum(-1).clamp_(-1, 1)


def _row_lengths(rows: Tensor) -> Tensor:
    return cast("Tensor", torch.linalg.vector_norm(rows, dim=-1, keepdim=True))


@merge_method(
    "similarity_add_difference",
    title="Add difference by similarity",
    source=f"{MEH}, similarity_add_difference",
    purpose="difference",
    ends=[end(0, alpha=0)],
)
def similarity_add_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, AMOUNT] = 1.0,
    beta: Annotated[float, Knob(0, 1, help="0 adds the difference, 1 mixes where A and B agree")] = 0.5,
) -> Tensor:
    """Add the difference where A and B differ, mix A and B where they are alike.

        out = (1 - r) (A + alpha (B - C)) + r ((1 - alpha / 2) A + alpha / 2 B)
        r = beta (A B / max(abs A, abs B)^2 + 1) / 2, and beta where both are 0

    alpha 0 is A, to the bit; beta 0 is add_difference. The square is never formed: the quotient is the
    smaller of A and B over the greater, so that numbers of 1e-30 count like any others.
    """
    low, high = torch.minimum(a.abs(), b.abs()), torch.maximum(a.abs(), b.abs())
    likeness = low.div_(high).nan_to_num_(nan=1.0).mul_(torch.sign(a)).mul_(torch.sign(b))
    both_zero = high == 0
    likeness.masked_fill_(both_zero, 1.0)
    share = likeness.add_(1).mul_(beta / 2)
    added = torch.add(a, b - c, alpha=alpha)
    mixed = torch.lerp(a, b, alpha / 2)
    return torch.lerp(added, mixed, share)


def _lengths(a: Tensor, b: Tensor, c: Tensor, *, dtype: torch.dtype, alpha: float) -> tuple[float, ...]:
    """Of A - C, of B - C, and of the mix of the two."""
    squares = [0.0, 0.0, 0.0]
    for one, two, base in stretches((a, b, c), torch.float64):
        from_a, from_b = one - base, two - base  # a float64 input is not copied: it must stay as it is
        for place, vector in enumerate((from_a, from_b, torch.lerp(from_a, from_b, alpha))):
            squares[place] += float(torch.dot(vector, vector))
    return tuple(map(math.sqrt, squares))


@merge_method(
    "euclidean_add_difference",
    title="Euclidean add difference",
    source=f"{MEH}, euclidean_add_difference",
    purpose="difference",
    ends=[end(0, alpha=0), end(1, alpha=1)],
    exempt={"float64": "a sign decides, and the sum whose sign it is may be 0"},
)
def euclidean_add_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Knob(0, 1, help="0 keeps A, 1 takes B", least=0, most=1)] = 0.5,
    lengths: Annotated[Sequence[float] | None, Survey(_lengths)] = None,
) -> Tensor:
    """Mix what A and B learnt over C by the root of their squares, and keep the length of the plain mix.

        out = C + m / norm(m) norm(mix - C)
        mix = (1 - alpha) A + alpha B
        m = sqrt((1 - alpha) u^2 + alpha v^2) with the sign of mix - C; u, v = A - C, B - C of length 1

    alpha 0 is A and alpha 1 is B, to the bit. Of the length of m nothing has to be measured: it is 1, or
    the root of the share that is left where A or B equals C.
    """
    first, second, mix = lengths or _lengths(a, b, c, dtype=a.dtype, alpha=alpha)
    one, two = a - c, b - c
    plain = torch.lerp(one, two, alpha)
    share_a, share_b = (1 - alpha) * (first > 0), alpha * (second > 0)
    if share_a + share_b == 0:
        return c + plain
    if first:
        one.div_(first).square_().mul_(share_a)
    if second:
        two.div_(second).square_().mul_(share_b)
    root = one.add_(two).sqrt_().copysign_(plain)
    return torch.add(c, root, alpha=mix / math.sqrt(share_a + share_b), out=plain)


@merge_method(
    "multiply_difference",
    title="Multiply differences",
    source=f"{MEH}, multiply_difference",
    purpose="difference",
    ends=[end(0, alpha=0, beta=0), end(1, alpha=1, beta=1)],
    exempt={"float64": "a root of a difference that is 0 but for rounding, and a sign that decides"},
)
def multiply_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Knob(0, 1, help="0 takes A's size of change, 1 takes B's")] = 0.5,
    beta: Annotated[float, Knob(0, 1, help="0 takes A's direction of change, 1 takes B's")] = 0.5,
) -> Tensor:
    """Change C by the geometric mean of what A and B changed.

        out = C + abs(A - C)^(1 - alpha) abs(B - C)^alpha, with the sign of mix - C
        mix = (1 - beta) A + beta B

    (0, 0) is A and (1, 1) is B, to the bit. Between them a number that either left as it is in C stays;
    at alpha 0 and 1 alone it gets the other's whole change, as 0^0 is 1.
    """
    one, two = a - c, b - c
    direction = torch.lerp(one, two, beta)
    size = _power(one.abs_(), 1 - alpha).mul_(_power(two.abs_(), alpha))
    return size.copysign_(direction).add_(c)


def _power(values: Tensor, exponent: float) -> Tensor:
    """Powers of numbers that are not negative, in place; 1 for the exponent 0."""
    return values.fill_(1) if exponent == 0 else values.pow_(exponent)


def _projection(a: Tensor, b: Tensor, c: Tensor, *, dtype: torch.dtype) -> tuple[float]:
    """How much of A - C there is in B - C."""
    products = gram((a, b), c)
    return (products[0][1] / products[0][0] if products[0][0] else 0.0,)


@merge_method(
    "add_perpendicular",
    title="Add perpendicular difference",
    source="ljleb sd-mecha 1.1.8, merge_methods/linear.py, perpendicular_component",
    purpose="difference",
    ends=[end(0, alpha=0)],
)
def add_perpendicular(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[float, Knob(0, 2, help="0 keeps A, 1 adds all of B that is new to A")] = 1.0,
    projection: Annotated[Sequence[float] | None, Survey(_projection)] = None,
) -> Tensor:
    """Add to A what B learnt over C in directions that A did not go.

        out = A + alpha (b - p a), a = A - C, b = B - C, p = dot(a, b) / dot(a, a)

    alpha 0 is A, to the bit. Where B went where A went, nothing is added; where A equals C there is no
    direction to leave out, and all of b is added (sd-mecha adds nothing there).
    """
    (share,) = projection or _projection(a, b, c, dtype=a.dtype)
    return torch.add(a, (b - c).sub_(a - c, alpha=share), alpha=alpha)
