"""Carries a plan out, chunk by chunk, on a few threads.

A chunk is small enough for a core's cache. It is read from the sources, computed in reused buffers and passed
to the sink: no tensor of the result exists as a whole unless a method needs it. The result does not depend on
which thread computes which chunk.
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
from lib_merge.errors import NumericalError, StoppedError
from lib_merge.execute.alignment import align_ingredients
from lib_merge.execute.kernels import ChunkRef, Kernel, Statistics, kernel_of
from lib_merge.execute.options import MergeOptions
from lib_merge.execute.overflow import Overflow
from lib_merge.execute.reductions import ReductionCache, reduce_models
from lib_merge.execute.sinks import Sink
from lib_merge.plan import LINEAR_CHUNK, Expression, KeyPlan, Plan, Source, is_elementwise, models_of
from lib_merge.progress import Progress
from lib_merge.rebasin import Alignments
from lib_merge.tensors import Scratch, all_finite, extremes, keep_freed_memory, torch, torch_single_threaded

if TYPE_CHECKING:
    from torch import Tensor

# beyond these, torch's conversion gives the largest number, infinity or NaN, depending on its version
MAX_8_BIT = {"F8_E4M3": 448.0, "F8_E5M2": 57344.0}
MAX_THREADS = 4  # beyond this the disk and the memory bandwidth are the limit, not the arithmetic
TRANSFER_ELEMENTS = 1 << 24  # of one transfer to a device: 32 MB of fp16, whose latency is negligible


def default_threads() -> int:
    """One thread per core, four at most."""
    return max(1, min(MAX_THREADS, os.cpu_count() or 1))


@dataclass(frozen=True)
class Chunk:
    """A chunk of one key: `operands` maps models to flat views (or whole tensors) of their data.

    count   elements of the chunk; 0 for a whole tensor
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
    options: MergeOptions,
    *,
    known_finite: Container[str] = (),
    reductions: ReductionCache | None = None,
) -> Overflow:
    """Compute every key of the plan and pass it to the sink; returns what was clamped, where the recipe asks.

    checkpoints   opened, in the order of `plan.sources`
    options       a device other than "cpu" gets the chunks copied to it, and the results copied back unless
                  the sink takes them there
    known_finite  keys that are not checked for NaN and infinity
    reductions    statistics of whole models from earlier runs over the same files; this run adds its own
    Raises NumericalError where NaN or infinity turns up, and at the end where results overflow their dtype,
    so that all of them are counted; StoppedError where `progress` says so.
    """
    progress, device = options.progress, options.device
    checkpoints = align_ingredients(plan, checkpoints, options.alignments or Alignments(), progress, device)
    progress.start(plan.nbytes, "merging")
    worker = _Worker(plan, checkpoints, sink, progress, torch.device(device), known_finite)
    threads = options.threads or default_threads()
    keep_freed_memory()
    with torch_single_threaded(), ThreadPoolExecutor(threads) as pool:
        worker.statistics = reduce_models(
            plan, checkpoints, pool, progress, device, reductions or ReductionCache()
        )
        try:
            for done in _started(pool, worker.work, threads):
                done.result()
        except BaseException:  # Ctrl-C is raised in this thread only: the others must stop too
            worker.failed = True
            raise
    if worker.overflow and not plan.recipe.clip:
        raise worker.overflow.to_error()
    return worker.overflow


