"""Checks a checkpoint for damage; each finding says what is wrong and what to do.

The cheapest checks come first: keys and shapes from the header, then one pass over the values. A healthy file
of any width and dtype, with or without EMA weights, has no findings.
"""

from __future__ import annotations

import math
import statistics
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lib_merge.architectures import (
    Family,
    Identity,
    Role,
    ema_key,
    identify,
    is_unet,
    open_from_header,
    role_of,
    slot_of,
)
from lib_merge.architectures.keys import name_within_block
from lib_merge.checkpoint import Checkpoint, Header
from lib_merge.progress import NoProgress, Progress
from lib_merge.report.health.finding import Finding, count_keys, list_keys
from lib_merge.report.health.outliers import BLOCK_SLOT, MAX_ROBUST_SCORE, SPREAD_OF_SIZES, robust_scores
from lib_merge.report.health.stats import TensorStats, tensor_stats
from lib_merge.report.health.structure import by_slot, structure_findings
from lib_merge.report.similarity.comparison import compare
from lib_merge.report.similarity.kernel import PairKernel
from lib_merge.report.similarity.values import PairSums, sum_parts
from lib_merge.report.stream import TensorRow, Work, stream

if TYPE_CHECKING:
    from torch import Tensor

FP16_LIMIT = 65504.0  # the largest finite fp16 value; from 65520 on values round to infinity
# Relative difference of EMA weights and weights above which they are not from the same training; a few per
# cent are usual (an estimate: no published full-ema file was available).
STALE = 0.2
SCALE_RANGE = (0.5, 2.0)  # a tensor's RMS divided by the reference's; docs/references.md#broken-blocks


