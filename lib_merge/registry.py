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

A method gets floating tensors of one shape and device, in the format to compute in, and returns one
like them; it leaves its inputs alone. What else it may ask for, by the mark on a keyword:

`Seed`    a Knob for whole numbers. The function gets another number than the user's: one made of the
          user's and of the key's name (`seed_for`), so that every key has randomness of its own and
          threads, order and the choice of blocks change nothing. Numbers are drawn on the CPU.
`Start`   where in its key a piece begins, for elementwise methods that draw numbers by position.
`Here`    which tensor it is, for methods that work on a few tensors by name; the others pass through.
`Survey`  numbers that are found by looking at whole tensors, or at the whole model, before the pieces
          are worked on: thresholds, percentiles. Called by itself, the function gets None for it and
          looks at the tensors that it has.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import reprlib
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


LONG = 64  # bits of a whole number that is told by its length
MOST_AMOUNT = 1e6  # of any number that a method takes; no format of a checkpoint holds what lies beyond
MOST_SEED = 2**53 - 1  # up to here every whole number is one of JSON's and of a recipe's


@dataclass(frozen=True)
class Knob:
    """The range of a number that a method takes.

    low, high    the range that a slider shows
    step         a fine move of the slider
    help         what the ends mean, in a few words
    least, most  the numbers that the method takes; mixers go beyond a slider where the arithmetic holds
    """

    low: float
    high: float
    step: float = 0.01
    help: str = ""
    least: float = -MOST_AMOUNT
    most: float = MOST_AMOUNT

    @property
    def limits(self) -> str:
        """The numbers that are taken, in words."""
        if (self.least, self.most) == (-MOST_AMOUNT, MOST_AMOUNT):
            return f"usually {self.low:g} to {self.high:g}"
        return f"{self.least:g} or more" if self.most == MOST_AMOUNT else f"{self.least:g} to {self.most:g}"


@dataclass(frozen=True)
class Seed(Knob):
    """The user's number for a method that throws dice; see the top of this module."""

    least: float = 0
    most: float = MOST_SEED


def seed_for(seed: int, name: str | int) -> int:
    """A seed of its own for each name (of a key, of a model), far from that of any other."""
    words = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(words, "big") >> 1


@dataclass(frozen=True)
class Start:
    """Marks the keyword that tells where in its key a piece begins."""


@dataclass(frozen=True)
class Spot:
    """Which tensor of a model of which family."""

    family: str = ""
    key: str = ""


