"""The hashes of a merge's files, taken beside the arithmetic where nobody knows them yet.

A recipe records the sha256 of its files, and stands at the beginning of the file that is written. Until a
hash is known a placeholder of the same length stands in its place, which keeps the room for it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lib_merge.checkpoint import HashBook, Hashes
from lib_merge.checkpoint.hashbook import RECORDED
from lib_merge.recipe.ingredients import WHOLE, with_hashes
from lib_merge.recipe.model import Recipe

if TYPE_CHECKING:
    from typing_extensions import Self

THREADS = 2


def wanted_by(recipe: Recipe) -> Collection[str]:
    """The hashes that a recipe asks for: AutoV3 only where it records that of some file."""
    return (*RECORDED, "autov3") if any(each.autov3 for each in recipe.ingredients) else RECORDED


class InputHashes:
    """The hashes that a merge records of its files.

    hashes = InputHashes(book, paths)
    plan = make_plan(hashes.planned(recipe), headers)
    with hashes:                     # begins to read what is not known
        merge_to_file(plan, target, recorded=hashes.settled)
    """

    def __init__(self, book: HashBook, paths: Mapping[str, Path], *, autov3: bool = False) -> None:
        self._book, self._paths, self._autov3 = book, paths, autov3
        self._unknown: dict[str, Path] = {}
        self._jobs: dict[str, Future[Hashes]] = {}
        self._stop = _Stop()
        self._pool: ThreadPoolExecutor | None = None

    def planned(self, recipe: Recipe) -> Recipe:
        """The recipe with the hashes that are known, and placeholders for the others."""
        wanted = (*RECORDED, "autov3") if self._autov3 else wanted_by(recipe)
        found: dict[str, Hashes] = {}
        for file, path in self._paths.items():
            known = self._book.known(path, wanted)
            if known is None and wanted == RECORDED:
                self._unknown[file] = path
                known = Hashes(sha256=_placeholder(file))
            found[file] = known or self._book.hashes(path, wanted)
        return with_hashes(recipe, found)

    def settled(self, recipe: Recipe) -> Recipe:
        """What `planned` gave with every hash in its place; waits for those that are being taken."""
        return with_hashes(recipe, {file: job.result() for file, job in self._jobs.items()})

    def __enter__(self) -> Self:
        """Begins to read the files that are not known."""
        if self._unknown:
            self._pool = ThreadPoolExecutor(THREADS, "merge-desk-hashes")
            for file, path in self._unknown.items():
                self._jobs[file] = self._pool.submit(self._book.hashes, path, progress=self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Reads no further."""
        self._stop.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class _Stop(threading.Event):
    """A progress that nobody sees, and that can be stopped."""

    def start(self, total: int, what: str) -> None:
        """Not shown."""

    def advance(self, amount: int) -> None:
        """Not shown."""

    def stopped(self) -> bool:
        """Whether it was asked to."""
        return self.is_set()


def with_placeholders(recipe: Recipe) -> Recipe:
    """The recipe with a placeholder for every sha256 of an ingredient."""
    ingredients = tuple(
        replace(each, sha256=_placeholder(each.file)) if len(each.sha256) == WHOLE else each
        for each in recipe.ingredients
    )
    return replace(recipe, ingredients=ingredients)


def _placeholder(file: str) -> str:
    """In the place of a hash: one for each file, as long as a sha256, and none of anything."""
    return hashlib.sha256(f"not hashed yet: {file}".encode("utf-8", "surrogateescape")).hexdigest()
