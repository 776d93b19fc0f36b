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
PIECE = 1 << 21  # elements; those who work on them do so in steps that a cache holds


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

    worker  makes one thread's `work`, so that each has buffers of its own (made before the threads start);
            two pieces of one row may be worked on at the same time
    Raises StoppedError when `progress` says so; an error in one thread ends the other.
    """
    progress.start(sum(row.nbytes for row in rows), what)
    queue = _Queue(_pieces(rows))

    def drain(work: Work) -> None:
        try:
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
        workers = [pool.submit(drain, work) for work in [worker() for _ in range(THREADS)]]
        try:
            for done in workers:
                done.result()
        except BaseException:  # Ctrl-C comes to this thread alone: the others must hear of it
            queue.closed = True
            raise


def _pieces(rows: Sequence[Row]) -> Iterator[tuple[str, tuple[Tensor, ...]]]:
    for row in rows:
        flat = [file.tensor(key).reshape(-1) for file, key in row.tensors]
        yield from ((row.name, views) for views in in_steps(flat, PIECE))


def in_steps(views: Sequence[Tensor], length: int) -> Iterator[tuple[Tensor, ...]]:
    """Flat views of equal length, side by side, `length` elements at a time."""
    for start in range(0, views[0].numel(), length):
        yield tuple(view[start : start + length] for view in views)


class _Queue:
    """Pieces, handed out one at a time until they end or someone closes it."""

    def __init__(self, pieces: Iterator[tuple[str, tuple[Tensor, ...]]]) -> None:
        self.closed = False
        self._pieces, self._lock = pieces, threading.Lock()

    def take(self) -> tuple[str, tuple[Tensor, ...]] | None:
        with self._lock:
            return None if self.closed else next(self._pieces, None)
