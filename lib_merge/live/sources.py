"""Files that a session keeps open between swaps, so that dragging a slider opens none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.architectures import open_from_header
from lib_merge.checkpoint import Header
from lib_merge.checkpoint.state import last_change
from lib_merge.errors import CheckpointError
from lib_merge.plan import Plan

if TYPE_CHECKING:
    from lib_merge.checkpoint import Checkpoint

Stamp = tuple[str, int, int, int]


@dataclass(frozen=True)
class OpenedFile:
    """A mapped file, the header that it was planned with, and the state of the file at that time."""

    header: Header
    checkpoint: Checkpoint
    stamp: Stamp


class Sources:
    """The mapped files behind headers, kept open while they may be needed again."""

    def __init__(self) -> None:
        self._opened: dict[int, OpenedFile] = {}  # by the header's identity, which OpenedFile keeps alive

    def open(self, headers: Sequence[Header]) -> list[Checkpoint]:
        """The files behind these headers, in order; CheckpointError for one that has changed since.

        A file that was replaced by another of its name is still there behind its mapping. One that was
        written over in place is not: touching it could end the process.
        """
        return [self._one(header).checkpoint for header in headers]

    def stamps(self, headers: Sequence[Header]) -> list[Stamp]:
        """The state of each file: path, inode, size, time of change."""
        return [self._one(header).stamp for header in headers]

    def stamps_of(self, plan: Plan) -> list[object]:
        """The state of each of a plan's files; of an aligned one with the other files and the options."""
        files = self.stamps(plan.sources)
        stamps_by_name = {
            ingredient.name: stamp for ingredient, stamp in zip(plan.recipe.ingredients, files, strict=False)
        }
        states: list[object] = list(files)
        for number, ingredient in enumerate(plan.recipe.ingredients):
            if (aligned := ingredient.alignment) is not None:
                states[number] = (
                    files[number],
                    stamps_by_name[aligned.to],
                    stamps_by_name[aligned.solved_ingredient],
                    aligned.options,
                )
        return states

    def _one(self, header: Header) -> OpenedFile:
        opened = self._opened.get(id(header))
        if opened is None:
            stamp = _stamp_of(header)
            checkpoint = open_from_header(header)
            opened = self._opened[id(header)] = OpenedFile(header, checkpoint, stamp)
            if checkpoint.header.tensors != header.tensors:
                raise self._changed(header)
            return opened
        with suppress(OSError):  # gone or renamed: the mapping keeps it
            _, inode, size, modified = opened.stamp
            state = header.path.stat()
            if state.st_ino == inode and (state.st_size, last_change(state)) != (size, modified):
                raise self._changed(header)
        return opened

    def _changed(self, header: Header) -> CheckpointError:
        self._close(self._opened.pop(id(header)))
        return CheckpointError("this file has changed meanwhile", where=str(header.path), hint="try again")

    def keep_only(self, headers: Iterable[Header]) -> None:
        """Close all other files."""
        wanted = {id(header) for header in headers}
        for identity in [identity for identity in self._opened if identity not in wanted]:
            self._close(self._opened.pop(identity))

    @staticmethod
    def _close(opened: OpenedFile) -> None:
        with suppress(BufferError):  # a view of it is still in use
            opened.checkpoint.close()


def _stamp_of(header: Header) -> Stamp:
    try:
        state = header.path.stat()
    except OSError as cause:
        raise CheckpointError("this file is gone", where=str(header.path)) from cause
    averages = " (EMA weights)" if header.aliases else ""
    return f"{header.path}{averages}", state.st_ino, state.st_size, last_change(state)
