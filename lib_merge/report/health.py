"""What is broken in a checkpoint: found, named, and said with what to do about it.

Cheapest first: keys and shapes from the header, then one pass over the numbers. A healthy file, of
any width, fp16 or not, pruned or not, has no findings.
"""

from __future__ import annotations

import math
import re
import statistics
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lib_merge.architectures import Family, Identity, Role, ema_key, identify, role_of, slot_of
from lib_merge.architectures.families.common import UNET
from lib_merge.checkpoint import Checkpoint, Header, open_planned
from lib_merge.progress import Progress, Silent
from lib_merge.report.comparison import compare
from lib_merge.report.finding import Finding, count_keys, named
from lib_merge.report.kernel import PairKernel
from lib_merge.report.outliers import BLOCK, LIMIT, SPREAD_OF_SIZES, robust_scores
from lib_merge.report.stats import Stats, tensor_stats
from lib_merge.report.stream import Row, Work, stream
from lib_merge.report.structure import by_slot, structure_findings
from lib_merge.report.values import Sums, added

if TYPE_CHECKING:
    from torch import Tensor

FP16_LIMIT = 65504.0  # the largest number that fp16 holds; from 65520 on it rounds to infinity
# Relative difference of training averages to their weights from which they are not of one training: a few
# per cent are usual (judgement: no published full-ema file was at hand).
STALE = 0.2
SCALE_RANGE = (0.5, 2.0)  # a tensor's RMS beside the reference's; algorithms.md 4.3
WITHIN_BLOCK = re.compile(r"model\.diffusion_model\.(?:input_blocks\.\d+|middle_block|output_blocks\.\d+)\.")


@dataclass(frozen=True)
class Health:
    """What was found out about one file."""

    name: str
    file: str
    title: str
    tensors: int
    findings: tuple[Finding, ...]

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "file": self.file,
            "family": self.title,
            "tensors": self.tensors,
            "healthy": not self.findings,
            "findings": [finding.as_data() for finding in self.findings],
        }

    def as_text(self) -> str:
        """For a person."""
        if not self.findings:
            return f"{self.file}: {self.title}, {self.tensors} tensors, nothing is wrong"
        count = "1 thing looks" if len(self.findings) == 1 else f"{len(self.findings)} things look"
        lines = [f"{self.file}: {self.title}, {self.tensors} tensors, {count} wrong"]
        return "\n".join([*lines, *(f"  {finding.text}" for finding in self.findings)])


def check(header: Header, reference: Header | None = None, progress: Progress | None = None) -> Health:
    """Look a checkpoint over; beside a reference of its family also for blocks far from the reference's.

    Reads the file once (twice with a reference). Raises FamilyError for a file of no known family and
    StoppedError when `progress` says so.
    """
    progress = progress or Silent()
    identity = identify(header.tensors, metadata=header.metadata, where=str(header.path))
    findings = structure_findings(header, identity)
    with open_planned(header, mapped=False) as file:
        stats = _stats(file, header, identity.family, progress)
        findings += _of_numbers(stats, header, identity.family)
        findings += _position_ids(file, header, identity.family)
        findings += _stale_ema(file, header, identity, progress)
    findings += _odd_blocks(stats, header, identity.family)
    if reference is not None:
        findings += _beside(stats, header, reference, identity.family, progress)
    return Health(header.name, str(header.path), identity.title, len(header.tensors), tuple(findings))


def _stats(file: Checkpoint, header: Header, family: Family, progress: Progress) -> dict[str, Stats]:
    wanted = (Role.WEIGHT, Role.EMA)
    keys = [
        key
        for key, info in header.tensors.items()
        if role_of(family, key) in wanted and info.dtype.floating and info.numel
    ]
    return tensor_stats(file, keys, progress, f"checking {header.name}")


def _of_numbers(stats: Mapping[str, Stats], header: Header, family: Family) -> list[Finding]:
    """NaN and infinity, all zeros, one number over and over, numbers beyond fp16."""

    def where(holds: Callable[[str, Stats], bool]) -> dict[str, tuple[str, ...]]:
        return by_slot((key for key, seen in stats.items() if holds(key, seen)), family)

    findings: list[Finding] = []
    for slot, keys in where(lambda _, seen: seen.bad > 0).items():
        bad = sum(stats[key].bad for key in keys)
        times = "once" if bad == 1 else f"{bad} times"
        what = f"{_place(slot)} holds NaN or infinity, {times} in {count_keys(keys)}: {named(keys)}"
        findings.append(Finding("not_finite", slot, what, _instead(slot), keys))
    for slot, keys in where(lambda key, seen: _is_constant(key, seen, header) and seen.high == 0).items():
        what = f"{_place(slot)} has {count_keys(keys)} of zeros alone: {named(keys)}"
        findings.append(Finding("zero", slot, what, _instead(slot), keys))
    for slot, keys in where(lambda key, seen: _is_constant(key, seen, header) and seen.high != 0).items():
        what = f"{_place(slot)} has {count_keys(keys)} of one number over and over: {named(keys)}"
        findings.append(Finding("constant", slot, what, _instead(slot), keys))
    for slot, keys in where(lambda _, seen: seen.largest > FP16_LIMIT).items():
        largest = max(stats[key].largest for key in keys)
        what = f"{_place(slot)} holds numbers up to {largest:.4g}, which fp16 cannot (65504): {named(keys)}"
        findings.append(Finding("overflow", slot, what, "keep this file in bf16 or fp32", keys))
    return findings


