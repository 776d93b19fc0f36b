"""How much two models differ, slot by slot: what colours the faders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lib_merge.checkpoint import Header
from lib_merge.progress import Progress
from lib_merge.report.cache import cached_compare


def slot_differences(
    a: Header, b: Header, folder: Path, progress: Progress | None = None
) -> Mapping[str, float]:
    """The relative difference of every slot that both files have.

        |A - B| / sqrt(|A| |B|)     over all weights of the slot, |.| the Euclidean norm

    folder  where comparisons are kept: a report about the same two files is then there already
    0 for equal blocks, about 1.4 for unrelated ones of one size; the same for (A, B) and (B, A). Raises
    FamilyError for models that do not fit together and StoppedError when `progress` says so.
    """
    (model,) = cached_compare(folder, a, [b], progress=progress).models
    return {slot: measures["apart"] for slot, measures in model.measures.items()}
