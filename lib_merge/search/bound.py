"""A search space over one recipe: its dimensions, and the recipe of every point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lib_merge.architectures import Family
from lib_merge.architectures.blocks import BLOCKS_PER_LEVEL
from lib_merge.errors import MergeError, PlanError, RecipeError, did_you_mean
from lib_merge.grid import GridBase, edit
from lib_merge.grid.axes.amounts import all_parameters
from lib_merge.grid.axes.read import find_axis_kind
from lib_merge.methods import METHODS
from lib_merge.plan import base_index
from lib_merge.plan.amounts import Amounts
from lib_merge.plan.block_words import BlockWords
from lib_merge.recipe import Recipe
from lib_merge.recipe.weights.parse import BLOCK_OR_RANGE
from lib_merge.recipe.weights.presets import family_presets, preset_amounts, preset_names
from lib_merge.recipe.weights.rules import FINAL, NOT, VAE_SLOT_ID
from lib_merge.search.ranges import Choices, FixedValue, NumberRange, Values
from lib_merge.search.space import SearchSpace, SpaceEntry, Tie
from lib_merge.search.targets import (
    Assignment,
    AxisTarget,
    ParameterRef,
    Point,
    PointValue,
    PresetTarget,
    SlotTarget,
    Target,
    assigned_recipe,
)

MOST_DIMENSIONS = 100
SAME = 1e-9  # numbers of a recipe that differ by less are equal
MIDDLE_BLOCK = "M00"  # of U-Nets, whose blocks have levels


@dataclass(frozen=True)
class Dimension:
    """One thing that varies (or is fixed): its name, what it sets, and its values.

    integer  whether only integers are meant
    """

    name: str
    target: Target
    values: Values
    integer: bool = False

    def number_of(self, value: PointValue) -> PointValue:
        """The value as its target takes it: a number wherever it is one, on the range's own steps."""
        if isinstance(self.values, NumberRange):
            number = self.values.nearest(float(value))
            return round(number) if self.integer else number
        fixed = FixedValue(str(value)).number
        return str(value) if fixed is None or isinstance(self.target, AxisTarget) else fixed