@dataclass(frozen=True)
class Here:
    """Marks the keyword that tells which tensor it is; `keys` are all that the method changes."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class Survey:
    """Marks the keyword for numbers that whole tensors have to be looked at for.

    look      called with a key's whole tensors, in any float format, `dtype`, the format that will be
              computed in, and the knobs that it names
    conclude  for surveys of the whole model: called with what `look` returned for each of its keys (the
              VAE's aside, in the order of their names), and returns the numbers
    """

    look: Callable[..., Any]
    conclude: Callable[[Sequence[Any]], Sequence[float]] | None = None

    def knobs(self) -> frozenset[str]:
        """The knobs that `look` depends on."""
        parameters = inspect.signature(self.look).parameters.values()
        names = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        return frozenset(names - {"dtype"})


@dataclass(frozen=True)
class End:
    """Settings at which a method's result is one of its models, to the bit; no other setting matters.

    model  which one, counted from 0; negative counts from the last
    at     knob -> value
    """

    model: int
    at: Mapping[str, float]

    def reached(self, settings: Mapping[str, Any]) -> bool:
        """Whether these settings are there."""
        return all(settings[name] == value for name, value in self.at.items())


def end(model: int, **at: float) -> End:
    """`end(0, alpha=0)`: alpha 0 is the first model."""
    return End(model, at)


# What a method is for, with the sentence that stands over its kind
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
    """One model that a method takes: `delta` for a difference, `many` for any number of models."""

    name: str
    delta: bool = False
    many: bool = False


@dataclass(frozen=True)
class Parameter:
    """One knob of one method.

    kind       float, int, bool or str
    per_model  one number for each model instead of one for all; for each after the base, where the method
               has one. Without a default they must be given; a single number stands for all
    """

    name: str
    knob: Knob
    default: Any
    kind: type = float
    per_model: bool = False

    def problem(self, value: object) -> str:
        """Why this parameter does not take a value, "" where it does: of a flag, JSON, a recipe, the page.

        value  one number, truth or text; a recipe's numbers are floats, whole ones too
        """
        if self.kind in (bool, str):
            wanted = "true or false" if self.kind is bool else "text"
            return "" if isinstance(value, self.kind) else f"{self.name} is {wanted}, not {shown(value)}"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"{self.name} is a number, not {shown(value)}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{self.name} is {value}, which is no number to merge with"
        if not self.knob.least <= value <= self.knob.most:
            return f"{self.name} cannot be {shown(value)}"
        if self.kind is int and value != int(value):
            return f"{self.name} is a whole number, not {shown(value)}"
        return ""

    @property
    def hint(self) -> str:
        """What it takes, and what the ends mean."""
        if self.kind in (bool, str):
            return self.knob.help
        return f"{self.knob.limits}: {self.knob.help}" if self.knob.help else self.knob.limits


def shown(value: object) -> str:
    """A value as an error quotes it: never hundreds of digits or words."""
    if isinstance(value, int) and value.bit_length() > LONG:
        return f"a whole number of {value.bit_length()} bits"
    return reprlib.repr(value)


@dataclass(frozen=True)
class Method:
    """A merge method and all that is known of it.

    elementwise   the value of an element depends on that element of the inputs alone, so that
                  tensors may be worked on in pieces
    coefficients  for a linear method: knobs -> one exact coefficient per model, so that chains of
                  linear steps fold into one pass
    ends          settings at which the result is one of the models
    purpose       one of PURPOSES
    surveys       keyword -> what has to be known of whole tensors
    start         the keyword that takes a piece's place, or ""
    spot          the keyword that takes which tensor it is, or ""
    touches       the only keys that it changes, where it names some
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
    ends: tuple[End, ...] = ()
    purpose: str = "mix"
    surveys: Mapping[str, Survey] = field(default_factory=dict[str, Survey])
    start: str = ""
    exempt: Mapping[str, str] = field(default_factory=dict[str, str])
    spot: str = ""
    touches: tuple[str, ...] = ()

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

    @property
    def fewest_models(self) -> int:
        """How many models it takes at least."""
        return len(self.inputs)

    @property
    def in_pieces(self) -> bool:
        """Whether pieces may be worked on with nothing known of the rest."""
        return self.elementwise and not self.surveys

    def shares(self, models: int) -> int:
        """How many numbers a parameter with one per model takes: a base before the models has none."""
        return models - (len(self.inputs) - 1 if self.most_models is None else 0)

    def end(self, settings: Mapping[str, Any]) -> int | None:
        """Which model the result is with these settings, None where it is none of them."""
        return next((end.model for end in self.ends if end.reached(settings)), None)

    def parameter(self, name: str) -> Parameter:
        """One of its knobs by name."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        names = [parameter.name for parameter in self.parameters]
        raise MethodError(f"{self.id} has no parameter '{name}'", hint=did_you_mean(name, names))

    def check_models(self, count: int) -> None:
        """Raise where `count` models are not what it takes."""
        if self.most_models is None and count < self.fewest_models:
            least = "one model" if self.fewest_models == 1 else f"{self.fewest_models} models"
            raise MethodError(f"{self.id} needs at least {least}", hint=f"merge-desk methods {self.id}")
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
    purpose: str = "mix",
    elementwise: bool = True,
    coefficients: Coefficients | None = None,
    ends: Sequence[End] = (),
    exempt: Mapping[str, str] | None = None,
) -> Callable[[Function], Function]:
    """Register a pure tensor function as a merge method and return it unchanged."""

    def register(function: Function) -> Function:
        read = _read_signature(function)
        if purpose not in PURPOSES:
            raise ValueError(f"{id}: there is no purpose '{purpose}'")
        METHODS.add(
            Method(
                id,
                title,
                source,
                function,
                tuple(read.inputs),
                tuple(read.parameters),
                elementwise,
                coefficients,
                tuple(ends),
                purpose,
                read.surveys,
                read.start,
                exempt or {},
                read.spot,
                read.touches,
            )
        )
        return function

    return register


@dataclass
class _Read:
    """What a signature says."""

    inputs: list[Input] = field(default_factory=list[Input])
    parameters: list[Parameter] = field(default_factory=list[Parameter])
    surveys: dict[str, Survey] = field(default_factory=dict[str, Survey])
    start: str = ""
    spot: str = ""
    touches: tuple[str, ...] = ()


def _read_signature(function: Callable[..., Any]) -> _Read:
    """Models and knobs of a function; raises where the signature leaves something open."""
    if not inspect.getdoc(function):
        raise ValueError(f"{function.__name__} has no docstring")
    # `Tensor` is imported for type checkers alone: a stand-in keeps torch out of this process
    names = {"Tensor": _Weight, "Delta": _Delta}
    # not typing.get_type_hints: until Python 3.11 it wraps what defaults to None into Optional, marks and all
    hints = inspect.get_annotations(function, locals=names, eval_str=True)
    read = _Read()
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        marks: tuple[Any, ...] = getattr(hint, "__metadata__", ())
        if hint in (_Weight, _Delta):
            many = parameter.kind is inspect.Parameter.VAR_POSITIONAL
            read.inputs.append(Input(name, delta=hint is _Delta, many=many))
        elif any(isinstance(mark, Start) for mark in marks):
            read.start = name
        elif heres := [mark for mark in marks if isinstance(mark, Here)]:
            read.spot, read.touches = name, heres[0].keys
        elif surveys := [mark for mark in marks if isinstance(mark, Survey)]:
            read.surveys[name] = surveys[0]
        else:
            read.parameters.append(_read_parameter(function.__name__, name, hint, parameter.default))
    return read


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
