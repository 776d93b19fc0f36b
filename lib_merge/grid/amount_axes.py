"""Axes of amounts: a method's parameters, block weights, presets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from lib_merge.architectures import DEFAULT_LAYOUT, parse_numbers
from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid import edit
from lib_merge.grid.blocks import VAE
from lib_merge.grid.cell import AMOUNTS, FACTOR, Base, Cell, Kind, Value, read_each, set_on
from lib_merge.grid.values import numbers, shown, split_lines, split_list
from lib_merge.methods import METHODS
from lib_merge.recipe import Rules, Setting, Slots, parse_rules, read_weights
from lib_merge.registry import Parameter


def known_parameters() -> dict[str, Parameter]:
    """Every parameter of any method by name, alpha first."""
    found: dict[str, Parameter] = {}
    for method in METHODS.all():
        for parameter in method.parameters:
            if not parameter.per_model:
                found.setdefault(parameter.name, parameter)
    return found


def parameter_axis(parameter: Parameter, step: str = "") -> Kind:
    """`alpha`, `M.alpha`: one number for the whole model, or on an axis of blocks the number for those."""
    name = parameter.name

    def read(text: str, base: Base) -> Sequence[Value]:
        if parameter.kind is bool:
            return read_each(split_list(text), _truth)
        if parameter.kind is str:
            return read_each(split_list(text), str)
        found = numbers(text, whole=parameter.kind is int)
        return [Value(shown(number), number) for number in found]

    def apply(cell: Cell, value: object, _: Base) -> Cell:
        return set_on(cell, name, step, lambda setting: cast("Setting", value))

    id = f"{step}.{name}" if step else name
    return Kind(id, parameter.knob.help or "a number for the whole model", True, AMOUNTS, read, apply, (id,))


def _truth(entry: str) -> bool:
    if entry.lower() not in ("true", "false"):
        raise RecipeError(f"'{entry}' is not true or false")
    return entry.lower() == "true"


def together() -> Kind:
    """`alpha and beta`: two numbers with a space between them."""

    def read(text: str, base: Base) -> Sequence[Value]:
        def pair(entry: str) -> tuple[float, ...]:
            found = parse_numbers(entry)
            if len(found) == 1:
                return found * 2  # the same for both, as SuperMerger has it
            if len(found) != 2:
                raise RecipeError(f"'{entry}' is not two numbers", hint="alpha and beta: 0.2 0.4, 0.3 0.3")
            return found

        return read_each(split_list(text), pair)

    def apply(cell: Cell, value: object, _: Base) -> Cell:
        alpha, beta = cast("tuple[float, float]", value)
        return set_on(set_on(cell, "alpha", "", lambda _: alpha), "beta", "", lambda _: beta)

    text = "two numbers with a space between them, for the whole model"
    return Kind("alpha and beta", text, True, AMOUNTS, read, apply, ("alpha", "beta"))


def weights(parameter: str) -> Kind:
    """`weights`, `beta weights`: a list of block weights a line, or the name of a preset."""

    def read(text: str, base: Base) -> Sequence[Value]:
        return read_each(split_lines(text), lambda entry: _curve(entry, parameter, base), _curve_label)

    def apply(cell: Cell, value: object, base: Base) -> Cell:
        return set_on(cell, parameter, "", lambda setting: cast("Setting", value))

    name = "weights" if parameter == "alpha" else f"{parameter} weights"
    text = "block weights, one a line: 26, 25, 20 or 19 numbers, rules, a preset's name"
    return Kind(name, text, True, AMOUNTS, read, apply, (parameter,), lines=True)


def weights_together() -> Kind:
    """`weights and beta weights`: two lists a line with | between them, or on two lines as in SuperMerger."""

    def read(text: str, base: Base) -> Sequence[Value]:
        def pair(entry: str) -> tuple[Setting, Setting]:
            alpha, bar, beta = entry.partition("|")
            if not bar:
                raise RecipeError("there is only one list on this line", where=entry, hint="alpha | beta")
            return _curve(alpha.strip(), "alpha", base), _curve(beta.strip(), "beta", base)

        lines = split_lines(text)
        if "|" not in text and len(lines) % 2 == 0:
            lines = tuple(f"{alpha} | {beta}" for alpha, beta in zip(lines[::2], lines[1::2], strict=True))
        return read_each(lines, pair, _curve_label)

    def apply(cell: Cell, value: object, _: Base) -> Cell:
        alpha, beta = cast("tuple[Setting, Setting]", value)
        return set_on(set_on(cell, "alpha", "", lambda _: alpha), "beta", "", lambda _: beta)

    text = "block weights of alpha and of beta, | between them or on two lines"
    return Kind("weights and beta weights", text, True, AMOUNTS, read, apply, ("alpha", "beta"), lines=True)


def preset(parameter: str) -> Kind:
    """`preset`, `beta preset`: block weights by the names of presets, as a list."""

    def read(text: str, base: Base) -> Sequence[Value]:
        return read_each(split_list(text), lambda entry: _preset(entry, base))

    def apply(cell: Cell, value: object, _: Base) -> Cell:
        return set_on(cell, parameter, "", lambda setting: cast("Setting", value))

    name = "preset" if parameter == "alpha" else f"{parameter} preset"
    return Kind(name, "block weights by the names of presets", True, AMOUNTS, read, apply, (parameter,))


def _curve(entry: str, parameter: str, base: Base) -> Setting:
    """A preset by name, a list of numbers, or rules; 25 numbers leave BASE as the merge has it."""
    try:
        return _preset(entry, base)
    except MergeError:
        given = edit.setting_of(edit.step_of(base.cell.recipe, parameter), parameter)
        plain = given if isinstance(given, (int, float)) else 0.0
        return read_weights(entry, layout=DEFAULT_LAYOUT.id, default=plain, where=entry)


def _preset(name: str, base: Base) -> Slots:
    values = base.shelf.preset(name, base.family)
    return Slots(tuple(sorted((slot, number) for slot, number in values.items() if slot != VAE)))


def _curve_label(entry: str) -> str:
    short = entry.split()
    return entry if len(entry) < 40 else f"{' '.join(short)[:36]} ..."


def _factors(text: str, base: Base) -> Sequence[Value]:
    return [Value(shown(number), number) for number in numbers(text)]


FACTOR_AXIS = Kind(
    "amount",
    "alpha as it is by block, times each of these numbers",
    True,
    FACTOR,
    _factors,
    lambda cell, value, _: set_on(cell, "alpha", "", lambda old: edit.scaled(old, cast("float", value))),
    ("the amount",),
)


def _seeds(text: str, base: Base) -> Sequence[Value]:
    def dice(seed: int) -> Rules:
        return parse_rules(f"uniform(0, 1, seed = {seed})")

    found = [base.shelf.dice() if seed < 0 else int(seed) for seed in numbers(text, whole=True)]
    return [Value(str(seed), dice(seed)) for seed in found]


RANDOM = Kind(
    "random",
    "seeds of dice that give every block a number from 0 to 1; -1 is thrown once and shown",
    True,
    AMOUNTS,
    _seeds,
    lambda cell, value, _: set_on(cell, "alpha", "", lambda old: cast("Setting", value)),
    ("alpha",),
)
