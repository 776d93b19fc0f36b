"""Tensors of one or several files, side by side, in pieces, on two threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.checkpoint import Checkpoint
from lib_merge.errors import StoppedError
from lib_merge.progress import Progress
from lib_merge.tensors import one_thread_each

if TYPE_CHECKING:
    from torch import Tensor

THREADS = 2
# Elements: with the buffers of a comparison 7 MB a thread, which a shared cache holds. On buffers that stay,
# 32K took 1.5 times as long (calls from Python), 128K the same; on whole files 512K took 1.2 times as long.
PIECE = 1 << 18


@dataclass(frozen=True)
class Row:
    """Tensors of equal length to be looked at together: `name`, and each as (file, key)."""

    name: str
    tensors: tuple[tuple[Checkpoint, str], ...]

    @property
    def nbytes(self) -> int:
        """The bytes to read."""
        return sum(file.info(key).nbytes for file, key in self.tensors)


Work = Callable[[str, "tuple[Tensor, ...]"], None]


def stream(rows: Sequence[Row], worker: Callable[[], Work], progress: Progress, what: str) -> None:
    """Give every piece of every row to work(name, flat views), on two threads.

    worker  makes one thread's `work`, so that each has buffers of its own; two pieces of one row may be
            worked on at the same time
    Raises StoppedError when `progress` says so; an error in one thread ends the other.
    """
    progress.start(sum(row.nbytes for row in rows), what)
    queue = _Queue(_pieces(rows))

    def drain() -> None:
        try:
            work = worker()
            while (piece := queue.take()) is not None:
                if progress.stopped():
                    raise StoppedError(f"{what}: stopped; there is no report")
                name, views = piece
                work(name, views)
                progress.advance(sum(view.numel() * view.element_size() for view in views))
        except BaseException:
            queue.closed = True
            raise

    with one_thread_each(), ThreadPoolExecutor(THREADS) as pool:
        workers = [pool.submit(drain) for _ in range(THREADS)]
        try:
            for done in workers:
                done.result()
        except BaseException:  # Ctrl-C comes to this thread alone: the others must hear of it
            queue.closed = True
            raise


def _pieces(rows: Sequence[Row]) -> Iterator[tuple[str, tuple[Tensor, ...]]]:
    for row in rows:
        flat = [file.tensor(key).reshape(-1) for file, key in row.tensors]
        for start in range(0, flat[0].numel(), PIECE):
            yield row.name, tuple(tensor[start : start + PIECE] for tensor in flat)


class _Queue:
    """Pieces, handed out one at a time until they end or someone closes it."""

    def __init__(self, pieces: Iterator[tuple[str, tuple[Tensor, ...]]]) -> None:
        self.closed = False
        self._pieces, self._lock = pieces, threading.Lock()

    def take(self) -> tuple[str, tuple[Tensor, ...]] | None:
        with self._lock:
            return None if self.closed else next(self._pieces, None)
