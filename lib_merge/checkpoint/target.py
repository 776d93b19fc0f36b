"""The file that a result is written to: checks before writing, its temporary part file, and the final rename.

A part file is locked while its writer runs. The system releases the lock when the process ends, however it
ends, so a part file that can be locked is abandoned. (The process id would not prove it: ids are reused, and
are meaningless in a folder that two containers share.)
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

from lib_merge.checkpoint.suffixes import SAFETENSORS
from lib_merge.checkpoint.system_errors import human_size, write_failure
from lib_merge.errors import MergeError, OutputError

if sys.platform != "win32":
    import fcntl

TRIES = 3  # to create a part file, which another process may remove as abandoned before it is locked


def check_target(
    target: Path,
    *,
    inputs: Iterable[Path] = (),
    overwrite: bool = False,
    size: int = 0,
    suffixes: Sequence[str] = (SAFETENSORS,),
) -> list[MergeError]:
    """All problems that would prevent writing `size` bytes to the target; nothing is written.

    inputs     the files that the result is made from, which it must not replace
    overwrite  whether an existing file may be replaced
    suffixes   allowed suffixes of the target's name; () for any
    """
    if not target.name:  # "", "." or "/"
        hint = f"name a file that ends in {' or '.join(suffixes)}" if suffixes else "name a file"
        return [OutputError("the result needs a file name", where=f"'{target}'", hint=hint)]
    problems: list[MergeError] = []
    try:
        problems.extend(_name_problems(target, overwrite, suffixes))
        problems.extend(_input_problems(target, inputs))
        problems.extend(_folder_problems(target, size))
    except OSError as error:  # e.g. no permission to search a parent folder
        problems.append(write_failure(error, target))
    return problems


def check_folder(target: Path, size: int) -> list[MergeError]:
    """All problems that would prevent writing a folder of `size` bytes to the target; its name is not
    checked."""
    try:
        return list(_folder_problems(target, size))
    except OSError as error:
        return [write_failure(error, target)]


def _folder_problems(target: Path, size: int) -> Iterator[MergeError]:
    """Problems of the target's folder: missing, not writable, or without enough space."""
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
            f"there is not enough space for the result: {human_size(size)} needed, {human_size(free)} free",
            where=str(target),
            hint="free some space, or name a folder on another disk",
        )


def check_targets(
    targets: Sequence[tuple[Path, Sequence[str]]], *, inputs: Iterable[Path] = (), overwrite: bool = False
) -> list[MergeError]:
    """`check_target` for all results of a command, (target, allowed suffixes) each; no two may be the same
    file."""
    problems: list[MergeError] = []
    inputs, seen = list(inputs), set[str]()
    for target, suffixes in targets:
        problems += check_target(target, inputs=inputs, overwrite=overwrite, suffixes=suffixes)
        path = os.path.normcase(os.path.realpath(target))
        if path in seen:
            what = f"two results would be called '{target.name}'"
            problems.append(OutputError(what, where=str(target), hint="give them different names"))
        seen.add(path)
    return problems


def _name_problems(target: Path, overwrite: bool, endings: Sequence[str]) -> Iterator[MergeError]:
    """Problems of the target's name: a wrong suffix, too long, or taken."""
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
    """Problems of replacing the existing target: a pipe, a device, another user's file."""
    state = target.lstat()
    if not (stat.S_ISREG(state.st_mode) or stat.S_ISLNK(state.st_mode)):
        what = f"'{target.name}' is not a file, but a pipe, a socket or a device"
        yield OutputError(what, where=str(target), hint="choose another name")
    elif sys.platform != "win32" and os.geteuid() not in (0, state.st_uid) and stat.S_ISREG(state.st_mode):
        what = f"'{target.name}' belongs to another user, but the new file would belong to you"
        yield OutputError(what, where=str(target), hint="choose another name, or delete that file first")


def _input_problems(target: Path, inputs: Iterable[Path]) -> Iterator[MergeError]:
    """A problem where the target is one of the inputs, under any name."""
    for path in inputs:
        with suppress(OSError, ValueError):  # a missing file, or a text that is not a path
            if target.samefile(path):
                yield OutputError(
                    f"the result would replace '{path.name}', one of its own inputs",
                    where=str(target),
                    hint="choose another name",
                )
                return


def part_of(target: Path) -> Path:
    """The temporary file that this process writes, before it is renamed to the target."""
    return target.with_name(f".{target.name}.{os.getpid()}.part")


def remove_abandoned_parts(target: Path) -> None:
    """Remove part files of this target whose processes were killed."""
    with suppress(OSError):
        for path in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
            if re.fullmatch(r"\d+", path.name.removeprefix(f".{target.name}.").removesuffix(".part")):
                _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    """Remove a part file unless its writer still runs."""
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
    """Give a part file the owner and group of the file that it will replace; OutputError where that fails."""
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
                f"'{target.name}' belongs to another user or group, but the new file would belong to yours",
                where=str(target),
                hint="choose another name, or delete that file first",
            ) from error


def _keep_mode(part: Path, target: Path) -> None:
    """Give a part file the permissions of the file that it will replace."""
    if sys.platform == "win32":
        return
    with suppress(OSError):  # no such file, or a disk without permissions
        old = target.lstat().st_mode
        if stat.S_ISREG(old) and stat.S_IMODE(old) != stat.S_IMODE(part.stat().st_mode):
            part.chmod(stat.S_IMODE(old))


def create_part(part: Path) -> int:
    """The file descriptor of a new, empty, locked part file; raises OSError or OutputError."""
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
        "another merge is writing this file",
        where=str(part),
        hint="wait for it, or choose another name; if no merge is running, delete the .part file",
    )


def _lock(descriptor: int) -> bool:
    """Lock a new part file; False where another process has removed it as abandoned in that moment."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk without locks, on which no process removes part files
        return True
    return os.fstat(descriptor).st_nlink > 0


def publish(part: Path, target: Path, *, overwrite: bool) -> None:
    """Rename a complete part file to the target, atomically; FileExistsError where the name is taken.

    A file that is replaced passes its permissions on.
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
    """Rename without replacing: by a hard link, which fails where the name is taken; else after a check."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "", str(target)) from None
        part.rename(target)
        return
    with suppress(OSError):  # if it fails, the next run removes the part file; the target is complete
        part.unlink()


def _sync_folder(folder: Path) -> None:
    """Sync the folder, so that the new name survives a power cut; does nothing on Windows."""
    if sys.platform == "win32":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
