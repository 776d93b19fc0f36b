"""The hashes by which WebUIs and Civitai identify a file, computed in one pass over it.

    sha256   of the whole file; its first ten digits are AutoV2, the WebUI's short hash
    AutoV1   sha256 of the 64 KiB from 1 MiB on, first eight digits; has collisions, but old titles show it
    AutoV3   sha256 of the bytes after the safetensors header, so that metadata does not change it;
             Civitai shows twelve digits, LoRA tools all 64
    md5      for comparing downloads

The header is not parsed, so damaged files have hashes too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from lib_merge.checkpoint.header import LENGTH_BYTES, open_file
from lib_merge.checkpoint.state import changed_error, file_state
from lib_merge.checkpoint.system_errors import read_failure
from lib_merge.errors import StoppedError
from lib_merge.progress import NoProgress, Progress

ALL_HASHES = ("sha256", "autov1", "autov3", "md5")
DEFAULT_HASHES = ("sha256", "autov1", "autov3")
RECORDED_HASHES = ("sha256",)  # the hashes of its files that a recipe records

AUTOV1_SPAN = (0x100000, 0x110000)  # bytes; modules/sd_models.py, model_hash
READ_BYTES = 4 << 20  # large enough that passing it to a thread is negligible, small enough to stop soon


@dataclass(frozen=True)
class Hashes:
    """A file's hashes in lower-case hexadecimal; None where not requested, or where the file has no such
    hash."""

    autov1: str | None = None
    autov2: str | None = None
    autov3: str | None = None
    autov3_full: str | None = None
    sha256: str | None = None
    md5: str | None = None


class _HashState(Protocol):
    """A hash object of hashlib."""

    def update(self, data: memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True)
class _Digest:
    """A hash being computed, over the bytes `begin` to `end` of the file."""

    state: _HashState
    begin: int
    end: int

    def feed(self, piece: memoryview, at: int) -> None:
        """Add the part of a chunk of the file, beginning at byte `at`, that is within the range."""
        low, high = max(self.begin - at, 0), min(self.end - at, len(piece))
        if low < high:
            self.state.update(piece[low:high])


def hash_file(
    path: Path, *, algorithms: Collection[str] = ALL_HASHES, progress: Progress | None = None
) -> Hashes:
    """The requested hashes of a file (of ALL_HASHES); the file is read once, and each hash has its own
    thread.

    A file without a safetensors header has no AutoV3. Raises CheckpointError where the file cannot be read or
    changes meanwhile, StoppedError where `progress` stops it.
    """
    progress = progress or NoProgress()
    with open_file(path) as file:
        try:
            state = file_state(file.fileno())
            digests = _digests(frozenset(algorithms), file, state[1])
            _read_once(file, digests, progress, f"hashing {path.name}")
            if file_state(file.fileno()) != state:
                raise changed_error(path)
        except OSError as error:
            raise read_failure(error, path) from error
    autov1, autov3, sha256, md5 = (
        digests[name].state.hexdigest() if name in digests else None
        for name in ("autov1", "autov3", "sha256", "md5")
    )
    return Hashes(
        autov1=autov1 and autov1[:8],
        autov2=sha256 and sha256[:10],
        autov3=autov3 and autov3[:12],
        autov3_full=autov3,
        sha256=sha256,
        md5=md5,
    )


def _digests(algorithms: frozenset[str], file: BufferedReader, size: int) -> dict[str, _Digest]:
    """The hashes to compute, each with its range of bytes."""
    unknown = algorithms.difference(ALL_HASHES)
    if unknown:
        raise ValueError(f"no such hashes: {sorted(unknown)}")
    low, high = AUTOV1_SPAN
    spans = {"sha256": (0, size), "md5": (0, size), "autov1": (min(low, size), min(high, size))}
    data_start = _data_start(file, size)
    if data_start is not None:
        spans["autov3"] = (data_start, size)
    return {
        name: _Digest(hashlib.md5(usedforsecurity=False) if name == "md5" else hashlib.sha256(), *spans[name])
        for name in ALL_HASHES
        if name in algorithms and name in spans
    }


def _data_start(file: BufferedReader, size: int) -> int | None:
    """The byte at which the tensors begin; None where the file does not begin like a safetensors file."""
    first = file.read(LENGTH_BYTES + 1)
    start = LENGTH_BYTES + int.from_bytes(first[:LENGTH_BYTES], "little")
    return start if first.endswith(b"{") and len(first) > LENGTH_BYTES and start <= size else None


def _read_once(file: BufferedReader, digests: Mapping[str, _Digest], progress: Progress, what: str) -> None:
    """Read the file's needed range once, and add each chunk to every hash."""
    if not digests:
        return
    begin = min((digest.begin for digest in digests.values()), default=0)
    end = max((digest.end for digest in digests.values()), default=0)
    progress.start(max(end - begin, 0), what)
    with ThreadPoolExecutor(max_workers=max(len(digests), 1)) as pool:
        for chunk, at in _chunks(file, begin, end):
            if progress.stopped():
                raise StoppedError(f"{what} was stopped")
            first, *others = digests.values()
            futures = [pool.submit(digest.feed, chunk, at) for digest in others]
            first.feed(chunk, at)
            for future in futures:
                future.result()
            progress.advance(len(chunk))


def _chunks(file: BufferedReader, begin: int, end: int) -> Iterator[tuple[memoryview, int]]:
    """Chunks of the file and their offsets; all share one buffer, so a chunk is valid until the next one."""
    buffer = memoryview(bytearray(READ_BYTES))
    at = file.seek(begin)
    while at < end:
        count = file.readinto(buffer[: end - at])
        if not count:
            return
        yield buffer[:count], at
        at += count
