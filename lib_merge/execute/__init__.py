"""Carries out a plan, key by key, to a file or to memory; nothing is left half done."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.checkpoint import (
    Checkpoint,
    StreamingWriter,
    check_target,
    format_problems,
    open_planned,
    write_pickle,
)
from lib_merge.checkpoint.state import check_unchanged
from lib_merge.errors import MergeError
from lib_merge.execute.engine import default_threads, run
from lib_merge.execute.overflow import Overflow
from lib_merge.execute.sinks import FileSink, MemorySink, Sink
from lib_merge.execute.survey import Surveys
from lib_merge.plan import Plan
from lib_merge.progress import Progress, Silent
from lib_merge.rebasin import Alignments
from lib_merge.recipe import Recipe
from lib_merge.recipe.hashing import with_placeholders
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

Settle = Callable[[Recipe], Recipe]  # a recipe with placeholders -> the same with hashes


def merge_to_file(
    plan: Plan,
    target: Path,
    *,
    overwrite: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress | None = None,
    alignments: Alignments | None = None,
    recorded: Settle | None = None,
) -> Overflow:
    """Carry the plan out into a safetensors file, which appears under its name only when it is whole.

    alignments  where the alignments of ingredients are known from before
    recorded    tells the recipe that the file is to hold once the arithmetic is done, see `InputHashes`
    Raises OutputError (nowhere to write), NumbersError (NaN, overflow), CheckpointError (an input
    changed or is unreadable), StoppedError; whatever happens, `target` is as it was or complete.
    Tells what was clipped, where the recipe asks for that.
    """
    _check(plan, target, overwrite, ".safetensors")
    check_device(device)
    layout = [(entry.key, entry.dtype, entry.shape) for entry in plan.keys]
    with (
        opened(plan) as checkpoints,
        StreamingWriter(target, layout, with_room(plan).metadata, overwrite=overwrite) as writer,
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
        writer.commit(settled(plan, recorded).metadata)
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
    recorded: Settle | None = None,
) -> Overflow:
    """Carry the plan out into a `.ckpt` file; the whole result passes through memory.

    Raises and tells what `merge_to_file` does; the target is as it was or complete.
    """
    _check(plan, target, overwrite, ".ckpt")
    for problem in format_problems((entry.dtype for entry in plan.keys), target):
        raise problem
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
        metadata = settled(plan, recorded).metadata
    write_pickle(target, sink.tensors, metadata, overwrite=overwrite)
    return overflow


def _check(plan: Plan, target: Path, overwrite: bool, ending: str) -> None:
    """That the target may be written, and is none of the plan's own files."""
    inputs = [source.path for source in plan.sources]
    problems = check_target(target, inputs=inputs, overwrite=overwrite, size=plan.nbytes, endings=(ending,))
    for problem in problems:
        raise problem


def with_room(plan: Plan) -> Plan:
    """The plan whose metadata is the longest that hashes can make it, whatever they turn out to be.

    Two files of one content have one hash, under which the metadata holds them once: with placeholders
    there is room for both. So a result has the same bytes, whether its files' hashes were known or not.
    """
    return replace(plan, recipe=with_placeholders(plan.recipe))


def settled(plan: Plan, recorded: Settle | None) -> Plan:
    """The plan as the file is to tell it; CheckpointError where one of its files was changed meanwhile.

    To be asked when the last tensor is computed, and before the result gets its name.
    """
    done = replace(plan, recipe=recorded(plan.recipe)) if recorded else plan
    for source in plan.sources:
        check_unchanged(source.path, source.state)
    return done


@contextlib.contextmanager
def opened(plan: Plan, *, mapped: bool = False) -> Generator[Sequence[Checkpoint]]:
    """The plan's files; one that stands twice in the plan is opened once.

    mapped  what looks at the same tensors again and again, as aligning does; otherwise they are read (see
            `checkpoint.reader`)
    """
    mapped = mapped or any(each.aligned for each in plan.recipe.ingredients)
    with contextlib.ExitStack() as stack:
        opened_as: dict[tuple[Path, bool], Checkpoint] = {}
        for source in plan.sources:
            way = source.path, bool(source.aliases)
            if way not in opened_as:
                opened_as[way] = stack.enter_context(open_planned(source, mapped=mapped))
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
    "Settle",
    "Sink",
    "Surveys",
    "check_device",
    "default_threads",
    "merge_to_file",
    "merge_to_memory",
    "merge_to_pickle",
    "opened",
    "run",
    "settled",
    "with_room",
]