@dataclass(frozen=True)
class Health:
    """The result of the check of one file."""

    name: str
    file: str
    title: str
    tensors: int
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """The result as a dictionary for JSON."""
        return {
            "name": self.name,
            "file": self.file,
            "family": self.title,
            "tensors": self.tensors,
            "healthy": not self.findings,
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def render_text(self) -> str:
        """The result as text, one line for each finding."""
        if not self.findings:
            return f"{self.file}: {self.title}, {self.tensors} tensors, nothing is wrong"
        count = "1 thing looks" if len(self.findings) == 1 else f"{len(self.findings)} things look"
        lines = [f"{self.file}: {self.title}, {self.tensors} tensors, {count} wrong"]
        return "\n".join([*lines, *(f"  {finding.text}" for finding in self.findings)])


def check(header: Header, reference: Header | None = None, progress: Progress | None = None) -> Health:
    """Check a checkpoint; with a reference of its family also for blocks that differ from it too much.

    Reads the file once (twice with a reference). Raises FamilyError for a file of no known family and
    StoppedError when `progress` is stopped.
    """
    progress = progress or NoProgress()
    identity = identify(header.tensors, metadata=header.metadata, where=str(header.path))
    findings = structure_findings(header, identity)
    with open_from_header(header, mapped=False) as file:
        stats = _stats(file, header, identity.family, progress)
        findings += _of_numbers(stats, header, identity.family)
        findings += _position_ids(file, header, identity.family)
        findings += _stale_ema(file, header, identity, progress)
    findings += _odd_blocks(stats, header, identity.family)
    if reference is not None:
        findings += _compare_to_reference(stats, header, reference, identity.family, progress)
    return Health(header.name, str(header.path), identity.title, len(header.tensors), tuple(findings))


def _stats(file: Checkpoint, header: Header, family: Family, progress: Progress) -> dict[str, TensorStats]:
    wanted = (Role.WEIGHT, Role.EMA)
    keys = [
        key
        for key, info in header.tensors.items()
        if role_of(family, key) in wanted and info.dtype.floating and info.numel
    ]
    return tensor_stats(file, keys, progress, f"checking {header.name}")


def _of_numbers(stats: Mapping[str, TensorStats], header: Header, family: Family) -> list[Finding]:
    """NaN and infinity, constant tensors, values that overflow fp16."""

    def where(holds: Callable[[str, TensorStats], bool]) -> dict[str, tuple[str, ...]]:
        return by_slot((key for key, seen in stats.items() if holds(key, seen)), family)

    findings: list[Finding] = []
    for slot, keys in where(lambda _, seen: seen.bad > 0).items():
        bad = sum(stats[key].bad for key in keys)
        times = "once" if bad == 1 else f"{bad} times"
        what = f"{_location(slot)} holds NaN or infinity, {times} in {count_keys(keys)}: {list_keys(keys)}"
        findings.append(Finding("not_finite", slot, what, _instead(slot), keys))
    for slot, keys in where(lambda key, seen: _is_constant(key, seen, header) and seen.high == 0).items():
        what = f"{_location(slot)} has {count_keys(keys)} of zeros only: {list_keys(keys)}"
        findings.append(Finding("zero", slot, what, _instead(slot), keys))
    for slot, keys in where(lambda key, seen: _is_constant(key, seen, header) and seen.high != 0).items():
        what = f"{_location(slot)} has {count_keys(keys)} of one constant value: {list_keys(keys)}"
        findings.append(Finding("constant", slot, what, _instead(slot), keys))
    for slot, keys in where(lambda _, seen: seen.largest > FP16_LIMIT).items():
        largest = max(stats[key].largest for key in keys)
        values = f"values up to {largest:.4g}, which overflow fp16 (65504)"
        what = f"{_location(slot)} has {values}: {list_keys(keys)}"
        findings.append(Finding("overflow", slot, what, "keep this file in bf16 or fp32", keys))
    return findings


def _is_constant(key: str, seen: TensorStats, header: Header) -> bool:
    """Whether all elements are equal where this is damage: norm weights may be all 1, biases all 0."""
    info = header.tensors[key]
    if info.numel < 2 or seen.bad or seen.low != seen.high:
        return False
    return len(info.shape) > 1 or (seen.high == 0 and key.endswith(".weight"))


def _position_ids(file: Checkpoint, header: Header, family: Family) -> list[Finding]:
    """position_ids that are not 0, 1, 2, ..., as merging them in fp16 makes them."""
    findings: list[Finding] = []
    for key in header.tensors:
        if role_of(family, key) is not Role.IDS:
            continue
        ids = cast("list[float]", file.tensor(key).reshape(-1).tolist())
        wrong = [n for n, x in enumerate(ids) if x != n]
        if wrong:
            first = f"index {wrong[0]} is {ids[wrong[0]]:g}"
            what = f"position_ids are damaged: {len(wrong)} of {len(ids)} are wrong, {first}"
            fix = "prompts lose or repeat words; a merge writes them again as 0, 1, 2, ..."
            findings.append(Finding("position_ids", slot_of(family, key) or "", what, fix, (key,)))
    return findings


def _stale_ema(file: Checkpoint, header: Header, identity: Identity, progress: Progress) -> list[Finding]:
    """EMA weights that do not belong to the weights of the file."""
    pairs = [
        (key, ema_key(key)) for key in header.tensors if is_unet(key) and _twin(header, key, ema_key(key))
    ]
    if not identity.ema or not pairs:
        return []
    parts: list[PairSums] = []
    lock = threading.Lock()

    def worker() -> Work:
        kernel = PairKernel()

        def work(_: str, views: tuple[Tensor, ...]) -> None:
            sums = kernel.sums(*views)
            with lock:
                parts.append(sums)

        return work

    rows = [TensorRow(key, ((file, key), (file, average))) for key, average in pairs]
    stream(rows, worker, progress, f"checking the averages of {header.name}")
    apart = sum_parts(parts).relative_l2
    if not apart > STALE:
        return []
    what = f"the EMA weights differ from the weights by {100 * apart:.3g} %: they belong to another model"
    fix = "a merge tool left them in the file; prune them, a merge drops them"
    return [Finding("stale_ema", "", what, fix, tuple(average for _, average in pairs))]


def _twin(header: Header, key: str, average: str) -> bool:
    info, other = header.tensors[key], header.tensors.get(average)
    return other is not None and info.dtype.floating and other.numel == info.numel > 0


def _odd_blocks(stats: Mapping[str, TensorStats], header: Header, family: Family) -> list[Finding]:
    """Blocks whose weights are much larger or smaller than same-named ones of other blocks.

    x    = log(rms * sqrt(inputs))           for every matrix and convolution, so that width drops out
    off  = median over a block's tensors of (x - median of x over tensors of that name)
    flagged where off is 3.5 robust standard deviations from the other blocks' (at least 4.1 times)
    """
    sizes: dict[str, dict[str, float]] = {}
    for key, seen in stats.items():
        name, shape = name_within_block(key), header.tensors[key].shape
        if name and len(shape) > 1 and 0 < seen.rms < math.inf:
            size = math.log(seen.rms * math.sqrt(math.prod(shape[1:])))
            sizes.setdefault(name, {})[key] = size
    off: dict[str, list[float]] = {}
    for same_name in sizes.values():
        middle = statistics.median(same_name.values())
        for key, size in same_name.items():
            off.setdefault(slot_of(family, key) or "", []).append(size - middle)
    ratios = {
        slot: math.exp(statistics.median(some)) for slot, some in off.items() if BLOCK_SLOT.fullmatch(slot)
    }
    scores = robust_scores(ratios, SPREAD_OF_SIZES)
    return [
        _odd_block(slot, ratios[slot], score)
        for slot, score in scores.items()
        if abs(score) > MAX_ROBUST_SCORE
    ]


def _odd_block(slot: str, ratio: float, score: float) -> Finding:
    much = f"{ratio:.3g} times as large as" if ratio > 1 else f"{1 / ratio:.3g} times smaller than"
    what = f"{slot} looks broken: its weights are {much} in other blocks (z = {score:.1f})"
    return Finding("outlier", slot, what, f"take {slot} from another model?")


def _compare_to_reference(
    stats: Mapping[str, TensorStats], header: Header, reference: Header, family: Family, progress: Progress
) -> list[Finding]:
    """Blocks that differ from the reference far more than other blocks do, and weights of another scale."""
    findings = list(compare(reference, [header], progress=progress).models[0].findings)
    with open_from_header(reference, mapped=False) as file:
        keys = [key for key in stats if key in reference.tensors and len(header.tensors[key].shape) > 1]
        reference_stats = tensor_stats(file, keys, progress, f"reading {reference.name}")
    low, high = SCALE_RANGE
    scaled = [
        key
        for key in keys
        if reference_stats[key].rms and not low <= stats[key].rms / reference_stats[key].rms <= high
    ]
    broken = {finding.slot for finding in findings}
    for slot, slot_keys in by_slot(_finite(scaled, stats), family).items():
        if slot not in broken:
            ratio = statistics.median(stats[key].rms / reference_stats[key].rms for key in slot_keys)
            what = f"{_location(slot)} has {count_keys(slot_keys)} {ratio:.3g} times {reference.name}'s size"
            findings.append(
                Finding(
                    "scale", slot, f"{what}: {list_keys(slot_keys)}", f"take {reference.name}'s?", slot_keys
                )
            )
    return findings


def _finite(keys: Iterable[str], stats: Mapping[str, TensorStats]) -> list[str]:
    return [key for key in keys if not stats[key].bad]


def _location(slot: str) -> str:
    return slot or "the file"


def _instead(slot: str) -> str:
    return f"take {slot} from another model" if slot else "leave it out"
