"""How much two models differ, slot by slot, in one pass over both files."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lib_merge.architectures import Role, identify, require_same_family, role_of, slot_of
from lib_merge.checkpoint import Checkpoint, Header, open_checkpoint
from lib_merge.errors import StoppedError
from lib_merge.plan import PIECE
from lib_merge.progress import Progress, Silent
from lib_merge.tensors import one_thread_each, torch

if TYPE_CHECKING:
    from torch import Tensor

THREADS = 2


def slot_differences(a: Header, b: Header, progress: Progress | None = None) -> Mapping[str, float]:
    """The relative difference of every slot that both files have.

        |A - B| / sqrt(|A| |B|)     over all weights of the slot, |.| the Euclidean norm

    0 for equal blocks, about 1.4 for unrelated ones of one size; the same for (A, B) and (B, A). Computed in
    float32 by pieces, summed in float64. Raises FamilyError for models that do not fit together and
    StoppedError when `progress` says so.
    """
    progress = progress or Silent()
    first, second = (identify(h.tensors, metadata=h.metadata, where=str(h.path)) for h in (a, b))
    require_same_family({a.name: first, b.name: second})
    keys = [
        key
        for key, info in a.tensors.items()
        if role_of(first.family, key) is Role.WEIGHT
        and key in b.tensors
        and info.dtype.floating
        and b.tensors[key].numel == info.numel
    ]
    slots = {key: slot_of(first.family, key) or "" for key in keys}
    progress.start(sum(a.tensors[key].nbytes for key in keys), "comparing")
    sums: dict[str, list[float]] = {slot: [0.0, 0.0, 0.0] for slot in slots.values()}
    lock = threading.Lock()

    def work(pairs: Iterator[tuple[str, Tensor, Tensor]]) -> None:
        while True:
            with lock:
                pair = next(pairs, None)
            if pair is None:
                return
            if progress.stopped():
                raise StoppedError("stopped: the models were not compared")
            key, one, other = pair
            found = _sums(one.float(), other.float())
            with lock:
                sums[slots[key]] = [x + y for x, y in zip(sums[slots[key]], found, strict=True)]
            progress.advance(one.numel() * one.element_size())

    with open_checkpoint(a.path) as file_a, open_checkpoint(b.path) as file_b, one_thread_each():
        pairs = _pairs(keys, file_a, file_b)
        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(work, pairs) for _ in range(THREADS)]:
                done.result()
    return {slot: _relative(*sums[slot]) for slot in dict.fromkeys(slots.values()) if slot}


def _pairs(keys: list[str], a: Checkpoint, b: Checkpoint) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Each key's data in pieces that stay in a core's cache."""
    for key in keys:
        one, other = a.tensor(key).reshape(-1), b.tensor(key).reshape(-1)
        for start in range(0, one.numel(), PIECE):
            yield key, one[start : start + PIECE], other[start : start + PIECE]


def _sums(a: Tensor, b: Tensor) -> list[float]:
    """Squares of the difference and of both, added up."""
    return [float(torch.dot(x, x)) for x in (a - b, a, b)]


def _relative(apart: float, a: float, b: float) -> float:
    if apart == 0:
        return 0.0
    return math.sqrt(apart) / max((a * b) ** 0.25, 1e-30)
