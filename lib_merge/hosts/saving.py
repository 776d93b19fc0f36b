"""One door for every form that a result can be saved in: safetensors, ckpt, diffusers folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lib_merge.checkpoint import check_target
from lib_merge.errors import MergeError, OutputError
from lib_merge.execute import Overflow, merge_to_file, merge_to_pickle
from lib_merge.hosts.export import folder_problems, merge_to_folder
from lib_merge.plan import Plan
from lib_merge.progress import Progress
from lib_merge.rebasin import Alignments

SAFETENSORS, CKPT, DIFFUSERS = "safetensors", "ckpt", "diffusers"
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
        return folder_problems(plan, target, overwrite=overwrite) if plan else []
    size = plan.nbytes if plan else 0
    return check_target(target, inputs=inputs, overwrite=overwrite, size=size, ending=f".{format}")


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
    )


def size_of(target: Path) -> int:
    """How many bytes a file, or all files of a folder, take."""
    if target.is_dir():
        return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return target.stat().st_size
