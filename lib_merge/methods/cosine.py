"""SuperMerger's cosine modes, as it computes them (supermerger_cosine_*) and corrected (cosine_*).

Two passes. The first computes the cosine similarity of every column of A with the same column of B (along
axis 0: a column holds the weights of one input channel) over the whole model without the VAE, and the range
of these cosines without the lowest and the highest hundredth. The second scales each column's cosine to this
range and makes it the column's weight of A or B. SuperMerger's variant A adds the cosine of the whole tensor
in the second pass alone.

With the cosines of its columns, a tensor is computed element by element, in chunks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from lib_merge.methods.numerics import CHUNK
from lib_merge.parameters import Offset, Range, Reduction
from lib_merge.registry import exact_at, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

SUPERMERGER_SOURCE = "hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, precosine and cosine"
SHIFT = Range(0, 1, help="0 is NOT A, but as near to A as this mode gets; 1 is B, except for a few columns")
AMOUNT_OF_B = Range(0, 1, help="0 keeps A, 1 takes B; between, columns that differ go to B first")
MIN_NORM = 1e-8  # smaller norms of a column are set to it, as eps of torch.nn.CosineSimilarity
# The same where columns are normalized first: torch.nn.functional.normalize divides by at least 1e-12.
MIN_NORM_NORMALIZED = 1e-12 * MIN_NORM
SPREAD = {"float64": "cosines are divided by their range over the model, which may be a rounding error"}
NEVER_A = {"neutral amount": "SuperMerger's has none: at no alpha are all columns A's"}


def _column_products(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """For every column the dot products A B, A A and B B, in float64; shape (3, columns)."""
    first, second = _as_rows(a), _as_rows(b)
    rows, width = first.shape
    total = torch.zeros(3, width, dtype=torch.float64, device=a.device)
    step = max(1, CHUNK // max(width, 1)) if a.device.type == "cpu" else max(rows, 1)
    for start in range(0, rows, step):
        one, two = (tensor[start : start + step].to(dtype) for tensor in (first, second))
        total[0] += (one * two).sum(0)
        total[1] += one.square().sum(0)
        total[2] += two.square().sum(0)
    if dtype != torch.float64 and not bool(total.isfinite().all()):
        return _column_products(a, b, torch.float64)  # squares overflow float32
    return total


def _as_rows(tensor: Tensor) -> Tensor:
    """The tensor as a matrix with one row for each index of axis 0."""
    rows = tensor.shape[0] if tensor.ndim else 1
    return tensor.reshape(rows, tensor.numel() // max(rows, 1))


def _column_cosines(sums: Tensor, min_norm: float) -> Tensor:
    """The cosine similarity of every column; smaller norms are set to `min_norm`."""
    product, square_a, square_b = sums
    # one root of both: where the columns are equal the cosine is 1, to the bit
    return product / (square_a.clamp(min=min_norm**2) * square_b.clamp(min=min_norm**2)).sqrt_()


def _tensor_cosine(sums: Tensor) -> float:
    """The cosine similarity of the whole tensors; NaN where one of them is 0."""
    product, square_a, square_b = (float(total) for total in sums.sum(1))
    return product / math.sqrt(square_a * square_b) if square_a * square_b else math.nan


def _normalized_tensor_cosine(sums: Tensor) -> float:
    """The cosine similarity of the whole tensors after every column is normalized; NaN where one is 0."""
    _, square_a, square_b = sums
    filled = (square_a > 0).sum() * (square_b > 0).sum()
    return float(_column_cosines(sums, MIN_NORM_NORMALIZED).sum() / filled.sqrt()) if filled else math.nan


def _cosines_a(a: Tensor, b: Tensor, *, dtype: torch.dtype) -> Tensor:
    return _column_cosines(_column_products(a, b, dtype), MIN_NORM_NORMALIZED)


def _cosines_b(a: Tensor, b: Tensor, *, dtype: torch.dtype) -> Tensor:
    sums = _column_products(a, b, dtype)
    return _column_cosines(sums, MIN_NORM).add_(_tensor_cosine(sums)).div_(2)


def _supermerger_cosines_a(a: Tensor, b: Tensor, *, dtype: torch.dtype) -> Tensor:
    sums = _column_products(a, b, dtype)
    return _column_cosines(sums, MIN_NORM_NORMALIZED).add_(_normalized_tensor_cosine(sums)).div_(2)


def cosine_range(cosines: Sequence[Tensor]) -> tuple[float, float]:
    """The range of the model's cosines without the lowest and the highest hundredth."""
    values = torch.cat([tensor.reshape(-1) for tensor in cosines])
    values = values[~values.isnan()].sort().values
    if not values.numel():
        return 0.0, 0.0
    values = values[values >= _percentile(values, 0.01)]
    values = values[values <= _percentile(values, 0.99)]
    return float(values[0]), float(values[-1])


