"""What tells one state of a file from another: inode, size, time of change."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lib_merge.checkpoint.linux import is_remote
from lib_merge.errors import CheckpointError

# inode (0 on a remote disk, which may number them again), bytes, nanoseconds since 1970
FileState = tuple[int, int, int]


def state_of(file: int | Path) -> FileState:
    """The state of a file that is open (by its descriptor) or has this name; raises OSError."""
    now = os.stat(file)  # noqa: PTH116 - which takes a descriptor too
    return (0 if is_remote(file) else now.st_ino), now.st_size, last_change(now)


def last_change(now: os.stat_result) -> int:
    """When the contents or what is kept of the file last changed (mtime, ctime), whichever is later.

    A program may set mtime to what it was before it wrote, as copying with times kept does, but not ctime. On
    Windows ctime is when the file was made.
    """
    return now.st_mtime_ns if sys.platform == "win32" else max(now.st_mtime_ns, now.st_ctime_ns)


def changed(path: Path) -> CheckpointError:
    """The error for a file that was written to, or replaced, while it was being used."""
    return CheckpointError(
        "this file was changed while it was in use",
        where=str(path),
        hint="wait until nothing writes to it, and try again",
    )


def check_unchanged(path: Path, state: FileState | None) -> None:
    """That the file of this name is in this state still; CheckpointError where it is not, or is gone."""
    if state is None:
        return
    try:
        now = state_of(path)
    except OSError as error:
        raise changed(path) from error
    if now != state:
        raise changed(path)
