"""How much two models differ, slot by slot: what colours the faders."""

from __future__ import annotations

from collections.abc import Mapping

from lib_merge.checkpoint import Header
from lib_merge.progress import Progress
from lib_merge.report.weights import compare_weights


def slot_differences(a: Header, b: Header, progress: Progress | None = None) -> Mapping[str, float]:
    """The relative difference of every slot that both files have.

        |A - B| / sqrt(|A| |B|)     over all weights of the slot, |.| the Euclidean norm

    0 for equal blocks, about 1.4 for unrelated ones of one size; the same for (A, B) and (B, A). Raises
    FamilyError for models that do not fit together and StoppedError when `progress` says so.
    """
    return {slot: group.sums.apart for slot, group in compare_weights(a, b, progress=progress).slots.items()}
