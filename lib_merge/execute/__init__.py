"""Carries out a plan, key by key, to a file or to memory; nothing is left half done."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.checkpoint import (
    Checkpoint,
    StreamingWriter,
    check_target,
    open_checkpoint,
    write_pickle,
)
from lib_merge.errors import MergeError
from lib_merge.execute.engine import default_threads, run
from lib_merge.execute.sinks import FileSink, MemorySink, Sink
from lib_merge.plan import Plan
from lib_merge.progress import Progress, Silent
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor


def merge_to_file(
    plan: Plan,
    target: Path,
    *,
    overwrite: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Carry the plan out into a safetensors file, which appears under its name only when it is whole.

    Raises OutputError (nowhere to write), NumbersError (NaN, overflow), CheckpointError (an input
    changed or is unreadable), StoppedError; whatever happens, `target` is as it was or complete.
    """
    check_device(device)
    layout = [(entry.key, entry.dtype, entry.shape) for entry in plan.keys]
    with (
        opened(plan) as checkpoints,
        StreamingWriter(target, layout, plan.metadata, overwrite=overwrite) as writer,
    ):
        run(
            plan, checkpoints, FileSink(writer), device=device, threads=threads, progress=progress or Silent()
        )
        writer.commit()


def merge_to_memory(
    plan: Plan, *, device: str = "cpu", threads: int | None = None, progress: Progress | None = None
) -> dict[str, Tensor]:
    """Carry the plan out into a dictionary of tensors on the CPU, by canonical key."""
    check_device(device)
    with opened(plan) as checkpoints:
        sink = MemorySink(plan)
        run(plan, checkpoints, sink, device=device, threads=threads, progress=progress or Silent())
    return sink.tensors


def merge_to_pickle(
    plan: Plan,
    target: Path,
    *,
    overwrite: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Carry the plan out into a `.ckpt` file; the whole result passes through memory.

    Raises what `merge_to_file` raises; the target is as it was or complete.
    """
    for problem in check_target(target, overwrite=overwrite, size=plan.nbytes, ending=".ckpt"):
        raise problem
    tensors = merge_to_memory(plan, device=device, threads=threads, progress=progress)
    write_pickle(target, tensors, plan.metadata, overwrite=overwrite)


@contextlib.contextmanager
def opened(plan: Plan) -> Generator[Sequence[Checkpoint]]:
    """The plan's files, mapped; a file that stands twice in the plan is mapped once."""
    with contextlib.ExitStack() as stack:
        by_path = {source.path: stack.enter_context(open_checkpoint(source.path)) for source in plan.sources}
        yield [by_path[source.path] for source in plan.sources]


def check_device(device: str) -> None:
    """Raise where torch cannot compute on this device."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as cause:
        raise MergeError(
            f"torch cannot use the device '{device}'", where=str(cause).splitlines()[0], hint="--device cpu"
        ) from cause


__all__ = [
    "FileSink",
    "MemorySink",
    "Sink",
    "check_device",
    "default_threads",
    "merge_to_file",
    "merge_to_memory",
    "merge_to_pickle",
    "run",
]
