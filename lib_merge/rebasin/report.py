"""What an alignment did, for a person and for a program."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lib_merge.architectures import SYMMETRY_KINDS
from lib_merge.rebasin.solve import Solution

ALIGNED = "already aligned: no channel fits better in another place, and nothing was changed"


@dataclass(frozen=True)
class KindReport:
    """One kind of groups: how many there are and how many of them moved, and likewise their channels."""

    kind: str
    groups: int
    moved: int
    channels: int
    channels_moved: int


@dataclass(frozen=True)
class AlignmentReport:
    """An alignment of B to A in numbers.

    likeness  <A, B> over |A| |B| of all weights that could be arranged: 1 for equal ones; before and after
    distance  |A - B| over |A|; before and after
    sweeps    rounds that changed something
    settled   nothing moves any more
    stopped   the user ended it: the best so far
    left_out  groups that could not be looked at, with the reason
    """

    kinds: tuple[KindReport, ...]
    likeness: tuple[float, float]
    distance: tuple[float, float]
    sweeps: int
    settled: bool
    stopped: bool
    left_out: tuple[str, ...]

    @property
    def groups(self) -> int:
        """How many groups were looked at."""
        return sum(each.groups for each in self.kinds)

    @property
    def moved(self) -> int:
        """How many groups are not as they were."""
        return sum(each.moved for each in self.kinds)

    @property
    def share(self) -> float:
        """The share of channels that are not where they were, or turned."""
        channels = sum(each.channels for each in self.kinds)
        return sum(each.channels_moved for each in self.kinds) / channels if channels else 0.0

    @property
    def is_aligned(self) -> bool:
        """Whether B came as it went."""
        return self.moved == 0

    @property
    def verdict(self) -> str:
        """The whole in one sentence."""
        if self.is_aligned:
            return ALIGNED if self.settled else "nothing was moved before it was ended"
        ended = (
            ""
            if self.settled
            else (", stopped by the user" if self.stopped else ", ended before all settled")
        )
        return (
            f"{self.moved} of {self.groups} groups moved, {self.share:.0%} of their channels; "
            f"likeness {self.likeness[0]:.4f} -> {self.likeness[1]:.4f}{ended}"
        )


def report_of(solution: Solution) -> AlignmentReport:
    """What a solution says."""
    return AlignmentReport(
        tuple(each for kind in SYMMETRY_KINDS if (each := _kind(kind, solution)).groups),
        (solution.likeness[0], solution.likeness[-1]),
        solution.distance,
        len(solution.likeness) - 1,
        solution.settled,
        solution.stopped,
        solution.left_out,
    )


def _kind(kind: str, solution: Solution) -> KindReport:
    groups = [group for group in solution.groups if group.kind == kind]
    found = solution.arrangements
    parts = [part.id for group in groups for part in group.parts]
    return KindReport(
        kind,
        len(groups),
        sum(any(part.id in found for part in group.parts) for group in groups),
        sum(group.channels for group in groups),
        sum(found[id].moved for id in parts if id in found),
    )


def report_as_text(report: AlignmentReport) -> str:
    """The table that `merge-desk rebasin` prints."""
    lines = [f"{'':<10} groups  moved   channels  moved"]
    lines += [
        f"{each.kind:<10} {each.groups:>6} {each.moved:>6} {each.channels:>10} {_share(each):>6}"
        for each in report.kinds
    ]
    sweeps = "1 sweep" if report.sweeps == 1 else f"{report.sweeps} sweeps"
    lines += [
        "",
        f"likeness {report.likeness[0]:.4f} -> {report.likeness[1]:.4f} (1 is equal), "
        f"distance {report.distance[0]:.4f} -> {report.distance[1]:.4f}, after {sweeps}",
    ]
    lines += [f"left out: {each}" for each in report.left_out]
    return "\n".join([*lines, report.verdict])


def _share(each: KindReport) -> str:
    return f"{each.channels_moved / each.channels:.0%}" if each.channels else "0%"


def report_as_data(report: AlignmentReport) -> dict[str, Any]:
    """The report as JSON holds it."""
    return {
        **asdict(report),
        "groups": report.groups,
        "moved": report.moved,
        "share": round(report.share, 6),
        "already_aligned": report.is_aligned,
        "verdict": report.verdict,
    }