def _started(pool: ThreadPoolExecutor, work: Callable[[], None], threads: int) -> list[Future[None]]:
    """Submit the work that many times, or as often as the system has threads; RuntimeError if it has none."""
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
    """What the threads of one run share: the queue of chunks and the flag to stop."""

    def __init__(
        self,
        plan: Plan,
        checkpoints: Sequence[Checkpoint],
        sink: Sink,
        progress: Progress,
        device: torch.device,
        known_finite: Container[str],
    ) -> None:
        self.plan, self.checkpoints, self.sink = plan, checkpoints, sink
        self.progress, self.device, self.known_finite = progress, device, known_finite
        self.overflow = Overflow()
        self.kernels: dict[Expression, Kernel] = {}
        self.statistics: Statistics = {}
        self.family = plan.identity.family.id
        self.chunks = self._chunks()
        self.lock = threading.Lock()
        self.failed = False

    def work(self) -> None:
        """Process chunks until there are none; on a failure, make the other threads stop."""
        scratch = Scratch()
        try:
            while not self.failed and (chunk := self._next()) is not None:
                if self.progress.stopped():
                    raise StoppedError("stopped; nothing was written")
                self._process(chunk, scratch)
        except BaseException:
            self.failed = True
            raise

    def _next(self) -> Chunk | None:
        with self.lock:
            return next(self.chunks, None)

    def _chunks(self) -> Iterator[Chunk]:
        size = LINEAR_CHUNK if self.device.type == "cpu" else TRANSFER_ELEMENTS
        for entry in self.plan.keys:
            if entry.expression is None:
                yield Chunk(entry, 0, {})
                continue
            models = models_of(entry.expression) | ({self.plan.base} if entry.channels else frozenset[int]())
            unread = tuple(model for model in sorted(models) if not self.checkpoints[model].mapped)
            tensors = {
                model: self.checkpoints[model].tensor(entry.key)
                for model in sorted(models)
                if model not in unread
            }
            if entry.channels is not None:
                yield Chunk(entry, 0, tensors, unread=unread)
            elif not is_elementwise(entry.expression):
                whole = {model: tensor.reshape(entry.shape) for model, tensor in tensors.items()}
                yield Chunk(entry, 0, whole, unread=unread)
            else:
                flat = {model: tensor.reshape(-1) for model, tensor in tensors.items()}
                for start in range(0, entry.numel, size):
                    stop = min(start + size, entry.numel)
                    views = {model: tensor[start:stop] for model, tensor in flat.items()}
                    yield Chunk(entry, start, views, stop - start, unread)

    def _read(self, chunk: Chunk, scratch: Scratch) -> Chunk:
        """The chunk with all its operands; CheckpointError where a mapped file was cut short."""
        for model in chunk.operands:
            self.checkpoints[model].check_size()
        if not chunk.unread:
            return chunk
        operands = dict(chunk.operands)
        for model in chunk.unread:
            operands[model] = self._operand(chunk, model, scratch)
        return replace(chunk, operands=dict(sorted(operands.items())), unread=())

    def _operand(self, chunk: Chunk, model: int, scratch: Scratch) -> Tensor:
        file, key = self.checkpoints[model], chunk.entry.key
        if not chunk.count:
            tensor = file.tensor(key)
            return tensor if chunk.entry.channels is not None else tensor.reshape(chunk.entry.shape)
        dtype = to_torch(file.info(key).dtype)

        def buffer(size: int) -> Tensor:
            return scratch.buffer(f"file {model}", dtype, min(chunk.count, size))

        return file.read_chunk(key, chunk.start, buffer)

    def _process(self, chunk: Chunk, scratch: Scratch) -> None:
        entry = chunk.entry
        chunk = self._read(chunk, scratch)
        result = self._compute(chunk, scratch)
        if entry.key not in self.known_finite and entry.dtype.floating and not _fits(result, entry.dtype):
            result = self._clamp(chunk, result)
        elif result.dtype != to_torch(entry.dtype):
            result = result.to(to_torch(entry.dtype))
        self.sink.accept(entry, chunk.start, result.reshape(-1).contiguous())
        self.progress.advance(result.numel() * entry.dtype.itemsize)

    def _compute(self, chunk: Chunk, scratch: Scratch) -> Tensor:
        entry = chunk.entry
        # conversion to eight bits comes last, so that overflow is detected
        dtype = torch.float32 if entry.dtype in EIGHT_BITS else to_torch(entry.dtype)
        if entry.expression is None:
            return torch.arange(entry.numel, dtype=dtype)
        if isinstance(entry.expression, Source) and entry.channels is None:
            operand = chunk.operands[entry.expression.model]
            if operand.dtype == to_torch(entry.dtype):
                return operand
        operands = {model: operand.to(self.device) for model, operand in chunk.operands.items()}
        if entry.channels is not None:
            return self._to_sink_device(self._partial(entry, operands, scratch))
        like = next(iter(operands.values()))
        out = None if entry.dtype in EIGHT_BITS else self.sink.buffer(entry, chunk.start, like.numel())
        if out is None or out.device != like.device:
            out = scratch.take("out", dtype, like)
        else:
            out = out.view(like.shape)
        chunk_ref = ChunkRef(entry.key, chunk.start, self.statistics, self.family)
        self._kernel(entry.expression)(operands, out, scratch, chunk_ref)
        return self._to_sink_device(out)

    def _to_sink_device(self, result: Tensor) -> Tensor:
        return result if self.sink.keeps_device else result.cpu()

    def _partial(self, entry: KeyPlan, operands: Mapping[int, Tensor], scratch: Scratch) -> Tensor:
        """A's tensor with its first input channels merged: A is an inpainting model, the others are not."""
        assert entry.expression is not None
        out = operands[self.plan.base].to(to_torch(entry.dtype), copy=True)
        narrow = {model: operand[:, : entry.channels].contiguous() for model, operand in operands.items()}
        merged = torch.empty_like(out[:, : entry.channels], memory_format=torch.contiguous_format)
        self._kernel(entry.expression)(
            narrow, merged, scratch, ChunkRef(entry.key, 0, self.statistics, self.family)
        )
        out[:, : entry.channels] = merged
        return out

    def _kernel(self, expression: Expression) -> Kernel:
        if expression not in self.kernels:
            self.kernels[expression] = kernel_of(expression)
        return self.kernels[expression]

    def _clamp(self, chunk: Chunk, result: Tensor) -> Tensor:
        """Count and clamp the values that overflow the dtype; NumericalError where inputs are not finite."""
        entry = chunk.entry
        is_finite = all(bool(torch.isfinite(operand.float()).all()) for operand in chunk.operands.values())
        numbers = result.float()
        if not is_finite or bool(torch.isnan(numbers).any()):
            raise self._diagnose(chunk)
        largest = MAX_8_BIT.get(entry.dtype.name) or torch.finfo(to_torch(entry.dtype)).max
        with self.lock:
            self.overflow.count(entry, int((numbers.abs() > largest).sum()))
        return numbers.clamp(-largest, largest).to(to_torch(entry.dtype))

    def _diagnose(self, chunk: Chunk) -> NumericalError:
        """The error that names the file with NaN or infinity, or says that the method produced it."""
        key = chunk.entry.key
        for model, operand in chunk.operands.items():
            bad = operand.numel() - int(torch.isfinite(operand.float()).sum())
            if bad:
                whose = f"{self.plan.names[model]} ({self.plan.sources[model].name})"
                return NumericalError(
                    f"{whose} holds NaN or infinity: {bad} of {operand.numel()} values",
                    where=key,
                    hint="this file is damaged: get it again, or take this block from another model",
                )
        return NumericalError("the method produces NaN", where=key, hint="smaller amounts, or another method")


def _fits(result: Tensor, dtype: Dtype) -> bool:
    """Whether all values are finite, and in the range of an 8-bit dtype."""
    if dtype not in EIGHT_BITS:
        return all_finite(result)
    if result.dtype == to_torch(dtype):
        return True  # unchanged from a file
    largest = MAX_8_BIT[dtype.name]
    if result.numel() == 0:
        return True
    low, high = extremes(result)
    return -largest <= low and high <= largest
