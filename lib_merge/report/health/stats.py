"""Statistics of single tensors, for the checks."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.checkpoint import Checkpoint
from lib_merge.progress import Progress
from lib_merge.report.stream import TensorRow, Work, split_views, stream
from lib_merge.tensors import extremes, torch

if TYPE_CHECKING:
    from torch import Tensor

STATS_STEP = 1 << 18  # elements converted at a time: 1 MB of float32


@dataclass(frozen=True)
class TensorStats:
    """Statistics of one tensor.

    count    number of elements
    low      the smallest finite element, +inf for none
    high     the largest finite element, -inf for none
    squares  the sum of squares of the finite elements
    bad      elements that are NaN or infinite
    """

    count: int = 0
    low: float = math.inf
    high: float = -math.inf
    squares: float = 0.0
    bad: int = 0

    @property
    def rms(self) -> float:
        """Root of the mean square of the finite elements."""
        good = self.count - self.bad
        return math.sqrt(self.squares / good) if good else 0.0

    @property
    def largest(self) -> float:
        """The largest absolute value of a finite element."""
        return max(-self.low, self.high, 0.0)


def combine_stats(parts: Iterable[TensorStats]) -> TensorStats:
    """The statistics of a tensor from those of its chunks, in any order."""
    parts = list(parts)
    return TensorStats(
        count=sum(part.count for part in parts),
        low=min((part.low for part in parts), default=math.inf),
        high=max((part.high for part in parts), default=-math.inf),
        squares=math.fsum(part.squares for part in parts),
        bad=sum(part.bad for part in parts),
    )


def tensor_stats(
    file: Checkpoint, keys: Sequence[str], progress: Progress, what: str
) -> dict[str, TensorStats]:
    """The statistics of every key, in one pass with a few megabytes of memory. Raises StoppedError."""
    parts: dict[str, list[TensorStats]] = {key: [] for key in keys}
    lock = threading.Lock()

    def worker() -> Work:
        buffer = torch.empty(STATS_STEP, dtype=torch.float32)

        def work(key: str, views: tuple[Tensor, ...]) -> None:
            stats = combine_stats(piece_stats(step[0], buffer) for step in split_views(views, STATS_STEP))
            with lock:
                parts[key].append(stats)

        return work

    stream([TensorRow(key, ((file, key),)) for key in keys], worker, progress, what)
    return {key: combine_stats(chunks) for key, chunks in parts.items()}


def piece_stats(piece: Tensor, buffer: Tensor | None = None) -> TensorStats:
    """The statistics of a flat chunk, in float32: finding damage needs few digits."""
    if piece.dtype == torch.float64:
        x = piece
    elif buffer is None or piece.dtype == torch.float32:
        x = piece.float()
    else:
        x = buffer[: piece.numel()].copy_(piece)
    low, high = extremes(x)
    bad = 0
    if not (math.isfinite(low) and math.isfinite(high)):
        good = x[torch.isfinite(x)]
        bad = x.numel() - good.numel()
        if not good.numel():
            return TensorStats(count=x.numel(), bad=bad)
        x = good
        low, high = extremes(x)
    squares = torch.dot(x, x).item()
    if not math.isfinite(squares):  # beyond float32
        squares = torch.dot(x.double(), x.double()).item()
    return TensorStats(piece.numel(), low, high, squares, bad)
