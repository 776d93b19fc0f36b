"""Axes: from `alpha: 0-1 [5]` to values that change a cell. One list, which the tab, the command line and
the documentation show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from lib_merge.errors import MergeError, PlanError, RecipeError, did_you_mean
from lib_merge.grid.block_axes import elemental, filled, is_open
from lib_merge.grid.cell import Base, Cell, Kind, Value
from lib_merge.grid.merge_axes import merge_kinds, named_kind
from lib_merge.grid.picture_axes import lora, picture_kinds

MOST_CELLS = 10_000
NAMES = ("x", "y", "z")
# What SuperMerger calls them (hako-mikan/sd-webui-supermerger 0b1c491, scripts/mergers/mergers.py, TYPES)
ALIASES = {
    "mbw alpha": "weights",
    "mbw beta": "beta weights",
    "mbw alpha and beta": "weights and beta weights",
    "model_a": "model A",
    "model_b": "model B",
    "model_c": "model C",
    "pinpoint blocks": "blocks",
    "pinpoint element": "blocks",
    "pinpoint element ext": "XL blocks",
    "include blocks": "include",
    "add include": "include",
    "add exclude": "exclude",
    "exclude blocks": "exclude",
    "calcmode": "method",
}
ELEMENTAL = ("elemental", "add elemental")
ELSEWHERE = {"effective": "--blocks, or the desk's button, draws the map of effective blocks"}
PINNED = {
    "blocks": "alpha",
    "beta blocks": "beta",
    "XL blocks": "alpha",
    "pinpoint adjust": "alpha",
}  # which axis gives open blocks their number


@dataclass(frozen=True)
class Asked:
    """An axis as it was written."""

    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


@dataclass(frozen=True)
class Axis:
    """An axis that was understood."""

    kind: Kind
    text: str
    values: tuple[Value, ...]

    @property
    def title(self) -> str:
        """What stands over the labels."""
        return self.kind.id

    @property
    def labels(self) -> tuple[str, ...]:
        """One for each value."""
        return tuple(value.label for value in self.values)


Place = tuple[int, int, int]  # which value of x, of y, of z


def kinds() -> tuple[Kind, ...]:
    """Every kind of axis that has a name of its own."""
    return (*merge_kinds(), *picture_kinds())


def read_asked(text: str) -> Asked:
    """`NAME: VALUES`."""
    name, colon, values = text.partition(":")
    if not colon:
        raise RecipeError(f"'{text}' is no axis", hint="a name, a colon and values: alpha: 0-1 [5]")
    return Asked(" ".join(name.split()), values.strip())


def kind_of(name: str, base: Base) -> Kind:
    """The kind of axis of that name, upper or lower case."""
    known = {kind.id.lower(): kind for kind in kinds()}
    if name.lower() in ELEMENTAL:
        return elemental()
    name = ALIASES.get(name.lower(), name)
    if name.lower() in known:
        return known[name.lower()]
    if name.lower().startswith("lora "):
        return lora(name[len("lora ") :].strip())
    found = named_kind(name, base)
    if found is None:
        hint = (
            ELSEWHERE.get(name.lower(), "")
            or did_you_mean(name, known)
            or "alpha, seed, OUT05, ...: the README lists every axis"
        )
        raise RecipeError(f"there is no axis '{name}'", hint=hint)
    return found


def read_axes(asked: Mapping[str, Asked], base: Base) -> dict[str, Axis]:
    """The axes by x, y and z; PlanError with everything that is wrong with any of them.

    An axis that is not asked for has one value, which changes nothing.
    """
    axes: dict[str, Axis] = {}
    problems: list[MergeError] = []
    for name, each in asked.items():
        try:
            kind = kind_of(each.name, base)
            values = tuple(kind.read(each.text, base))
            if not values:
                raise RecipeError(f"the axis '{each.name}' has no values", hint=kind.help)
            axes[name] = Axis(kind, each.text, values)
        except PlanError as found:
            problems += [_of_axis(problem, name, each) for problem in found.problems]
        except MergeError as problem:
            problems.append(_of_axis(problem, name, each))
    problems += _clashes(axes)
    if problems:
        raise PlanError(problems)
    return axes


def _of_axis(problem: MergeError, name: str, asked: Asked) -> MergeError:
    where = f"{name.upper()}, {asked.name}" + (f": {problem.where}" if problem.where else "")
    return type(problem)(problem.what, where=where, hint=problem.hint)


def _clashes(axes: Mapping[str, Axis]) -> Iterator[MergeError]:
    """Two axes that set the same thing would make cells alike that are labelled apart."""
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


def places(axes: Mapping[str, Axis]) -> tuple[Place, ...]:
    """Every cell's place, sheet by sheet, row by row."""
    counts = [len(axes[name].values) if name in axes else 1 for name in NAMES]
    return tuple((x, y, z) for z, y, x in product(range(counts[2]), range(counts[1]), range(counts[0])))


def cell_at(place: Place, axes: Mapping[str, Axis], base: Base) -> Cell:
    """What the cell at a place is made with; MergeError where its values do not go together."""
    chosen = [
        (axes[name].kind, axes[name].values[at].to)
        for name, at in zip(NAMES, place, strict=True)
        if name in axes
    ]
    cell = base.cell
    for kind, value in sorted(with_pins(chosen), key=lambda each: each[0].rank):
        cell = kind.apply(cell, value, base)
    return cell


def with_pins(chosen: Sequence[tuple[Kind, object]]) -> list[tuple[Kind, object]]:
    """Open blocks take their number from the axis of alpha, which then sets nothing else."""
    by_name = {kind.id: value for kind, value in chosen}
    made = list(chosen)
    for blocks, parameter in PINNED.items():
        number = by_name.get(parameter)
        if blocks in by_name and isinstance(number, float) and is_open(by_name[blocks]):
            made = [
                (kind, filled(value, number) if kind.id == blocks else value)
                for kind, value in made
                if kind.id != parameter
            ]
    return made


def labels_at(place: Place, axes: Mapping[str, Axis]) -> dict[str, str]:
    """`{"x": "0.25", "y": "2"}`."""
    return {name: axes[name].values[at].label for name, at in zip(NAMES, place, strict=True) if name in axes}
