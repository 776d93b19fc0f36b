"""The place that a result is written to: whether it will do, its part file, and the final step.

A part file is locked while its writer lives. The system drops the lock with the process, however it
ends, so a part that can be locked is abandoned. (A process id says less: it is used again, and means
nothing on a folder that two containers share.)
"""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from lib_merge.checkpoint.words import human_size, write_failure
from lib_merge.errors import MergeError, OutputError

if sys.platform != "win32":
    import fcntl

ENDING = ".safetensors"
TRIES = 3  # of making a part file, should another process sweep it away before it is locked


def check_target(
    target: Path,
    *,
    inputs: Iterable[Path] = (),
    overwrite: bool = False,
    size: int = 0,
    ending: str = ENDING,
) -> list[MergeError]:
    """Everything that stands in the way of writing `size` bytes to the target; writes nothing."""
    found: list[MergeError] = []
    try:
        found.extend(_name_problems(target, overwrite, ending))
        found.extend(_input_problems(target, inputs))
        found.extend(_folder_problems(target, size))
    except OSError as error:  # a folder above that may not even be looked into
        found.append(write_failure(error, target))
    return found


def check_place(target: Path, size: int) -> list[MergeError]:
    """What stands in the way of making a folder of `size` bytes; its name alone is not looked at."""
    try:
        return list(_folder_problems(target, size))
    except OSError as error:
        return [write_failure(error, target)]


def _folder_problems(target: Path, size: int) -> Iterator[MergeError]:
    """Whether the folder is there, may be written to, and has the space."""
    folder = target.parent
    if not folder.is_dir():
        blocked = any(above.is_file() for above in (folder, *folder.parents))
        yield write_failure(OSError(errno.ENOTDIR if blocked else errno.ENOENT, ""), target)
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        read_only = sys.platform != "win32" and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
        yield write_failure(OSError(errno.EROFS if read_only else errno.EACCES, ""), target)
    free = shutil.disk_usage(folder).free
    if size > free:
        yield OutputError(
            f"there is not enough space for the result: {human_size(size)} needed, {human_size(free)} there",
            where=str(target),
            hint="free some space, or name a folder on another disk",
        )


def _name_problems(target: Path, overwrite: bool, ending: str) -> Iterator[MergeError]:
    """What is wrong with the name itself, and what already has it."""
    if target.suffix.lower() != ending:
        yield OutputError(
            f"the result would be called '{target.name}', but only {ending} files are written",
            where=str(target),
            hint=f"end the name in {ending}",
        )
    if "\0" in str(target):
        yield write_failure(OSError(errno.EINVAL, ""), target)
    elif sys.platform != "win32" and target.parent.is_dir():
        longest = os.pathconf(target.parent, "PC_NAME_MAX")
        if len(os.fsencode(part_of(target).name)) > longest:
            yield write_failure(OSError(errno.ENAMETOOLONG, ""), target)
            return
    if target.is_dir():
        yield write_failure(OSError(errno.EISDIR, ""), target)
    elif os.path.lexists(target) and not overwrite:
        yield write_failure(OSError(errno.EEXIST, ""), target)


def _input_problems(target: Path, inputs: Iterable[Path]) -> Iterator[MergeError]:
    """Whether the target is one of the inputs, by whatever name."""
    for path in inputs:
        with suppress(OSError):
            if target.samefile(path):
                yield OutputError(
                    f"the result would replace '{path.name}', which it is made from",
                    where=str(target),
                    hint="choose another name",
                )
                return


def part_of(target: Path) -> Path:
    """Where this process writes before the file gets its name."""
    return target.with_name(f".{target.name}.{os.getpid()}.part")


def remove_leftovers(target: Path) -> None:
    """Removes the parts that killed processes have left for this target."""
    with suppress(OSError):
        for path in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
            if re.fullmatch(r"\d+", path.name.removeprefix(f".{target.name}.").removesuffix(".part")):
                _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    """Removes a part file unless its writer lives."""
    with suppress(OSError):
        if sys.platform == "win32":
            path.unlink()  # Windows refuses while a process has it open
            return
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(descriptor)


def create_part(part: Path) -> int:
    """A new, empty, locked part file, as a file descriptor; raises OSError or OutputError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    for _ in range(TRIES):
        try:
            descriptor = os.open(part, flags, 0o666)
        except FileExistsError:
            break
        if _lock(descriptor):
            return descriptor
        os.close(descriptor)
    raise OutputError(
        "another merge is writing this very file",
        where=str(part),
        hint="wait for it, or choose another name; if no merge is running, delete this part",
    )


def _lock(descriptor: int) -> bool:
    """Locks a part file that was just made; False if another process swept it away in that moment."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk without locks; nobody can sweep there either
        return True
    return os.fstat(descriptor).st_nlink > 0


def publish(part: Path, target: Path, *, overwrite: bool) -> None:
    """Gives a whole part its final name in one step; FileExistsError if the name is taken meanwhile."""
    if overwrite:
        part.replace(target)
    elif sys.platform == "win32":
        part.rename(target)  # refuses to replace, there
    else:
        _publish_new(part, target)
    _sync_folder(target.parent)


def _publish_new(part: Path, target: Path) -> None:
    """A second name first, since a link never replaces a file; on a disk without links, a look first."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "", str(target)) from None
        part.rename(target)
        return
    with suppress(OSError):  # else the next run removes it: the target is there and whole
        part.unlink()


def _sync_folder(folder: Path) -> None:
    """Makes the new name survive a power cut, where the system can be told to."""
    if sys.platform == "win32":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
