"""SuperMerger's cosine modes, as it computes them and put right.

Two passes: the first takes the cosine of every column of A with the same column of B (axis 0, so
that a column is what one input number goes to) over the whole model but the VAE, and keeps the range
that is left without the lowest and the highest hundredth. The second turns each column's cosine into
its share of A or B. SuperMerger's A variant adds the whole tensor's cosine in the second pass alone.

Once the columns of a tensor are known, a number of the result depends on the numbers in its place and
on its column: they are gone over in stretches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from lib_merge.methods.numerics import STRETCH
from lib_merge.registry import Knob, Start, Survey, end, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

SUPERMERGER = "hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, precosine and cosine"
SHIFT = Knob(0, 1, help="0 is NOT A, but as much of A as there is; 1 is B, but for a few columns")
AMOUNT_OF_B = Knob(0, 1, help="0 keeps A, 1 takes B; between, columns that differ go to B first")
SHORTEST = 1e-8  # a column's length below it counts as that, as in torch.nn.CosineSimilarity
# The same where the columns are normalised first: torch.nn.functional.normalize divides by at least 1e-12.
SHORTEST_NORMALISED = 1e-12 * SHORTEST
SPREAD = {"float64": "cosines are divided by their spread over the model, which may be a rounding error"}


def _sums(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """For every column: A B, A A and B B, in float64."""
    first, second = _as_rows(a), _as_rows(b)
    rows, width = first.shape
    total = torch.zeros(3, width, dtype=torch.float64, device=a.device)
    step = max(1, STRETCH // max(width, 1)) if a.device.type == "cpu" else max(rows, 1)
    for start in range(0, rows, step):
        one, two = (tensor[start : start + step].to(dtype) for tensor in (first, second))
        total[0] += (one * two).sum(0)
        total[1] += one.square().sum(0)
        total[2] += two.square().sum(0)
    if dtype != torch.float64 and not bool(total.isfinite().all()):
        return _sums(a, b, torch.float64)  # squares beyond float32
    return total


def _as_rows(tensor: Tensor) -> Tensor:
    """One row for each place of axis 0."""
    rows = tensor.shape[0] if tensor.ndim else 1
    return tensor.reshape(rows, tensor.numel() // max(rows, 1))


def _columns(sums: Tensor, shortest: float) -> Tensor:
    """The cosines of the columns, none of them shorter than so much."""
    product, square_a, square_b = sums
    # one root of both: where the columns are equal the cosine is 1, to the bit
    return product / (square_a.clamp(min=shortest**2) * square_b.clamp(min=shortest**2)).sqrt_()


def _overall(sums: Tensor) -> float:
    """The cosine of the whole tensors; where one of them is 0 it says nothing."""
    product, square_a, square_b = (float(total) for total in sums.sum(1))
    return product / math.sqrt(square_a * square_b) if square_a * square_b else math.nan


def _overall_of_columns(sums: Tensor) -> float:
    """The cosine of the whole tensors with every column at length 1."""
    _, square_a, square_b = sums
    filled = (square_a > 0).sum() * (square_b > 0).sum()
    return float(_columns(sums, SHORTEST_NORMALISED).sum() / filled.sqrt()) if filled else math.nan


def _look_a(a: Tensor, b: Tensor, *, dtype: torch.dtype) -> Tensor:
    return _columns(_sums(a, b, dtype), SHORTEST_NORMALISED)


def _look_b(a: Tensor, b: Tensor, *, dtype: torch.dtype) -> Tensor:
    sums = _sums(a, b, dtype)
    return _columns(sums, SHORTEST).add_(_overall(sums)).div_(2)


def _measure_a(a: Tensor, b: Tensor, *, dtype: torch.dtype) -> Tensor:
    sums = _sums(a, b, dtype)
    return _columns(sums, SHORTEST_NORMALISED).add_(_overall_of_columns(sums)).div_(2)


def bounds(looks: Sequence[Tensor]) -> tuple[float, float]:
    """The least and the greatest cosine of the model, without the lowest and the highest hundredth."""
    every = torch.cat([look.reshape(-1) for look in looks])
    every = every[~every.isnan()].sort().values
    if not every.numel():
        return 0.0, 0.0
    every = every[every >= _percentile(every, 0.01)]
    every = every[every <= _percentile(every, 0.99)]
    return float(every[0]), float(every[-1])


def _percentile(ordered: Tensor, share: float) -> float:
    """The middle of the two numbers between which it lies, as numpy's method 'midpoint'."""
    place = share * (ordered.numel() - 1)
    nearest = round(place)
    if abs(place - nearest) < 1e-9:
        return float(ordered[nearest])
    return float((ordered[math.floor(place)] + ordered[math.ceil(place)]) / 2)


def _likeness(columns: Tensor, low: float, high: float) -> Tensor:
    """From 0 for the least alike of the model to 1 for the most; 1 where nothing tells them apart."""
    if high <= low:
        return torch.ones_like(columns)
    return ((columns - low) / (high - low)).nan_to_num_(nan=1.0)


