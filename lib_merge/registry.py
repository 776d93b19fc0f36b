"""Merge methods by name: the signature of a method is its schema.

    @merge_method("weighted_sum", title="Weighted sum", source="...", coefficients=...)
    def weighted_sum(a: Tensor, b: Tensor, *, alpha: Annotated[float, Range(0, 1)] = 0.5) -> Tensor:
        \"""One plain sentence.

            out = the formula

        Remarks, where there are any.
        \"""

A `Tensor` parameter is a model, in order; `*models: Tensor` is any number of them; a `Delta` is a
difference of two models; a keyword with a `Range` is a number that a slider, a flag or a recipe sets. The
slider, the flag, the range check, the documentation and the domain of the property tests all come from
this signature. The formula is the paragraph below the sentence; it begins with `out = `, and its indent does
not matter. The arguments of the decorator are the fields of `Method`.

A method gets floating-point tensors of one shape, on one device, in the dtype to compute in (float32 or
float64), and returns one like them. It must not write into its inputs. Marks on a keyword ask for more:

`Seed`       a Range of integers. The function gets a seed derived from the user's and from the key's name
             (`seed_for`): threads, order and the choice of blocks change no random number.
`Offset`     the index of the chunk's first element within its key, for random numbers by position.
`KeyRef`     which tensor this is (a `TensorRef`), for methods that change a few tensors by name.
`Reduction`  statistics of whole tensors, or of the whole model, that are computed before the chunks are
             (thresholds, quantiles). Without the engine the function gets None and reduces what it has.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from lib_merge.errors import MethodError, did_you_mean
from lib_merge.parameters import KeyRef, Offset, Parameter, Range, Reduction

if TYPE_CHECKING:
    from torch import Tensor

    Delta = Annotated[Tensor, "delta"]

Coefficients = Callable[..., Sequence[Fraction]]
Function = TypeVar("Function", bound=Callable[..., "Tensor"])

FORMULA = "out = "  # what every method's formula begins with


@dataclass(frozen=True)
class ExactAt:
    """Settings at which the result is one of the inputs, bit for bit, whatever the other settings are.

    model  index of that input from 0; a negative one counts from the last
    at     parameter -> value
    """

    model: int
    at: Mapping[str, float]

    def matches(self, settings: Mapping[str, Any]) -> bool:
        """Whether the settings have these values."""
        return all(settings[name] == value for name, value in self.at.items())


def exact_at(model: int, **at: float) -> ExactAt:
    """`exact_at(0, alpha=0)`: at alpha 0 the result is the first model."""
    return ExactAt(model, at)


# Groups of methods in lists and documentation, each with its heading
PURPOSES: Mapping[str, str] = {
    "mix": "Mix models, or move from one towards another.",
    "difference": "Carry over what one model learnt beyond another.",
    "tasks": "Combine what several models learnt beyond one base.",
    "spherical": "Mix directions and lengths apart.",
    "parts": "Take some of the numbers from one model and the rest from another.",
    "limits": "Scale, bound or shake a model.",
}


@dataclass(frozen=True)
class Input:
    """One model that a method takes; `delta`: a difference of two, `many`: any number of models."""

    name: str
    delta: bool = False
    many: bool = False


@dataclass(frozen=True, kw_only=True)
class Method:
    """A merge method with its documentation and its properties.

    summary       first sentence of the docstring
    formula       the docstring's second paragraph, which begins with "out = "
    source        paper or program that the method is from; "this repository" for one that is new here
    elementwise   an element of the result depends on the same element of the inputs alone, so that
                  tensors may be split into chunks
    coefficients  of a linear method: parameters -> one exact fraction per model, so that chains of linear
                  steps fold into one pass with one rounding
    exact         settings at which the result is one of the inputs
    purpose       one of PURPOSES
    reductions    keyword -> statistics that it takes
    offset        keyword that takes the chunk's offset, or ""
    tensor_ref    keyword that takes the TensorRef, or ""
    only_keys     the only keys that the method changes; empty for a method that changes all
    exempt        property tests (tests/laws) that do not apply -> the reason
    """

    id: str
    title: str
    source: str
    summary: str
    formula: str
    function: Callable[..., Tensor]
    inputs: tuple[Input, ...]
    parameters: tuple[Parameter, ...]
    elementwise: bool = True
    coefficients: Coefficients | None = None
    exact: tuple[ExactAt, ...] = ()
    purpose: str = "mix"
    reductions: Mapping[str, Reduction] = field(default_factory=dict[str, Reduction])
    offset: str = ""
    exempt: Mapping[str, str] = field(default_factory=dict[str, str])
    tensor_ref: str = ""
    only_keys: tuple[str, ...] = ()

    @property
    def max_models(self) -> int | None:
        """How many models the method takes at most; None for any number."""
        return None if any(model.many for model in self.inputs) else len(self.inputs)

    @property
    def min_models(self) -> int:
        """How many models the method takes at least."""
        return len(self.inputs)

    @property
    def in_pieces(self) -> bool:
        """Whether a chunk can be computed without the rest of its tensor."""
        return self.elementwise and not self.reductions

    def per_model_count(self, models: int) -> int:
        """How many numbers a per-model parameter takes with that many models; a base before them has none."""
        return models - (len(self.inputs) - 1 if self.max_models is None else 0)

    def exact_model(self, settings: Mapping[str, Any]) -> int | None:
        """The index of the input that the result equals with these settings; None where it is computed."""
        return next((point.model for point in self.exact if point.matches(settings)), None)

    def neutral_amounts(self, parameters: Collection[str]) -> Mapping[str, float] | None:
        """The neutral amounts: of these parameters, those that keep the first model whatever all others are.

        Alpha 0 for most methods, alpha 1 for one that scales; None where no amounts do.
        """
        keeps_first = (point.at for point in self.exact if point.model == 0 and point.at)
        return next((amounts for amounts in keeps_first if amounts.keys() <= set(parameters)), None)

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name; MethodError with the nearest names where there is none."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        names = [parameter.name for parameter in self.parameters]
        raise MethodError(f"{self.id} has no parameter '{name}'", hint=did_you_mean(name, names))

    def check_models(self, count: int) -> None:
        """Raise MethodError where the method does not take `count` models."""
        if self.max_models is None and count < self.min_models:
            least = self.min_models
            raise MethodError(
                f"{self.id} needs at least {'one model' if least == 1 else f'{least} models'}",
                hint=f"merge-desk methods {self.id}",
            )
        if self.max_models is not None and count != self.max_models:
            names = ", ".join(model.name.upper() for model in self.inputs)
            raise MethodError(
                f"{self.id} takes {self.max_models} models ({names}), not {count}",
                hint=f"merge-desk methods {self.id}",
            )

    def __call__(self, *models: Tensor, **settings: Any) -> Tensor:
        """Apply the method to tensors of one shape."""
        return self.function(*models, **settings)


class Registry:
    """Merge methods by id."""

    def __init__(self) -> None:
        self._methods: dict[str, Method] = {}

    def add(self, method: Method) -> None:
        """Register a method; ValueError where the id is taken."""
        if method.id in self._methods:
            raise ValueError(f"two merge methods are called '{method.id}'")
        self._methods[method.id] = method

    def get(self, name: str) -> Method:
        """The method with that id; MethodError with the nearest ids where there is none."""
        if name in self._methods:
            return self._methods[name]
        raise MethodError(f"there is no merge method called '{name}'", hint=did_you_mean(name, self._methods))

    def __contains__(self, name: str) -> bool:
        """Whether there is a method with that id."""
        return name in self._methods

    def all(self) -> tuple[Method, ...]:
        """Every method, in the order of registration."""
        return tuple(self._methods.values())


METHODS = Registry()


def merge_method(
    id: str,
    *,
    title: str,
    source: str,
    purpose: str = "mix",
    elementwise: bool = True,
    coefficients: Coefficients | None = None,
    exact: Sequence[ExactAt] = (),
    exempt: Mapping[str, str] | None = None,
) -> Callable[[Function], Function]:
    """Register a pure tensor function as a merge method and return it unchanged."""

    def register(function: Function) -> Function:
        signature = _read_signature(function)
        if purpose not in PURPOSES:
            raise ValueError(f"{id}: there is no purpose '{purpose}'")
        METHODS.add(
            Method(
                id=id,
                title=title,
                source=source,
                summary=signature.summary,
                formula=signature.formula,
                function=function,
                inputs=tuple(signature.inputs),
                parameters=tuple(signature.parameters),
                elementwise=elementwise,
                coefficients=coefficients,
                exact=tuple(exact),
                purpose=purpose,
                reductions=signature.reductions,
                offset=signature.offset,
                exempt=exempt or {},
                tensor_ref=signature.tensor_ref,
                only_keys=signature.only_keys,
            )
        )
        return function

    return register


@dataclass
class _Signature:
    """What a method's docstring and signature declare."""

    summary: str
    formula: str
    inputs: list[Input] = field(default_factory=list[Input])
    parameters: list[Parameter] = field(default_factory=list[Parameter])
    reductions: dict[str, Reduction] = field(default_factory=dict[str, Reduction])
    offset: str = ""
    tensor_ref: str = ""
    only_keys: tuple[str, ...] = ()


