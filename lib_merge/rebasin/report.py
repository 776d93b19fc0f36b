"""The report of an alignment, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lib_merge.architectures import SYMMETRY_KINDS
from lib_merge.rebasin.solve import Solution

FORMER_FIELDS = {"likeness": "similarity"}  # of the JSON of 0.1.0, still given
ALIGNED = "already aligned: no channel fits better in another place, and nothing was changed"


@dataclass(frozen=True)
class KindReport:
    """The groups of one kind: how many there are, how many were rearranged, and the same of channels."""

    kind: str
    groups: int
    moved: int
    channels: int
    channels_moved: int


@dataclass(frozen=True, kw_only=True)
class AlignmentReport:
    """An alignment of B to A in numbers.

    similarity  <A, B> / (|A| |B|) over the weights of all groups, before and after; 1 for equal weights
    distance    |A - B| / |A|, before and after
    sweeps      sweeps that changed something
    settled     whether the search converged
    stopped     whether the user ended it: then this is the best so far
    left_out    groups that could not be aligned, with the reason
    """

    kinds: tuple[KindReport, ...]
    similarity: tuple[float, float]
    distance: tuple[float, float]
    sweeps: int
    settled: bool
    stopped: bool
    left_out: tuple[str, ...]

    @property
    def groups(self) -> int:
        """The number of groups that were aligned."""
        return sum(kind_report.groups for kind_report in self.kinds)

    @property
    def moved(self) -> int:
        """The number of groups that were rearranged."""
        return sum(kind_report.moved for kind_report in self.kinds)

    @property
    def share(self) -> float:
        """The share of channels that were moved or rotated."""
        channels = sum(kind_report.channels for kind_report in self.kinds)
        return sum(kind_report.channels_moved for kind_report in self.kinds) / channels if channels else 0.0

    @property
    def is_aligned(self) -> bool:
        """Whether nothing was rearranged."""
        return self.moved == 0

    @property
    def verdict(self) -> str:
        """The report in one sentence."""
        if self.is_aligned:
            return ALIGNED if self.settled else "nothing was moved before it was ended"
        ended = (
            ""
            if self.settled
            else (", stopped by the user" if self.stopped else ", ended before all settled")
        )
        return (
            f"{self.moved} of {self.groups} groups moved, {self.share:.0%} of their channels; "
            f"similarity {self.similarity[0]:.4f} -> {self.similarity[1]:.4f}{ended}"
        )


def alignment_report(solution: Solution) -> AlignmentReport:
    """The report of a solution."""
    return AlignmentReport(
        kinds=tuple(kind_report for kind in SYMMETRY_KINDS if (kind_report := _kind(kind, solution)).groups),
        similarity=(solution.similarity[0], solution.similarity[-1]),
        distance=solution.distance,
        sweeps=len(solution.similarity) - 1,
        settled=solution.settled,
        stopped=solution.stopped,
        left_out=solution.left_out,
    )


def _kind(kind: str, solution: Solution) -> KindReport:
    groups = [group for group in solution.groups if group.kind == kind]
    arrangements = solution.arrangements
    parts = [part.id for group in groups for part in group.parts]
    return KindReport(
        kind,
        len(groups),
        sum(any(part.id in arrangements for part in group.parts) for group in groups),
        sum(group.channels for group in groups),
        sum(arrangements[id].moved for id in parts if id in arrangements),
    )


def render_alignment_report(report: AlignmentReport) -> str:
    """The table that `merge-desk rebasin` prints."""
    lines = [f"{'':<10} groups  moved   channels  moved"]
    lines += map(_row, report.kinds)
    sweeps = "1 sweep" if report.sweeps == 1 else f"{report.sweeps} sweeps"
    lines += [
        "",
        f"similarity {report.similarity[0]:.4f} -> {report.similarity[1]:.4f} (1 is equal), "
        f"distance {report.distance[0]:.4f} -> {report.distance[1]:.4f}, after {sweeps}",
    ]
    lines += [f"left out: {reason}" for reason in report.left_out]
    return "\n".join([*lines, report.verdict])


def _row(kind: KindReport) -> str:
    share = f"{kind.channels_moved / kind.channels:.0%}" if kind.channels else "0%"
    return f"{kind.kind:<10} {kind.groups:>6} {kind.moved:>6} {kind.channels:>10} {share:>6}"


def alignment_report_to_dict(report: AlignmentReport) -> dict[str, Any]:
    """The report as a dictionary for JSON; FORMER_FIELDS have the names of 0.1.0."""
    return {
        **asdict(report),
        **{former: getattr(report, name) for former, name in FORMER_FIELDS.items()},
        "groups": report.groups,
        "moved": report.moved,
        "share": round(report.share, 6),
        "already_aligned": report.is_aligned,
        "verdict": report.verdict,
    }
