"""What has an effect on a merge besides the faders: rules, Adjust, aligning; and which faders rules override.

Computed from the request that is applied, so that the page shows what happens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from lib_merge.architectures import DEFAULT_LAYOUT, Family, identify
from lib_merge.checkpoint import Header
from lib_merge.desk.selection import FADER_PARAMETERS, resting_amount
from lib_merge.errors import MergeError
from lib_merge.methods import METHODS
from lib_merge.plan.explain import ResolvedWeight, explain_for_keys
from lib_merge.recipe import Slots, read_weights
from lib_merge.recipe.options import ADJUST_OPTION, ALIGN_OPTION
from lib_merge.recipe.weights.lists import print_number
from lib_merge.registry import Method
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest

RULES_EFFECT = "rules"
RANDOM_FUNCTION = re.compile(r"\b(?:uniform|normal)\s{0,9}\(")
MAX_RULES_SHOWN = 60  # characters of rules that are shown
MAX_NAMED = 3  # rules, or blocks, that are named one by one


@dataclass(frozen=True)
class Effect:
    """One thing that has an effect on the merge; `kind` is an option's name, or "rules"."""

    kind: str
    text: str


@dataclass(frozen=True)
class RuleOverride:
    """What rules do to the block of one fader.

    complete  they set every tensor of the block, so that the fader has no effect
    value     the weight of the block, "" where they do not set all of it
    rules     the rules, as text
    text      a sentence, for the fader's tooltip
    """

    complete: bool
    value: str
    rules: str
    text: str


@dataclass(frozen=True)
class Effects:
    """What is in effect; and slot -> what rules do to its block."""

    items: tuple[Effect, ...] = ()
    overrides: Mapping[str, RuleOverride] = field(default_factory=dict[str, RuleOverride])


def effects_of(
    service: MergeService, *, a: str = "", rules: str = "", adjust: str = "", align: bool = False
) -> Effects:
    """What is requested besides the faders; reads A's header and nothing else.

    a       the name of A, whose tensors the rules are matched with
    rules   of alpha, as text
    adjust  eight numbers, as text
    """
    items: list[Effect] = []
    if align:
        items.append(Effect(ALIGN_OPTION.name, "B is aligned to A"))
    if rules:
        items.append(Effect(RULES_EFFECT, _render_rules_text(rules)))
    if adjust:
        items.append(Effect(ADJUST_OPTION.name, _render_adjust_text(adjust)))
    return Effects(tuple(items), _overrides(service, a, rules) if rules else {})


def ignored_rules(method: Method) -> Effect:
    """The effect to show for rules where the method has no block weights that they could set."""
    return Effect(RULES_EFFECT, f"rules, not used by {method.title}: it has no block weights")


def render_override_text(effects: Effects, moved: Sequence[str]) -> str:
    """Which of the moved faders rules override, in a sentence; "" for none."""
    overrides = {
        slot: effects.overrides[slot]
        for slot in moved
        if slot in effects.overrides and effects.overrides[slot].complete
    }
    parts = [
        f"{slot} is set to {override.value} by {override.rules}"
        for slot, override in list(overrides.items())[:MAX_NAMED]
    ]
    if len(overrides) > MAX_NAMED:
        parts.append(f"{len(overrides) - MAX_NAMED} more blocks are set by rules")
    return f"{'; '.join(parts)}." if parts else ""


def moved_slots(before: MergeRequest | None, after: MergeRequest) -> tuple[str, ...]:
    """The slots whose alpha or beta differs between two requests."""
    moved: dict[str, None] = {}
    for name in FADER_PARAMETERS:
        old, new = fader_amounts(before, name), fader_amounts(after, name)
        rest = resting_amount(METHODS.get(after.method), name)
        moved |= dict.fromkeys(slot for slot in new if new[slot] != old.get(slot, rest))
    return tuple(moved)


def fader_amounts(request: MergeRequest | None, name: str) -> Mapping[str, float]:
    """Slot -> amount of a parameter's faders; empty where it has none."""
    setting = request.settings.get(name) if request else None
    return dict(setting.values) if isinstance(setting, Slots) else {}


def _render_rules_text(rules: str) -> str:
    lines = [line.strip() for line in re.split(r"[\n;]", rules) if line.strip()]
    text = "; ".join(lines)
    shown = (
        text if len(text) <= MAX_RULES_SHOWN else f"{text[:MAX_RULES_SHOWN].rstrip()} … ({len(lines)} rules)"
    )
    return f"{'random weights' if RANDOM_FUNCTION.search(rules) else 'rules'} {shown}"


def _render_adjust_text(adjust: str) -> str:
    names = [parameter.name.replace("_", " ") for parameter in METHODS.get(ADJUST_OPTION.name).parameters]
    numbers = [part.strip() for part in adjust.split(",")]
    settings = [f"{name} {number}" for name, number in zip(names, numbers, strict=False) if _is_set(number)]
    return f"Adjust {', '.join(settings)}"


def _is_set(number: str) -> bool:
    try:
        return float(number) != 0
    except ValueError:
        return True


def _overrides(service: MergeService, a: str, rules: str) -> Mapping[str, RuleOverride]:
    """Slot -> what the rules do there; empty for rules with an error, which the merge itself reports."""
    try:
        header: Header = service.header(service.checkpoint(a))
        family = identify(header.tensors, metadata=header.metadata, where=a).family
        return _overrides_of(rules, family, tuple(header.tensors))
    except MergeError:
        return {}


@lru_cache(maxsize=16)
def _overrides_of(rules: str, family: Family, keys: tuple[str, ...]) -> Mapping[str, RuleOverride]:
    amount = read_weights(rules, layout=DEFAULT_LAYOUT.id)
    report = explain_for_keys(amount, family, keys)
    names = {hit.line: hit.text for hit in report.hits}
    slots: dict[str, list[ResolvedWeight]] = {}
    for ending in report.endings:
        slots.setdefault(ending.slot, []).append(ending)
    overrides = {slot: _override_of_slot(endings, names) for slot, endings in slots.items()}
    return {slot: override for slot, override in overrides.items() if override}


def _override_of_slot(endings: Sequence[ResolvedWeight], names: Mapping[int, str]) -> RuleOverride | None:
    decided = [weight for weight in endings if weight.excluded or weight.line]
    if not decided:
        return None
    lines = [names.get(line, "") for line in sorted({weight.line for weight in decided if weight.line})]
    if any(weight.excluded for weight in decided):
        lines.append("include and exclude")
    more = f" and {len(lines) - MAX_NAMED} more" if len(lines) > MAX_NAMED else ""
    by = f"the rule{'' if len(lines) == 1 else 's'} {', '.join(lines[:MAX_NAMED])}{more}"
    if len(decided) < len(endings):
        text = f"{len(decided)} of {len(endings)} tensors are set by {by}; this slider sets the others"
        return RuleOverride(False, "", by, text)
    amounts = sorted({round(weight.amount or 0.0, 4) for weight in decided})
    low, high = print_number(amounts[0]), print_number(amounts[-1])
    value = low if len(amounts) == 1 else f"{low} to {high}"
    return RuleOverride(True, value, by, f"set to {value} by {by}; this slider has no effect")
