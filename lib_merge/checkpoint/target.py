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
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
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
    endings: Sequence[str] = (ENDING,),
) -> list[MergeError]:
    """Everything that stands in the way of writing `size` bytes to the target; writes nothing.

    inputs     files that the result is made from, which it must not replace
    overwrite  whether a file of that name may be replaced
    endings    of the names that are allowed; () for any
    """
    if not target.name:  # "", "." or "/"
        hint = f"name a file that ends in {' or '.join(endings)}" if endings else "name a file"
        return [OutputError("the result needs a file name", where=f"'{target}'", hint=hint)]
    found: list[MergeError] = []
    try:
        found.extend(_name_problems(target, overwrite, endings))
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


def check_targets(
    targets: Sequence[tuple[Path, Sequence[str]]], *, inputs: Iterable[Path] = (), overwrite: bool = False
) -> list[MergeError]:
    """`check_target` of several files of one command, each with its endings, which must not be one file."""
    found: list[MergeError] = []
    inputs, seen = list(inputs), set[str]()
    for target, endings in targets:
        found += check_target(target, inputs=inputs, overwrite=overwrite, endings=endings)
        place = os.path.normcase(os.path.realpath(target))
        if place in seen:
            what = f"two results would be called '{target.name}'"
            found.append(OutputError(what, where=str(target), hint="give each a name of its own"))
        seen.add(place)
    return found


def _name_problems(target: Path, overwrite: bool, endings: Sequence[str]) -> Iterator[MergeError]:
    """What is wrong with the name itself, and what already has it."""
    if endings and target.suffix.lower() not in endings:
        allowed = " or ".join(endings)
        yield OutputError(
            f"the result would be called '{target.name}', but only {allowed} files are written",
            where=str(target),
            hint=f"end the name in {allowed}",
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
    elif os.path.lexists(target):
        yield from _replacing_problems(target)


def _replacing_problems(target: Path) -> Iterator[MergeError]:
    """Why what has the name already cannot be replaced: a pipe, a device, another user's file."""
    state = target.lstat()
    if not (stat.S_ISREG(state.st_mode) or stat.S_ISLNK(state.st_mode)):
        what = f"'{target.name}' is not a file that could be replaced, but a pipe, a socket or a device"
        yield OutputError(what, where=str(target), hint="choose another name")
    elif sys.platform != "win32" and os.geteuid() not in (0, state.st_uid) and stat.S_ISREG(state.st_mode):
        what = f"'{target.name}' belongs to another user, and the new file would not"
        yield OutputError(what, where=str(target), hint="choose another name, or delete that file first")


def _input_problems(target: Path, inputs: Iterable[Path]) -> Iterator[MergeError]:
    """Whether the target is one of the inputs, by whatever name."""
    for path in inputs:
        with suppress(OSError, ValueError):  # gone, or a text that is no path
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


def keep_owner(descriptor: int, target: Path) -> None:
    """Gives a part the owner and the group of the file that it will replace; OutputError where it cannot."""
    if sys.platform == "win32":
        return
    with suppress(FileNotFoundError):
        old, new = target.lstat(), os.fstat(descriptor)
        if not stat.S_ISREG(old.st_mode) or (old.st_uid, old.st_gid) == (new.st_uid, new.st_gid):
            return
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except OSError as error:
            raise OutputError(
                f"'{target.name}' belongs to another user or group, and the new file would not",
                where=str(target),
                hint="choose another name, or delete that file first",
            ) from error


def _keep_mode(part: Path, target: Path) -> None:
    """Gives a part the permissions of the file that it is about to replace."""
    if sys.platform == "win32":
        return
    with suppress(OSError):  # no such file, or a disk without permissions
        old = target.lstat().st_mode
        if stat.S_ISREG(old) and stat.S_IMODE(old) != stat.S_IMODE(part.stat().st_mode):
            part.chmod(stat.S_IMODE(old))


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
    """Gives a whole part its final name in one step; FileExistsError if the name is taken meanwhile.

    The permissions of a file that is replaced are kept.
    """
    if overwrite:
        _keep_mode(part, target)
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
