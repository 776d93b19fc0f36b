"""How a merge is carried out: where, how fast, and over which existing output; never with which result."""

from __future__ import annotations

from dataclasses import dataclass, field

from lib_merge.progress import NoProgress, Progress
from lib_merge.rebasin import Alignments


@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """How a merge is carried out; the tensors are the same, bit for bit, whatever the threads are.

    device      where the arithmetic runs: "cpu", "cuda", "cuda:1", "mps", ...
    threads     worker threads; None for one per core, four at most
    progress    an object with `start`, `advance` and `stopped` (lib_merge.progress.Progress): hears how many
                bytes are done, and is asked whether to stop
    alignments  cache of the alignments (re-basin) of ingredients; None for a new one
    overwrite   replace an output that exists

    >>> import lib_merge
    >>> lib_merge.MergeOptions(threads=2)  # doctest: +ELLIPSIS
    MergeOptions(device='cpu', threads=2, ..., overwrite=False)
    """

    device: str = "cpu"
    threads: int | None = None
    progress: Progress = field(default_factory=NoProgress)
    alignments: Alignments | None = None
    overwrite: bool = False


DEFAULT_OPTIONS = MergeOptions()
