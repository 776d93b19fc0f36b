"""What shapes a merge besides the faders that are seen: rules, Adjust, aligning; and which faders rules hold.

Worked out from the request that is applied, so that the page cannot say anything else than what happens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

from lib_merge.architectures import DEFAULT_LAYOUT, Family, identify
from lib_merge.checkpoint import Header
from lib_merge.desk.mixer import Body, Mixer
from lib_merge.errors import MergeError
from lib_merge.methods import METHODS
from lib_merge.plan.tester import Ending, report_of_keys
from lib_merge.recipe import read_weights
from lib_merge.recipe.numbers import print_number
from lib_merge.registry import Method

ALIGN, RULES, ADJUST = "align", "rules", "adjust"
RANDOM = re.compile(r"\b(?:uniform|normal)\s{0,9}\(")
MOST_TEXT = 60  # characters of rules that are shown
MOST_NAMED = 3  # rules, or blocks, that are named one by one


@dataclass(frozen=True)
class Effect:
    """One thing that shapes the merge; `kind` is align, rules or adjust."""

    kind: str
    text: str


@dataclass(frozen=True)
class Held:
    """What rules do to one fader.

    whole  they decide every tensor of its block, so that the fader does nothing
    value  what the block ends with, "" where they do not decide all of it
    by     the rules
    text   all of it, for the fader's tooltip
    """

    whole: bool
    value: str
    by: str
    text: str


@dataclass(frozen=True)
class Effects:
    """What is in effect, and slot -> what rules do to its fader."""

    items: tuple[Effect, ...] = ()
    held: Mapping[str, Held] = field(default_factory=dict[str, Held])


def effects_of(mixer: Mixer, body: Body) -> Effects:
    """What a request of the page asks for beside its faders; reads A's header and no more."""
    items: list[Effect] = []
    held: Mapping[str, Held] = {}
    if body.get("align"):
        items.append(Effect(ALIGN, "B is aligned to A"))
    rules = str(body.get("weights") or "")
    if rules:
        items.append(Effect(RULES, _rules_in_words(rules)))
        held = _held(mixer, str(body.get("a") or ""), rules)
    adjust = str(body.get("adjust") or "")
    if adjust:
        items.append(Effect(ADJUST, _adjust_in_words(adjust)))
    return Effects(tuple(items), held)


def ignored_rules(method: Method) -> Effect:
    """Rules are switched on, and the method has no block weights for them to set."""
    return Effect(RULES, f"rules, which {method.title} does not use: it has no block weights")


def held_in_words(effects: Effects, moved: Sequence[str]) -> str:
    """Of the faders that were moved, those that rules hold; "" where they hold none."""
    found = {slot: effects.held[slot] for slot in moved if slot in effects.held and effects.held[slot].whole}
    parts = [
        f"{slot} is held at {held.value} by {held.by}" for slot, held in list(found.items())[:MOST_NAMED]
    ]
    if len(found) > MOST_NAMED:
        parts.append(f"{len(found) - MOST_NAMED} more blocks are held by rules")
    return f"{'; '.join(parts)}." if parts else ""


def moved_slots(before: Body | None, after: Body) -> tuple[str, ...]:
    """The slots whose alpha or beta differs between two requests of the page."""
    found: dict[str, None] = {}
    for name in ("alpha", "beta"):
        old, new = _amounts(before, name), _amounts(after, name)
        found |= dict.fromkeys(slot for slot in new if new[slot] != old.get(slot, 0.0))
    return tuple(found)


def _amounts(body: Body | None, name: str) -> Mapping[str, object]:
    value = body.get(name) if body else None
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _rules_in_words(rules: str) -> str:
    lines = [line.strip() for line in re.split(r"[\n;]", rules) if line.strip()]
    text = "; ".join(lines)
    shown = text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT].rstrip()} … ({len(lines)} rules)"
    return f"{'random weights' if RANDOM.search(rules) else 'rules'} {shown}"


def _adjust_in_words(adjust: str) -> str:
    names = [parameter.name.replace("_", " ") for parameter in METHODS.get(ADJUST).parameters]
    numbers = [part.strip() for part in adjust.split(",")]
    told = [f"{name} {number}" for name, number in zip(names, numbers, strict=False) if _is_set(number)]
    return f"Adjust {', '.join(told)}"


def _is_set(number: str) -> bool:
    try:
        return float(number) != 0
    except ValueError:
        return True


def _held(mixer: Mixer, a: str, rules: str) -> Mapping[str, Held]:
    """What rules that are understood hold; what is wrong with others is said by the merge itself."""
    try:
        header: Header = mixer.header(mixer.checkpoint(a))
        family = identify(header.tensors, metadata=header.metadata, where=a).family
        return _held_of(rules, family, tuple(header.tensors))
    except MergeError:
        return {}


@lru_cache(maxsize=16)
def _held_of(rules: str, family: Family, keys: tuple[str, ...]) -> Mapping[str, Held]:
    amount = read_weights(rules, layout=DEFAULT_LAYOUT.id)
    report = report_of_keys(amount, family, keys)
    names = {hit.line: hit.text for hit in report.hits}
    slots: dict[str, list[Ending]] = {}
    for ending in report.endings:
        slots.setdefault(ending.slot, []).append(ending)
    found = {slot: _held_slot(endings, names) for slot, endings in slots.items()}
    return {slot: held for slot, held in found.items() if held}


def _held_slot(endings: Sequence[Ending], names: Mapping[int, str]) -> Held | None:
    decided = [each for each in endings if each.excluded or each.line]
    if not decided:
        return None
    lines = [names.get(line, "") for line in sorted({each.line for each in decided if each.line})]
    if any(each.excluded for each in decided):
        lines.append("include and exclude")
    more = f" and {len(lines) - MOST_NAMED} more" if len(lines) > MOST_NAMED else ""
    by = f"the rule{'' if len(lines) == 1 else 's'} {', '.join(lines[:MOST_NAMED])}{more}"
    if len(decided) < len(endings):
        text = f"{len(decided)} of {len(endings)} tensors are held by {by}; this fader moves the others"
        return Held(False, "", by, text)
    amounts = sorted({round(each.amount or 0.0, 4) for each in decided})
    low, high = print_number(amounts[0]), print_number(amounts[-1])
    value = low if len(amounts) == 1 else f"{low} to {high}"
    return Held(True, value, by, f"held at {value} by {by}; this fader does nothing")
