"""Opened files that a session keeps from swap to swap, so that a drag of a fader opens none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.checkpoint import Header, open_planned
from lib_merge.checkpoint.state import last_change
from lib_merge.errors import CheckpointError
from lib_merge.plan import Plan

if TYPE_CHECKING:
    from lib_merge.checkpoint import Checkpoint

Stamp = tuple[str, int, int, int]


@dataclass(frozen=True)
class Opened:
    """A mapped file, the header that it was planned with, and the state of the file at that time."""

    header: Header
    checkpoint: Checkpoint
    stamp: Stamp


class Sources:
    """The mapped files behind headers, for as long as somebody may come back to them."""

    def __init__(self) -> None:
        self._opened: dict[int, Opened] = {}  # by the header's identity, which Opened keeps alive

    def open(self, headers: Sequence[Header]) -> list[Checkpoint]:
        """The files behind these headers, in order; CheckpointError for one that has changed since.

        A file that was replaced by another of its name is still there behind its mapping. One that was
        written over in place is not: touching it could end the process.
        """
        return [self._one(header).checkpoint for header in headers]

    def stamps(self, headers: Sequence[Header]) -> list[Stamp]:
        """What tells each file's state from others: path, inode, size, time of change."""
        return [self._one(header).stamp for header in headers]

    def stamps_of(self, plan: Plan) -> list[object]:
        """The state of each of a plan's files; of an aligned one, that of all that it depends on, and how."""
        files = self.stamps(plan.sources)
        known = {each.name: stamp for each, stamp in zip(plan.recipe.ingredients, files, strict=False)}
        found: list[object] = list(files)
        for number, each in enumerate(plan.recipe.ingredients):
            if (aligned := each.aligned) is not None:
                found[number] = files[number], known[aligned.to], known[aligned.solved], aligned.options
        return found

    def _one(self, header: Header) -> Opened:
        known = self._opened.get(id(header))
        if known is None:
            stamp = _stamp_of(header)
            checkpoint = open_planned(header)
            known = self._opened[id(header)] = Opened(header, checkpoint, stamp)
            if checkpoint.header.tensors != header.tensors:
                raise self._changed(header)
            return known
        with suppress(OSError):  # gone or renamed: the mapping keeps it
            _, inode, size, modified = known.stamp
            state = header.path.stat()
            if state.st_ino == inode and (state.st_size, last_change(state)) != (size, modified):
                raise self._changed(header)
        return known

    def _changed(self, header: Header) -> CheckpointError:
        self._close(self._opened.pop(id(header)))
        return CheckpointError("this file has changed meanwhile", where=str(header.path), hint="try again")

    def keep(self, headers: Iterable[Header]) -> None:
        """Lets go of all the others."""
        wanted = {id(header) for header in headers}
        for identity in [identity for identity in self._opened if identity not in wanted]:
            self._close(self._opened.pop(identity))

    @staticmethod
    def _close(opened: Opened) -> None:
        with suppress(BufferError):  # a piece of it is still in somebody's hand
            opened.checkpoint.close()


def _stamp_of(header: Header) -> Stamp:
    try:
        state = header.path.stat()
    except OSError as cause:
        raise CheckpointError("this file is gone", where=str(header.path)) from cause
    averages = " (training averages)" if header.aliases else ""
    return f"{header.path}{averages}", state.st_ino, state.st_size, last_change(state)
