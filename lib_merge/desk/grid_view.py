"""What the room *Grid* shows, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lib_merge.desk.mixer import Mixer
from lib_merge.desk.paste import setup_of
from lib_merge.desk.request import Asked
from lib_merge.desk.view import Problem
from lib_merge.grid import kinds

PREVIEW = 384  # pixels; a cell on the page, the file itself is whole


@dataclass(frozen=True)
class AxisView:
    """A kind of axis as the list offers it."""

    name: str
    help: str
    merges: bool
    lines: bool


@dataclass(frozen=True)
class CellView:
    """One cell as the page shows it: a picture as a data URL, or why there is none."""

    place: tuple[int, int, int]
    picture: str = ""
    problem: str = ""
    infotext: str = ""
    merged: float | None = None
    drawn: float = 0.0


@dataclass(frozen=True)
class SheetView:
    """A grid's shape: titles and labels by axis, and what the plan says of it."""

    titles: Mapping[str, str]
    labels: Mapping[str, tuple[str, ...]]
    told: str
    width: int
    height: int


@dataclass(frozen=True)
class Taken:
    """A cell's settings for the desk.

    lists    what the lists above the rooms are to say; those that are not named stay
    amounts  parameter -> slot -> amount; none at all puts every fader at A
    extras   what other rooms add: rules, Adjust
    recipe   the recipe's text, where the faders cannot show it, and `why` not
    """

    lists: Mapping[str, str] = field(default_factory=dict[str, str])
    amounts: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    knobs: Mapping[str, object] = field(default_factory=dict[str, object])
    extras: Mapping[str, str] = field(default_factory=dict[str, str])
    recipe: str = ""
    why: str = ""


@dataclass(frozen=True)
class GridAnswer:
    """What comes back from the room's buttons.

    run      the number of the run; a new one makes the page begin its sheet anew
    axes     axes as they were asked for, to fill the fields after a restart
    file     the sheet, the table or the row that was asked for, as a data URL, and its name
    """

    seq: int
    action: str
    run: int = 0
    sheet: SheetView | None = None
    axes: Mapping[str, tuple[str, str]] | None = None
    kinds: tuple[AxisView, ...] | None = None
    taken: Taken | None = None
    file: tuple[str, str] | None = None
    map: bool = False
    problem: Problem | None = None


@dataclass(frozen=True)
class GridNews:
    """What has happened since the page looked last.

    at     how many events the page has seen now
    cells  finished since
    blocks the change of each slot, of a map
    """

    run: int = 0
    at: int = 0
    running: bool = False
    told: str = ""
    cells: tuple[CellView, ...] = ()
    blocks: Mapping[str, float] | None = None
    problem: Problem | None = None


def axis_views() -> tuple[AxisView, ...]:
    """Every kind of axis."""
    return tuple(AxisView(kind.id, kind.help, kind.merges, kind.lines) for kind in kinds())


def taken_of(mixer: Mixer, asked: Asked) -> Taken:
    """The lists and faders that make a cell's merge; its recipe alone where they cannot."""
    recipe = asked.recipe
    if not recipe.steps and len(recipe.ingredients) == 1:  # A alone: every fader at A
        return Taken({"a": asked.files[recipe.ingredients[0].file].name})
    setup = setup_of(mixer, asked)
    if setup.why:
        return Taken(recipe=setup.recipe, why=setup.why)
    return Taken(setup.lists, setup.amounts, setup.knobs, setup.extras)
