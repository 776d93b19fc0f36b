"""Carries a plan out, piece by piece, on a few threads.

A piece is small enough for a core's cache, is read from the mapped sources, worked on in buffers
that are used again, and given to the sink: no tensor of the result exists as a whole unless a
method needs one. Which thread takes which piece changes nothing about the numbers.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lib_merge.checkpoint import Checkpoint
from lib_merge.dtypes import EIGHT_BITS, Dtype, to_torch
from lib_merge.errors import NumbersError, StoppedError
from lib_merge.execute.alignment import aligned
from lib_merge.execute.kernels import Kernel, Known, Place, kernel_of
from lib_merge.execute.overflow import Overflow
from lib_merge.execute.sinks import Sink
from lib_merge.execute.survey import Surveys, survey_models
from lib_merge.plan import PIECE, Expression, KeyPlan, Plan, Source, is_elementwise, models_of
from lib_merge.progress import Progress
from lib_merge.rebasin import Alignments
from lib_merge.tensors import Scratch, all_finite, extremes, keep_freed_memory, one_thread_each, torch

if TYPE_CHECKING:
    from torch import Tensor

# torch makes of more than that the largest number, infinity or NaN, by version
LARGEST_8 = {"F8_E4M3": 448.0, "F8_E5M2": 57344.0}
MOST_THREADS = 4  # beyond this the disk and the memory bus are the limit, not the arithmetic
DEVICE_PIECE = 1 << 24  # elements a transfer: 32 MB of fp16, so that its start costs nothing beside it


def default_threads() -> int:
    """As many threads as there are cores for them, four at most."""
    return max(1, min(MOST_THREADS, os.cpu_count() or 1))


@dataclass(frozen=True)
class Piece:
    """A stretch of one key: `operands` maps models to flat views (or whole tensors) of their data.

    count   elements of the stretch; 0 for a whole tensor
    unread  models whose operands are still to be read
    """

    entry: KeyPlan
    start: int
    operands: Mapping[int, Tensor]
    count: int = 0
    unread: tuple[int, ...] = ()


def run(
    plan: Plan,
    checkpoints: Sequence[Checkpoint],
    sink: Sink,
    *,
    progress: Progress,
    device: str = "cpu",
    threads: int | None = None,
    trusted: Container[str] = (),
    surveys: Surveys | None = None,
    alignments: Alignments | None = None,
) -> Overflow:
    """Compute every key of the plan and hand it to the sink; tells what was clipped, where the recipe asks.

    checkpoints  opened, in the order of `plan.sources`
    device       where the arithmetic runs; anything but "cpu" gets its pieces copied there, and back
                 unless the sink wants them there
    trusted      keys that are not looked through for NaN and infinity
    surveys      what earlier runs over the same files have found out about whole models; this one adds to it
    alignments   where alignments of ingredients are known from earlier runs, and kept for later ones
    Raises NumbersError where NaN or infinity turns up, at the end where results outgrow their format, so
    that all of them are counted, and StoppedError where `progress` asks for it.
    """
    checkpoints = aligned(plan, checkpoints, alignments or Alignments(), progress, device)
    progress.start(plan.nbytes, "merging")
    worker = _Worker(plan, checkpoints, sink, progress, torch.device(device), trusted)
    threads = threads or default_threads()
    keep_freed_memory()
    with one_thread_each(), ThreadPoolExecutor(threads) as pool:
        worker.known = survey_models(plan, checkpoints, pool, progress, device, surveys or Surveys())
        workers = _started(pool, worker.work, threads)
        try:
            for done in workers:
                done.result()
        except BaseException:  # Ctrl-C comes to this thread alone: the others must hear of it
            worker.failed = True
            raise
    if worker.overflow and not plan.recipe.clip:
        raise worker.overflow.refusal()
    return worker.overflow


def _started(pool: ThreadPoolExecutor, work: Callable[[], None], threads: int) -> list[Future[None]]:
    """As many threads as are wanted, or as the system gives; RuntimeError where it gives none."""
    started: list[Future[None]] = []
    for _ in range(threads):
        try:
            started.append(pool.submit(work))
        except RuntimeError:
            if not started:
                raise
            break
    return started


class _Worker:
    """What the threads of one run share: the queue of pieces and the word to stop."""

    def __init__(
        self,
        plan: Plan,
        checkpoints: Sequence[Checkpoint],
        sink: Sink,
        progress: Progress,
        device: torch.device,
        trusted: Container[str],
    ) -> None:
        self.plan, self.checkpoints, self.sink = plan, checkpoints, sink
        self.progress, self.device, self.trusted = progress, device, trusted
        self.overflow = Overflow()
        self.kernels: dict[Expression, Kernel] = {}
        self.known: Known = {}
        self.family = plan.identity.family.id
        self.pieces = self._pieces()
        self.lock = threading.Lock()
        self.failed = False

    def work(self) -> None:
        """Take pieces until there are none; on any failure let the other threads stop too."""
        scratch = Scratch()
        try:
            while not self.failed and (piece := self._next()) is not None:
                if self.progress.stopped():
                    raise StoppedError("stopped; nothing was written")
                self._do(piece, scratch)
        except BaseException:
            self.failed = True
            raise

    def _next(self) -> Piece | None:
        with self.lock:
            return next(self.pieces, None)

    def _pieces(self) -> Iterator[Piece]:
        size = PIECE if self.device.type == "cpu" else DEVICE_PIECE
        for entry in self.plan.keys:
            if entry.expression is None:
                yield Piece(entry, 0, {})
                continue
            models = models_of(entry.expression) | ({self.plan.base} if entry.channels else frozenset[int]())
            unread = tuple(model for model in sorted(models) if not self.checkpoints[model].mapped)
            tensors = {
                model: self.checkpoints[model].tensor(entry.key)
                for model in sorted(models)
                if model not in unread
            }
            if entry.channels is not None:
                yield Piece(entry, 0, tensors, unread=unread)
            elif not is_elementwise(entry.expression):
                whole = {model: tensor.reshape(entry.shape) for model, tensor in tensors.items()}
                yield Piece(entry, 0, whole, unread=unread)
            else:
                flat = {model: tensor.reshape(-1) for model, tensor in tensors.items()}
                for start in range(0, entry.numel, size):
                    stop = min(start + size, entry.numel)
                    views = {model: tensor[start:stop] for model, tensor in flat.items()}
                    yield Piece(entry, start, views, stop - start, unread)

    def _read(self, piece: Piece, scratch: Scratch) -> Piece:
        """The piece with all its operands, those in mapped files still there."""
        for model in piece.operands:
            self.checkpoints[model].check()
        if not piece.unread:
            return piece
        operands = dict(piece.operands)
        for model in piece.unread:
            operands[model] = self._operand(piece, model, scratch)
        return replace(piece, operands=dict(sorted(operands.items())), unread=())

    def _operand(self, piece: Piece, model: int, scratch: Scratch) -> Tensor:
        file, key = self.checkpoints[model], piece.entry.key
        if not piece.count:
            tensor = file.tensor(key)
            return tensor if piece.entry.channels is not None else tensor.reshape(piece.entry.shape)
        dtype = to_torch(file.info(key).dtype)

        def room(most: int) -> Tensor:
            return scratch.room(f"file {model}", dtype, min(piece.count, most))

        return file.stretch(key, piece.start, room)

    def _do(self, piece: Piece, scratch: Scratch) -> None:
        entry = piece.entry
        piece = self._read(piece, scratch)
        result = self._compute(piece, scratch)
        if entry.key not in self.trusted and entry.dtype.floating and not _fits(result, entry.dtype):
            result = self._clipped(piece, result)
        elif result.dtype != to_torch(entry.dtype):
            result = result.to(to_torch(entry.dtype))
        self.sink.accept(entry, piece.start, result.reshape(-1).contiguous())
        self.progress.advance(result.numel() * entry.dtype.itemsize)

    def _compute(self, piece: Piece, scratch: Scratch) -> Tensor:
        entry = piece.entry
        # eight bits come last, so that what outgrows them is seen
        dtype = torch.float32 if entry.dtype in EIGHT_BITS else to_torch(entry.dtype)
        if entry.expression is None:
            return torch.arange(entry.numel, dtype=dtype)
        if isinstance(entry.expression, Source) and entry.channels is None:
            operand = piece.operands[entry.expression.model]
            if operand.dtype == to_torch(entry.dtype):
                return operand
        operands = {model: operand.to(self.device) for model, operand in piece.operands.items()}
        if entry.channels is not None:
            return self._placed(self._partial(entry, operands, scratch))
        like = next(iter(operands.values()))
        out = None if entry.dtype in EIGHT_BITS else self.sink.room(entry, piece.start, like.numel())
        if out is None or out.device != like.device:
            out = scratch.take("out", dtype, like)
        else:
            out = out.view(like.shape)
        place = Place(entry.key, piece.start, self.known, self.family)
        self._kernel(entry.expression)(operands, out, scratch, place)
        return self._placed(out)

    def _placed(self, result: Tensor) -> Tensor:
        return result if self.sink.keeps_device else result.cpu()

    def _partial(self, entry: KeyPlan, operands: Mapping[int, Tensor], scratch: Scratch) -> Tensor:
        """A's tensor with its first input channels merged: inpainting with plain models."""
        assert entry.expression is not None
        out = operands[self.plan.base].to(to_torch(entry.dtype), copy=True)
        narrow = {model: operand[:, : entry.channels].contiguous() for model, operand in operands.items()}
        merged = torch.empty_like(out[:, : entry.channels], memory_format=torch.contiguous_format)
        self._kernel(entry.expression)(narrow, merged, scratch, Place(entry.key, 0, self.known, self.family))
        out[:, : entry.channels] = merged
        return out

    def _kernel(self, expression: Expression) -> Kernel:
        if expression not in self.kernels:
            self.kernels[expression] = kernel_of(expression)
        return self.kernels[expression]

    def _clipped(self, piece: Piece, result: Tensor) -> Tensor:
        """Counts what outgrew the format of a result whose inputs are sound, and cuts it to the largest."""
        entry = piece.entry
        sound = all(bool(torch.isfinite(each.float()).all()) for each in piece.operands.values())
        numbers = result.float()
        if not sound or bool(torch.isnan(numbers).any()):
            raise self._diagnose(piece)
        most = LARGEST_8.get(entry.dtype.name) or torch.finfo(to_torch(entry.dtype)).max
        with self.lock:
            self.overflow.count(entry, int((numbers.abs() > most).sum()))
        return numbers.clamp(-most, most).to(to_torch(entry.dtype))

    def _diagnose(self, piece: Piece) -> NumbersError:
        """Say which file brought NaN or infinity in, or that the method made it."""
        key = piece.entry.key
        for model, operand in piece.operands.items():
            bad = operand.numel() - int(torch.isfinite(operand.float()).sum())
            if bad:
                whose = f"{self.plan.names[model]} ({self.plan.sources[model].name})"
                return NumbersError(
                    f"{whose} holds NaN or infinity: {bad} of {operand.numel()} values",
                    where=key,
                    hint="this file is damaged: get it again, or take this block from another model",
                )
        return NumbersError(
            "the method gives what is no number (NaN)", where=key, hint="smaller amounts, or another method"
        )


def _fits(result: Tensor, dtype: Dtype) -> bool:
    """Whether all is finite, and in reach of eight bits where those are wanted."""
    if dtype not in EIGHT_BITS:
        return all_finite(result)
    if result.dtype == to_torch(dtype):
        return True  # as a file has it
    most = LARGEST_8[dtype.name]
    if result.numel() == 0:
        return True
    low, high = extremes(result)
    return -most <= low and high <= most
