"""Steps of a recipe become, for one slot, one expression over the files.

Linear steps fold: a chain of five of them is one sum of files with exact coefficients (fractions of
the decimals that the user wrote), so it costs one pass over the tensors and one rounding, and a
coefficient that cancels to zero or one is known to be zero or one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from lib_merge.dtypes import Dtype
from lib_merge.methods import METHODS
from lib_merge.recipe import Amount, Recipe, Setting, Step
from lib_merge.registry import Method, Parameter
from lib_merge.tensors import exact


@dataclass(frozen=True)
class Source:
    """A tensor of one file as it is; `model` counts the recipe's files."""

    model: int


@dataclass(frozen=True)
class Combination:
    """A sum of expressions, each times an exact coefficient."""

    terms: tuple[tuple[Expression, Fraction], ...]


@dataclass(frozen=True)
class Application:
    """A method that is not linear, with its settings for this slot."""

    method: str
    inputs: tuple[Expression, ...]
    settings: tuple[tuple[str, float | bool | str | tuple[float, ...]], ...]


@dataclass(frozen=True)
class Rounded:
    """The result of a step as if it were saved: rounded to `dtype`, or to the format of the file `like`."""

    inner: Expression
    like: int
    dtype: Dtype | None = None


Expression = Source | Combination | Application | Rounded
AmountAt = Callable[[Amount], float]
Keeps = Callable[[Step], bool]


def fold(recipe: Recipe, amount_at: AmountAt, keeps: Keeps = lambda step: False) -> Expression:
    """The expression that the recipe's result is, with amounts as they stand at one slot or key.

    keeps  whether a step leaves the tensors as its first model has them, and a difference at nothing
    """
    made: dict[str, Expression] = {
        ingredient.name: Source(index) for index, ingredient in enumerate(recipe.ingredients)
    }
    for step in recipe.steps:
        method = METHODS.get(step.method)
        inputs = [made[name] for name in step.inputs]
        settings = {p.name: settle(p, step.setting(p), amount_at) for p in method.parameters}
        found = _apply(method, inputs, settings, in_order=recipe.stepwise)
        if keeps(step):
            found = inputs[0] if weight_of(found) else Combination(())
        if recipe.stepwise and weight_of(found) == 1 and not isinstance(found, Source):
            found = Rounded(found, base_model(inputs[0]), recipe.dtype)
        made[step.name] = found
    result = made[recipe.result]
    alone = isinstance(result, Rounded) and not _has_rounding(result.inner)
    return result.inner if isinstance(result, Rounded) and alone else result


def _has_rounding(expression: Expression) -> bool:
    return isinstance(expression, Rounded) or any(map(_has_rounding, inside(expression)))


def base_model(expression: Expression) -> int:
    """The first file of an expression: the one whose number format its result has."""
    while not isinstance(expression, Source):
        if isinstance(expression, Rounded):
            return expression.like
        expression = inside(expression)[0]
    return expression.model


def inside(expression: Expression) -> tuple[Expression, ...]:
    """What an expression is made of, one level down."""
    if isinstance(expression, Source):
        return ()
    if isinstance(expression, Rounded):
        return (expression.inner,)
    if isinstance(expression, Combination):
        return tuple(part for part, _ in expression.terms)
    return expression.inputs


def settle(
    parameter: Parameter, setting: Setting, amount_at: AmountAt
) -> float | bool | str | tuple[float, ...]:
    """A parameter's value at one slot: plain numbers where the recipe holds lists by block."""
    if isinstance(setting, tuple):
        return tuple(amount_at(amount) for amount in setting)
    if isinstance(setting, (bool, str)):
        return setting
    value = amount_at(setting)
    return int(value) if parameter.kind is int else value


def _apply(
    method: Method,
    inputs: Sequence[Expression],
    settings: dict[str, float | bool | str | tuple[float, ...]],
    *,
    in_order: bool,
) -> Expression:
    if (end := method.end(settings)) is not None:
        return inputs[end]
    if method.coefficients is None:
        return Application(method.id, tuple(inputs), tuple(sorted(settings.items())))
    coefficients = method.coefficients(**{name: _exactly(value) for name, value in settings.items()})
    return combination(zip(inputs, map(Fraction, coefficients), strict=True), in_order=in_order)


