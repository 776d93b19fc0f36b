"""Atomic writing of small files: tables, pictures, presets.

The bytes are written to a temporary part file in the target's folder (see `target`) and synced to the disk;
then the part file is renamed to the target. After a failure (a full disk, a killed process) the target is
unchanged.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lib_merge.checkpoint.system_errors import write_failure
from lib_merge.checkpoint.target import (
    check_target,
    create_part,
    keep_owner,
    part_of,
    publish,
    remove_abandoned_parts,
)

NO_FILE = -1


def write_file(
    target: Path,
    data: bytes | str,
    *,
    inputs: Iterable[Path] = (),
    overwrite: bool = False,
    suffixes: Sequence[str] = (),
) -> None:
    """Write `data` to the target; text as UTF-8, with lone surrogates escaped.

    The other arguments are those of `check_target`. Raises OutputError where the file cannot be written.
    """
    raw = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    for problem in check_target(target, inputs=inputs, overwrite=overwrite, size=len(raw), suffixes=suffixes):
        raise problem
    with part_file(target, overwrite=overwrite) as file:
        file.write(raw)


def write_data_file(target: Path, data: bytes | str) -> None:
    """`write_file` for the program's own data: creates the folder, and replaces an existing file."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise write_failure(OSError(errno.ENOTDIR, ""), target) from error
    except OSError as error:
        raise write_failure(error, target) from error
    write_file(target, data, overwrite=True)


@contextmanager
def part_file(target: Path, *, overwrite: bool = False) -> Generator[BinaryIO]:
    """A temporary file in the target's folder, renamed to the target when the block ends without an error.

    Raises OutputError for every OSError, including those that the block raises.
    """
    remove_abandoned_parts(target)
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
        if os.name == "nt":  # Windows does not rename open files; elsewhere the lock is kept
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
    """Close a file unless it is closed; errors no longer matter, since it is synced or will be removed."""
    if descriptor != NO_FILE:
        with suppress(OSError):
            os.close(descriptor)
    return NO_FILE
