"""Saves a merge as a file of the host: checked when it is asked for, and again when it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from lib_merge.checkpoint import ALL_HASHES, Hashes, Header, hash_file
from lib_merge.errors import MergeError, PlanError, StoppedError
from lib_merge.execute import MergeOptions, Overflow
from lib_merge.hosts.host import Host, ListedFile
from lib_merge.library.hashes import HashCache
from lib_merge.library.history import SAVED
from lib_merge.live import LiveSession
from lib_merge.plan import Plan, make_plan
from lib_merge.progress import Progress
from lib_merge.recipe import Recipe
from lib_merge.recipe.hashing import InputHashes
from lib_merge.save.saving import (
    DIFFUSERS_FORMAT,
    copy_yaml,
    file_name,
    save_merge,
    saving_problems,
    size_of,
    yaml_problems,
)
from lib_merge.service.host_files import HostFiles
from lib_merge.service.request import MergeRequest, Resolved


@dataclass(frozen=True)
class SavedMerge:
    """A saved file, its hashes (none for a folder), and the values that overflowed and were clamped."""

    checkpoint: ListedFile
    plan: Plan
    nbytes: int
    hashes: Hashes
    overflow: Overflow = field(default_factory=Overflow)


@dataclass(frozen=True)
class PreparedSave:
    """A merge that can be saved, as it was when that was asked for.

    headers  of its files: one that is changed before the merge is written is refused
    target   the file, or the folder of the format diffusers
    """

    resolved: Resolved[ListedFile]
    headers: Mapping[str, Header]
    target: Path
    format: str
    overwrite: bool = False


class SavingService(Protocol):
    """What writing a file needs of the service: the host, its jobs, and the history."""

    @property
    def host(self) -> Host:
        """See MergeService."""
        ...

    @property
    def hash_cache(self) -> HashCache:
        """See HostFiles."""
        ...

    @property
    def threads(self) -> int | None:
        """See MergeService."""
        ...

    @property
    def session(self) -> LiveSession:
        """Whose alignments are used."""
        ...

    def work_on_files(self, label: str, task: str = "") -> AbstractContextManager[Progress]:
        """See MergeService."""
        ...

    def write_down(self, recipe: Recipe, **facts: Any) -> int:
        """See MergeService."""
        ...


def prepare_save(
    files: HostFiles, request: MergeRequest, name: str, format: str, *, overwrite: bool
) -> PreparedSave:
    """Validate a merge and the name of its file; PlanError with all problems."""
    resolved = files.resolve(request)
    headers = files.headers(resolved)
    target = target_folder(files.host, format) / file_name(name, format)
    save = PreparedSave(resolved, headers, target, format, overwrite)
    _check(files.host, save, make_plan(resolved.recipe, headers))
    return save


def write(service: SavingService, save: PreparedSave, task: str, is_wanted: Callable[[], bool]) -> SavedMerge:
    """Write the file in a job of the host.

    is_wanted  asked at the start of that job: where it says no, nothing is written (StoppedError)
    """
    resolved, target = save.resolved, save.target
    device = service.host.device()
    with service.work_on_files("saving", task) as progress:
        if not is_wanted():
            raise StoppedError("this save is no longer wanted")
        hashing = InputHashes(
            service.hash_cache, {file: listed.path for file, listed in resolved.files.items()}
        )
        plan = make_plan(hashing.with_known_hashes(resolved.recipe), save.headers)
        _check(service.host, save, plan)
        with hashing:
            overflow = save_merge(
                plan,
                target,
                save.format,
                MergeOptions(
                    device=device,
                    threads=service.threads,
                    progress=progress,
                    alignments=service.session.alignments,
                    overwrite=save.overwrite,
                ),
                recorded=hashing.with_all_hashes,
            )
            plan = replace(plan, recipe=hashing.with_all_hashes(plan.recipe))
        if save.format == DIFFUSERS_FORMAT:  # which is not in the host's list of checkpoints
            service.write_down(plan.recipe, kind=SAVED, file=target.name)
            return SavedMerge(ListedFile(target.name, target), plan, size_of(target), Hashes(), overflow)
        hashes = hash_file(target, progress=progress)
    service.hash_cache.record(target, hashes, ALL_HASHES)
    service.write_down(plan.recipe, kind=SAVED, file=target.name, sha256=hashes.sha256 or "")
    copy_yaml(_base_of(plan), target, overwrite=save.overwrite)
    return SavedMerge(service.host.register(target), plan, size_of(target), hashes, overflow)


def target_folder(host: Host, format: str) -> Path:
    """The host's checkpoint folder; diffusers folders go elsewhere, or their parts would be listed."""
    if format != DIFFUSERS_FORMAT:
        return host.folders()[0]
    folder = host.data_dir() / DIFFUSERS_FORMAT
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _base_of(plan: Plan) -> Path:
    return plan.sources[plan.predictor if plan.prediction_notes else plan.base].path


def _check(host: Host, save: PreparedSave, plan: Plan) -> None:
    """PlanError with everything that keeps a plan from being saved there."""
    loaded = host.loaded().checkpoint
    inputs = [source.path for source in plan.sources] + ([loaded.path] if loaded else [])
    problems: list[MergeError] = saving_problems(
        plan, save.target, save.format, inputs=inputs, overwrite=save.overwrite
    )
    if save.format != DIFFUSERS_FORMAT:
        problems += yaml_problems(_base_of(plan), save.target, overwrite=save.overwrite)
    if problems:
        raise PlanError(problems)
