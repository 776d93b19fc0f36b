"""What the tab *Methods* shows: merge methods by purpose, each with a sentence, a formula and a drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import cos, sin
from typing import Any

from lib_merge.desk.selection import FADER_PARAMETERS, ParameterView, desk_methods, parameter_views
from lib_merge.methods import METHODS
from lib_merge.registry import PURPOSES, Method

ROWS, COLUMNS = 4, 6  # of the tensors that drawings are made of: some methods look at rows
DIGITS = 3


@dataclass(frozen=True)
class MethodCard:
    """One method.

    models              as text: "A, B", "any number of models"
    block_weights       whether its amounts can differ from block to block
    unavailable_reason  why it cannot be chosen on the page, "" where it can
    drawing             curves: of each model, and of the result
    """

    id: str
    title: str
    summary: str
    formula: str
    models: str
    block_weights: bool
    parameters: tuple[ParameterView, ...]
    source: str
    unavailable_reason: str
    drawing: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class MethodGroup:
    """Methods for one purpose."""

    purpose: str
    sentence: str
    cards: tuple[MethodCard, ...]


@dataclass(frozen=True)
class MethodCards:
    """Everything that the tab shows; `chosen` is the method of the list above."""

    chosen: str
    groups: tuple[MethodGroup, ...]


@dataclass(frozen=True)
class MethodName:
    """A method by its id."""

    name: str = ""


@dataclass(frozen=True)
class MethodChoice:
    """A method's title in the list above; None where the page cannot use it."""

    title: str | None


def title_in_list(name: str) -> str | None:
    """A method's title in the list above; None where the page cannot use it."""
    return next((method.title for method in desk_methods() if method.id == name), None)


@cache
def method_groups() -> tuple[MethodGroup, ...]:
    """Every method of the registry under its purpose."""
    return tuple(
        MethodGroup(
            purpose, sentence, tuple(_card(method) for method in METHODS.all() if method.purpose == purpose)
        )
        for purpose, sentence in PURPOSES.items()
    )


def _card(method: Method) -> MethodCard:
    names = ["any number of models" if model.many else model.name.upper() for model in method.inputs]
    models = ", ".join(names)
    return MethodCard(
        method.id,
        method.title,
        method.summary,
        method.formula,
        models,
        any(parameter.name in FADER_PARAMETERS for parameter in method.parameters),
        parameter_views(method),
        method.source,
        _unavailable_reason(method),
        _drawing(method),
    )


def _unavailable_reason(method: Method) -> str:
    if method in desk_methods():
        return ""
    if any(parameter.per_model and not parameter.default for parameter in method.parameters):
        return "Needs a weight for each model: write a recipe."
    if any(model.delta for model in method.inputs):
        return "Needs a difference of models: write a recipe."
    return "Needs more models than the page has lists for: write a recipe."


def _drawing(method: Method) -> Mapping[str, Sequence[float]]:
    """The curves of small waves as models, and of the result of the method with its default settings."""
    from lib_merge.tensors import torch

    count = ROWS * COLUMNS
    waves = {
        "a": [0.8 * sin(0.26 * n) for n in range(count)],
        "b": [0.5 * cos(0.5 * n) + 0.2 for n in range(count)],
        "c": [0.25 * sin(0.9 * n + 1) - 0.1 for n in range(count)],
    }
    tensors = [torch.tensor(wave).reshape(ROWS, COLUMNS) for wave in waves.values()]
    used = tensors[: method.max_models or 3]
    output = method(*used, **_settings(method, len(used)))
    drawn = dict(list(waves.items())[: len(used)])
    drawn["out"] = output.reshape(-1).tolist()
    return {name: [round(number, DIGITS) for number in wave] for name, wave in drawn.items()}


def _settings(method: Method, models: int) -> dict[str, Any]:
    """Equal shares for each per-model parameter that has no default."""
    share = method.per_model_count(models)
    return {p.name: (1 / share,) * share for p in method.parameters if p.per_model and not p.default}
