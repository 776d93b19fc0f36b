"""What a dimension of a search space sets in a recipe: blocks, a preset's share, or a grid's axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import mean
from typing import cast

from lib_merge.architectures import Family
from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid import GridBase, GridCell, edit
from lib_merge.grid.axes.adjust import PINPOINT
from lib_merge.grid.cell import AxisKind, AxisRank, with_parameter
from lib_merge.plan.amounts import Amounts
from lib_merge.recipe import Recipe, Rules, Setting, Slots
from lib_merge.recipe.options import ADJUST_OPTION
from lib_merge.recipe.weights.presets import preset_amounts
from lib_merge.recipe.weights.rules import VAE_SLOT_ID
from lib_merge.search.ranges import read_number

PointValue = float | str
Point = Mapping[str, PointValue]  # dimension -> its value
Change = Callable[[GridCell], GridCell]


@dataclass(frozen=True)
class ParameterRef:
    """A parameter of a step: of "" for the one that `grid.edit.find_step` finds."""

    name: str
    step: str = ""

    def __str__(self) -> str:
        return f"{self.step}.{self.name}" if self.step else self.name


@dataclass(frozen=True)
class SlotTarget:
    """The amount of some slots."""

    parameter: ParameterRef
    slots: tuple[str, ...]

    def read(self, recipe: Recipe, amounts: Amounts) -> float | None:
        """The mean amount of these slots in a recipe; None where the recipe has no such parameter."""
        try:
            step = edit.find_step(recipe, self.parameter.name, self.parameter.step)
            setting = edit.current_setting(step, self.parameter.name)
            if isinstance(setting, (bool, str, tuple)):
                return None
            return mean(
                amounts.vae_amount(setting) if slot == VAE_SLOT_ID else amounts.amount(setting, slot)
                for slot in self.slots
            )
        except MergeError:
            return None


@dataclass(frozen=True)
class PresetTarget:
    """How much of a preset the amount of every block is."""

    preset: str


@dataclass(frozen=True)
class AxisTarget:
    """What the axis of a grid sets."""

    kind: AxisKind
    name: str

    @property
    def adjust_name(self) -> str:
        """Which of Adjust's numbers it is, "" for another axis."""
        prefix = f"{ADJUST_OPTION.axis} "
        return self.name.removeprefix(prefix) if self.name.startswith(prefix) else ""

    def value(self, value: PointValue, base: GridBase) -> object:
        """The value as `AxisKind.apply` takes it; RecipeError for text that the axis does not take."""
        if self.adjust_name:
            return self.adjust_name, self._number(value)
        text = value if isinstance(value, str) else format(Decimal(repr(value)), "f")  # no axis reads 1e-05
        read = self.kind.read(text, base)
        if len(read) != 1:
            raise RecipeError(f"'{text}' is not one value", where=self.name, hint=self.kind.help)
        return read[0].value

    def apply(self, cell: GridCell, value: PointValue, base: GridBase) -> GridCell:
        """The cell with this value."""
        kind = PINPOINT if self.adjust_name else self.kind
        return kind.apply(cell, self.value(value, base), base)

    def has(self, recipe: Recipe, value: PointValue, base: GridBase) -> bool:
        """Whether a recipe has this value: it stays as it is where the value is set."""
        try:
            return self.apply(GridCell(recipe, base.cell.drawing), value, base).recipe == recipe
        except MergeError:
            return False

    def read(self, recipe: Recipe) -> float | None:
        """The number that a recipe has there; None where it has no single one."""
        step, _, parameter = self.name.rpartition(".")
        try:
            setting = edit.current_setting(edit.find_step(recipe, parameter, step), parameter)
        except MergeError:
            return None
        return float(setting) if isinstance(setting, (int, float)) and not isinstance(setting, bool) else None

    def _number(self, value: PointValue) -> float:
        number = read_number(value) if isinstance(value, str) else value
        if number is None:
            raise RecipeError(f"'{value}' is no number", where=self.name)
        return number


Target = SlotTarget | PresetTarget | AxisTarget


@dataclass(frozen=True)
class Assignment:
    """A target and its value at one point."""

    target: Target
    value: PointValue


def assigned_recipe(assignments: Sequence[Assignment], base: GridBase) -> Recipe:
    """The recipe of `base` with all values set, in the order of `AxisRank`."""
    changes: list[tuple[AxisRank, Change]] = []
    for assignment in assignments:
        target, value = assignment.target, assignment.value
        if isinstance(target, AxisTarget):
            changes.append((target.kind.rank, _axis_change(target, value, base)))
    shares = _numbers(assignments, PresetTarget)
    if shares:
        total = _sum_of_presets({target.preset: share for target, share in shares}, base.family)
        changes.append((AxisRank.AMOUNTS, _amount_change(total)))
    changes += [
        (AxisRank.BLOCKS, _slots_change(parameter, pins, base.family))
        for parameter, pins in _pins(assignments).items()
    ]
    cell = base.cell
    for _, change in sorted(changes, key=lambda pair: pair[0]):
        cell = change(cell)
    return cell.recipe


def _axis_change(target: AxisTarget, value: PointValue, base: GridBase) -> Change:
    return lambda cell: target.apply(cell, value, base)


def _amount_change(amount: Setting) -> Change:
    def change(cell: GridCell) -> GridCell:
        step, parameter = edit.amount_step(cell.recipe)
        return with_parameter(cell, parameter, step, lambda _: amount)

    return change


def _slots_change(parameter: ParameterRef, pins: Mapping[str, float], family: Family) -> Change:
    def change(setting: Setting) -> Slots | Rules:
        return edit.with_slots(setting, pins, family)

    return lambda cell: with_parameter(cell, parameter.name, parameter.step, change)


def _numbers(assignments: Sequence[Assignment], kind: type[PresetTarget]) -> list[tuple[PresetTarget, float]]:
    return [
        (assignment.target, cast("float", assignment.value))
        for assignment in assignments
        if isinstance(assignment.target, kind)
    ]


def _pins(assignments: Sequence[Assignment]) -> Mapping[ParameterRef, dict[str, float]]:
    pins: dict[ParameterRef, dict[str, float]] = {}
    for assignment in assignments:
        if isinstance(assignment.target, SlotTarget):
            number = cast("float", assignment.value)
            pins.setdefault(assignment.target.parameter, {}).update(
                dict.fromkeys(assignment.target.slots, number)
            )
    return pins


def _sum_of_presets(shares: Mapping[str, float], family: Family) -> Slots:
    """The sum of presets, each times its share; the VAE stays A's."""
    amounts = {
        slot.id: sum(
            share * preset_amounts(preset, family).get(slot.id, 0.0) for preset, share in shares.items()
        )
        for slot in family.slots
        if slot.id != VAE_SLOT_ID
    }
    return Slots(tuple(sorted(amounts.items())))
