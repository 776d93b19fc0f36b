"""What the room *Report* shows, as plain values: tables with heat, a ranking, findings with what to do."""

from __future__ import annotations

from dataclasses import dataclass

from lib_merge.desk.view import Problem

NO_HEAT = -1.0


@dataclass(frozen=True)
class Kind:
    """One way to compare; `seed` is its default, None where it takes none."""

    id: str
    title: str
    seed: int | None


@dataclass(frozen=True)
class Offer:
    """What the room's lists offer; a and b as the lists above have them."""

    checkpoints: tuple[str, ...]
    kinds: tuple[Kind, ...]
    a: str
    b: str


@dataclass(frozen=True)
class Cell:
    """A number as it is shown; heat from 0 (alike) to 1 (differs), NO_HEAT for none."""

    text: str
    heat: float = NO_HEAT


@dataclass(frozen=True)
class Row:
    """A slot's numbers or, where `slot` is empty, a total's or a model's."""

    name: str
    cells: tuple[Cell, ...]
    slot: str = ""


@dataclass(frozen=True)
class Table:
    """One table of the report; `corner` says what the rows are."""

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Rank:
    """A model's place: its totals in percent, None for one without blocks."""

    name: str
    input: float | None
    output: float | None
    overall: float | None


@dataclass(frozen=True)
class Act:
    """What a click does on the desk: `solo` or `mute` (A's block) a fader, or `whole` (B's block)."""

    label: str
    do: str
    slot: str


@dataclass(frozen=True)
class Said:
    """A finding in plain sentences, and what a click can do about it."""

    text: str
    acts: tuple[Act, ...] = ()


@dataclass(frozen=True)
class Report:
    """A comparison for the page; text, csv and json are there to be copied and downloaded."""

    title: str
    tables: tuple[Table, ...]
    ranking: tuple[Rank, ...]
    findings: tuple[Said, ...]
    notes: tuple[str, ...]
    text: str
    csv: str
    json: str


@dataclass(frozen=True)
class Checked:
    """One file's health for the page."""

    name: str
    title: str
    findings: tuple[Said, ...]


@dataclass(frozen=True)
class ReportAnswer:
    """What comes back from the room's one button; `picture` is a PNG as a data URL."""

    seq: int
    action: str
    offer: Offer | None = None
    report: Report | None = None
    checked: tuple[Checked, ...] | None = None
    picture: str = ""
    problem: Problem | None = None