@dataclass(frozen=True)
class BoundSpace:
    """A search space over the recipe of `base`; make it with `bind_space`."""

    space: SearchSpace
    base: GridBase
    parts: tuple[Dimension, ...]

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What varies."""
        return tuple(part for part in self.parts if not isinstance(part.values, FixedValue))

    def recipe(self, point: Point) -> Recipe:
        """The recipe of a point, which has a value for every dimension."""
        assignments = [
            Assignment(
                part.target,
                part.number_of(part.values.text if isinstance(part.values, FixedValue) else point[part.name]),
            )
            for part in self.parts
        ]
        return assigned_recipe(assignments, self.base)

    def point_of(self, recipe: Recipe) -> dict[str, PointValue]:
        """The point nearest to a recipe, without the dimensions that cannot be read from it."""
        header = self.base.catalog.header(recipe.ingredients[base_index(recipe)].file)
        amounts = Amounts(self.base.family, tuple(header.tensors))
        point: dict[str, PointValue] = {}
        for dimension in self.dimensions:
            target, number = dimension.target, None
            if isinstance(target, SlotTarget):
                number = target.read(recipe, amounts)
            elif isinstance(target, AxisTarget):
                number = target.read(recipe)
            if number is not None and isinstance(dimension.values, NumberRange):
                point[dimension.name] = dimension.number_of(number)
            elif isinstance(target, AxisTarget) and isinstance(dimension.values, Choices):
                options = (text for text in dimension.values.options if target.has(recipe, text, self.base))
                option = next(options, None)
                if option is not None:
                    point[dimension.name] = dimension.number_of(option)
        return point

    def has(self, recipe: Recipe) -> bool:
        """Whether a recipe is one of this space: it has the fixed values, and its own are in the ranges."""
        header = self.base.catalog.header(recipe.ingredients[base_index(recipe)].file)
        amounts = Amounts(self.base.family, tuple(header.tensors))
        return all(_has_value(part, recipe, amounts, self.base) for part in self.parts)

    def point_of_preset(self, name: str) -> dict[str, PointValue]:
        """The point nearest to a preset: its amounts in the first parameter, and all of it among presets."""
        if name not in preset_names():
            raise RecipeError(f"there is no preset '{name}'", hint=did_you_mean(name, preset_names()))
        amounts = preset_amounts(preset_names()[name], self.base.family)
        _, parameter = edit.amount_step(self.base.cell.recipe)
        point: dict[str, PointValue] = {}
        for dimension in self.dimensions:
            target, values = dimension.target, dimension.values
            if not isinstance(values, NumberRange):
                continue
            if isinstance(target, SlotTarget) and target.parameter.name == parameter:
                numbers = [amounts[slot] for slot in target.slots if slot in amounts]
                if numbers:
                    point[dimension.name] = dimension.number_of(sum(numbers) / len(numbers))
            elif isinstance(target, PresetTarget):
                point[dimension.name] = dimension.number_of(float(target.preset == preset_names()[name]))
        return point

    def distance(self, point: Point, start: Point) -> float:
        """The mean square of how far a point is from another, each dimension as a share of its range."""
        gaps: list[float] = []
        for dimension in self.dimensions:
            if dimension.name not in start:
                continue
            there, here = start[dimension.name], point[dimension.name]
            if isinstance(dimension.values, NumberRange):
                gaps.append(dimension.values.share(float(here)) - dimension.values.share(float(there)))
            else:
                gaps.append(float(here != there))
        return sum(gap * gap for gap in gaps) / len(gaps) if gaps else 0.0


def _has_value(part: Dimension, recipe: Recipe, amounts: Amounts, base: GridBase) -> bool:
    """Whether a recipe has a value of this part; the share of a preset cannot be read from it."""
    target, values = part.target, part.values
    if isinstance(target, PresetTarget):
        return False
    if isinstance(target, AxisTarget) and not isinstance(values, NumberRange):
        options = values.options if isinstance(values, Choices) else (values.text,)
        return any(target.has(recipe, text, base) for text in options)
    if isinstance(target, AxisTarget):
        numbers = [target.read(recipe)]
    else:
        numbers = [SlotTarget(target.parameter, (slot,)).read(recipe, amounts) for slot in target.slots]
    first = numbers[0]
    if first is None or any(number is None or abs(number - first) > SAME for number in numbers):
        return False
    taken = part.number_of(values.text if isinstance(values, FixedValue) else first)
    return isinstance(taken, (int, float)) and abs(taken - first) <= SAME


def bind_space(space: SearchSpace, base: GridBase) -> BoundSpace:
    """The search space over a recipe; PlanError with all entries that do not fit it."""
    problems: list[MergeError] = []
    slots: list[tuple[SpaceEntry, ParameterRef, tuple[str, ...]]] = []
    parts: list[Dimension] = []
    for entry in space.entries:
        try:
            named = _slots_of_target(entry.target, base)
            if named is not None:
                slots.append((entry, *named))
                _check_numbers(entry.target, entry.values)
                _check_range(named[0], entry.values, base)
                _check_levels(entry.tie, base.family)
            else:
                parts.append(_other_part(entry, base))
        except PlanError as error:
            problems += error.problems
        except MergeError as problem:
            problems.append(type(problem)(problem.what, where=str(entry), hint=problem.hint))
    parts += _slot_parts(slots, base.family)
    problems += _conflicts(parts, base)
    if not problems and all(isinstance(part.values, FixedValue) for part in parts):
        problems.append(RecipeError("nothing varies in this search space", hint="give a range: OUT: 0..1"))
    if problems:
        raise PlanError(problems)
    bound = BoundSpace(space, base, tuple(parts))
    if len(bound.dimensions) > MOST_DIMENSIONS:
        what = f"this search space has {len(bound.dimensions)} dimensions, and {MOST_DIMENSIONS} are the most"
        raise RecipeError(what, hint="'tied' or 'by level' share a number among blocks")
    bound.recipe(_first_point(bound))
    return bound


def _first_point(bound: BoundSpace) -> Point:
    return {
        part.name: part.values.low if isinstance(part.values, NumberRange) else part.values.options[0]
        for part in bound.dimensions
        if not isinstance(part.values, FixedValue)
    }


# --- blocks ---


def _slots_of_target(target: str, base: GridBase) -> tuple[ParameterRef, tuple[str, ...]] | None:
    """Parameter and slots of a target that names blocks; None for another one."""
    words = target.split()
    if words[0] in preset_names():
        return None
    reference = _parameter_ref(words[0]) if len(words) > 1 else None
    named = words[1:] if reference else words
    if not all(BLOCK_OR_RANGE.fullmatch(word) for word in named):
        return None
    if reference is None:
        step, parameter = edit.amount_step(base.cell.recipe)
        reference = ParameterRef(parameter, step)
    edit.find_step(base.cell.recipe, reference.name, reference.step)
    negated, family = named[0] == NOT, base.family
    block_words = BlockWords(family)
    slots = frozenset[str]().union(*(block_words.slots_of(word, "") for word in named[negated:]))
    if not slots:
        raise RecipeError("NOT stands before nothing", hint="NOT IN00-IN03: 0..1")
    every = tuple(slot.id for slot in family.slots)
    if negated:
        slots = frozenset(every) - slots - {VAE_SLOT_ID}
    return reference, tuple(slot for slot in every if slot in slots)


def _parameter_ref(word: str) -> ParameterRef | None:
    step, _, name = word.rpartition(".")
    return ParameterRef(name, step) if name in all_parameters() else None


def _slot_parts(
    entries: Sequence[tuple[SpaceEntry, ParameterRef, tuple[str, ...]]], family: Family
) -> Iterator[Dimension]:
    """One dimension for each group of slots; a slot belongs to the entry that names the fewest."""
    owners: dict[tuple[ParameterRef, str], int] = {}
    for index in sorted(range(len(entries)), key=lambda index: (-len(entries[index][2]), index)):
        _, parameter, slots = entries[index]
        owners.update(dict.fromkeys(((parameter, slot) for slot in slots), index))
    for index, (entry, parameter, slots) in enumerate(entries):
        own = tuple(slot for slot in slots if owners[parameter, slot] == index)
        for name, group in _groups(own, entry.tie, entry.target):
            prefix = f"{parameter} " if entry.target.split()[0] == str(parameter) else ""
            yield Dimension(
                name if name == entry.target else f"{prefix}{name}",
                SlotTarget(parameter, group),
                entry.values,
            )


def _groups(slots: Sequence[str], tie: Tie, target: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and slots of each group that shares a number."""
    if tie is Tie.TIED and slots:
        yield target, tuple(slots)
    elif tie is Tie.LEVELS:
        yield from level_groups(slots).items()
    elif tie is Tie.EACH:
        # the last convolution's slot is called OUT, as all output blocks that share a number
        yield from ((target if target == FINAL else slot, (slot,)) for slot in slots)