def _mixed(a: Tensor, b: Tensor, share_of_b: Tensor, start: int) -> Tensor:
    """Each column of B by its share, of a stretch that begins with a tensor's element `start`."""
    count = a.numel()
    if not count:
        return torch.empty_like(a)
    first, shares = start % len(share_of_b), share_of_b.to(a.dtype)
    shares = shares.repeat(-(-(first + count) // len(shares)))[first : first + count]
    return torch.lerp(a.reshape(-1), b.reshape(-1), shares).view(a.shape)


@merge_method(
    "cosine_a",
    title="Cosine A",
    source=f"{SUPERMERGER}, calcmode 'cosineA', with an alpha that begins at A",
    ends=[end(0, alpha=0), end(1, alpha=1)],
    exempt=SPREAD,
)
def cosine_a(
    a: Tensor,
    b: Tensor,
    *,
    alpha: Annotated[float, AMOUNT_OF_B] = 0.5,
    spread: Annotated[Sequence[float] | None, Survey(_look_a, bounds)] = None,
    columns: Annotated[Tensor | None, Survey(_look_a)] = None,
    start: Annotated[int, Start()] = 0,
) -> Tensor:
    """Go from A to B column by column, those first in which they differ most.

        out = A + clamp(2 alpha - m, 0, 1) (B - A)
        m = the cosine of the column of A with that of B, scaled to 0 .. 1 over the model

    alpha 0 is A and alpha 1 is B, to the bit. From alpha a half up it is supermerger_cosine_a at 2 alpha - 1,
    but that the cosines are those that were scaled.
    """
    low, high = spread or bounds([_look_a(a, b, dtype=a.dtype)])
    columns = _look_a(a, b, dtype=a.dtype) if columns is None else columns
    likeness = _likeness(columns, low, high).clamp_(0, 1)
    return _mixed(a, b, (2 * alpha - likeness).clamp_(0, 1), start)


@merge_method(
    "cosine_b",
    title="Cosine B",
    source=f"{SUPERMERGER}, calcmode 'cosineB', with an alpha that begins at A",
    ends=[end(0, alpha=0), end(1, alpha=1)],
    exempt=SPREAD,
)
def cosine_b(
    a: Tensor,
    b: Tensor,
    *,
    alpha: Annotated[float, AMOUNT_OF_B] = 0.5,
    spread: Annotated[Sequence[float] | None, Survey(_look_b, bounds)] = None,
    columns: Annotated[Tensor | None, Survey(_look_b)] = None,
    start: Annotated[int, Start()] = 0,
) -> Tensor:
    """Go from A to B column by column, those first in which they differ most, in tensors that differ most.

        out = A + clamp(2 alpha - m, 0, 1) (B - A)
        m = the mean of the column's cosine and the whole tensor's, scaled to 0 .. 1 over the model

    alpha 0 is A and alpha 1 is B, to the bit. From alpha a half up it is supermerger_cosine_b at 2 alpha - 1.
    """
    low, high = spread or bounds([_look_b(a, b, dtype=a.dtype)])
    columns = _look_b(a, b, dtype=a.dtype) if columns is None else columns
    likeness = _likeness(columns, low, high).clamp_(0, 1)
    return _mixed(a, b, (2 * alpha - likeness).clamp_(0, 1), start)


@merge_method(
    "supermerger_cosine_a",
    title="Cosine A of SuperMerger",
    source=f"{SUPERMERGER}, calcmode 'cosineA'",
    exempt=SPREAD,
)
def supermerger_cosine_a(
    a: Tensor,
    b: Tensor,
    *,
    alpha: Annotated[float, SHIFT] = 0.0,
    spread: Annotated[Sequence[float] | None, Survey(_look_a, bounds)] = None,
    columns: Annotated[Tensor | None, Survey(_measure_a)] = None,
    start: Annotated[int, Start()] = 0,
) -> Tensor:
    """Keep A's columns where A and B are alike and take B's where they differ, as SuperMerger does it.

        out = B + clamp(m - abs(alpha), 0, 1) (A - B)
        m = (column's cosine + whole tensor's) / 2, scaled by the range of the columns' cosines

    alpha 1 is B but for columns that lie beyond the range, alpha 0 is not A: cosine_a's are. The whole
    tensor's cosine is taken with every column at length 1, and is no part of the range that scales it.
    """
    low, high = spread or bounds([_look_a(a, b, dtype=a.dtype)])
    columns = _measure_a(a, b, dtype=a.dtype) if columns is None else columns
    return _mixed(b, a, _likeness(columns, low, high).sub_(abs(alpha)).clamp_(0, 1), start)


@merge_method(
    "supermerger_cosine_b",
    title="Cosine B of SuperMerger",
    source=f"{SUPERMERGER}, calcmode 'cosineB'",
    exempt=SPREAD,
)
def supermerger_cosine_b(
    a: Tensor,
    b: Tensor,
    *,
    alpha: Annotated[float, SHIFT] = 0.0,
    spread: Annotated[Sequence[float] | None, Survey(_look_b, bounds)] = None,
    columns: Annotated[Tensor | None, Survey(_look_b)] = None,
    start: Annotated[int, Start()] = 0,
) -> Tensor:
    """Keep A's columns where A and B are alike, in tensors that are alike, as SuperMerger does it.

        out = B + clamp(m - alpha, 0, 1) (A - B)
        m = (column's cosine + whole tensor's) / 2, scaled by its range over the model

    alpha 1 is B but for columns that lie beyond the range, alpha 0 is not A: cosine_b's are.
    """
    low, high = spread or bounds([_look_b(a, b, dtype=a.dtype)])
    columns = _look_b(a, b, dtype=a.dtype) if columns is None else columns
    return _mixed(b, a, _likeness(columns, low, high).sub_(alpha).clamp_(0, 1), start)
