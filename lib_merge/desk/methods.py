"""The room *Methods*: every merge method by purpose, with a sentence, its formula and a small drawing."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import cos, sin
from typing import Any

from lib_merge.desk.handlers import Choice, Move
from lib_merge.desk.view import Knobs, Problem, desk_methods, knobs_of, method_by_title, said
from lib_merge.errors import MergeError
from lib_merge.methods import METHODS
from lib_merge.registry import PURPOSES, Method

log = logging.getLogger(__name__)

ROWS, COLUMNS = 4, 6  # of the tensors that drawings are made of: some methods look at rows
DIGITS = 3


@dataclass(frozen=True)
class Card:
    """One method.

    models   in words: "A, B", "A and any number more"
    refusal  why it cannot be chosen on the desk, "" where it can
    drawing  the numbers of each model, and of the result
    """

    id: str
    title: str
    summary: str
    formula: str
    models: str
    knobs: tuple[Knobs, ...]
    source: str
    refusal: str
    drawing: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Group:
    """Methods for one purpose."""

    purpose: str
    sentence: str
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Shelf:
    """Everything that the room shows; `chosen` is the method of the list above."""

    seq: int
    chosen: str
    groups: tuple[Group, ...] = ()
    problem: Problem | None = None


def shelf(text: str, choice: Choice) -> Shelf:
    """Answers the room: `open` brings the cards, anything else what is chosen."""
    chosen = method_by_title(choice.method).id
    try:
        move = Move.read(text)
    except MergeError as error:
        return Shelf(0, chosen, problem=said(error))
    return Shelf(move.seq, chosen, groups() if move.action == "open" else ())


def title_of(text: str) -> str | None:
    """What the list above calls the method that a move names; None where the desk cannot use it."""
    try:
        name = Move.read(text).name
    except MergeError as error:
        log.warning("%s", error)
        return None
    return next((method.title for method in desk_methods() if method.id == name), None)


@cache
def groups() -> tuple[Group, ...]:
    """Every method of the registry under its purpose."""
    return tuple(
        Group(
            purpose, sentence, tuple(_card(method) for method in METHODS.all() if method.purpose == purpose)
        )
        for purpose, sentence in PURPOSES.items()
    )


def _card(method: Method) -> Card:
    names = [model.name.upper() for model in method.inputs]
    models = ", ".join(names) if method.most_models else f"{', '.join(names)}, any number"
    return Card(
        method.id,
        method.title,
        method.summary,
        method.formula,
        models,
        knobs_of(method),
        method.source,
        _refusal(method),
        _drawing(method),
    )


def _refusal(method: Method) -> str:
    if method in desk_methods():
        return ""
    if any(parameter.per_model and not parameter.default for parameter in method.parameters):
        return "It takes a share for each model: write a recipe."
    if any(model.delta for model in method.inputs):
        return "It takes a difference of models: write a recipe."
    return "It takes more models than the desk has lists: write a recipe."


def _drawing(method: Method) -> Mapping[str, Sequence[float]]:
    """The method itself, with its usual settings, on three small waves."""
    from lib_merge.tensors import torch

    count = ROWS * COLUMNS
    waves = {
        "a": [0.8 * sin(0.26 * n) for n in range(count)],
        "b": [0.5 * cos(0.5 * n) + 0.2 for n in range(count)],
        "c": [0.25 * sin(0.9 * n + 1) - 0.1 for n in range(count)],
    }
    tensors = [torch.tensor(wave).reshape(ROWS, COLUMNS) for wave in waves.values()]
    used = tensors[: method.most_models or 3]
    made = method(*used, **_settings(method, len(used)))
    drawn = dict(list(waves.items())[: len(used)])
    drawn["out"] = made.reshape(-1).tolist()
    return {name: [round(number, DIGITS) for number in wave] for name, wave in drawn.items()}


def _settings(method: Method, models: int) -> dict[str, Any]:
    """The usual ones; shares alike where they have to be given."""
    share = method.shares(models)
    return {p.name: (1 / share,) * share for p in method.parameters if p.per_model and not p.default}