def _is_constant(key: str, seen: Stats, header: Header) -> bool:
    """Whether all elements are equal where they should not be: norms may be all 1, biases all 0."""
    info = header.tensors[key]
    if info.numel < 2 or seen.bad or seen.low != seen.high:
        return False
    return len(info.shape) > 1 or (seen.high == 0 and key.endswith(".weight"))


def _position_ids(file: Checkpoint, header: Header, family: Family) -> list[Finding]:
    """Positions that do not count 0, 1, 2, ...: what a merge in fp16 leaves of them."""
    findings: list[Finding] = []
    for key in header.tensors:
        if role_of(family, key) is not Role.IDS:
            continue
        found = cast("list[float]", file.tensor(key).reshape(-1).tolist())
        wrong = [n for n, x in enumerate(found) if x != n]
        if wrong:
            first = f"place {wrong[0]} holds {found[wrong[0]]:g}"
            what = f"position_ids are damaged: {len(wrong)} of {len(found)} are wrong, {first}"
            fix = "prompts lose or repeat words; a merge writes them anew as 0, 1, 2, ..."
            findings.append(Finding("position_ids", slot_of(family, key) or "", what, fix, (key,)))
    return findings


def _stale_ema(file: Checkpoint, header: Header, identity: Identity, progress: Progress) -> list[Finding]:
    """Training averages that are not those of the weights beside them."""
    pairs = [
        (key, ema_key(key))
        for key in header.tensors
        if key.startswith(UNET) and _twin(header, key, ema_key(key))
    ]
    if not identity.ema or not pairs:
        return []
    parts: list[Sums] = []
    lock = threading.Lock()

    def worker() -> Work:
        kernel = PairKernel()

        def work(_: str, views: tuple[Tensor, ...]) -> None:
            found = kernel.sums(*views)
            with lock:
                parts.append(found)

        return work

    rows = [Row(key, ((file, key), (file, average))) for key, average in pairs]
    stream(rows, worker, progress, f"checking the averages of {header.name}")
    apart = added(parts).relative_l2
    if not apart > STALE:
        return []
    what = (
        f"training averages (EMA) differ from the weights by {100 * apart:.3g} %: they are of another model"
    )
    fix = "they were left over by a merge; prune them, a merge drops them"
    return [Finding("stale_ema", "", what, fix, tuple(average for _, average in pairs))]


def _twin(header: Header, key: str, average: str) -> bool:
    info, other = header.tensors[key], header.tensors.get(average)
    return other is not None and info.dtype.floating and other.numel == info.numel > 0


def _odd_blocks(stats: Mapping[str, Stats], header: Header, family: Family) -> list[Finding]:
    """Blocks whose weights are much larger or smaller than same-named ones of other blocks.

    x    = log(rms * sqrt(inputs))           for every matrix and convolution, so that width drops out
    off  = median over a block's tensors of (x - median of x over tensors of that name)
    flagged where off is 3.5 robust standard deviations from the other blocks' (at least 4.1 times)
    """
    sizes: dict[str, dict[str, float]] = {}
    for key, seen in stats.items():
        match, shape = WITHIN_BLOCK.match(key), header.tensors[key].shape
        if match and len(shape) > 1 and 0 < seen.rms < math.inf:
            size = math.log(seen.rms * math.sqrt(math.prod(shape[1:])))
            sizes.setdefault(key[match.end() :], {})[key] = size
    off: dict[str, list[float]] = {}
    for same_name in sizes.values():
        middle = statistics.median(same_name.values())
        for key, size in same_name.items():
            off.setdefault(slot_of(family, key) or "", []).append(size - middle)
    ratios = {slot: math.exp(statistics.median(some)) for slot, some in off.items() if BLOCK.fullmatch(slot)}
    scores = robust_scores(ratios, SPREAD_OF_SIZES)
    return [_odd_block(slot, ratios[slot], score) for slot, score in scores.items() if abs(score) > LIMIT]


def _odd_block(slot: str, ratio: float, score: float) -> Finding:
    much = f"{ratio:.3g} times as large as" if ratio > 1 else f"{1 / ratio:.3g} times smaller than"
    what = f"{slot} looks broken: its weights are {much} in other blocks (z = {score:.1f})"
    return Finding("outlier", slot, what, f"take {slot} from another model?")


def _beside(
    stats: Mapping[str, Stats], header: Header, reference: Header, family: Family, progress: Progress
) -> list[Finding]:
    """Blocks that differ from the reference's far more than others do, and weights of another scale."""
    findings = list(compare(reference, [header], progress=progress).models[0].findings)
    with open_planned(reference, mapped=False) as file:
        keys = [key for key in stats if key in reference.tensors and len(header.tensors[key].shape) > 1]
        beside = tensor_stats(file, keys, progress, f"reading {reference.name}")
    low, high = SCALE_RANGE
    scaled = [key for key in keys if beside[key].rms and not low <= stats[key].rms / beside[key].rms <= high]
    broken = {finding.slot for finding in findings}
    for slot, found in by_slot(_finite(scaled, stats), family).items():
        if slot not in broken:
            ratio = statistics.median(stats[key].rms / beside[key].rms for key in found)
            what = f"{_place(slot)} has {count_keys(found)} {ratio:.3g} times {reference.name}'s size"
            findings.append(
                Finding("scale", slot, f"{what}: {named(found)}", f"take {reference.name}'s?", found)
            )
    return findings


def _finite(keys: Iterable[str], stats: Mapping[str, Stats]) -> list[str]:
    return [key for key in keys if not stats[key].bad]


def _place(slot: str) -> str:
    return slot or "the file"


def _instead(slot: str) -> str:
    return f"take {slot} from another model" if slot else "leave it out"
