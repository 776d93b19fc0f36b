"""Writes a checkpoint piece by piece, from any number of threads, and shows it only when it is whole.

The bytes go to `.NAME.PID.part` in the target's folder, which takes the final name in one step after
all of them are on the disk. A run that is killed leaves such a part behind; the next one for the same
target removes it.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lib_merge.checkpoint.layout import TensorSpec, plan_layout
from lib_merge.checkpoint.linux import begin_writeback, reserve
from lib_merge.checkpoint.target import (
    check_target,
    create_part,
    keep_owner,
    part_of,
    publish,
    remove_leftovers,
)
from lib_merge.checkpoint.words import human_size, write_failure
from lib_merge.errors import OutputError

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

NO_FILE = -1
STRETCH = 32 << 20  # bytes between two words to the system to begin writing
# Bytes of one write. A merge of 2.13 GB by calls of up to 59 MB spent 3.7-3.8 s in them, by calls of 1 MB
# 0.43 s (ext4, Linux 6.18, three runs): the system looks for room in one piece for what comes in one piece.
AT_ONCE = 1 << 20


class StreamingWriter:
    """A safetensors file being written; `commit` makes it appear, leaving without it removes all traces.

        with StreamingWriter(target, [("a", F16, (2, 2))], {"format": "pt"}) as writer:
            writer.write("a", 0, piece)
            writer.commit()

    `write` may be called from several threads at once, in any order of keys and offsets.
    """

    def __init__(
        self,
        target: Path,
        tensors: Sequence[TensorSpec],
        metadata: Mapping[str, str] | None = None,
        *,
        overwrite: bool = False,
    ) -> None:
        self.target = target
        self.layout = plan_layout(tensors, metadata or {})
        self._tensors = tuple(tensors)
        self._overwrite = overwrite
        self._written: dict[str, list[tuple[int, int]]] = {key: [] for key in self.layout.spans}
        self._idle = threading.Condition()
        self._writing = 0  # threads inside write()
        self._unasked = 0  # bytes that the system has not been asked to write yet
        self._open = False
        remove_leftovers(target)
        for problem in check_target(target, overwrite=overwrite, size=self.layout.size):
            raise problem
        self._part = part_of(target)
        with self._in_words():
            self._descriptor = create_part(self._part)
        self._open = True
        with self._aborting(), self._in_words():
            if overwrite:
                keep_owner(self._descriptor, target)
            reserve(self._descriptor, self.layout.size)
            self._put(memoryview(self.layout.header), 0)

    def write(self, key: str, offset: int, buffer: Buffer) -> None:
        """Puts a piece of a tensor's data `offset` bytes from the tensor's beginning."""
        piece = memoryview(buffer)
        begin, nbytes = self.layout.spans[key]
        if offset < 0 or offset + piece.nbytes > nbytes:
            raise ValueError(f"'{key}' has {nbytes} bytes; {piece.nbytes} at {offset} do not fit")
        if piece.nbytes == 0:
            return
        with self._busy(), self._in_words():
            self._put(piece.cast("B"), begin + offset)
            self._written[key].append((offset, offset + piece.nbytes))
            if self._is_much(piece.nbytes):
                begin_writeback(self._descriptor)

    def _is_much(self, nbytes: int) -> bool:
        """Whether another stretch has been written since the system was last asked to begin."""
        with self._idle:
            self._unasked += nbytes
            if self._unasked < STRETCH:
                return False
            self._unasked = 0
        return True

    def commit(self, metadata: Mapping[str, str] | None = None) -> None:
        """Waits until every byte is on the disk, and gives the file its name.

        metadata  what the file is to hold in place of what the writer was made with; its header must be no
                  longer, since the tensors stay where they are
        """
        if not self._close_to_writers():
            raise ValueError(f"{self.target.name} is not being written any more")
        with self._aborting():
            self._check_whole()
            with self._in_words():
                if metadata is not None:
                    self._put(memoryview(self._header(metadata)), 0)
                os.fsync(self._descriptor)
                if os.name == "nt":  # which does not rename open files; elsewhere the lock is kept
                    self._close_file()
                publish(self._part, self.target, overwrite=self._overwrite)
        self._close_file()

    def _header(self, metadata: Mapping[str, str]) -> bytes:
        room = len(self.layout.header)
        header = plan_layout(self._tensors, metadata, header_size=room).header
        if len(header) > room:
            raise ValueError(f"metadata that takes {len(header)} bytes does not fit into {room}")
        return header

    def abort(self) -> None:
        """Removes the part file. Does nothing after a commit, or the second time."""
        if self._close_to_writers():
            self._remove()

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Removes all traces, unless the file was committed."""
        self.abort()

    def _close_to_writers(self) -> bool:
        """Lets no thread write any more, and waits for those that do: the system gives a closed file's
        number to the next file, which a late write would spoil. False if it was closed already."""
        with self._idle:
            was_open, self._open = self._open, False
            self._idle.wait_for(lambda: self._writing == 0)
        return was_open

    @contextmanager
    def _busy(self) -> Generator[None, None, None]:
        """While a thread writes."""
        with self._idle:
            if not self._open:
                raise ValueError(f"{self.target.name} is not being written any more")
            self._writing += 1
        try:
            yield
        finally:
            with self._idle:
                self._writing -= 1
                self._idle.notify_all()

    @contextmanager
    def _aborting(self) -> Generator[None, None, None]:
        """Removes all traces if anything goes wrong inside, an interrupt of the user included."""
        try:
            yield
        except BaseException:
            self._open = False
            self._remove()
            raise

    @contextmanager
    def _in_words(self) -> Generator[None, None, None]:
        """Turns the system's refusals into errors that say what to try."""
        try:
            yield
        except OSError as error:
            raise write_failure(error, self.target) from error

    def _close_file(self) -> None:
        """Closes the file once: by the second time, its number may be another file's."""
        descriptor, self._descriptor = self._descriptor, NO_FILE
        if descriptor != NO_FILE:
            with suppress(OSError):  # all is on the disk already, or to be removed
                os.close(descriptor)

    def _remove(self) -> None:
        self._close_file()
        with suppress(OSError):
            self._part.unlink()

    def _put(self, piece: memoryview, at: int) -> None:
        """Writes all of a piece at a place of the file, step by step."""
        while piece.nbytes:
            count = self._put_some(piece[:AT_ONCE], at)
            if count == 0:
                raise OSError(errno.EIO, "")
            piece, at = piece[count:], at + count

    def _put_some(self, piece: memoryview, at: int) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._descriptor, piece, at)
        with self._idle:  # Windows: place and write are two steps
            os.lseek(self._descriptor, at, os.SEEK_SET)
            return os.write(self._descriptor, piece)

    def _check_whole(self) -> None:
        """That the pieces written cover every tensor."""
        for key, (_, nbytes) in self.layout.spans.items():
            end = 0
            for low, high in sorted(self._written[key]):
                end = max(end, high) if low <= end else end
            if end < nbytes:
                raise OutputError(
                    f"the result is not whole: of '{key}' {human_size(end)} were written, "
                    f"{human_size(nbytes)} should be",
                    where=str(self.target),
                    hint="this is a defect of Merge Desk: please report it",
                )
