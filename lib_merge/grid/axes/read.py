"""Reads axes: from `alpha: 0-1 [5]` to values that change a cell. The page, the command line and the
documentation show the same list of kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from lib_merge.errors import MergeError, PlanError, RecipeError, did_you_mean
from lib_merge.grid.axes.adjust import adjust_kinds
from lib_merge.grid.axes.amounts import amount_kinds
from lib_merge.grid.axes.blocks import block_kinds, elemental_axis, fill_value, is_open_value
from lib_merge.grid.axes.image import image_kinds, lora_axis
from lib_merge.grid.axes.merge import merge_kinds, named_kind
from lib_merge.grid.cell import AxisKind, AxisValue, GridBase, GridCell

MOST_CELLS = 10_000
AXIS_NAMES = ("x", "y", "z")
# SuperMerger's names of `elements`, whose sets it separates by empty lines only
ELEMENTAL = ("elemental", "add elemental")
ELSEWHERE = {"effective": "--blocks, or the desk's button, draws the map of effective blocks"}


@dataclass(frozen=True)
class AxisSpec:
    """An axis as it was written."""

    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


@dataclass(frozen=True)
class GridAxis:
    """An axis whose name and values were read."""

    kind: AxisKind
    text: str
    values: tuple[AxisValue, ...]

    @property
    def title(self) -> str:
        """The heading of the labels."""
        return self.kind.id

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the values, in order."""
        return tuple(value.label for value in self.values)


CellPosition = tuple[int, int, int]  # which value of x, of y, of z


def axis_kinds() -> tuple[AxisKind, ...]:
    """All kinds of axes with fixed names."""
    return (*amount_kinds(), *block_kinds(), *adjust_kinds(), *merge_kinds(), *image_kinds())


def parse_axis_spec(text: str) -> AxisSpec:
    """The axis `NAME: VALUES`; neither name nor values are checked."""
    name, colon, values = text.partition(":")
    if not colon:
        raise RecipeError(f"'{text}' is no axis", hint="a name, a colon and values: alpha: 0-1 [5]")
    return AxisSpec(" ".join(name.split()), values.strip())


def find_axis_kind(name: str, base: GridBase) -> AxisKind:
    """The kind of axis with this name, in upper or lower case; RecipeError for an unknown name."""
    kinds = axis_kinds()
    kind_by_name = {alias: kind for kind in kinds for alias in kind.aliases}
    kind_by_name |= {kind.id.lower(): kind for kind in kinds}
    if name.lower() in ELEMENTAL:
        return elemental_axis()
    if name.lower() in kind_by_name:
        return kind_by_name[name.lower()]
    if name.lower().startswith("lora "):
        return lora_axis(name[len("lora ") :].strip())
    kind = named_kind(name, base)
    if kind is None:
        hint = (
            ELSEWHERE.get(name.lower(), "")
            or did_you_mean(name, kind_by_name)
            or "alpha, seed, OUT05, ...: docs/grids.md lists every axis"
        )
        raise RecipeError(f"there is no axis '{name}'", hint=hint)
    return kind


def read_axes(specs: Mapping[str, AxisSpec], base: GridBase) -> dict[str, GridAxis]:
    """The axes by x, y and z, with their values; PlanError with the problems of all of them.

    A grid without one of the three has a single value there, which changes nothing.
    """
    axes: dict[str, GridAxis] = {}
    problems: list[MergeError] = []
    for name, spec in specs.items():
        try:
            kind = find_axis_kind(spec.name, base)
            values = tuple(kind.read(spec.text, base))
            if not values:
                raise RecipeError(f"the axis '{spec.name}' has no values", hint=kind.help)
            axes[name] = GridAxis(kind, spec.text, values)
        except PlanError as error:
            problems += [_of_axis(problem, name, spec) for problem in error.problems]
        except MergeError as problem:
            problems.append(_of_axis(problem, name, spec))
    problems += _axis_conflicts(axes)
    if problems:
        raise PlanError(problems)
    return axes


def _of_axis(problem: MergeError, name: str, spec: AxisSpec) -> MergeError:
    where = f"{name.upper()}, {spec.name}" + (f": {problem.where}" if problem.where else "")
    return type(problem)(problem.what, where=where, hint=problem.hint)


def _axis_conflicts(axes: Mapping[str, GridAxis]) -> Iterator[MergeError]:
    """An error for axes that set the same thing (equal cells, different labels), and for too many cells."""
    taken: dict[str, str] = {}
    for axis in axes.values():
        for what in axis.kind.sets:
            if what in taken:
                hint = "the axis 'amount' multiplies block weights" if what in ("alpha", "beta") else ""
                yield RecipeError(f"'{taken[what]}' and '{axis.kind.id}' both set {what}", hint=hint)
            taken[what] = axis.kind.id
    count = 1
    for axis in axes.values():
        count *= len(axis.values)
    if count > MOST_CELLS:
        yield RecipeError(f"this grid has {count} cells", hint=f"{MOST_CELLS} at most")


def cell_positions(axes: Mapping[str, GridAxis]) -> tuple[CellPosition, ...]:
    """The positions of all cells, sheet by sheet and row by row."""
    counts = [len(axes[name].values) if name in axes else 1 for name in AXIS_NAMES]
    return tuple((x, y, z) for z, y, x in product(range(counts[2]), range(counts[1]), range(counts[0])))


def cell_at(position: CellPosition, axes: Mapping[str, GridAxis], base: GridBase) -> GridCell:
    """The recipe and settings of the cell at a position; MergeError where its values cannot be combined."""
    chosen = [
        (axes[name].kind, axes[name].values[at].value)
        for name, at in zip(AXIS_NAMES, position, strict=True)
        if name in axes
    ]
    cell = base.cell
    for kind, value in sorted(fill_open_blocks(chosen), key=lambda pair: pair[0].rank):
        cell = kind.apply(cell, value, base)
    return cell


def fill_open_blocks(chosen: Sequence[tuple[AxisKind, object]]) -> list[tuple[AxisKind, object]]:
    """The values, with open values filled from the axis of their number, which then sets nothing else."""
    by_name = {kind.id: value for kind, value in chosen}
    filled = list(chosen)
    for blocks, value_of_blocks in chosen:
        number = by_name.get(blocks.number_from)
        if isinstance(number, float) and is_open_value(value_of_blocks):
            filled = [
                (kind, fill_value(value, number) if kind.id == blocks.id else value)
                for kind, value in filled
                if kind.id != blocks.number_from
            ]
    return filled


def labels_at(position: CellPosition, axes: Mapping[str, GridAxis]) -> dict[str, str]:
    """The labels of the cell at a position: `{"x": "0.25", "y": "2"}`."""
    return {
        name: axes[name].values[at].label
        for name, at in zip(AXIS_NAMES, position, strict=True)
        if name in axes
    }
