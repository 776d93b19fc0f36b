"""The state that the page draws its faders from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from lib_merge.architectures import DEFAULT_LAYOUT, LAYOUTS, Family, read_numbers
from lib_merge.architectures.blocks import BlockNote
from lib_merge.desk.common import FaderLayout, Problem
from lib_merge.desk.selection import FADER_PARAMETERS, ParameterView, neutral_amounts, parameter_views
from lib_merge.errors import RecipeError
from lib_merge.library.presets import NamedPreset
from lib_merge.registry import Method

MAX_LIST_LENGTH = 80  # no family's list is longer


@dataclass(frozen=True)
class MethodView:
    """A merge method.

    faders        parameters with a weight for each block
    scalars       parameters with one value for the whole model
    neutral       fader parameter -> the amount that keeps A, whatever others are; None where no amounts do
    mixed_models  fader parameter -> the model that it is the amount of, "B" or "C"; empty where it is of none
    models        how many it merges at most
    """

    id: str
    title: str
    summary: str
    formula: str
    faders: tuple[ParameterView, ...]
    scalars: tuple[ParameterView, ...]
    neutral: Mapping[str, float] | None
    mixed_models: Mapping[str, str]
    models: int


@dataclass(frozen=True)
class NumberLayout:
    """One layout of lists of block weights.

    positions  length of the list -> slot -> index in it; -1 keeps the fader's amount, -2 resets it (A)
    """

    id: str
    title: str
    positions: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class FaderGroup:
    """Faders that can be selected at once."""

    title: str
    slots: tuple[str, ...]


@dataclass(frozen=True)
class UiState:
    """Everything that the faders are drawn from.

    listed_names      the names of a full list of numbers, in order
    groups            listed name -> its slots, for names that are not a slot
    fader_groups      faders to select at once: all, the text encoders, and the blocks by level
    block_notes       slot -> what it is
    disabled_faders   slot -> why its fader has no effect now
    no_block_weights  why no fader has an effect with this method, "" where they have
    next_step         what to choose first, "" where nothing is missing
    same_models       what a checkpoint that was chosen twice means for the merge, "" for nothing
    problem           what is wrong with the choice in the lists
    """

    family: str
    title: str
    fader_layout: FaderLayout
    listed_names: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    fader_groups: tuple[FaderGroup, ...]
    block_notes: Mapping[str, BlockNote]
    number_layouts: tuple[NumberLayout, ...]
    method: MethodView
    presets: tuple[NamedPreset, ...]
    disabled_faders: Mapping[str, str]
    no_block_weights: str
    next_step: str
    same_models: str
    problem: Problem | None = None


@dataclass(frozen=True)
class Differences:
    """How much A and B differ in each block.

    by_slot     slot -> relative L2 difference
    not_finite  slots where A or B has NaN or infinity
    """

    a: str
    b: str
    by_slot: Mapping[str, float] = field(default_factory=dict[str, float])
    not_finite: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlignmentNote:
    """The text next to *Align to A first*: a sentence for each aligned model, "" for none."""

    text: str = ""


def fader_groups(layout: FaderLayout) -> tuple[FaderGroup, ...]:
    """The groups of faders to select at once: all, the text encoders, each column as a whole and by level."""
    columns = [layout.left, layout.middle, layout.right[::-1] if layout.middle else layout.right]
    blocks = tuple(slot for column in columns for slot in column)
    kinds = dict.fromkeys(slot.rstrip("0123456789") for slot in blocks)
    chosen_groups = [FaderGroup("All blocks and text encoders", (*layout.above, *blocks))]
    if layout.above:
        chosen_groups.append(FaderGroup(f"Text encoders ({', '.join(layout.above)})", layout.above))
    for kind in kinds:
        slots = tuple(slot for slot in blocks if slot.rstrip("0123456789") == kind)
        chosen_groups.append(FaderGroup(f"All {kind}" if len(slots) > 1 else "".join(slots), slots))
        chosen_groups.extend(_levels(slots, layout.rows_per_level))
    return tuple(group for group in chosen_groups if group.slots)


def _levels(slots: tuple[str, ...], length: int) -> Iterator[FaderGroup]:
    if not length or len(slots) <= length:
        return
    for first in range(0, len(slots), length):
        level = slots[first : first + length]
        yield FaderGroup(f"{level[0]}-{level[-1]}", level)


@cache
def number_layouts(family: Family) -> tuple[NumberLayout, ...]:
    """How every layout maps lists to slots, found by giving `read_numbers` the indices as amounts."""
    order = (DEFAULT_LAYOUT, *(layout for layout in LAYOUTS if layout is not DEFAULT_LAYOUT))
    layouts: list[NumberLayout] = []
    for layout in order:
        spread: dict[str, dict[str, int]] = {}
        for count in range(1, MAX_LIST_LENGTH):
            try:
                indices = read_numbers(range(1, count + 1), family, layout, base=-1.0)
            except RecipeError:
                continue  # no list of so many numbers
            spread[str(count)] = {slot: _index(amount) for slot, amount in indices.items()}
        layouts.append(NumberLayout(layout.id, layout.title, spread))
    return tuple(layouts)


def _index(amount: float) -> int:
    """1 is the first number; 0 is A; -1 keeps the amount, as a list without BASE does."""
    if amount > 0:
        return int(amount) - 1
    return -2 if amount == 0 else -1


def method_view(method: Method) -> MethodView:
    """A method as the page shows it."""
    parameters = parameter_views(method)
    faders = tuple(
        parameter
        for parameter in parameters
        if parameter.name in FADER_PARAMETERS and parameter.kind == "float"
    )
    return MethodView(
        method.id,
        method.title,
        method.summary,
        method.formula,
        faders,
        tuple(parameter for parameter in parameters if parameter not in faders),
        neutral_amounts(method),
        models_by_parameter(method, [parameter.name for parameter in faders]),
        method.max_models or 2,
    )


def models_by_parameter(method: Method, faders: Sequence[str]) -> Mapping[str, str]:
    """Fader parameter -> the one model that it is the amount of: at 1 the result is that model, at 0 it is A
    (Triple sum: alpha -> B, beta -> C). Empty where a fader parameter is something else.
    """
    if all(dict.fromkeys(faders, 0) != end.at or end.model for end in method.exact):
        return {}  # with every amount 0 the result is not A
    models: dict[str, str] = {}
    for end in method.exact:
        full = [name for name in faders if end.at.get(name) == 1]
        if len(full) == 1 and end.model and not any(end.at.get(name) for name in faders if name not in full):
            models[full[0]] = "ABC"[end.model]
    return models if len(models) == len(faders) else {}


def c_label(method: Method) -> str:
    """What the list of C is called: what the method's formula does with it."""
    if "B - C" in method.formula:
        return f"C, subtract (base of {'A and B' if 'A - C' in method.formula else 'B'})"
    faders = [
        name for name in FADER_PARAMETERS if any(name == parameter.name for parameter in method.parameters)
    ]
    is_mixed = "C" in models_by_parameter(method, faders).values() or any(
        model.name == "models" for model in method.inputs
    )
    return "C, mix in" if is_mixed else "C"


def same_models_note(method: Method, a: str, b: str, c: str) -> str:
    """What a checkpoint that was chosen twice means for the merge; "" for nothing."""
    models = method.max_models or 2
    if models == 2 and a and a == b:
        return "A and B are the same checkpoint, so there is nothing to mix: choose another B."
    if models == 3 and b and b == c and "B - C" in method.formula:
        return "B and C are the same checkpoint, so that B - C is zero: choose another C."
    return ""


def no_block_weights_reason(method: Method) -> str:
    """Why no fader has an effect with a method; "" where it has a parameter with block weights."""
    view = method_view(method)
    if view.faders:
        return ""
    instead = " Its parameters are shown in their place." if view.scalars else ""
    return f"{method.title} has no block weights, so the sliders have no effect.{instead}"
