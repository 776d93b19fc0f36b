"""The numbers of single tensors that health is judged by."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.checkpoint import Checkpoint
from lib_merge.progress import Progress
from lib_merge.report.stream import Row, Work, in_steps, stream
from lib_merge.tensors import extremes, torch

if TYPE_CHECKING:
    from torch import Tensor

STEP = 1 << 18  # elements widened at a time: 1 MB of float32


@dataclass(frozen=True)
class Stats:
    """One tensor.

    count    elements
    low      the smallest finite element, high the largest; +inf and -inf where there is none
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


def combined(parts: Iterable[Stats]) -> Stats:
    """The numbers of a tensor from those of its pieces, whatever their order."""
    parts = list(parts)
    return Stats(
        count=sum(part.count for part in parts),
        low=min((part.low for part in parts), default=math.inf),
        high=max((part.high for part in parts), default=-math.inf),
        squares=math.fsum(part.squares for part in parts),
        bad=sum(part.bad for part in parts),
    )


def tensor_stats(file: Checkpoint, keys: Sequence[str], progress: Progress, what: str) -> dict[str, Stats]:
    """The numbers of every key, in one pass; memory is a few megabytes. Raises StoppedError."""
    parts: dict[str, list[Stats]] = {key: [] for key in keys}
    lock = threading.Lock()

    def worker() -> Work:
        buffer = torch.empty(STEP, dtype=torch.float32)

        def work(key: str, views: tuple[Tensor, ...]) -> None:
            found = combined(piece_stats(step[0], buffer) for step in in_steps(views, STEP))
            with lock:
                parts[key].append(found)

        return work

    stream([Row(key, ((file, key),)) for key in keys], worker, progress, what)
    return {key: combined(found) for key, found in parts.items()}


def piece_stats(piece: Tensor, buffer: Tensor | None = None) -> Stats:
    """The numbers of a flat piece; float32 will do, since damage is no matter of digits."""
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
            return Stats(count=x.numel(), bad=bad)
        x = good
        low, high = extremes(x)
    squares = torch.dot(x, x).item()
    if not math.isfinite(squares):  # beyond float32
        squares = torch.dot(x.double(), x.double()).item()
    return Stats(piece.numel(), low, high, squares, bad)
