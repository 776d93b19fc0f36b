"""Folds the steps of a recipe into one expression over the files, for one slot.

Linear steps fold: a chain of five of them is one sum of files with exact coefficients (fractions.Fraction of
the decimals that the user wrote). It costs one pass over the tensors and one rounding, and coefficients
that cancel are exactly 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from lib_merge.dtypes import Dtype
from lib_merge.methods import METHODS
from lib_merge.parameters import Parameter
from lib_merge.recipe import Amount, Recipe, Setting, Step
from lib_merge.registry import Method
from lib_merge.tensors import decimal_fraction


@dataclass(frozen=True)
class Source:
    """A tensor of one file, unchanged; `model` is an index into the recipe's files."""

    model: int


@dataclass(frozen=True)
class Combination:
    """A sum of expressions times exact coefficients."""

    terms: tuple[tuple[Expression, Fraction], ...]


@dataclass(frozen=True)
class Application:
    """A method that is not linear, applied to expressions, with its settings for this slot."""

    method: str
    inputs: tuple[Expression, ...]
    settings: tuple[tuple[str, float | bool | str | tuple[float, ...]], ...]


@dataclass(frozen=True)
class Rounded:
    """The result of a step as if it were saved: rounded to `dtype`, or to the dtype of the file `like`."""

    inner: Expression
    like: int
    dtype: Dtype | None = None


Expression = Source | Combination | Application | Rounded
AmountAt = Callable[[Amount], float]
IsExcluded = Callable[[Step], bool]


def fold(recipe: Recipe, amount_at: AmountAt, is_excluded: IsExcluded = lambda step: False) -> Expression:
    """The expression of the recipe's result at one slot or key.

    amount_at    evaluates an amount there
    is_excluded  whether a step copies its first model there; a difference becomes zero
    """
    expressions: dict[str, Expression] = {
        ingredient.name: Source(index) for index, ingredient in enumerate(recipe.ingredients)
    }
    for step in recipe.steps:
        method = METHODS.get(step.method)
        inputs = [expressions[name] for name in step.inputs]
        settings = {p.name: parameter_at(p, step.setting(p), amount_at) for p in method.parameters}
        expression = _apply(method, inputs, settings, in_order=recipe.stepwise)
        if is_excluded(step):
            expression = inputs[0] if weight_of(expression) else Combination(())
        if recipe.stepwise and weight_of(expression) == 1 and not isinstance(expression, Source):
            expression = Rounded(expression, first_model(inputs[0]), recipe.dtype)
        expressions[step.name] = expression
    result = expressions[recipe.result]
    rounded_once = isinstance(result, Rounded) and not _has_rounding(result.inner)
    return result.inner if isinstance(result, Rounded) and rounded_once else result


def _has_rounding(expression: Expression) -> bool:
    return isinstance(expression, Rounded) or any(map(_has_rounding, subexpressions(expression)))


def first_model(expression: Expression) -> int:
    """The first file of an expression: the result has its dtype."""
    while not isinstance(expression, Source):
        if isinstance(expression, Rounded):
            return expression.like
        expression = subexpressions(expression)[0]
    return expression.model


def subexpressions(expression: Expression) -> tuple[Expression, ...]:
    """The expressions that an expression directly consists of."""
    if isinstance(expression, Source):
        return ()
    if isinstance(expression, Rounded):
        return (expression.inner,)
    if isinstance(expression, Combination):
        return tuple(part for part, _ in expression.terms)
    return expression.inputs


def parameter_at(
    parameter: Parameter, setting: Setting, amount_at: AmountAt
) -> float | bool | str | tuple[float, ...]:
    """A parameter's value at one slot: numbers in place of lists and rules."""
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
    if (end := method.exact_model(settings)) is not None:
        return inputs[end]
    if method.coefficients is None:
        return Application(method.id, tuple(inputs), tuple(sorted(settings.items())))
    coefficients = method.coefficients(**{name: _as_fractions(value) for name, value in settings.items()})
    return combination(zip(inputs, map(Fraction, coefficients), strict=True), in_order=in_order)


