"""Saves the result of a plan as safetensors, ckpt or a diffusers folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from lib_merge.checkpoint import check_target, dtype_problems, write_file
from lib_merge.checkpoint.suffixes import without_suffix
from lib_merge.checkpoint.system_errors import write_failure
from lib_merge.errors import MergeError, OutputError
from lib_merge.execute import (
    DEFAULT_OPTIONS,
    FinalHashes,
    MergeOptions,
    Overflow,
    merge_to_file,
    merge_to_pickle,
)
from lib_merge.plan import Plan
from lib_merge.save.diffusers import folder_problems, merge_to_folder

SAFETENSORS_FORMAT, CKPT_FORMAT, DIFFUSERS_FORMAT = "safetensors", "ckpt", "diffusers"
YAML = ".yaml"
SAVE_FORMATS = (SAFETENSORS_FORMAT, CKPT_FORMAT, DIFFUSERS_FORMAT)
MOST_NAME = 150  # characters of a file name, so that every file system takes it
WRITERS = {SAFETENSORS_FORMAT: merge_to_file, CKPT_FORMAT: merge_to_pickle, DIFFUSERS_FORMAT: merge_to_folder}


def format_of(name: str) -> str:
    """The format of an output path: by its suffix, or a diffusers folder where it ends in a slash."""
    if name.endswith(("/", "\\")):
        return DIFFUSERS_FORMAT
    return CKPT_FORMAT if name.lower().endswith(f".{CKPT_FORMAT}") else SAFETENSORS_FORMAT


def file_name(name: str, format: str) -> str:
    """The file name for a name that a user typed, with the suffix of the format."""
    if format not in SAVE_FORMATS:
        raise OutputError(f"there is no format '{format}'", hint=" or ".join(SAVE_FORMATS))
    bare = without_suffix(name.strip(), f".{format}").strip()
    if not bare:
        raise OutputError("the file needs a name")
    forbidden = [c for c in bare if c in '<>:"/\\|?*' or not c.isprintable()]
    edges = bare.startswith(".") or bare.endswith(".")  # hidden; and Windows drops a last dot
    if forbidden or edges or bare != PurePosixPath(bare).name or PureWindowsPath(bare).is_reserved():
        raise OutputError(
            f"'{bare}' cannot be a file's name", hint="letters, digits, spaces, - and _; no folders"
        )
    if len(bare) > MOST_NAME:
        raise OutputError(f"this name has {len(bare)} characters", hint=f"{MOST_NAME} at most")
    return bare if format == DIFFUSERS_FORMAT else f"{bare}.{format}"


def saving_problems(
    plan: Plan | None,
    target: Path,
    format: str,
    *,
    inputs: Iterable[Path] = (),
    overwrite: bool = False,
) -> list[MergeError]:
    """All problems of saving a plan; without a plan those of the target only."""
    if format not in SAVE_FORMATS:
        raise OutputError(f"there is no format '{format}'", hint=" or ".join(SAVE_FORMATS))
    if format == DIFFUSERS_FORMAT:
        return folder_problems(plan, target, inputs=inputs, overwrite=overwrite) if plan else []
    size = plan.nbytes if plan else 0
    problems = check_target(target, inputs=inputs, overwrite=overwrite, size=size, suffixes=(f".{format}",))
    if plan and format == CKPT_FORMAT:
        problems += dtype_problems((entry.dtype for entry in plan.keys), target)
    return problems


def save_merge(
    plan: Plan,
    target: Path,
    format: str,
    options: MergeOptions = DEFAULT_OPTIONS,
    *,
    recorded: FinalHashes | None = None,
) -> Overflow:
    """Carry the plan out in one of SAVE_FORMATS; raises and returns what `execute.merge_to_file` does."""
    return WRITERS[format](plan, target, options, recorded=recorded)


def yaml_problems(model: Path, target: Path, *, overwrite: bool = False) -> list[MergeError]:
    """Problems of copying A's YAML config for the merge: WebUIs read NAME.yaml for the checkpoint NAME.

    Where A has none, a YAML with the target's name belongs to another model, and a WebUI would use it.
    """
    settings, copied = model.with_suffix(YAML), target.with_suffix(YAML)
    try:
        if not os.path.lexists(copied) or (settings.is_file() and _same(settings, copied)):
            return []
        if settings.is_file() and overwrite:
            return check_target(copied, inputs=[settings], overwrite=True, suffixes=(YAML,))
    except OSError as error:
        return [write_failure(error, copied)]
    what = f"there is a '{copied.name}' already, which a WebUI would take for the settings of this merge"
    return [OutputError(what, where=str(copied), hint="choose another name, or move that file away")]


def copy_yaml(model: Path, target: Path, *, overwrite: bool = False) -> None:
    """Copy A's YAML config for the merge: it says what no key does (v-prediction, unusual sizes)."""
    settings, copied = model.with_suffix(YAML), target.with_suffix(YAML)
    for problem in yaml_problems(model, target, overwrite=overwrite):
        raise problem
    try:
        if settings.is_file() and not (copied.exists() and _same(settings, copied)):
            write_file(copied, settings.read_bytes(), overwrite=overwrite)
    except OSError as error:
        raise write_failure(error, copied) from error


def _same(one: Path, other: Path) -> bool:
    return one.samefile(other) or one.read_bytes() == other.read_bytes()


def size_of(target: Path) -> int:
    """The size in bytes of a file, or of all files of a folder."""
    if target.is_dir():
        return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return target.stat().st_size
