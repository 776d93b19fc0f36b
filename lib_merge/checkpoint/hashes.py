"""The hashes by which WebUIs and Civitai know a file, all from one pass over it.

    sha256   of the whole file; its first ten digits are AutoV2, the WebUI's short hash
    AutoV1   sha256 of the 64 KiB from 1 MiB on, first eight digits; collides, but old titles show it
    AutoV3   sha256 of what follows the safetensors header, so that metadata does not change it;
             Civitai shows twelve digits, LoRA tools all of them
    md5      for those who compare downloads

Damaged files have hashes too; nothing here looks into the header.
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
from lib_merge.checkpoint.state import changed, state_of
from lib_merge.checkpoint.words import read_failure
from lib_merge.errors import StoppedError
from lib_merge.progress import Progress, Silent

EVERY_HASH = ("sha256", "autov1", "autov3", "md5")
USUAL_HASHES = ("sha256", "autov1", "autov3")

AUTOV1_SPAN = (0x100000, 0x110000)  # bytes; modules/sd_models.py, model_hash
CHUNK = 4 << 20  # bytes; large enough that handing it to a thread costs nothing, small enough to stop soon


@dataclass(frozen=True)
class Hashes:
    """A file's hashes, in lower-case hex; None where not asked for, or where the file has none."""

    autov1: str | None = None
    autov2: str | None = None
    autov3: str | None = None
    autov3_full: str | None = None
    sha256: str | None = None
    md5: str | None = None


class _State(Protocol):
    """What hashlib gives."""

    def update(self, data: memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True)
class _Digest:
    """A hash under way, over the bytes `begin` up to `end` of the file."""

    state: _State
    begin: int
    end: int

    def feed(self, piece: memoryview, at: int) -> None:
        """Takes what it wants of a piece that lies at byte `at`."""
        low, high = max(self.begin - at, 0), min(self.end - at, len(piece))
        if low < high:
            self.state.update(piece[low:high])


def hash_file(
    path: Path, *, wanted: Collection[str] = EVERY_HASH, progress: Progress | None = None
) -> Hashes:
    """The wanted hashes of a file (of EVERY_HASH), read once, with a thread for each of them.

    Any file will do, a damaged one too; one without a safetensors header just has no AutoV3. Raises
    CheckpointError where the file is written to meanwhile.
    """
    progress = progress or Silent()
    with open_file(path) as file:
        try:
            state = state_of(file.fileno())
            digests = _digests(frozenset(wanted), file, state[1])
            _feed(file, digests, progress, f"hashing {path.name}")
            if state_of(file.fileno()) != state:
                raise changed(path)
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


def _digests(wanted: frozenset[str], file: BufferedReader, size: int) -> dict[str, _Digest]:
    """The hashes to make, each with its span."""
    unknown = wanted.difference(EVERY_HASH)
    if unknown:
        raise ValueError(f"no such hashes: {sorted(unknown)}")
    low, high = AUTOV1_SPAN
    spans = {"sha256": (0, size), "md5": (0, size), "autov1": (min(low, size), min(high, size))}
    data_start = _data_start(file, size)
    if data_start is not None:
        spans["autov3"] = (data_start, size)
    return {
        name: _Digest(hashlib.md5(usedforsecurity=False) if name == "md5" else hashlib.sha256(), *spans[name])
        for name in EVERY_HASH
        if name in wanted and name in spans
    }


def _data_start(file: BufferedReader, size: int) -> int | None:
    """Where the tensors' bytes begin, if the file begins like a safetensors file at all."""
    first = file.read(LENGTH_BYTES + 1)
    start = LENGTH_BYTES + int.from_bytes(first[:LENGTH_BYTES], "little")
    return start if first.endswith(b"{") and len(first) > LENGTH_BYTES and start <= size else None


def _feed(file: BufferedReader, digests: Mapping[str, _Digest], progress: Progress, what: str) -> None:
    """Reads the file once, as far as any hash wants it, and gives every piece to every hash."""
    if not digests:
        return
    begin = min((digest.begin for digest in digests.values()), default=0)
    end = max((digest.end for digest in digests.values()), default=0)
    progress.start(max(end - begin, 0), what)
    with ThreadPoolExecutor(max_workers=max(len(digests), 1)) as pool:
        for piece, at in _pieces(file, begin, end):
            if progress.stopped():
                raise StoppedError(f"{what} was stopped")
            first, *others = digests.values()
            fed = [pool.submit(digest.feed, piece, at) for digest in others]
            first.feed(piece, at)
            for each in fed:
                each.result()
            progress.advance(len(piece))


def _pieces(file: BufferedReader, begin: int, end: int) -> Iterator[tuple[memoryview, int]]:
    """The file in pieces, each with its place; all in one buffer, valid until the next is asked for."""
    buffer = memoryview(bytearray(CHUNK))
    at = file.seek(begin)
    while at < end:
        count = file.readinto(buffer[: end - at])
        if not count:
            return
        yield buffer[:count], at
        at += count
