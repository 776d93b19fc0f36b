"""Files that appear whole or not at all: tables, pictures, presets, and whatever else is written at once.

The bytes go to a part beside the target (see `target`), are on the disk, and take the name in one step.
Where anything goes wrong, a full disk or a kill, the file that had the name is as it was.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lib_merge.checkpoint.target import (
    check_target,
    create_part,
    keep_owner,
    part_of,
    publish,
    remove_leftovers,
)
from lib_merge.checkpoint.words import write_failure

NO_FILE = -1


def write_file(
    target: Path,
    data: bytes | str,
    *,
    inputs: Iterable[Path] = (),
    overwrite: bool = False,
    endings: Sequence[str] = (),
) -> None:
    """Write `data` under the name, text as UTF-8 (half characters as their escapes).

    Raises OutputError for whatever stands in the way (see `check_target`, which takes the other arguments).
    """
    raw = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    for problem in check_target(target, inputs=inputs, overwrite=overwrite, size=len(raw), endings=endings):
        raise problem
    with part_file(target, overwrite=overwrite) as file:
        file.write(raw)


def keep_file(target: Path, data: bytes | str) -> None:
    """`write_file` for what the program keeps for itself: replaces what is there, and makes the folder."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise write_failure(OSError(errno.ENOTDIR, ""), target) from error
    except OSError as error:
        raise write_failure(error, target) from error
    write_file(target, data, overwrite=True)


@contextmanager
def part_file(target: Path, *, overwrite: bool = False) -> Generator[BinaryIO]:
    """A new file beside the target, which takes its name when the block ends without an error.

    Raises OutputError for every refusal of the system, also those met inside the block.
    """
    remove_leftovers(target)
    part = part_of(target)
    try:
        descriptor = create_part(part)
    except OSError as error:
        raise write_failure(error, target) from error
    try:
        if overwrite:
            keep_owner(descriptor, target)
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        if os.name == "nt":  # which does not rename open files; elsewhere the lock is kept
            os.close(descriptor)
            descriptor = NO_FILE
        publish(part, target, overwrite=overwrite)
    except BaseException as error:
        descriptor = _close(descriptor)
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            raise write_failure(error, target) from error
        raise
    finally:
        _close(descriptor)


def _close(descriptor: int) -> int:
    """Closes a file, unless it is closed already; all of it is on the disk by now, or to be removed."""
    if descriptor != NO_FILE:
        with suppress(OSError):
            os.close(descriptor)
    return NO_FILE
