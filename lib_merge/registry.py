"""Merge methods by name: the signature of a method is its schema.

    @merge_method("weighted_sum", title="Weighted sum", source="...", coefficients=...)
    def weighted_sum(a: Tensor, b: Tensor, *, alpha: Annotated[float, Knob(0, 1)] = 0.5) -> Tensor:
        \"""One plain sentence.

            out = the formula, indented
        \"""

`Tensor` parameters are models in order, `*models: Tensor` is any number of them, a `Delta` is a
difference of models, a keyword with a `Knob` is a number that a fader, a flag or a recipe sets.
From this one line come the slider, the flag, the check of the range, the documentation and the
domain of the tests.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from lib_merge.errors import MethodError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    Delta = Annotated[Tensor, "delta"]

Coefficients = Callable[..., Sequence[Fraction]]
Function = TypeVar("Function", bound=Callable[..., "Tensor"])


@dataclass(frozen=True)
class Knob:
    """The range of a number that a method takes.

    low, high  the range that a slider shows; the arithmetic holds beyond it as well
    step       a fine move of the slider
    help       what the ends mean, in a few words
    """

    low: float
    high: float
    step: float = 0.01
    help: str = ""


@dataclass(frozen=True)
class Input:
    """One model that a method takes: `delta` for a difference, `many` for any number of models."""

    name: str
    delta: bool = False
    many: bool = False


@dataclass(frozen=True)
class Parameter:
    """One knob of one method.

    kind       float, int, bool or str
    per_model  one number for each model instead of one for all
    """

    name: str
    knob: Knob
    default: Any
    kind: type = float
    per_model: bool = False


@dataclass(frozen=True)
class Method:
    """A merge method and all that is known of it.

    elementwise   the value of an element depends on that element of the inputs alone, so that
                  tensors may be worked on in pieces
    coefficients  for a linear method: knobs -> one exact coefficient per model, so that chains of
                  linear steps fold into one pass
    exempt        laws that do not hold for it, each with the reason
    """

    id: str
    title: str
    source: str
    function: Callable[..., Tensor]
    inputs: tuple[Input, ...]
    parameters: tuple[Parameter, ...]
    elementwise: bool = True
    coefficients: Coefficients | None = None
    exempt: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def summary(self) -> str:
        """The docstring's first sentence."""
        return inspect.getdoc(self.function).splitlines()[0]  # type: ignore[union-attr]

    @property
    def formula(self) -> str:
        """The docstring's indented lines."""
        lines = (inspect.getdoc(self.function) or "").splitlines()
        return "\n".join(line.strip() for line in lines if line.startswith("    "))

    @property
    def most_models(self) -> int | None:
        """How many models it takes, None for any number."""
        return None if any(model.many for model in self.inputs) else len(self.inputs)

    def parameter(self, name: str) -> Parameter:
        """One of its knobs by name."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        names = [parameter.name for parameter in self.parameters]
        raise MethodError(f"{self.id} has no parameter '{name}'", hint=did_you_mean(name, names))

    def check_models(self, count: int) -> None:
        """Raise where `count` models are not what it takes."""
        if self.most_models is None and count < 1:
            raise MethodError(f"{self.id} needs at least one model")
        if self.most_models is not None and count != self.most_models:
            names = ", ".join(model.name.upper() for model in self.inputs)
            raise MethodError(
                f"{self.id} takes {self.most_models} models ({names}), not {count}",
                hint=f"merge-desk methods {self.id}",
            )

    def __call__(self, *models: Tensor, **knobs: Any) -> Tensor:
        """The method itself, on tensors of one shape."""
        return self.function(*models, **knobs)


class Registry:
    """Methods by id; refuses at import whatever would be a surprise later."""

    def __init__(self) -> None:
        self._methods: dict[str, Method] = {}

    def add(self, method: Method) -> None:
        """Take a method in; a second one of the same name is a mistake."""
        if method.id in self._methods:
            raise ValueError(f"two merge methods are called '{method.id}'")
        self._methods[method.id] = method

    def get(self, name: str) -> Method:
        """The method of that name."""
        if name in self._methods:
            return self._methods[name]
        raise MethodError(f"there is no merge method called '{name}'", hint=did_you_mean(name, self._methods))

    def all(self) -> tuple[Method, ...]:
        """Every method, in the order of registration."""
        return tuple(self._methods.values())


METHODS = Registry()


def merge_method(
    id: str,
    *,
    title: str,
    source: str,
    elementwise: bool = True,
    coefficients: Coefficients | None = None,
    exempt: Mapping[str, str] | None = None,
) -> Callable[[Function], Function]:
    """Register a pure tensor function as a merge method and return it unchanged."""

    def register(function: Function) -> Function:
        inputs, parameters = _read_signature(function)
        METHODS.add(
            Method(id, title, source, function, inputs, parameters, elementwise, coefficients, exempt or {})
        )
        return function

    return register


def _read_signature(function: Callable[..., Any]) -> tuple[tuple[Input, ...], tuple[Parameter, ...]]:
    """Models and knobs of a function; raises where the signature leaves something open."""
    if not inspect.getdoc(function):
        raise ValueError(f"{function.__name__} has no docstring")
    # `Tensor` is imported for type checkers alone: a stand-in keeps torch out of this process
    hints = typing.get_type_hints(function, localns={"Tensor": _Weight, "Delta": _Delta}, include_extras=True)
    inputs: list[Input] = []
    parameters: list[Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        if hint in (_Weight, _Delta):
            many = parameter.kind is inspect.Parameter.VAR_POSITIONAL
            inputs.append(Input(name, delta=hint is _Delta, many=many))
        else:
            parameters.append(_read_parameter(function.__name__, name, hint, parameter.default))
    return tuple(inputs), tuple(parameters)


def _read_parameter(function: str, name: str, hint: Any, default: Any) -> Parameter:
    knobs = [extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Knob)]
    if len(knobs) != 1 or default is inspect.Parameter.empty:
        raise ValueError(f"{function}: '{name}' needs one Knob and a default")
    kind = typing.get_args(hint)[0]
    per_model = typing.get_origin(kind) is not None
    return Parameter(name, knobs[0], default, float if per_model else kind, per_model)


class _Weight:
    """Stands for a whole model's tensor while a signature is read."""


class _Delta:
    """Stands for a difference of models while a signature is read."""
