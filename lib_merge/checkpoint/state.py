"""Detection of changes to a file, by its inode, size and time of last change."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lib_merge.checkpoint.linux import is_remote
from lib_merge.errors import CheckpointError

# (inode, size in bytes, last change in ns since 1970); inode 0 on a remote disk, where it is not stable
FileState = tuple[int, int, int]


def file_state(file: int | Path) -> FileState:
    """The state of a file, given as a descriptor or a path; raises OSError."""
    now = os.stat(file)  # noqa: PTH116 - which takes a descriptor too
    return (0 if is_remote(file) else now.st_ino), now.st_size, last_change(now)


def last_change(now: os.stat_result) -> int:
    """The later of mtime (last change of the content) and ctime (last change of the inode), in nanoseconds.

    A program can set mtime to any value, as `cp -p` does, but not ctime. On Windows ctime is the time of
    creation, so only mtime counts.
    """
    return now.st_mtime_ns if sys.platform == "win32" else max(now.st_mtime_ns, now.st_ctime_ns)


def changed_error(path: Path) -> CheckpointError:
    """The error for a file that was modified or replaced while it was in use."""
    return CheckpointError(
        "this file was changed while it was in use",
        where=str(path),
        hint="wait until nothing writes to it, and try again",
    )


def check_unchanged(path: Path, state: FileState | None) -> None:
    """Raise CheckpointError where the file's state differs from this one, or the file is gone."""
    if state is None:
        return
    try:
        now = file_state(path)
    except OSError as error:
        raise changed_error(path) from error
    if now != state:
        raise changed_error(path)
