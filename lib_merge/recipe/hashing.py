"""The hashes of a merge's files, computed in the background while the merge runs.

A recipe records the sha256 of its files, and is in the header of the file that is written. A hash that is not
yet known is replaced by a placeholder of the same length, so that the header keeps its size.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from lib_merge.checkpoint import Hashes
from lib_merge.checkpoint.hashes import RECORDED_HASHES
from lib_merge.progress import Progress
from lib_merge.recipe.ingredients import SHA256_DIGITS, with_hashes
from lib_merge.recipe.model import Recipe

if TYPE_CHECKING:
    from typing_extensions import Self

HASH_THREADS = 2


def required_hashes(recipe: Recipe) -> Collection[str]:
    """The hashes that a recipe records: sha256, and AutoV3 where it records that of some file."""
    return (
        (*RECORDED_HASHES, "autov3")
        if any(ingredient.autov3 for ingredient in recipe.ingredients)
        else RECORDED_HASHES
    )


class HashSource(Protocol):
    """A cache of file hashes: see library/hashes.py."""

    def cached(self, path: Path, wanted: Collection[str] = RECORDED_HASHES) -> Hashes | None:
        """The wanted hashes of a file, None unless all of them are cached; reads no tensor."""
        ...

    def hashes(
        self, path: Path, wanted: Collection[str] = RECORDED_HASHES, *, progress: Progress | None = None
    ) -> Hashes:
        """The wanted hashes of a file, computed where not cached; CheckpointError, StoppedError."""
        ...


class InputHashes:
    """The hashes that a merge records of its files, for one merge.

    hashes = InputHashes(book, paths)
    plan = make_plan(hashes.with_known_hashes(recipe), headers)
    with hashes:                     # computes the others in the background
        merge_to_file(plan, target, recorded=hashes.with_all_hashes)
    """

    def __init__(self, book: HashSource, paths: Mapping[str, Path], *, autov3: bool = False) -> None:
        self._book, self._paths, self._autov3 = book, paths, autov3
        self._unknown: dict[str, Path] = {}
        self._jobs: dict[str, Future[Hashes]] = {}
        self._stop = _Stop()
        self._pool: ThreadPoolExecutor | None = None

    def with_known_hashes(self, recipe: Recipe) -> Recipe:
        """The recipe with the cached hashes, and placeholders for the others."""
        wanted = (*RECORDED_HASHES, "autov3") if self._autov3 else required_hashes(recipe)
        hashes_by_file: dict[str, Hashes] = {}
        for file, path in self._paths.items():
            hashes = self._book.cached(path, wanted)
            if hashes is None and wanted == RECORDED_HASHES:
                self._unknown[file] = path
                hashes = Hashes(sha256=_placeholder(file))
            hashes_by_file[file] = hashes or self._book.hashes(path, wanted)
        return with_hashes(recipe, hashes_by_file)

    def with_all_hashes(self, recipe: Recipe) -> Recipe:
        """The recipe of `with_known_hashes` with all hashes; waits until they are computed."""
        return with_hashes(recipe, {file: job.result() for file, job in self._jobs.items()})

    def __enter__(self) -> Self:
        """Starts to hash the files whose hashes are not cached."""
        if self._unknown:
            self._pool = ThreadPoolExecutor(HASH_THREADS, "merge-desk-hashes")
            for file, path in self._unknown.items():
                self._jobs[file] = self._pool.submit(self._book.hashes, path, progress=self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops hashing."""
        self._stop.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class _Stop(threading.Event):
    """A progress that shows nothing and can be stopped."""

    def start(self, total: int, what: str) -> None:
        """Ignores the start: hashing in the background is not shown."""

    def advance(self, amount: int) -> None:
        """Ignores the amount: hashing in the background is not shown."""

    def stopped(self) -> bool:
        """Whether the merge has ended and hashing should stop."""
        return self.is_set()


def with_placeholders(recipe: Recipe) -> Recipe:
    """The recipe with a placeholder for every sha256 of an ingredient."""
    ingredients = tuple(
        replace(ingredient, sha256=_placeholder(ingredient.file))
        if len(ingredient.sha256) == SHA256_DIGITS
        else ingredient
        for ingredient in recipe.ingredients
    )
    return replace(recipe, ingredients=ingredients)


def _placeholder(file: str) -> str:
    """A placeholder of the length of a sha256, different for each file, that is no file's hash."""
    return hashlib.sha256(f"not hashed yet: {file}".encode("utf-8", "surrogateescape")).hexdigest()