def _read_signature(function: Callable[..., Any]) -> _Signature:
    """A function's inputs and parameters; ValueError where docstring or signature are incomplete."""
    # `Tensor` is imported for type checkers only: a placeholder class keeps torch unimported
    names = {"Tensor": _Weight, "Delta": _Delta}
    # not typing.get_type_hints: before Python 3.11 it wraps parameters that default to None into Optional
    hints = inspect.get_annotations(function, locals=names, eval_str=True)
    signature = _Signature(*_read_docstring(function))
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        marks: tuple[Any, ...] = getattr(hint, "__metadata__", ())
        if hint in (_Weight, _Delta):
            many = parameter.kind is inspect.Parameter.VAR_POSITIONAL
            signature.inputs.append(Input(name, delta=hint is _Delta, many=many))
        elif any(isinstance(mark, Offset) for mark in marks):
            signature.offset = name
        elif key_refs := [mark for mark in marks if isinstance(mark, KeyRef)]:
            signature.tensor_ref, signature.only_keys = name, key_refs[0].keys
        elif reductions := [mark for mark in marks if isinstance(mark, Reduction)]:
            signature.reductions[name] = reductions[0]
        else:
            signature.parameters.append(_read_parameter(function.__name__, name, hint, parameter.default))
    return signature


def _read_docstring(function: Callable[..., Any]) -> tuple[str, str]:
    """First sentence and formula of a docstring; ValueError with what to write where they are missing."""
    sentence, _, rest = (inspect.getdoc(function) or "").partition("\n\n")
    formula = [line.strip() for line in rest.partition("\n\n")[0].splitlines()]
    if not sentence.endswith(".") or not formula or not formula[0].startswith(FORMULA):
        raise ValueError(
            f"{function.__name__}: its docstring needs one sentence, with a full stop, then an empty line "
            f"and a paragraph with the formula, like '{FORMULA}A + alpha (B - A)'"
        )
    return " ".join(sentence.split()), "\n".join(formula)


def _read_parameter(function: str, name: str, hint: Any, default: Any) -> Parameter:
    ranges = [mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, Range)]
    if len(ranges) != 1 or default is inspect.Parameter.empty:
        raise ValueError(f"{function}: '{name}' needs one Range and a default")
    kind = typing.get_args(hint)[0]
    per_model = typing.get_origin(kind) is not None
    return Parameter(name, ranges[0], default, float if per_model else kind, per_model)


class _Weight:
    """Placeholder for Tensor while a signature is read."""


class _Delta:
    """Placeholder for Delta while a signature is read."""
