"""Error messages for failures of the operating system (OSError), and sizes in readable units."""

from __future__ import annotations

import errno
from pathlib import Path

from lib_merge.errors import CheckpointError, OutputError

# errno -> (what happened, what to try); continues "the checkpoint cannot be read: ..."
READ_FAILURES = {
    errno.ENOENT: ("there is no such file", "check the path and the spelling"),
    errno.EACCES: ("reading it is not permitted", "change the file's permissions"),
    errno.EPERM: ("reading it is not permitted", "change the file's permissions"),
    errno.EISDIR: ("it is a folder", "name the .safetensors file in it"),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", "check the path"),
    errno.ELOOP: ("it is a symbolic link to itself", "name the real file"),
    errno.ENAMETOOLONG: ("the name is too long for this disk", "check the path"),
    errno.EIO: ("the disk failed to read it", "copy the file from its source again, and check the disk"),
    errno.ENOMEM: ("the system has no memory left to map it", "close other programs"),
}

# errno -> (what happened, what to try); continues "the result cannot be written: ..."
WRITE_FAILURES = {
    errno.ENOENT: ("the folder does not exist", "make the folder first, or name another one"),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", "name another folder"),
    errno.EACCES: ("writing there is not permitted", "name another folder, or close what uses the file"),
    errno.EPERM: ("writing there is not permitted", "name another folder, or change its permissions"),
    errno.EROFS: ("the disk is read-only", "name a folder on another disk"),
    errno.ENOSPC: ("the disk is full", "free some space, or name a folder on another disk"),
    errno.EFBIG: ("the file would be larger than this system allows", "name a folder on another disk"),
    errno.EISDIR: ("there is a folder of that name", "choose another name"),
    errno.ENAMETOOLONG: ("the name is too long for this disk", "choose a shorter name"),
    errno.EINVAL: ("this disk does not accept such a name or file", "choose another name or folder"),
    errno.EIO: ("the disk failed", "check the disk, or name a folder on another one"),
}
NAME_TAKEN_HINT = "choose another name, or allow overwriting"
if hasattr(errno, "EDQUOT"):  # not on Windows
    WRITE_FAILURES[errno.EDQUOT] = ("your disk quota is used up", "free some space, or name another folder")


def human_size(size: int) -> str:
    """A number of bytes in decimal units: 2132650000 is '2.13 GB'."""
    if abs(size) < 1000:
        return f"{size} bytes"
    amount = float(size)
    for unit in ("KB", "MB", "GB", "TB", "PB"):
        amount /= 1000
        if abs(amount) < 999.5:
            return f"{amount:.3g} {unit}"
    return f"{amount / 1000:.3g} EB"


def read_failure(error: OSError, path: Path) -> CheckpointError:
    """The CheckpointError for an OSError while reading a file."""
    what, hint = READ_FAILURES.get(error.errno or 0, (_reason(error), ""))
    return CheckpointError(f"the checkpoint cannot be read: {what}", where=str(path), hint=hint)


def write_failure(error: OSError, path: Path) -> OutputError:
    """The OutputError for an OSError while writing a file."""
    if error.errno == errno.EEXIST:
        return OutputError(f"'{path.name}' is there already", where=str(path), hint=NAME_TAKEN_HINT)
    what, hint = WRITE_FAILURES.get(error.errno or 0, (_reason(error), ""))
    return OutputError(f"the result cannot be written: {what}", where=str(path), hint=hint)


def _reason(error: OSError) -> str:
    """The system's own message, for errors that are not in the tables."""
    return error.strerror or str(error) or "the system gives no reason"
