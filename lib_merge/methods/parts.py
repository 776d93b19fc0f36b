"""Methods that take some elements or frequencies from one model and the rest from another."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

from lib_merge.methods.frequencies import apply_filter, irfftn, rfftn
from lib_merge.methods.numerics import kth_smallest
from lib_merge.methods.orders import sort_values, stable_argsort
from lib_merge.parameters import Range
from lib_merge.registry import exact_at, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

WIDTH = Range(0, 1, help="how much is B's: 0 keeps A, 1 takes B", min=0, max=1)
OFFSET = Range(
    0,
    1,
    help="where B's part begins; it goes on from the start where it passes the end",
    min=0,
    max=1,
)
WIDE = 100  # columns from which SuperMerger's tensor2 slices them


def _slice(a: Tensor, b: Tensor, axis: int, alpha: float, beta: float) -> Tensor:
    """A with the share alpha of its slices from B, beginning at the share beta, and wrapped at the end."""
    size = a.shape[axis]
    around = alpha + beta > 1
    out = (b if around else a).clone()
    start, stop = (alpha + beta - 1, beta) if around else (beta, alpha + beta)
    first, last = int(size * start), int(size * stop)
    out.narrow(axis, first, last - first).copy_((a if around else b).narrow(axis, first, last - first))
    return out


@merge_method(
    "tensor_sum",
    title="Tensor slices",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, tensormerge; s1dlx meh, tensor_sum",
    purpose="parts",
    elementwise=False,
    exact=[exact_at(0, alpha=0), exact_at(1, alpha=1)],
)
def tensor_sum(
    a: Tensor, b: Tensor, *, alpha: Annotated[float, WIDTH] = 0.5, beta: Annotated[float, OFFSET] = 0.0
) -> Tensor:
    """Take a run of rows from B, whole output channels, and the others from A.

        out = B in rows [beta n, (alpha + beta) n) of n, else A

    alpha 0 is A and alpha 1 is B, to the bit, and every row is one of theirs. Rows that would lie beyond
    the end are taken from the beginning. A single number is B's from alpha 0.5 on.
    """
    if a.ndim == 0:
        return (b if alpha >= 0.5 else a).clone()
    return _slice(a, b, 0, alpha, beta)


@merge_method(
    "tensor2_sum",
    title="Tensor slices, by column",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, tensormerge, calcmode 'tensor2'",
    purpose="parts",
    elementwise=False,
    exact=[exact_at(0, alpha=0), exact_at(1, alpha=1)],
)
def tensor2_sum(
    a: Tensor, b: Tensor, *, alpha: Annotated[float, WIDTH] = 0.5, beta: Annotated[float, OFFSET] = 0.0
) -> Tensor:
    """Take a run of columns from B, whole input channels, and the others from A; rows where columns are few.

        out = B in columns [beta n, (alpha + beta) n) of n, else A

    alpha 0 is A and alpha 1 is B, to the bit. Up to 100 columns the rows are sliced instead: SuperMerger
    counts the rows there and then slices columns by that count, which is taken for a slip.
    """
    if a.ndim == 0:
        return (b if alpha >= 0.5 else a).clone()
    return _slice(a, b, 1 if a.ndim > 1 and a.shape[1] > WIDE else 0, alpha, beta)


@merge_method(
    "top_k_tensor_sum",
    title="Top-k tensor sum",
    source="s1dlx meh, sd_meh/merge_methods.py, top_k_tensor_sum",
    purpose="parts",
    elementwise=False,
    exact=[exact_at(0, alpha=0)],
    exempt={
        "changes nothing": "of equal models with equal numbers any may stand for any: it does hold",
        "float64": "rounding errors, which differ between dtypes, decide ranks",
    },
)
def top_k_tensor_sum(
    a: Tensor, b: Tensor, *, alpha: Annotated[float, WIDTH] = 0.5, beta: Annotated[float, OFFSET] = 0.0
) -> Tensor:
    """Give A's numbers the order of B's: where B has its largest number, A's largest goes.

        out = sort(A)[rank of B] where the size of that number ranks in [beta, alpha + beta) of all, else A

    alpha 0 is A, to the bit. alpha 1 has A's numbers and B's order. Ranks of sizes count from the smallest
    and go on from it where the window passes the end.
    """
    count = a.numel()
    if count == 0:
        return a.clone()
    ordered = sort_values(a.reshape(-1))
    around = alpha + beta > 1
    start, stop = (alpha + beta - 1, beta) if around else (beta, alpha + beta)
    low, high = (_size_of_rank(ordered, round(share * count)) for share in (start, stop))
    # of numbers in their order those with sizes in a window are two runs, one below 0 and one above
    edges = torch.tensor([-high, -low, low, high], dtype=a.dtype, device=a.device)
    left = [int(index) for index in torch.searchsorted(ordered, edges)]
    right = [int(index) for index in torch.searchsorted(ordered, edges, right=True)]
    runs = [(left[0], left[1]), (right[2], right[3])] if low >= 0 else [(left[0], right[3])]
    if around:
        runs = [(0, runs[0][0]), *((one[1], two[0]) for one, two in pairwise(runs)), (runs[-1][1], count)]
    order = stable_argsort(b.reshape(-1))
    out = a.reshape(-1).clone()
    for first, last in runs:
        if last > first:
            out.scatter_(0, order[first:last], ordered[first:last])
    return out.view(a.shape)


def _size_of_rank(ordered: Tensor, rank: int) -> float:
    """The magnitude of rank `rank` (from 1) of sorted numbers; less than any magnitude for rank 0."""
    rank = min(rank, ordered.numel())
    return kth_smallest([ordered], torch.abs, ordered.dtype, rank) if rank > 0 else -1.0


@merge_method(
    "distribution_crossover",
    title="Distribution crossover",
    source="s1dlx meh, sd_meh/merge_methods.py, distribution_crossover",
    purpose="parts",
    elementwise=False,
    exact=[exact_at(0, alpha=0, beta=0), exact_at(1, alpha=1, beta=0)],
)
def distribution_crossover(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: Annotated[
        float, Range(0, 1, help="the share of frequencies that is B's: 0 keeps A", min=0, max=1)
    ] = 0.5,
    beta: Annotated[float, Range(0, 1, help="how softly one goes over into the other", min=0, max=1)] = 0.0,
) -> Tensor:
    """Put A and B into the order of C's numbers, and take the slow changes of B and the fast ones of A.

        out = undo(irfft((1 - h) rfft(B sorted by C) + h rfft(A sorted by C)))
        h = clamp((f - alpha) / beta + 1 / 2, 0, 1) at the frequency f from 0 to 1; a step where beta is 0

    At beta 0, alpha 0 is A and alpha 1 is B, to the bit. sd-meh's alpha goes the other way, from B to A:
    its (A, B) are (B, A) here.
    """
    if a.numel() < 2:
        return torch.lerp(a, b, alpha)
    order = stable_argsort(c.reshape(-1))
    # A and what B's slow changes bring: see frequencies
    slow = rfftn(a.reshape(-1).index_select(0, order).neg_().add_(b.reshape(-1).index_select(0, order)))
    frequency = torch.arange(slow.numel(), dtype=torch.float64, device=a.device).div_(slow.numel())
    if beta > 1e-10:
        slow.mul_(frequency.sub_(alpha).div_(-beta).add_(0.5).clamp_(0, 1).to(a.dtype))
    else:
        slow[int((frequency < alpha).count_nonzero()) :] = 0
    change = irfftn(slow, [a.numel()])
    return a.reshape(-1).scatter_add(0, order, change).view(a.shape)


@merge_method(
    "crossover",
    title="Fourier crossover",
    source="ljleb sd-mecha 1.1.8, merge_methods/crossover.py, for tilts from 0 to 1",
    purpose="parts",
    elementwise=False,
    exact=[exact_at(0, alpha=0), exact_at(1, alpha=1)],
)
def crossover(
    a: Tensor,
    b: Tensor,
    *,
    alpha: Annotated[
        float,
        Range(0, 1, help="the share of frequencies that is B's: 0 keeps A, 1 takes B", min=0, max=1),
    ] = 0.5,
    tilt: Annotated[float, Range(0, 1, help="0 cuts sharply, 1 is the weighted sum", min=0, max=1)] = 0.0,
) -> Tensor:
    """Take the slow changes along a tensor's axes from A and the fast ones from B.

        out = irfft((1 - h) rfft(A) + h rfft(B)), over all axes
        h = 1 where f > 1 - alpha, else 0; for a tilt, clamp((f + alpha - 1) / tan(pi tilt / 2) + alpha, 0, 1)

    f is the frequency from 0 to 1. alpha 0 is A and alpha 1 is B, to the bit; tilt 1 is the weighted sum. The
    order of channels is arbitrary, so that these frequencies mean little by themselves.
    """
    if alpha in (0, 1) or tilt == 1 or a.numel() < 2:
        return torch.lerp(a, b, alpha)

    def share(frequency: Tensor) -> Tensor:
        if tilt < 1e-10:
            return frequency > 1 - alpha
        slope = 1 / math.tan(math.pi * tilt / 2)
        return ((frequency + (alpha - 1)) * slope + alpha).clamp_(0, 1)

    return apply_filter(b - a, share).add_(a)


@merge_method(
    "near_swap",
    title="NearSwap",
    source="alchemonaut, QuartetAnemoi-70B; arcee-ai mergekit, merge_methods/nearswap.py",
    purpose="parts",
    exact=[exact_at(0, limit=0)],
)
def near_swap(
    a: Tensor,
    b: Tensor,
    *,
    limit: Annotated[
        float, Range(0, 0.1, 0.0001, help="how far a number may move: 0 keeps A", min=0)
    ] = 0.001,
) -> Tensor:
    """Take B's numbers where they are near A's, and go towards the others as far as is near.

        out = A + clamp(B - A, -limit, limit)

    limit 0 is A, to the bit; a limit of at least the largest difference is B. mergekit's weight of
    min(1, t / abs(A - B)) comes to the same.
    """
    return (b - a).clamp_(-limit, limit).add_(a)


@merge_method(
    "clamp",
    title="Clamp to bounds",
    source="ljleb sd-mecha 1.1.8, merge_methods/limiting.py; s1dlx meh, weights_clip",
    purpose="limits",
)
def clamp(
    a: Tensor,
    *bounds: Tensor,
    stiffness: Annotated[
        float,
        Range(0, 1, help="0 bounds by the outermost, 1 by those next to their mean", min=0, max=1),
    ] = 0.0,
) -> Tensor:
    """Keep each number of A between the smallest and the largest that the other models have there.

        out = min(max(A, least), greatest)

    The first model is the one that is bounded: the result of an earlier step, as a rule. A number within
    bounds stays as it is, to the bit. stiffness draws each bound towards the model's number next to the
    mean of all, on its side.
    """
    least, greatest = bounds[0].clone(), bounds[0].clone()
    for bound in bounds[1:]:
        torch.minimum(least, bound, out=least)
        torch.maximum(greatest, bound, out=greatest)
    if stiffness:
        mean = bounds[0].clone()
        for bound in bounds[1:]:
            mean.add_(bound)
        mean.div_(len(bounds))
        above, below = greatest.clone(), least.clone()
        for bound in bounds:
            torch.where((bound >= mean) & (bound < above), bound, above, out=above)
            torch.where((bound <= mean) & (bound > below), bound, below, out=below)
        greatest.lerp_(above, stiffness)
        least.lerp_(below, stiffness)
    return torch.minimum(torch.maximum(a, least, out=least), greatest, out=least)
