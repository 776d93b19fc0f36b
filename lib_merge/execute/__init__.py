"""Carries out a plan, key by key, into a file or into memory; an output is complete or absent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.architectures import open_from_header
from lib_merge.checkpoint import Checkpoint, StreamingWriter, check_target, dtype_problems, write_pickle
from lib_merge.checkpoint.state import check_unchanged
from lib_merge.checkpoint.suffixes import CKPT, SAFETENSORS
from lib_merge.errors import MergeError
from lib_merge.execute.engine import default_threads, run
from lib_merge.execute.options import DEFAULT_OPTIONS, MergeOptions
from lib_merge.execute.overflow import Overflow
from lib_merge.execute.reductions import ReductionCache
from lib_merge.execute.sinks import FileSink, MemorySink, Sink
from lib_merge.plan import Plan
from lib_merge.recipe import Recipe
from lib_merge.recipe.hashing import with_placeholders
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

FinalHashes = Callable[[Recipe], Recipe]  # a recipe with placeholders -> the same with hashes


def merge_to_file(
    plan: Plan,
    target: Path,
    options: MergeOptions = DEFAULT_OPTIONS,
    *,
    recorded: FinalHashes | None = None,
) -> Overflow:
    """Carry the plan out into a safetensors file, which appears under its name only when it is whole.

    recorded  returns the recipe that the file carries, called when the arithmetic is done: see `InputHashes`
    Raises OutputError (nowhere to write), NumericalError (NaN, overflow), CheckpointError (an input
    changed or is unreadable), StoppedError; whatever happens, `target` is as it was or complete.
    Returns what was clamped, where the recipe asks for that.
    """
    _check(plan, target, options, SAFETENSORS)
    layout = [(entry.key, entry.dtype, entry.shape) for entry in plan.keys]
    with (
        open_sources(plan) as checkpoints,
        StreamingWriter(
            target, layout, with_placeholder_hashes(plan).metadata, overwrite=options.overwrite
        ) as writer,
    ):
        overflow = run(plan, checkpoints, FileSink(writer), options)
        writer.commit(with_final_hashes(plan, recorded).metadata)
    return overflow


def merge_to_memory(plan: Plan, options: MergeOptions = DEFAULT_OPTIONS) -> dict[str, Tensor]:
    """Carry the plan out into a state dict on the CPU, by canonical key; `overwrite` has no meaning here."""
    check_device(options.device)
    with open_sources(plan) as checkpoints:
        sink = MemorySink(plan)
        run(plan, checkpoints, sink, options)
    return sink.tensors


def merge_to_pickle(
    plan: Plan,
    target: Path,
    options: MergeOptions = DEFAULT_OPTIONS,
    *,
    recorded: FinalHashes | None = None,
) -> Overflow:
    """Carry the plan out into a `.ckpt` file; the whole result is held in memory.

    Raises and returns what `merge_to_file` does; the target is as it was or complete.
    """
    _check(plan, target, options, CKPT)
    for problem in dtype_problems((entry.dtype for entry in plan.keys), target):
        raise problem
    with open_sources(plan) as checkpoints:
        sink = MemorySink(plan)
        overflow = run(plan, checkpoints, sink, options)
        metadata = with_final_hashes(plan, recorded).metadata
    write_pickle(target, sink.tensors, metadata, overwrite=options.overwrite)
    return overflow


def _check(plan: Plan, target: Path, options: MergeOptions, ending: str) -> None:
    """Raise where the target cannot be written, or is one of the inputs, or torch lacks the device."""
    inputs = [source.path for source in plan.sources]
    problems = check_target(
        target, inputs=inputs, overwrite=options.overwrite, size=plan.nbytes, suffixes=(ending,)
    )
    for problem in problems:
        raise problem
    check_device(options.device)


def with_placeholder_hashes(plan: Plan) -> Plan:
    """The plan with a placeholder for every hash, so that its metadata has its greatest length.

    Two files of one content have one hash, under which the metadata has them once; placeholders reserve space
    for both. So a result has the same bytes, whether the hashes of its inputs were known before or not.
    """
    return replace(plan, recipe=with_placeholders(plan.recipe))


def with_final_hashes(plan: Plan, recorded: FinalHashes | None) -> Plan:
    """The plan whose recipe has the hashes of its inputs; CheckpointError where an input changed meanwhile.

    Called after the last tensor is computed, and before the result gets its name.
    """
    done = replace(plan, recipe=recorded(plan.recipe)) if recorded else plan
    for source in plan.sources:
        check_unchanged(source.path, source.state)
    return done


@contextlib.contextmanager
def open_sources(plan: Plan, *, mapped: bool = False) -> Generator[Sequence[Checkpoint]]:
    """The plan's files, opened; one that is several sources is opened once.

    mapped  map the files into memory, for callers that read tensors repeatedly, as alignment does; otherwise
            they are read (see `checkpoint.mapped`)
    """
    mapped = mapped or any(ingredient.alignment for ingredient in plan.recipe.ingredients)
    with contextlib.ExitStack() as stack:
        opened_as: dict[tuple[Path, bool], Checkpoint] = {}
        for source in plan.sources:
            way = source.path, bool(source.aliases)
            if way not in opened_as:
                opened_as[way] = stack.enter_context(open_from_header(source, mapped=mapped))
        yield [opened_as[source.path, bool(source.aliases)] for source in plan.sources]


def check_device(device: str) -> None:
    """Raise MergeError where torch cannot compute on this device."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as cause:
        raise MergeError(
            f"torch cannot use the device '{device}'", where=str(cause).splitlines()[0], hint="--device cpu"
        ) from cause


__all__ = [
    "DEFAULT_OPTIONS",
    "FileSink",
    "FinalHashes",
    "MemorySink",
    "MergeOptions",
    "Overflow",
    "ReductionCache",
    "Sink",
    "check_device",
    "default_threads",
    "merge_to_file",
    "merge_to_memory",
    "merge_to_pickle",
    "open_sources",
    "run",
    "with_final_hashes",
    "with_placeholder_hashes",
]
