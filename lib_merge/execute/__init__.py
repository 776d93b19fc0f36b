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
    open_planned,
    write_pickle,
)
from lib_merge.errors import MergeError
from lib_merge.execute.engine import default_threads, run
from lib_merge.execute.overflow import Overflow
from lib_merge.execute.sinks import FileSink, MemorySink, Sink
from lib_merge.execute.survey import Surveys
from lib_merge.plan import Plan
from lib_merge.progress import Progress, Silent
from lib_merge.rebasin import Alignments
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
    alignments: Alignments | None = None,
) -> Overflow:
    """Carry the plan out into a safetensors file, which appears under its name only when it is whole.

    alignments  where the alignments of ingredients are known from before
    Raises OutputError (nowhere to write), NumbersError (NaN, overflow), CheckpointError (an input
    changed or is unreadable), StoppedError; whatever happens, `target` is as it was or complete.
    Tells what was clipped, where the recipe asks for that.
    """
    _check(plan, target, overwrite, ".safetensors")
    check_device(device)
    layout = [(entry.key, entry.dtype, entry.shape) for entry in plan.keys]
    with (
        opened(plan) as checkpoints,
        StreamingWriter(target, layout, plan.metadata, overwrite=overwrite) as writer,
    ):
        overflow = run(
            plan,
            checkpoints,
            FileSink(writer),
            device=device,
            threads=threads,
            progress=progress or Silent(),
            alignments=alignments,
        )
        writer.commit()
    return overflow


def merge_to_memory(
    plan: Plan,
    *,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress | None = None,
    alignments: Alignments | None = None,
) -> dict[str, Tensor]:
    """Carry the plan out into a dictionary of tensors on the CPU, by canonical key."""
    check_device(device)
    with opened(plan) as checkpoints:
        sink = MemorySink(plan)
        run(
            plan,
            checkpoints,
            sink,
            device=device,
            threads=threads,
            progress=progress or Silent(),
            alignments=alignments,
        )
    return sink.tensors


def merge_to_pickle(
    plan: Plan,
    target: Path,
    *,
    overwrite: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress | None = None,
    alignments: Alignments | None = None,
) -> Overflow:
    """Carry the plan out into a `.ckpt` file; the whole result passes through memory.

    Raises and tells what `merge_to_file` does; the target is as it was or complete.
    """
    _check(plan, target, overwrite, ".ckpt")
    check_device(device)
    with opened(plan) as checkpoints:
        sink = MemorySink(plan)
        overflow = run(
            plan,
            checkpoints,
            sink,
            device=device,
            threads=threads,
            progress=progress or Silent(),
            alignments=alignments,
        )
    write_pickle(target, sink.tensors, plan.metadata, overwrite=overwrite)
    return overflow


def _check(plan: Plan, target: Path, overwrite: bool, ending: str) -> None:
    """That the target may be written, and is none of the plan's own files."""
    inputs = [source.path for source in plan.sources]
    problems = check_target(target, inputs=inputs, overwrite=overwrite, size=plan.nbytes, endings=(ending,))
    for problem in problems:
        raise problem


@contextlib.contextmanager
def opened(plan: Plan) -> Generator[Sequence[Checkpoint]]:
    """The plan's files, mapped; a file that stands twice in the plan is mapped once."""
    with contextlib.ExitStack() as stack:
        opened_as: dict[tuple[Path, bool], Checkpoint] = {}
        for source in plan.sources:
            way = source.path, bool(source.aliases)
            if way not in opened_as:
                opened_as[way] = stack.enter_context(open_planned(source))
        yield [opened_as[source.path, bool(source.aliases)] for source in plan.sources]


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
    "Overflow",
    "Sink",
    "Surveys",
    "check_device",
    "default_threads",
    "merge_to_file",
    "merge_to_memory",
    "merge_to_pickle",
    "run",
]