def level_groups(slots: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Slots of one resolution together, under the name of their range; what has no number is alone."""
    groups: dict[tuple[str, int], list[str]] = {}
    for slot in slots:
        stem = slot.rstrip("0123456789")
        number = slot.removeprefix(stem)
        groups.setdefault((stem, int(number) // BLOCKS_PER_LEVEL if number else -1), []).append(slot)
    return {
        group[0] if len(group) == 1 else f"{group[0]}-{group[-1]}": tuple(group) for group in groups.values()
    }


# --- all else ---


def _other_part(entry: SpaceEntry, base: GridBase) -> Dimension:
    """The dimension of a preset's share or of an axis."""
    if entry.tie is not Tie.EACH:
        raise RecipeError(f"'{entry.tie.value}' is for blocks", hint="IN: tied 0..1")
    if entry.target in preset_names():
        _check_numbers(entry.target, entry.values)
        name = preset_names()[entry.target]
        if name not in (presets := family_presets(base.family)):
            hint = did_you_mean(name, presets)
            raise RecipeError(f"{base.family.title} has no preset '{name}'", hint=hint)
        return Dimension(entry.target, PresetTarget(name), entry.values)
    kind = find_axis_kind(entry.target, base)
    if not kind.merges:
        raise RecipeError(f"'{kind.id}' changes the picture and not the merge", hint="fix it for all trials")
    target = AxisTarget(kind, entry.target if kind.id not in all_parameters() else kind.id)
    read = [target.value(value, base) for value in _samples(entry.values)]
    if isinstance(entry.values, NumberRange) and any(isinstance(value, str) for value in read):
        raise RecipeError(f"'{kind.id}' takes words, not numbers", hint="WORD | WORD")
    integer = isinstance(entry.values, NumberRange) and not _takes_fractions(target, entry.values, base)
    return Dimension(entry.target, target, entry.values, integer)


def _takes_fractions(target: AxisTarget, values: NumberRange, base: GridBase) -> bool:
    try:
        target.value(int(values.low) + 0.5, base)
    except MergeError:
        return False
    return True


def _samples(values: Values) -> Sequence[PointValue]:
    """Values that stand for all: the ends of a range, or every choice."""
    if isinstance(values, NumberRange):
        return values.low, values.high
    return values.options if isinstance(values, Choices) else (values.text,)


def _check_numbers(target: str, values: Values) -> None:
    for value in _samples(values):
        if isinstance(value, str) and FixedValue(value).number is None:
            raise RecipeError(f"'{value}' is no number", hint=f"{target}: 0..1")


def _check_range(reference: ParameterRef, values: Values, base: GridBase) -> None:
    """Refuse numbers that the method refuses."""
    step = edit.find_step(base.cell.recipe, reference.name, reference.step)
    parameter = METHODS.get(step.method).parameter(reference.name)
    for value in _samples(values):
        if problem := parameter.problem(float(value)):
            raise RecipeError(problem, hint=parameter.hint)


def _check_levels(tie: Tie, family: Family) -> None:
    if tie is Tie.LEVELS and MIDDLE_BLOCK not in family.listed_names:
        what = f"the blocks of {family.title} have one resolution, and so no levels"
        raise RecipeError(what, hint="tied, or several entries of ranges")


def _conflicts(parts: Sequence[Dimension], base: GridBase) -> Iterator[MergeError]:
    """Two entries that set the same thing, so that one of them would have no effect."""
    names = Counter(part.name for part in parts)
    for name in (name for name, count in names.items() if count > 1):
        yield RecipeError(f"'{name}' is in two entries of the search space", hint="leave one out")
    setters: dict[str, Dimension] = {}
    for part in parts:
        for what in _sets(part.target, base):
            other = setters.setdefault(what, part)
            several = isinstance(part.target, PresetTarget) and isinstance(other.target, PresetTarget)
            if other is not part and not several:
                yield RecipeError(f"'{other.name}' and '{part.name}' both set {what}", hint="leave one out")


def _sets(target: Target, base: GridBase) -> Sequence[str]:
    """What a target sets as a whole, under names that are the same for the same thing."""
    if isinstance(target, PresetTarget):
        return (".".join(edit.amount_step(base.cell.recipe)),)
    if isinstance(target, SlotTarget):  # which are laid over what sets all blocks
        return ()
    if target.adjust_name:
        return (target.name,)
    return [_whole_parameter(what, base) for what in target.kind.sets]


def _whole_parameter(what: str, base: GridBase) -> str:
    """`alpha` and `M.alpha` as one name."""
    step, _, parameter = what.rpartition(".")
    if parameter not in all_parameters():
        return what
    return f"{edit.find_step(base.cell.recipe, parameter, step).name}.{parameter}"