def _as_fractions(value: float | bool | str | tuple[float, ...]) -> object:
    if isinstance(value, (bool, str)):
        return value
    return (
        tuple(decimal_fraction(number) for number in value)
        if isinstance(value, tuple)
        else decimal_fraction(value)
    )


def combination(terms: Iterator[tuple[Expression, Fraction]], *, in_order: bool = False) -> Expression:
    """The sum of the terms: nested sums are flattened, equal expressions added, zeros dropped.

    in_order  keep the order of the terms, on which the last bit depends, instead of sorting by file
    """
    total: dict[Expression, Fraction] = {}
    for expression, coefficient in terms:
        for part, share in _parts(expression):
            total[part] = total.get(part, Fraction(0)) + coefficient * share
    nonzero = [(part, share) for part, share in total.items() if share]
    if len(nonzero) == 1 and nonzero[0][1] == 1:
        return nonzero[0][0]
    return Combination(tuple(nonzero if in_order else sorted(nonzero, key=_order)))


def _parts(expression: Expression) -> tuple[tuple[Expression, Fraction], ...]:
    return expression.terms if isinstance(expression, Combination) else ((expression, Fraction(1)),)


def _order(term: tuple[Expression, Fraction]) -> tuple[int, str]:
    """Sort key: files by their index, then other expressions."""
    expression = term[0]
    return (expression.model, "") if isinstance(expression, Source) else (1 << 30, repr(expression))


def substitute_sources(expression: Expression, models: Sequence[object]) -> object:
    """An expression with these objects in place of the file indices, as a value to compare between plans."""
    if isinstance(expression, Source):
        return models[expression.model]
    if isinstance(expression, Combination):
        return tuple((substitute_sources(part, models), share) for part, share in expression.terms)
    if isinstance(expression, Rounded):
        return (
            "rounded",
            substitute_sources(expression.inner, models),
            models[expression.like],
            expression.dtype,
        )
    inputs = tuple(substitute_sources(part, models) for part in expression.inputs)
    return expression.method, inputs, expression.settings


def models_of(expression: Expression) -> frozenset[int]:
    """The indices of the files that an expression reads."""
    if isinstance(expression, Source):
        return frozenset({expression.model})
    return frozenset[int]().union(*map(models_of, subexpressions(expression)))


def weight_of(expression: Expression) -> Fraction:
    """The sum of the coefficients: 1 for a model, 0 for a difference of models.

    A method that is not linear counts as a model.
    """
    if isinstance(expression, Combination):
        return sum((share * weight_of(part) for part, share in expression.terms), Fraction(0))
    return Fraction(1)


def is_linear(expression: Expression) -> bool:
    """Whether an expression is a sum of files."""
    if isinstance(expression, Combination):
        return all(is_linear(part) for part, _ in expression.terms)
    return isinstance(expression, Source)


def is_elementwise(expression: Expression) -> bool:
    """Whether an expression can be computed chunk by chunk."""
    if isinstance(expression, Source):
        return True
    if isinstance(expression, (Combination, Rounded)):
        return all(map(is_elementwise, subexpressions(expression)))
    return METHODS.get(expression.method).in_pieces and all(map(is_elementwise, expression.inputs))


def render_expression(expression: Expression, names: Sequence[str]) -> str:
    """An expression as text: `0.7 A + 0.3 B`."""
    if isinstance(expression, Source):
        return names[expression.model]
    if isinstance(expression, Rounded):
        return f"round({render_expression(expression.inner, names)})"
    if isinstance(expression, Application):
        settings = [f"{name}={value}" for name, value in expression.settings]
        inputs = [render_expression(part, names) for part in expression.inputs]
        return f"{expression.method}({', '.join([*inputs, *settings])})"
    text = ""
    for part, share in expression.terms:
        sign = ("- " if share < 0 else "+ ") if text else ("-" if share < 0 else "")
        amount = "" if abs(share) == 1 else f"{float(abs(share)):.6g} "
        text += f"{' ' if text else ''}{sign}{amount}{render_expression(part, names)}"
    return text or "0"


def step_by_name(recipe: Recipe, name: str) -> Step | None:
    """The step of that name, or None where it is an ingredient."""
    return next((step for step in recipe.steps if step.name == name), None)
