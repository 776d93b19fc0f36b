"""Reads tensors of one or several files in parallel, in chunks, on two threads."""

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
from lib_merge.tensors import Scratch, torch_single_threaded

if TYPE_CHECKING:
    import torch
    from torch import Tensor

READER_THREADS = 2
PIECE_ELEMENTS = 1 << 21  # elements; workers split them into steps that fit into the CPU cache


@dataclass(frozen=True)
class TensorRow:
    """Tensors of equal length that are read together, each as (file, key)."""

    name: str
    tensors: tuple[tuple[Checkpoint, str], ...]

    @property
    def nbytes(self) -> int:
        """The number of bytes to read."""
        return sum(file.info(key).nbytes for file, key in self.tensors)


Work = Callable[[str, "tuple[Tensor, ...]"], None]


def stream(rows: Sequence[TensorRow], worker: Callable[[], Work], progress: Progress, what: str) -> None:
    """Call work(name, flat views) for every chunk of every row, on two threads.

    worker  creates the `work` of one thread, with its own buffers, before the threads start; two chunks of
            one row may be processed at the same time
    Raises StoppedError when `progress` is stopped; an error in one thread ends the other.
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

    with torch_single_threaded(), ThreadPoolExecutor(READER_THREADS) as pool:
        workers = [pool.submit(drain, work) for work in [worker() for _ in range(READER_THREADS)]]
        try:
            for done in workers:
                done.result()
        except BaseException:  # Ctrl-C is raised in this thread only; the others must end too
            queue.closed = True
            raise


@dataclass(frozen=True)
class _Piece:
    """A chunk of a row: `count` elements from `start` on."""

    row: TensorRow
    start: int
    count: int


def _pieces(rows: Sequence[TensorRow]) -> Iterator[_Piece]:
    for row in rows:
        file, key = row.tensors[0]
        whole = file.info(key).numel
        for start in range(0, whole, PIECE_ELEMENTS):
            yield _Piece(row, start, min(PIECE_ELEMENTS, whole - start))


def _views(piece: _Piece, scratch: Scratch) -> tuple[Tensor, ...]:
    """The chunk's tensors as flat views; what is not memory-mapped is read into reused buffers."""
    views: list[Tensor] = []
    for number, (file, key) in enumerate(piece.row.tensors):
        if file.mapped:
            views.append(file.tensor(key).reshape(-1)[piece.start : piece.start + piece.count])
            continue
        dtype = to_torch(file.info(key).dtype)

        def buffer(most: int, name: str = f"file {number}", dtype: torch.dtype = dtype) -> Tensor:
            return scratch.buffer(name, dtype, min(piece.count, most))

        views.append(file.read_chunk(key, piece.start, buffer))
    return tuple(views)


def split_views(views: Sequence[Tensor], length: int) -> Iterator[tuple[Tensor, ...]]:
    """Flat views of equal length, side by side, `length` elements at a time."""
    for start in range(0, views[0].numel(), length):
        yield tuple(view[start : start + length] for view in views)


class _Queue:
    """A thread-safe queue of chunks, which can be closed."""

    def __init__(self, pieces: Iterator[_Piece]) -> None:
        self.closed = False
        self._pieces, self._lock = pieces, threading.Lock()

    def take(self) -> _Piece | None:
        with self._lock:
            return None if self.closed else next(self._pieces, None)
