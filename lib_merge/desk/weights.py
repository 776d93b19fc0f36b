"""The room *Weights*: rules tried on a model, numbers drawn at random, Adjust. Plain in, plain out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lib_merge.architectures import DEFAULT_LAYOUT, Family, family_by_id
from lib_merge.desk.handlers import USUAL_FAMILY, Choice, Desk, Move
from lib_merge.desk.view import Knobs, Problem, knobs_of, said
from lib_merge.methods import METHODS
from lib_merge.plan.ruler import Hit
from lib_merge.plan.tester import RuleReport, report_of_header, report_of_keys
from lib_merge.recipe import Amount, Rules, print_rules, read_weights
from lib_merge.recipe.presets import about, curves

EXAMPLE = "0.5*GRAD_V + 0.5*COSINE\nOUT: 0.7\nattn1: 0.2"


@dataclass(frozen=True)
class Trial:
    """What some rules do to A.

    slots    slot -> what most of its tensors end with, for the faders
    ways     slot -> amount in words -> how many tensors
    model    whose tensors were looked at
    """

    seq: int
    action: str
    text: str = ""
    hits: tuple[Hit, ...] = ()
    slots: Mapping[str, float] | None = None
    ways: Mapping[str, Mapping[str, int]] | None = None
    model: str = ""
    adjust: tuple[Knobs, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    problem: Problem | None = None


def tried(desk: Desk, text: str, choice: Choice) -> Trial:
    """Answers the room: `open` with what it shows first, `test` and `spread` with what the rules do.

    text  the page's JSON: the rules under parameters.text
    """
    move = Move()
    try:
        move = Move.read(text)
        if move.action == "open":
            known = curves(_family(move)) or curves(family_by_id(USUAL_FAMILY))
            names = tuple((name, about(name)) for name in known)
            return Trial(move.seq, move.action, EXAMPLE, adjust=knobs_of(METHODS.get("adjust")), names=names)
        amount = read_weights(str(move.parameters.get("text", "")), layout=DEFAULT_LAYOUT.id)
        report = _report(desk, amount, choice, _family(move))
    except Exception as error:
        return Trial(move.seq, move.action or "test", problem=said(error))
    ways: dict[str, dict[str, int]] = {}
    slots: dict[str, dict[float, int]] = {}
    for ending in report.endings:
        _count(ways.setdefault(ending.slot, {}), ending.told)
        _count(slots.setdefault(ending.slot, {}), ending.amount or 0.0)
    usual = {slot: max(counted, key=lambda each: counted[each]) for slot, counted in slots.items()}
    words = print_rules(amount) if isinstance(amount, Rules) else ""
    return Trial(move.seq, move.action, words, report.hits, usual, ways, report.title)


def _report(desk: Desk, amount: Amount, choice: Choice, family: Family) -> RuleReport:
    if not choice.a:
        return report_of_keys(amount, family, tuple(family.shapes))
    checkpoint = desk.mixer.checkpoint(choice.a)
    return report_of_header(amount, desk.mixer.header(checkpoint))


def _family(move: Move) -> Family:
    return family_by_id(move.family or USUAL_FAMILY)


def _count(counted: dict[float, int] | dict[str, int], what: float | str) -> None:
    counted[what] = counted.get(what, 0) + 1  # type: ignore[index, call-overload]
