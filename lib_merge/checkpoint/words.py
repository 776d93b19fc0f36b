"""How this room says sizes, and what it makes of the operating system's refusals."""

from __future__ import annotations

import errno
from pathlib import Path

from lib_merge.errors import CheckpointError, OutputError

# errno -> (what happened, what to try); both read after "the checkpoint cannot be read: ..."
READ_FAILURES = {
    errno.ENOENT: ("there is no such file", "check the path and the spelling"),
    errno.EACCES: ("reading it is not permitted", "change the file's permissions"),
    errno.EPERM: ("reading it is not permitted", "change the file's permissions"),
    errno.EISDIR: ("it is a folder", "name the .safetensors file inside it"),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", "check the path"),
    errno.ELOOP: ("it is a link that leads back to itself", "name the real file"),
    errno.ENAMETOOLONG: ("the name is too long for this disk", "check the path"),
    errno.EIO: ("the disk failed to read it", "copy the file from its source again, and check the disk"),
    errno.ENOMEM: ("the system has no memory left to map it", "close other programs"),
}

# The same for "the result cannot be written: ..."
WRITE_FAILURES = {
    errno.ENOENT: ("the folder does not exist", "make the folder first, or name another one"),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", "name another folder"),
    errno.EACCES: ("writing there is not permitted", "name another folder, or close what uses the file"),
    errno.EPERM: ("writing there is not permitted", "name another folder, or change its permissions"),
    errno.EROFS: ("the disk is read-only", "name a folder on another disk"),
    errno.ENOSPC: ("the disk is full", "free some space, or name a folder on another disk"),
    errno.EFBIG: ("the file would be larger than this system allows", "name a folder on another disk"),
    errno.EISDIR: ("there is a folder of that name", "choose another name"),
    errno.EEXIST: ("there is already a file of that name", "choose another name, or allow overwriting"),
    errno.ENAMETOOLONG: ("the name is too long for this disk", "choose a shorter name"),
    errno.EINVAL: ("this disk does not accept such a name or file", "choose another name or folder"),
    errno.EIO: ("the disk failed", "check the disk, or name a folder on another one"),
}
if hasattr(errno, "EDQUOT"):  # not on Windows
    WRITE_FAILURES[errno.EDQUOT] = ("your disk quota is used up", "free some space, or name another folder")


def human_size(size: int) -> str:
    """Bytes as a person says them, in powers of a thousand: 2132650000 is '2.13 GB'."""
    if abs(size) < 1000:
        return f"{size} bytes"
    amount = float(size)
    for unit in ("KB", "MB", "GB", "TB", "PB"):
        amount /= 1000
        if abs(amount) < 999.5:
            return f"{amount:.3g} {unit}"
    return f"{amount / 1000:.3g} EB"


def read_failure(error: OSError, path: Path) -> CheckpointError:
    """An operating system's refusal to read, in words."""
    what, hint = READ_FAILURES.get(error.errno or 0, (_reason(error), ""))
    return CheckpointError(f"the checkpoint cannot be read: {what}", where=str(path), hint=hint)


def write_failure(error: OSError, path: Path) -> OutputError:
    """An operating system's refusal to write, in words."""
    what, hint = WRITE_FAILURES.get(error.errno or 0, (_reason(error), ""))
    return OutputError(f"the result cannot be written: {what}", where=str(path), hint=hint)


def _reason(error: OSError) -> str:
    """What the system itself says, for refusals that the tables do not know."""
    return error.strerror or str(error) or "for a reason the system does not tell"
