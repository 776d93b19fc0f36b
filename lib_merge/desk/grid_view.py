"""What the room *Grid* shows, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lib_merge.architectures import Family
from lib_merge.desk.handlers import Choice
from lib_merge.desk.view import (
    DTYPES,
    FADED,
    VAE_FADER,
    VAES,
    Problem,
    desk_methods,
)
from lib_merge.grid import kinds
from lib_merge.grid.cell import Cell
from lib_merge.hosts.host import Ckpt
from lib_merge.methods import METHODS
from lib_merge.plan.amounts import Amounts, vae_choice
from lib_merge.recipe import Recipe, Rules, print_recipe

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

    choice   as the scene will call the lists' choice, once they are set
    amounts  parameter -> slot -> amount
    recipe   the recipe's text, where the faders cannot show it
    """

    choice: str = ""
    amounts: Mapping[str, Mapping[str, float]] | None = None
    knobs: Mapping[str, object] | None = None
    recipe: str = ""


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


def taken_of(cell: Cell, family: Family, files: Mapping[str, Ckpt]) -> tuple[Choice | None, Taken]:
    """The lists and faders that make a cell's merge; only its recipe where they cannot.

    files  by the names that the recipe gives them
    """
    recipe = cell.recipe
    choice = _choice(recipe, files)
    if choice is None:
        return None, Taken(recipe=print_recipe(recipe))
    if not recipe.steps:
        return choice, Taken(repr(choice), {}, {})
    step, amounts = recipe.steps[0], Amounts(family)
    spread: dict[str, dict[str, float]] = {}
    knobs: dict[str, object] = {}
    for parameter in METHODS.get(step.method).parameters:
        setting = step.setting(parameter)
        if parameter.name in FADED and parameter.kind is float and not isinstance(setting, (str, tuple)):
            spread[parameter.name] = {slot.id: amounts.at(setting, slot.id) for slot in family.slots}
        else:
            knobs[parameter.name] = setting
    return choice, Taken(repr(choice), spread, knobs)


def _choice(recipe: Recipe, files: Mapping[str, Ckpt]) -> Choice | None:
    """What the lists must say; None for what they cannot."""
    names = [files[each.file].name for each in recipe.ingredients if each.file in files]
    if len(recipe.steps) > 1 or not 1 <= len(names) <= 3 or len(names) < len(recipe.ingredients):
        return None
    dtype = recipe.dtype.label if recipe.dtype else "source"
    words = {word: title for title, word in DTYPES.items()}
    if dtype not in words:
        return None
    a, b, c = (*names, "", "")[:3]
    vae = vae_choice(recipe)
    vaes = {word: title for title, word in VAES.items()}
    shown = vaes.get(vae) or (files[vae].name if vae in files else "")
    if not recipe.steps:  # A alone: every fader at A
        return Choice(a=a, vae=shown, dtype=words[dtype])
    step = recipe.steps[0]
    known = {method.id: method.title for method in desk_methods()}
    in_order = tuple(each.name for each in recipe.ingredients) == step.inputs
    by_rules = any(isinstance(setting, Rules) for _, setting in step.settings)
    if step.method not in known or not in_order or by_rules:
        return None
    return Choice(a, b, c, known[step.method], shown or VAE_FADER, words[dtype])
