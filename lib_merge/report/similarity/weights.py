"""How the weights of two models differ, key by key, in one pass over both files (and a base)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from lib_merge.architectures import (
    Component,
    Family,
    Role,
    component_of,
    identify,
    open_from_header,
    require_same_family,
    role_of,
    slot_of,
)
from lib_merge.checkpoint import Header
from lib_merge.progress import NoProgress, Progress
from lib_merge.report.similarity.kernel import PairKernel
from lib_merge.report.similarity.values import KeyGroup, PairSums, WeightComparison, sum_parts
from lib_merge.report.stream import TensorRow, Work, stream

if TYPE_CHECKING:
    from torch import Tensor


def compare_weights(
    a: Header, b: Header, base: Header | None = None, progress: Progress | None = None
) -> WeightComparison:
    """Compare two models of one family, and their differences to a base if there is one.

    Computed in float64 by pieces: memory is a few megabytes besides the mapped files. EMA weights,
    position_ids, schedules and markers are left out. Raises FamilyError for models of different
    families, and StoppedError when `progress` is stopped.
    """
    files = [a, b] if base is None else [a, b, base]
    family = common_family(files)
    keys = [key for key in a.tensors if role_of(family, key) is Role.WEIGHT and _comparable(key, files)]
    sums = _sums_of(keys, files, progress or NoProgress())
    either = dict.fromkeys(key for header in files for key in header.tensors)
    left_out = tuple(key for key in either if key not in sums and role_of(family, key) is Role.WEIGHT)
    return WeightComparison(
        keys=sums,
        slots=_grouped(sums, lambda key: slot_of(family, key), [slot.id for slot in family.slots]),
        components=_grouped(sums, lambda key: _component(family, key), [part.value for part in Component]),
        left_out=left_out,
    )


def common_family(files: Iterable[Header]) -> Family:
    """The family that all the files share; FamilyError where there is none."""
    identities = {
        f"{number} {header.name}": identify(header.tensors, metadata=header.metadata, where=str(header.path))
        for number, header in enumerate(files, 1)
    }
    return require_same_family(identities)


def _comparable(key: str, files: Iterable[Header]) -> bool:
    """Whether every file has the key, as floating-point numbers, as many of them."""
    infos = [header.tensors.get(key) for header in files]
    first = infos[0]
    return first is not None and all(
        info is not None and info.dtype.floating and info.numel == first.numel for info in infos
    )


def _sums_of(keys: Iterable[str], files: list[Header], progress: Progress) -> dict[str, PairSums]:
    parts: dict[str, list[PairSums]] = {key: [] for key in keys}
    lock = threading.Lock()

    def worker() -> Work:
        kernel = PairKernel()

        def work(key: str, views: tuple[Tensor, ...]) -> None:
            sums = kernel.sums(*views)
            with lock:
                parts[key].append(sums)

        return work

    with ExitStack() as stack:
        opened = [stack.enter_context(open_from_header(header, mapped=False)) for header in files]
        rows = [TensorRow(key, tuple((file, key) for file in opened)) for key in parts]
        stream(rows, worker, progress, "comparing")
    return {key: sum_parts(chunk_sums) for key, chunk_sums in parts.items() if chunk_sums}


def _grouped(
    sums: Mapping[str, PairSums], group_of: Callable[[str], str | None], order: Sequence[str]
) -> dict[str, KeyGroup]:
    """The keys of each group, the groups in the given order."""
    groups: dict[str, dict[str, PairSums]] = {}
    for key, key_sums in sums.items():
        group = group_of(key)
        if group is not None:
            groups.setdefault(group, {})[key] = key_sums
    return {name: KeyGroup(groups[name]) for name in order if name in groups}


def _component(family: Family, key: str) -> str | None:
    component = component_of(family, key)
    return component.value if component else None
