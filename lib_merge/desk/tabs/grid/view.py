"""The requests and results of the tab *Grid*."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lib_merge.desk.common import Problem
from lib_merge.desk.tabs.history.paste import page_setup_of
from lib_merge.desk.tabs.mix.view import ParameterValue
from lib_merge.grid.blockmap import BlockRows
from lib_merge.hosts.host import ListedFile
from lib_merge.library.saved_axes import SavedAxes
from lib_merge.service.merging import MergeService
from lib_merge.service.request import Resolved

PREVIEW = 384  # pixels; a cell on the page, the file itself is whole


@dataclass(frozen=True)
class GridInput:
    """The grid to plan or to start.

    parameters  amounts of the faders, see FaderAmounts
    axes        x, y, z -> name and values of the axis as text; empty for a map
    """

    parameters: Mapping[str, ParameterValue] = field(default_factory=dict[str, ParameterValue])
    axes: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])


@dataclass(frozen=True)
class GridPosition:
    """A cell: its column, row and sheet, from 0."""

    position: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class GridRow:
    """A row of cells: its number and its sheet, from 0."""

    row: int = 0
    sheet: int = 0


@dataclass(frozen=True)
class GridSeen:
    """How many events of which run the page has received."""

    run: int = 0
    events: int = 0


@dataclass(frozen=True)
class AxisView:
    """A kind of axis as the menu offers it.

    group     its heading in the menu
    choices   values that are names: of files, samplers, methods
    examples  whole texts of values
    """

    name: str
    help: str
    merges: bool
    lines: bool
    group: str
    choices: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class CellView:
    """One cell as the page shows it: a picture as a data URL, or why there is none."""

    position: tuple[int, int, int]
    picture: str = ""
    problem: str = ""
    infotext: str = ""
    merge_seconds: float | None = None
    draw_seconds: float = 0.0


@dataclass(frozen=True)
class SheetView:
    """A grid's shape.

    titles, labels  by axis
    summary         of its plan
    width, height   of a cell, in pixels
    rows            the rows of slots of a map, None for a grid
    """

    titles: Mapping[str, str]
    labels: Mapping[str, tuple[str, ...]]
    summary: str
    width: int
    height: int
    rows: BlockRows | None = None


@dataclass(frozen=True)
class GridSummary:
    """What a grid would do, in a sentence; "" where no axis is named."""

    summary: str = ""


@dataclass(frozen=True)
class GridStarted:
    """The running grid, or the last one.

    run   its number; a new number makes the page clear its sheet
    axes  axes of the request, for the fields of the page; None for a map
    """

    run: int
    sheet: SheetView
    axes: Mapping[str, tuple[str, str]] | None


@dataclass(frozen=True)
class GridOptions:
    """What the tab shows when it is opened.

    kinds    every kind of axis
    started  the grid of this session, None where none was started
    axes     axes of the last grid of an earlier session
    saved    axes that the user has named
    """

    kinds: tuple[AxisView, ...]
    started: GridStarted | None = None
    axes: Mapping[str, tuple[str, str]] | None = None
    saved: tuple[SavedAxes, ...] = ()


@dataclass(frozen=True)
class AxesName:
    """Axes and the name that they are saved under; to delete, the name alone."""

    name: str = ""
    axes: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])


@dataclass(frozen=True)
class AxesList:
    """All axes that the user has named."""

    saved: tuple[SavedAxes, ...]


@dataclass(frozen=True)
class GridStopped:
    """The run that was stopped, 0 for none."""

    run: int


@dataclass(frozen=True)
class GridFile:
    """A file to download: its name, and its content as a data URL."""

    name: str
    url: str


@dataclass(frozen=True)
class GridUpdate:
    """What has changed since the last poll.

    events   how many events of the run the page has received now
    cells    cells that finished since
    blocks   the change of each slot, of a map
    problem  why the run has ended early
    """

    run: int = 0
    events: int = 0
    running: bool = False
    progress: str = ""
    cells: tuple[CellView, ...] = ()
    blocks: Mapping[str, float] | None = None
    problem: Problem | None = None


@dataclass(frozen=True)
class CellSetup:
    """The settings of a cell for the desk.

    lists    values for the lists above the tabs; other lists keep theirs
    amounts  parameter -> slot -> amount; none at all puts every fader at A
    extras   settings of other tabs: rules, Adjust
    recipe   the text of a recipe that the faders cannot show; `why` says why
    drawing  settings of the picture, for the fields
    """

    lists: Mapping[str, str] = field(default_factory=dict[str, str])
    amounts: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    scalars: Mapping[str, object] = field(default_factory=dict[str, object])
    extras: Mapping[str, str] = field(default_factory=dict[str, str])
    recipe: str = ""
    why: str = ""
    drawing: Mapping[str, object] = field(default_factory=dict[str, object])


def cell_setup(
    merging: MergeService, resolved: Resolved[ListedFile], drawing: Mapping[str, object]
) -> CellSetup:
    """The lists and faders for the merge of a cell; only its recipe where they cannot show it."""
    recipe = resolved.recipe
    if not recipe.steps and len(recipe.ingredients) == 1:  # A alone: every fader at A
        return CellSetup({"a": resolved.files[recipe.ingredients[0].file].name}, drawing=drawing)
    setup = page_setup_of(merging, resolved)
    if setup.why:
        return CellSetup(recipe=setup.recipe, why=setup.why)
    return CellSetup(setup.lists, setup.amounts, setup.scalars, setup.extras, drawing=drawing)
