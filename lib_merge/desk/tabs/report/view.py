"""What the tab *Report* shows, as plain values: tables with heat, a ranking, findings with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lib_merge.desk.common import FaderLayout

NO_HEAT = -1.0


@dataclass(frozen=True)
class KindView:
    """One way to compare; `seed` is its default, None where it takes none, `base` whether it takes one."""

    id: str
    title: str
    seed: int | None
    base: bool


@dataclass(frozen=True)
class ReportOptions:
    """The choices of the tab's lists; a and b are the selection in the lists above the tabs."""

    checkpoints: tuple[str, ...]
    kinds: tuple[KindView, ...]
    a: str
    b: str


@dataclass(frozen=True)
class ReportCell:
    """A number as it is shown; heat from 0 (alike) to 1 (differs), NO_HEAT for none."""

    text: str
    heat: float = NO_HEAT


@dataclass(frozen=True)
class ReportRow:
    """A slot's numbers or, where `slot` is empty, a total's or a model's."""

    name: str
    cells: tuple[ReportCell, ...]
    slot: str = ""


@dataclass(frozen=True)
class ReportTable:
    """One table of the report; `corner` says what the rows are."""

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[ReportRow, ...]


@dataclass(frozen=True)
class Rank:
    """A model's place: its totals in percent, None for one without blocks."""

    name: str
    input: float | None
    output: float | None
    overall: float | None


@dataclass(frozen=True)
class ReportDrawing:
    """A comparison as bars that stand as the blocks of a U-Net, and as lines.

    layout  where each slot's bars are
    models  whose bars and lines these are
    bars    slot -> a number for each model; the bar is as long as its heat
    ticks   percents beside the lines, with their heat
    """

    layout: FaderLayout
    models: tuple[str, ...]
    bars: Mapping[str, tuple[ReportCell, ...]]
    ticks: tuple[ReportCell, ...]


@dataclass(frozen=True)
class FaderAction:
    """What a click does on the desk: `solo` or `mute` (A's block) a fader, or `whole` (B's block)."""

    label: str
    action: str
    slot: str


@dataclass(frozen=True)
class FindingView:
    """A finding in plain sentences, and what a click can do about it."""

    text: str
    actions: tuple[FaderAction, ...] = ()


@dataclass(frozen=True)
class Report:
    """A comparison for the page; text, csv and json are there to be copied and downloaded."""

    title: str
    drawing: ReportDrawing
    tables: tuple[ReportTable, ...]
    ranking: tuple[Rank, ...]
    findings: tuple[FindingView, ...]
    notes: tuple[str, ...]
    text: str
    csv: str
    json: str


@dataclass(frozen=True)
class HealthView:
    """One file's health for the page."""

    name: str
    title: str
    findings: tuple[FindingView, ...]


@dataclass(frozen=True)
class HealthResult:
    """The health of every file that was looked at."""

    files: tuple[HealthView, ...]


@dataclass(frozen=True)
class Plot:
    """A comparison as a picture: a PNG as a data URL."""

    picture: str
