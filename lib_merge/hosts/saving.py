"""One door for every form that a result can be saved in: safetensors, ckpt, diffusers folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lib_merge.checkpoint import check_target, format_problems, write_file
from lib_merge.checkpoint.words import write_failure
from lib_merge.errors import MergeError, OutputError
from lib_merge.execute import Overflow, Settle, merge_to_file, merge_to_pickle
from lib_merge.hosts.export import folder_problems, merge_to_folder
from lib_merge.plan import Plan
from lib_merge.progress import Progress
from lib_merge.rebasin import Alignments

SAFETENSORS, CKPT, DIFFUSERS = "safetensors", "ckpt", "diffusers"
YAML = ".yaml"
FORMATS = (SAFETENSORS, CKPT, DIFFUSERS)
WRITERS = {SAFETENSORS: merge_to_file, CKPT: merge_to_pickle, DIFFUSERS: merge_to_folder}


def format_of(name: str) -> str:
    """The form that a name asks for: its ending, or a folder where it ends in a slash."""
    if name.endswith(("/", "\\")):
        return DIFFUSERS
    return CKPT if name.lower().endswith(".ckpt") else SAFETENSORS


def saving_problems(
    plan: Plan | None,
    target: Path,
    format: str,
    *,
    inputs: Iterable[Path] = (),
    overwrite: bool = False,
) -> list[MergeError]:
    """Everything that stands in the way of saving; without a plan, what is wrong with the name alone."""
    if format not in FORMATS:
        raise OutputError(f"there is no format '{format}'", hint=" or ".join(FORMATS))
    if format == DIFFUSERS:
        return folder_problems(plan, target, inputs=inputs, overwrite=overwrite) if plan else []
    size = plan.nbytes if plan else 0
    problems = check_target(target, inputs=inputs, overwrite=overwrite, size=size, endings=(f".{format}",))
    if plan and format == CKPT:
        problems += format_problems((entry.dtype for entry in plan.keys), target)
    return problems


def save_merge(
    plan: Plan,
    target: Path,
    format: str,
    *,
    overwrite: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress | None = None,
    alignments: Alignments | None = None,
    recorded: Settle | None = None,
) -> Overflow:
    """Carry the plan out in one of FORMATS; raises and tells what `execute.merge_to_file` does."""
    write = WRITERS[format]
    return write(
        plan,
        target,
        overwrite=overwrite,
        device=device,
        threads=threads,
        progress=progress,
        alignments=alignments,
        recorded=recorded,
    )


def settings_problems(model: Path, target: Path, *, overwrite: bool = False) -> list[MergeError]:
    """Why the YAML beside A cannot go with the merge: WebUIs read NAME.yaml for whatever is called NAME.

    Without a YAML beside A, one beside the target is another model's, and would be taken for the merge's.
    """
    settings, copied = model.with_suffix(YAML), target.with_suffix(YAML)
    try:
        if not os.path.lexists(copied) or (settings.is_file() and _same(settings, copied)):
            return []
        if settings.is_file() and overwrite:
            return check_target(copied, inputs=[settings], overwrite=True, endings=(YAML,))
    except OSError as error:
        return [write_failure(error, copied)]
    what = f"there is a '{copied.name}' already, which a WebUI would take for the settings of this merge"
    return [OutputError(what, where=str(copied), hint="choose another name, or move that file away")]


def copy_settings(model: Path, target: Path, *, overwrite: bool = False) -> None:
    """The YAML beside A goes with the merge: it says what no key does (v-prediction, odd sizes)."""
    settings, copied = model.with_suffix(YAML), target.with_suffix(YAML)
    for problem in settings_problems(model, target, overwrite=overwrite):
        raise problem
    try:
        if settings.is_file() and not (copied.exists() and _same(settings, copied)):
            write_file(copied, settings.read_bytes(), overwrite=overwrite)
    except OSError as error:
        raise write_failure(error, copied) from error


def _same(one: Path, other: Path) -> bool:
    return one.samefile(other) or one.read_bytes() == other.read_bytes()


def size_of(target: Path) -> int:
    """How many bytes a file, or all files of a folder, take."""
    if target.is_dir():
        return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return target.stat().st_size
