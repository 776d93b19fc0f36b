"""Tensors of one or several files, side by side, in pieces, on two threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.checkpoint import Checkpoint
from lib_merge.dtypes import to_torch
from lib_merge.errors import StoppedError
from lib_merge.progress import Progress
from lib_merge.tensors import Scratch, one_thread_each

if TYPE_CHECKING:
    import torch
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
        scratch = Scratch()
        try:
            while (piece := queue.take()) is not None:
                if progress.stopped():
                    raise StoppedError(f"{what}: stopped; there is no report")
                views = _views(piece, scratch)
                work(piece.row.name, views)
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


@dataclass(frozen=True)
class _Piece:
    """A stretch of a row, `count` elements from `start` on."""

    row: Row
    start: int
    count: int


def _pieces(rows: Sequence[Row]) -> Iterator[_Piece]:
    for row in rows:
        file, key = row.tensors[0]
        whole = file.info(key).numel
        for start in range(0, whole, PIECE):
            yield _Piece(row, start, min(PIECE, whole - start))


def _views(piece: _Piece, scratch: Scratch) -> tuple[Tensor, ...]:
    """The piece's tensors, flat: of files that are not mapped in buffers that are used again."""
    views: list[Tensor] = []
    for number, (file, key) in enumerate(piece.row.tensors):
        if file.mapped:
            views.append(file.tensor(key).reshape(-1)[piece.start : piece.start + piece.count])
            continue
        dtype = to_torch(file.info(key).dtype)

        def room(most: int, name: str = f"file {number}", dtype: torch.dtype = dtype) -> Tensor:
            return scratch.room(name, dtype, min(piece.count, most))

        views.append(file.stretch(key, piece.start, room))
    return tuple(views)


def in_steps(views: Sequence[Tensor], length: int) -> Iterator[tuple[Tensor, ...]]:
    """Flat views of equal length, side by side, `length` elements at a time."""
    for start in range(0, views[0].numel(), length):
        yield tuple(view[start : start + length] for view in views)


class _Queue:
    """Pieces, handed out one at a time until they end or someone closes it."""

    def __init__(self, pieces: Iterator[_Piece]) -> None:
        self.closed = False
        self._pieces, self._lock = pieces, threading.Lock()

    def take(self) -> _Piece | None:
        with self._lock:
            return None if self.closed else next(self._pieces, None)
