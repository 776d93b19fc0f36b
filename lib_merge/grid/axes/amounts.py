"""Axes of amounts: a method's parameters, block weights, presets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from lib_merge.architectures import DEFAULT_LAYOUT, parse_numbers
from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid import edit
from lib_merge.grid.axes.values import format_number, parse_axis_numbers, split_lines, split_list
from lib_merge.grid.cell import AxisKind, AxisRank, AxisValue, GridBase, GridCell, read_values, with_parameter
from lib_merge.methods import METHODS
from lib_merge.methods.former_names import FORMER_PARAMETERS
from lib_merge.parameters import Parameter, Seed
from lib_merge.recipe import Rules, Setting, Slots, parse_rules, read_weights
from lib_merge.recipe.options import LIST_OPTIONS, ListOption
from lib_merge.recipe.weights.rules import VAE_SLOT_ID


def all_parameters() -> dict[str, Parameter]:
    """Name -> parameter, for the parameters of all methods; alpha first."""
    parameters: dict[str, Parameter] = {}
    for method in METHODS.all():
        for parameter in method.parameters:
            if not parameter.per_model:
                parameters.setdefault(parameter.name, parameter)
    return parameters


def parameter_axis(parameter: Parameter, step: str = "") -> AxisKind:
    """`alpha`, `M.alpha`: a number for the whole model, or beside an axis of blocks for these blocks."""
    name = parameter.name

    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        if parameter.kind is bool:
            return read_values(split_list(text), _read_switch)
        if parameter.kind is str:
            return read_values(split_list(text), str)
        numbers = parse_axis_numbers(text, whole=parameter.kind is int)
        return [AxisValue(format_number(number), number) for number in numbers]

    def apply(cell: GridCell, value: object, _: GridBase) -> GridCell:
        return with_parameter(cell, name, step, lambda setting: cast("Setting", value))

    prefix = f"{step}." if step else ""
    id = f"{prefix}{name}"
    former = tuple(f"{prefix}{old}" for old, new in FORMER_PARAMETERS.items() if new.name == name)
    text = parameter.range.help or "a number for the whole model"
    return AxisKind(
        id, text, True, AxisRank.AMOUNTS, read, apply, (id,), aliases=former, in_webui=id in ("alpha", "beta")
    )


def _read_switch(entry: str) -> bool:
    if entry.lower() not in ("true", "false"):
        raise RecipeError(f"'{entry}' is not true or false")
    return entry.lower() == "true"


def alpha_and_beta_axis() -> AxisKind:
    """`alpha and beta`: two numbers with a space between them."""

    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        def pair(entry: str) -> tuple[float, ...]:
            numbers = parse_numbers(entry)
            if len(numbers) == 1:
                return numbers * 2  # the same for both, as SuperMerger has it
            if len(numbers) != 2:
                raise RecipeError(f"'{entry}' is not two numbers", hint="alpha and beta: 0.2 0.4, 0.3 0.3")
            return numbers

        return read_values(split_list(text), pair)

    def apply(cell: GridCell, value: object, _: GridBase) -> GridCell:
        alpha, beta = cast("tuple[float, float]", value)
        return with_parameter(with_parameter(cell, "alpha", "", lambda _: alpha), "beta", "", lambda _: beta)

    text = "two numbers with a space between them, for the whole model"
    return AxisKind(
        "alpha and beta", text, True, AxisRank.AMOUNTS, read, apply, ("alpha", "beta"), in_webui=True
    )


def weights_axis(option: ListOption) -> AxisKind:
    """`weights`, `beta weights`: a list of block weights a line, or the name of a preset."""

    parameter = option.parameter

    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        return read_values(split_lines(text), lambda entry: _read_curve(entry, parameter, base), _curve_label)

    def apply(cell: GridCell, value: object, base: GridBase) -> GridCell:
        return with_parameter(cell, parameter, "", lambda setting: cast("Setting", value))

    text = "block weights, one a line: 26, 25, 20 or 19 numbers, rules, a preset's name"
    aliases = (f"mbw {parameter}",)
    return AxisKind(
        option.axis,
        text,
        True,
        AxisRank.AMOUNTS,
        read,
        apply,
        (parameter,),
        lines=True,
        aliases=aliases,
        in_webui=True,
    )


def weights_and_beta_weights_axis() -> AxisKind:
    """`weights and beta weights`: two lists a line with | between them, or on two lines as in SuperMerger."""

    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        def pair(entry: str) -> tuple[Setting, Setting]:
            alpha, bar, beta = entry.partition("|")
            if not bar:
                raise RecipeError("there is only one list on this line", where=entry, hint="alpha | beta")
            return _read_curve(alpha.strip(), "alpha", base), _read_curve(beta.strip(), "beta", base)

        lines = split_lines(text)
        if "|" not in text and len(lines) % 2 == 0:
            lines = tuple(f"{alpha} | {beta}" for alpha, beta in zip(lines[::2], lines[1::2], strict=True))
        return read_values(lines, pair, _curve_label)

    def apply(cell: GridCell, value: object, _: GridBase) -> GridCell:
        alpha, beta = cast("tuple[Setting, Setting]", value)
        return with_parameter(with_parameter(cell, "alpha", "", lambda _: alpha), "beta", "", lambda _: beta)

    text = "block weights of alpha and of beta, | between them or on two lines"
    return AxisKind(
        "weights and beta weights",
        text,
        True,
        AxisRank.AMOUNTS,
        read,
        apply,
        ("alpha", "beta"),
        lines=True,
        aliases=("mbw alpha and beta",),
    )


def preset_axis(parameter: str) -> AxisKind:
    """`preset`, `beta preset`: block weights by the names of presets, as a list."""

    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        return read_values(split_list(text), lambda entry: _read_preset(entry, base))

    def apply(cell: GridCell, value: object, _: GridBase) -> GridCell:
        return with_parameter(cell, parameter, "", lambda setting: cast("Setting", value))

    name = "preset" if parameter == "alpha" else f"{parameter} preset"
    text, offered = "block weights by the names of presets", parameter == "alpha"
    return AxisKind(name, text, True, AxisRank.AMOUNTS, read, apply, (parameter,), in_webui=offered)


def _read_curve(entry: str, parameter: str, base: GridBase) -> Setting:
    """A preset by name, a list of numbers, or rules; a list of 25 numbers leaves BASE as it is."""
    try:
        return _read_preset(entry, base)
    except MergeError:
        current = edit.current_setting(edit.find_step(base.cell.recipe, parameter), parameter)
        default = current if isinstance(current, (int, float)) else 0.0
        return read_weights(entry, layout=DEFAULT_LAYOUT.id, default=default, where=entry)


def _read_preset(name: str, base: GridBase) -> Slots:
    values = base.catalog.preset(name, base.family)
    return Slots(tuple(sorted((slot, number) for slot, number in values.items() if slot != VAE_SLOT_ID)))


def _curve_label(entry: str) -> str:
    short = entry.split()
    return entry if len(entry) < 40 else f"{' '.join(short)[:36]} ..."


def _read_factors(text: str, base: GridBase) -> Sequence[AxisValue]:
    return [AxisValue(format_number(number), number) for number in parse_axis_numbers(text)]


FACTOR_AXIS = AxisKind(
    "amount",
    "alpha as it is by block, times each of these numbers",
    True,
    AxisRank.FACTOR,
    _read_factors,
    lambda cell, value, _: with_parameter(
        cell, "alpha", "", lambda old: edit.scale_setting(old, cast("float", value))
    ),
    ("the amount",),
    in_webui=True,
)


def _read_random_rules(text: str, base: GridBase) -> Sequence[AxisValue]:
    def random_rules(seed: int) -> Rules:
        return parse_rules(f"uniform(0, 1, seed = {seed})")

    seeds = [
        base.catalog.random_seed() if seed < 0 else int(seed) for seed in parse_axis_numbers(text, whole=True)
    ]
    return [AxisValue(str(seed), random_rules(seed)) for seed in seeds]


RANDOM = AxisKind(
    "random",
    "random seeds, each of which gives every block a number from 0 to 1; -1 picks one and shows it",
    True,
    AxisRank.AMOUNTS,
    _read_random_rules,
    lambda cell, value, _: with_parameter(cell, "alpha", "", lambda old: cast("Setting", value)),
    ("alpha",),
    in_webui=True,
)


def amount_kinds() -> tuple[AxisKind, ...]:
    """The axes of amounts with fixed names."""
    return (
        *(
            parameter_axis(parameter)
            for parameter in all_parameters().values()
            if not isinstance(parameter.range, Seed)  # `seed` is the picture's; a method's is M.seed
        ),
        alpha_and_beta_axis(),
        *(weights_axis(option) for option in LIST_OPTIONS),
        weights_and_beta_weights_axis(),
        preset_axis("alpha"),
        preset_axis("beta"),
        FACTOR_AXIS,
        RANDOM,
    )