def _percentile(ordered: Tensor, quantile: float) -> float:
    """numpy.quantile of sorted values with the method 'midpoint'."""
    rank = quantile * (ordered.numel() - 1)
    nearest = round(rank)
    if abs(rank - nearest) < 1e-9:
        return float(ordered[nearest])
    return float((ordered[math.floor(rank)] + ordered[math.ceil(rank)]) / 2)


def _scale_to_range(columns: Tensor, low: float, high: float) -> Tensor:
    """Cosines scaled to 0 for the lowest and 1 for the highest of the model; 1 where they are all equal."""
    if high <= low:
        return torch.ones_like(columns)
    return ((columns - low) / (high - low)).nan_to_num_(nan=1.0)


def _mix_columns(a: Tensor, b: Tensor, weights_of_b: Tensor, start: int) -> Tensor:
    """A and B mixed by a weight for each column, in a chunk that begins at element `start` of the tensor."""
    count = a.numel()
    if not count:
        return torch.empty_like(a)
    first, weights = start % len(weights_of_b), weights_of_b.to(a.dtype)
    weights = weights.repeat(-(-(first + count) // len(weights)))[first : first + count]
    return torch.lerp(a.reshape(-1), b.reshape(-1), weights).view(a.shape)


@merge_method(
    "cosine_a",
    title="Cosine A",
    source=f"{SUPERMERGER_SOURCE}, calcmode 'cosineA', with an alpha that begins at A",
    exact=[exact_at(0, alpha=0), exact_at(1, alpha=1)],
    exempt=SPREAD,
)
def cosine_a(
    a: Tensor,
    b: Tensor,
    *,
    alpha: Annotated[float, AMOUNT_OF_B] = 0.5,
    limits: Annotated[Sequence[float] | None, Reduction(_cosines_a, cosine_range)] = None,
    columns: Annotated[Tensor | None, Reduction(_cosines_a)] = None,
    start: Annotated[int, Offset()] = 0,
) -> Tensor:
    """Interpolate from A to B column by column, beginning with the columns that differ most.

        out = A + clamp(2 alpha - m, 0, 1) (B - A)
        m = the cosine of the column of A with that of B, scaled to 0 .. 1 over the model

    alpha 0 is A and alpha 1 is B, to the bit. From alpha 0.5 on it is supermerger_cosine_a at 2 alpha - 1,
    except that the cosine of the whole tensor is not added.
    """
    low, high = limits or cosine_range([_cosines_a(a, b, dtype=a.dtype)])
    columns = _cosines_a(a, b, dtype=a.dtype) if columns is None else columns
    similarity = _scale_to_range(columns, low, high).clamp_(0, 1)
    return _mix_columns(a, b, (2 * alpha - similarity).clamp_(0, 1), start)


@merge_method(
    "cosine_b",
    title="Cosine B",
    source=f"{SUPERMERGER_SOURCE}, calcmode 'cosineB', with an alpha that begins at A",
    exact=[exact_at(0, alpha=0), exact_at(1, alpha=1)],
    exempt=SPREAD,
)
def cosine_b(
    a: Tensor,
    b: Tensor,
    *,
    alpha: Annotated[float, AMOUNT_OF_B] = 0.5,
    limits: Annotated[Sequence[float] | None, Reduction(_cosines_b, cosine_range)] = None,
    columns: Annotated[Tensor | None, Reduction(_cosines_b)] = None,
    start: Annotated[int, Offset()] = 0,
) -> Tensor:
    """Interpolate from A to B column by column, beginning with columns and tensors that differ most.

        out = A + clamp(2 alpha - m, 0, 1) (B - A)
        m = the mean of the column's cosine and the whole tensor's, scaled to 0 .. 1 over the model

    alpha 0 is A and alpha 1 is B, to the bit. From alpha 0.5 on it is supermerger_cosine_b at 2 alpha - 1.
    """
    low, high = limits or cosine_range([_cosines_b(a, b, dtype=a.dtype)])
    columns = _cosines_b(a, b, dtype=a.dtype) if columns is None else columns
    similarity = _scale_to_range(columns, low, high).clamp_(0, 1)
    return _mix_columns(a, b, (2 * alpha - similarity).clamp_(0, 1), start)


@merge_method(
    "supermerger_cosine_a",
    title="Cosine A of SuperMerger",
    source=f"{SUPERMERGER_SOURCE}, calcmode 'cosineA'",
    exempt={**SPREAD, **NEVER_A},
)
def supermerger_cosine_a(
    a: Tensor,
    b: Tensor,
    *,
    alpha: Annotated[float, SHIFT] = 0.0,
    limits: Annotated[Sequence[float] | None, Reduction(_cosines_a, cosine_range)] = None,
    columns: Annotated[Tensor | None, Reduction(_supermerger_cosines_a)] = None,
    start: Annotated[int, Offset()] = 0,
) -> Tensor:
    """Keep A's columns where A and B are similar and take B's where they differ, as SuperMerger does.

        out = B + clamp(m - abs(alpha), 0, 1) (A - B)
        m = (column's cosine + whole tensor's) / 2, scaled by the range of the columns' cosines

    alpha 1 is B except for columns outside of the range, and alpha 0 is not A; with cosine_a they are. The
    tensor's cosine is computed from normalized columns, and does not count in the range that scales it.
    """
    low, high = limits or cosine_range([_cosines_a(a, b, dtype=a.dtype)])
    columns = _supermerger_cosines_a(a, b, dtype=a.dtype) if columns is None else columns
    return _mix_columns(b, a, _scale_to_range(columns, low, high).sub_(abs(alpha)).clamp_(0, 1), start)


@merge_method(
    "supermerger_cosine_b",
    title="Cosine B of SuperMerger",
    source=f"{SUPERMERGER_SOURCE}, calcmode 'cosineB'",
    exempt={**SPREAD, **NEVER_A},
)
def supermerger_cosine_b(
    a: Tensor,
    b: Tensor,
    *,
    alpha: Annotated[float, SHIFT] = 0.0,
    limits: Annotated[Sequence[float] | None, Reduction(_cosines_b, cosine_range)] = None,
    columns: Annotated[Tensor | None, Reduction(_cosines_b)] = None,
    start: Annotated[int, Offset()] = 0,
) -> Tensor:
    """Keep A's columns where columns and tensors of A and B are similar, as SuperMerger does.

        out = B + clamp(m - alpha, 0, 1) (A - B)
        m = (column's cosine + whole tensor's) / 2, scaled by its range over the model

    alpha 1 is B except for columns outside of the range, and alpha 0 is not A; with cosine_b they are.
    """
    low, high = limits or cosine_range([_cosines_b(a, b, dtype=a.dtype)])
    columns = _cosines_b(a, b, dtype=a.dtype) if columns is None else columns
    return _mix_columns(b, a, _scale_to_range(columns, low, high).sub_(alpha).clamp_(0, 1), start)
