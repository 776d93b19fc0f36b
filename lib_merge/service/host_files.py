"""The files of a host's lists: looked up by name, with their hashes and headers, and plans of merges."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from pathlib import Path

from lib_merge.architectures import identify, read_header
from lib_merge.checkpoint import Header
from lib_merge.checkpoint.state import last_change
from lib_merge.errors import MergeError, PlanError
from lib_merge.hosts.host import (
    Host,
    HostError,
    ListedFile,
    find_file,
    matching_files,
    named_file,
    unreadable_error,
)
from lib_merge.library.hashes import HashCache
from lib_merge.plan import Plan, make_plan
from lib_merge.plan.rule_resolver import slots_by_key
from lib_merge.recipe import Recipe, RecordedFile, find_ingredients, rename_files, with_hashes
from lib_merge.recipe.hashing import required_hashes
from lib_merge.recipe.names import NameMatch, match_name, shortest_name
from lib_merge.report.similarity.cache import REPORTS_FOLDER, slot_differences
from lib_merge.service.file_kinds import FileKinds
from lib_merge.service.request import MergeRequest, Resolved

PLANS_KEPT = 6
Stamp = tuple[int, int, int]  # inode, bytes, time of change


class HostFiles:
    """The files of one host; a `Resolver` of requests whose models are names of the host's lists.

    kinds  what each of them is, for lists of hundreds of files
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.hash_cache = HashCache(host.data_dir())
        self._headers: dict[Path, tuple[Stamp, Header]] = {}
        self._slots: dict[Path, tuple[Header, frozenset[str]]] = {}
        self._plans: tuple[tuple[Recipe, tuple[Header, ...], Plan], ...] = ()
        self._unreadable: dict[Path, str] = {}
        self.kinds = FileKinds(host.data_dir, _stamp, self._header_of)
        self._differences: dict[tuple[Path, Stamp, Path, Stamp], Mapping[str, float]] = {}

    def resolve(self, request: MergeRequest) -> Resolved[ListedFile]:
        """The recipe of a request and its files."""
        return request.recipe(self)

    def name_models(self, models: Sequence[str], vae: str) -> Sequence[tuple[str, ListedFile]]:
        """Each model and the VAE file with its name in recipes."""
        files = [self.checkpoint(name) for name in models] + ([self.vae(vae)] if vae else [])
        file_by_name: dict[str, ListedFile] = {}
        for file in files:
            if file_by_name.setdefault(self.recipe_name(file), file).path != file.path:
                raise HostError(
                    f"two files have the name '{self.recipe_name(file)}'", hint="rename one of them"
                )
        return [(self.recipe_name(file), file) for file in files]

    def checkpoint(self, name: str) -> ListedFile:
        """A checkpoint by any name that the host shows; see hosts.host.find_file."""
        return find_file(self.host.checkpoints(), name, hashes=self.hash_cache.hashes)

    def vae(self, name: str) -> ListedFile:
        """A VAE file by any name that the host shows."""
        return find_file(self.host.vaes(), name, "VAE", hashes=self.hash_cache.hashes)

    def recipe_name(self, checkpoint: ListedFile) -> str:
        """The name of a file in recipes: the shortest end of its path that is unique in the host's lists."""
        return shortest_name(checkpoint.path, (file.path for file in self._listed()))

    def _listed(self) -> tuple[ListedFile, ...]:
        return (*self.host.vaes(), *self.host.checkpoints())

    def matching(self, wanted: RecordedFile) -> NameMatch:
        """The host's files that a name in a recipe matches; checkpoints first, for a VAE the VAE files."""
        lists = (self.host.checkpoints(), self.host.vaes())
        for files in reversed(lists) if wanted.vae else lists:
            if (match := matching_files(wanted.file, files)).files:
                return match
        return NameMatch()

    def locate(self, recipe: Recipe) -> Resolved[ListedFile]:
        """The recipe's files in the host's lists, by name or by the hashes that the recipe records."""
        listed_by_path = {listed.path: listed for listed in self._listed()}
        try:
            wanted = required_hashes(recipe)
            located = find_ingredients(
                recipe,
                self.matching,
                lambda: listed_by_path,
                lambda path: self.hash_cache.hashes(path, wanted),
            )
        except PlanError as cause:
            only = cause.problems[0]
            hint = "refresh the list" if only.hint == "--models DIR" else only.hint
            what = "\n".join(problem.what for problem in cause.problems)
            raise HostError(what, where=only.where, hint=hint) from cause
        files = {file: listed_by_path[path] for file, path in located.paths.items()}
        names = {
            file: self.recipe_name(listed)
            for file, listed in files.items()
            if match_name(file, [named_file(listed)])
        }
        return Resolved(
            rename_files(located.recipe, names),
            {names.get(file, file): listed for file, listed in files.items()},
            located.notes,
        )

    def with_known_hashes(self, resolved: Resolved[ListedFile]) -> Recipe:
        """The recipe with the hashes of its files that are cached."""
        wanted = required_hashes(resolved.recipe)
        hashes_by_file = {
            file: self.hash_cache.cached(listed.path, wanted) for file, listed in resolved.files.items()
        }
        return with_hashes(
            resolved.recipe, {file: hashes for file, hashes in hashes_by_file.items() if hashes}
        )

    def plan(self, request: MergeRequest) -> Plan:
        """The plan of a merge; reads headers only. The last few plans are kept."""
        resolved = self.resolve(request)
        headers = self.headers(resolved)
        files = tuple(headers[file] for file in resolved.recipe.files)
        kept_plan = next(
            (
                plan
                for recipe, of, plan in self._plans
                if recipe == resolved.recipe and all(map(operator.is_, of, files))
            ),
            None,
        )
        if kept_plan is not None:
            return kept_plan
        plan = make_plan(resolved.recipe, headers)
        self._plans = ((resolved.recipe, files, plan), *self._plans[: PLANS_KEPT - 1])
        return plan

    def header(self, checkpoint: ListedFile) -> Header:
        """A file's header, read again only when the file has changed."""
        stamp = _stamp(checkpoint.path)
        cached = self._headers.get(checkpoint.path)
        if cached is None or cached[0] != stamp:
            cached = stamp, self._read_header(checkpoint)
            self._headers[checkpoint.path] = cached
        return cached[1]

    def slots(self, checkpoint: ListedFile) -> frozenset[str]:
        """The slots, and names of several, that a checkpoint has tensors in; as `header`."""
        header = self.header(checkpoint)
        cached = self._slots.get(checkpoint.path)
        if cached is None or cached[0] is not header:
            cached = header, slots_of(header, checkpoint.name)
            self._slots[checkpoint.path] = cached
        return cached[1]

    def _read_header(self, checkpoint: ListedFile) -> Header:
        return self._header_of(checkpoint.path)

    def _header_of(self, path: Path) -> Header:
        self._unreadable.pop(path, None)
        try:
            return read_header(path)
        except Exception as cause:  # a damaged file may make its reader raise anything
            problem = cause if isinstance(cause, MergeError) else unreadable_error(cause, path)
            self._unreadable[path] = problem.what
            raise problem from cause

    def unreadable_files(self) -> Mapping[str, str]:
        """File name -> why the host or this service could not read the file."""
        reasons = dict(self._unreadable)
        listed = {file.name: reasons[file.path] for file in self._listed() if file.path in reasons}
        return {**self.host.unreadable_files(), **listed}

    def slot_differences(self, a: str, b: str) -> Mapping[str, float]:
        """Slot -> relative difference of two checkpoints (see report.similarity.cache); cached on disk."""
        first, second = (self.checkpoint(name) for name in (a, b))
        key = (first.path, _stamp(first.path), second.path, _stamp(second.path))
        if key not in self._differences:
            cache = self.host.data_dir() / REPORTS_FOLDER
            self._differences[key] = slot_differences(self.header(first), self.header(second), cache)
        return self._differences[key]

    def headers(self, resolved: Resolved[ListedFile]) -> dict[str, Header]:
        """The headers of all files; PlanError with every file that cannot be read."""
        headers: dict[str, Header] = {}
        problems: list[MergeError] = []
        for file, checkpoint in resolved.files.items():
            try:
                headers[file] = self.header(checkpoint)
            except MergeError as problem:
                problems.append(problem)
        if problems:
            raise PlanError(problems)
        return headers


def slots_of(header: Header, name: str) -> frozenset[str]:
    """The slots, and names of several, that a file has tensors in."""
    family = identify(header.tensors, metadata=header.metadata, where=name).family
    slots = frozenset(slots_by_key(family, tuple(header.tensors)).values())
    return slots | {group for group, members in family.groups.items() if slots.intersection(members)}


def _stamp(path: Path) -> Stamp:
    try:
        state = path.stat()
    except OSError as cause:
        raise HostError(f"{path.name} is gone", hint="refresh the list of checkpoints") from cause
    return state.st_ino, state.st_size, last_change(state)