def _exactly(value: float | bool | str | tuple[float, ...]) -> object:
    if isinstance(value, (bool, str)):
        return value
    return tuple(exact(number) for number in value) if isinstance(value, tuple) else exact(value)


def combination(terms: Iterator[tuple[Expression, Fraction]], *, in_order: bool = False) -> Expression:
    """The sum of the terms: nested sums opened, equal expressions added up, zeros left out.

    in_order  leave them in their order, which decides about the last bit, instead of sorting by file
    """
    total: dict[Expression, Fraction] = {}
    for expression, coefficient in terms:
        for part, share in _parts(expression):
            total[part] = total.get(part, Fraction(0)) + coefficient * share
    kept = [(part, share) for part, share in total.items() if share]
    if len(kept) == 1 and kept[0][1] == 1:
        return kept[0][0]
    return Combination(tuple(kept if in_order else sorted(kept, key=_order)))


def _parts(expression: Expression) -> tuple[tuple[Expression, Fraction], ...]:
    return expression.terms if isinstance(expression, Combination) else ((expression, Fraction(1)),)


def _order(term: tuple[Expression, Fraction]) -> tuple[int, str]:
    """Files in their order, then whatever is not a file."""
    expression = term[0]
    return (expression.model, "") if isinstance(expression, Source) else (1 << 30, repr(expression))


def resolved(expression: Expression, models: Sequence[object]) -> object:
    """What an expression comes down to with these in the places of the files; comparable between plans."""
    if isinstance(expression, Source):
        return models[expression.model]
    if isinstance(expression, Combination):
        return tuple((resolved(part, models), share) for part, share in expression.terms)
    if isinstance(expression, Rounded):
        return "rounded", resolved(expression.inner, models), models[expression.like], expression.dtype
    inputs = tuple(resolved(part, models) for part in expression.inputs)
    return expression.method, inputs, expression.settings


def models_of(expression: Expression) -> frozenset[int]:
    """Which files an expression reads."""
    if isinstance(expression, Source):
        return frozenset({expression.model})
    return frozenset[int]().union(*map(models_of, inside(expression)))


def weight_of(expression: Expression) -> Fraction:
    """What the coefficients sum to: 1 for a model, 0 for a difference of models.

    A method that is not linear gives a model.
    """
    if isinstance(expression, Combination):
        return sum((share * weight_of(part) for part, share in expression.terms), Fraction(0))
    return Fraction(1)


def is_linear(expression: Expression) -> bool:
    """Whether it is a sum of files and nothing else."""
    if isinstance(expression, Combination):
        return all(is_linear(part) for part, _ in expression.terms)
    return isinstance(expression, Source)


def is_elementwise(expression: Expression) -> bool:
    """Whether its tensors may be worked on in pieces."""
    if isinstance(expression, Source):
        return True
    if isinstance(expression, (Combination, Rounded)):
        return all(map(is_elementwise, inside(expression)))
    return METHODS.get(expression.method).in_pieces and all(map(is_elementwise, expression.inputs))


def in_words(expression: Expression, names: Sequence[str]) -> str:
    """An expression as a mixer writes it: 0.7 A + 0.3 B."""
    if isinstance(expression, Source):
        return names[expression.model]
    if isinstance(expression, Rounded):
        return f"round({in_words(expression.inner, names)})"
    if isinstance(expression, Application):
        settings = [f"{name}={value}" for name, value in expression.settings]
        inputs = [in_words(part, names) for part in expression.inputs]
        return f"{expression.method}({', '.join([*inputs, *settings])})"
    text = ""
    for part, share in expression.terms:
        sign = ("- " if share < 0 else "+ ") if text else ("-" if share < 0 else "")
        amount = "" if abs(share) == 1 else f"{float(abs(share)):.6g} "
        text += f"{' ' if text else ''}{sign}{amount}{in_words(part, names)}"
    return text or "0"


def step_by_name(recipe: Recipe, name: str) -> Step | None:
    """The step of that name, or None where it is an ingredient."""
    return next((step for step in recipe.steps if step.name == name), None)
