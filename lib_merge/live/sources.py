"""Opened files that a session keeps from swap to swap, so that a drag of a fader opens none."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from lib_merge.checkpoint import Header, open_checkpoint
from lib_merge.errors import CheckpointError

if TYPE_CHECKING:
    from lib_merge.checkpoint import Checkpoint

Stamp = tuple[str, int, int]


def stamp_of(header: Header) -> Stamp:
    """What tells one state of a file from another: its path, size and time of change now."""
    try:
        state = header.path.stat()
    except OSError as cause:
        raise CheckpointError("this file is gone", where=str(header.path)) from cause
    return str(header.path), state.st_size, state.st_mtime_ns


class Sources:
    """The mapped files of the last plans."""

    def __init__(self) -> None:
        self._opened: dict[Stamp, Checkpoint] = {}

    def open(self, headers: Sequence[Header]) -> list[Checkpoint]:
        """The files behind these headers, in order; CheckpointError for one that has changed since."""
        return [self._one(header) for header in headers]

    def _one(self, header: Header) -> Checkpoint:
        stamp = stamp_of(header)
        if stamp not in self._opened:
            opened = open_checkpoint(header.path)
            if opened.header.tensors != header.tensors:
                opened.close()
                raise CheckpointError(
                    "this file has changed since it was planned with",
                    where=str(header.path),
                    hint="try again",
                )
            self._opened[stamp] = opened
        return self._opened[stamp]

    def close(self) -> None:
        """Lets go of all of them."""
        for checkpoint in self._opened.values():
            with suppress(BufferError):
                checkpoint.close()
        self._opened.clear()
