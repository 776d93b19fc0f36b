"""System calls of Linux that Python does not offer; on other systems these functions do nothing."""

from __future__ import annotations

import errno
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

# f_type (statfs(2)) of file systems whose files another machine or a program may change or remove at any time
REMOTE = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB 2",
    0x65735546: "FUSE",
    0x01021997: "9P",
    0x00C36400: "Ceph",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x19830326: "BeeGFS",
    0x786F4256: "VirtualBox",
    0xBACBACBC: "VMware",
    0x7461636F: "OCFS2",
    0x01161970: "GFS2",
}
WRITE = 2  # SYNC_FILE_RANGE_WRITE: begin writing, do not wait


def reserve(descriptor: int, size: int) -> None:
    """Allocate the disk space of a whole file, where the file system supports it; OSError where the disk is
    full.

    So a full disk or quota is an error before the work begins, and the space cannot be used by others
    meanwhile. It is also faster: 840 MB in chunks of 256 KB by two threads on ext4 took 0.54-1.02 s (median
    0.68) with it and 0.57-1.11 s (1.01) without, fsync included; 8 paired rounds, 0.52-1.08 times as long.
    fallocate(2) is called directly, because os.posix_fallocate writes into every block on file systems that
    do not support it.
    """
    if sys.platform != "linux":
        return
    import ctypes

    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if fallocate(descriptor, 0, 0, size) != 0:
        code = ctypes.get_errno()
        if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise OSError(code, os.strerror(code))


def begin_writeback(descriptor: int) -> None:
    """Ask the system to begin writing a file's cached pages to the disk, so that the final fsync is short.

    2.13 GB in chunks of 512 KB by two threads on ext4, fsync included, three rounds: 2.4-3.9 s without this
    call, 1.3-1.4 s with a call after every 32 MB.
    """
    if sys.platform != "linux":
        return
    import ctypes

    sync_file_range = ctypes.CDLL(None).sync_file_range
    sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    sync_file_range(descriptor, 0, 0, WRITE)  # its failure does not matter: fsync follows


def is_remote(file: int | Path) -> bool:
    """Whether a file (a descriptor or a path) is on a file system of REMOTE; False where that is unknown."""
    if sys.platform != "linux":
        return False
    import ctypes

    statfs = ctypes.create_string_buffer(256)  # struct statfs takes 120 bytes at most, f_type comes first
    if isinstance(file, int):
        failed = _libc().fstatfs(ctypes.c_int(file), statfs)
    else:
        failed = _libc().statfs(ctypes.c_char_p(os.fsencode(file)), statfs)
    return not failed and ctypes.c_ulong.from_buffer(statfs).value & 0xFFFFFFFF in REMOTE


@cache
def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None)
