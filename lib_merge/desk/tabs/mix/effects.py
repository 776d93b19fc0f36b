"""What has an effect on a merge besides the faders: rules, Adjust, aligning; and which faders rules override.

Computed from the recipe that is applied; tests/lib_merge/desk/tabs/mix/test_effects.py holds the two equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lib_merge.desk.selection import FADER_PARAMETERS, resting_amount
from lib_merge.desk.tabs.mix.overrides import Overrides, RuleOverride, overrides_of, parsed_rules
from lib_merge.methods import METHODS
from lib_merge.recipe import Amount, Rules, Slots
from lib_merge.recipe.adjust import adjust_settings
from lib_merge.recipe.options import ADJUST_OPTION, ALIGN_OPTION
from lib_merge.recipe.weights.lists import print_number
from lib_merge.recipe.weights.rules import RandomAmount, Rule
from lib_merge.recipe.weights.supermerger_random import RandomWeights
from lib_merge.registry import Method
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest

RULES_EFFECT = "rules"
MAX_RULES_SHOWN = 60  # characters of rules that are shown
MAX_NAMED = 3  # rules, or blocks, that are named one by one


@dataclass(frozen=True)
class Effect:
    """One thing that has an effect on the merge; `kind` is an option's name, or "rules"."""

    kind: str
    text: str


@dataclass(frozen=True)
class Effects:
    """What is in effect; and parameter -> slot -> what rules do to its block."""

    items: tuple[Effect, ...] = ()
    overrides: Overrides = field(default_factory=dict[str, Mapping[str, RuleOverride]])


def effects_of(service: MergeService, request: MergeRequest) -> Effects:
    """What a merge that is asked for holds besides the faders, found in its recipe; reads headers only.

    MergeError where it cannot be merged: see `requested_effects`.
    """
    recipe = service.resolve(request).recipe
    overrides = overrides_of(service, request)
    items: list[Effect] = []
    aligned = [part.alignment.source for part in recipe.ingredients if part.alignment is not None]
    if aligned:
        verb = "is" if len(aligned) == 1 else "are"
        items.append(Effect(ALIGN_OPTION.name, f"{' and '.join(aligned)} {verb} aligned to A"))
    rules = "; ".join(request.block_lists.values())
    if rules:
        is_random = any(map(_is_random, parsed_rules(request).values()))
        unused = "" if overrides else ", with no effect on what is mixed here"
        items.append(Effect(RULES_EFFECT, f"{_render_rules_text(rules, is_random=is_random)}{unused}"))
    if adjust_settings(request.adjust):
        items.append(Effect(ADJUST_OPTION.name, _render_adjust_text(adjust_settings(request.adjust))))
    return Effects(tuple(items), overrides)


def requested_effects(rules: str, adjust: str, *, align: bool) -> Effects:
    """What is asked for besides the faders, where no merge can be made of it yet."""
    texts = {
        ALIGN_OPTION.name: "B is aligned to A" if align else "",
        RULES_EFFECT: _render_rules_text(rules) if rules.strip() else "",
        ADJUST_OPTION.name: f"Adjust {adjust.strip()}" if adjust.strip() else "",
    }
    return Effects(tuple(Effect(kind, text) for kind, text in texts.items() if text))


def unused_rules(method: Method) -> Effect:
    """The effect to show for rules where the method has no block weights that they could set."""
    return Effect(RULES_EFFECT, f"rules, not used by {method.title}: it has no block weights")


def render_override_text(effects: Effects, moved: Sequence[tuple[str, str]]) -> str:
    """Which of the moved faders, as parameter and slot, rules override, in a sentence; "" for none."""
    overrides = {
        slot: override
        for parameter, slot in moved
        if (override := effects.overrides.get(parameter, {}).get(slot)) and override.complete
    }
    parts = [
        f"{slot} is set to {override.value} by {override.rules}"
        for slot, override in list(overrides.items())[:MAX_NAMED]
    ]
    if len(overrides) > MAX_NAMED:
        parts.append(f"{len(overrides) - MAX_NAMED} more blocks are set by rules")
    return f"{'; '.join(parts)}." if parts else ""


def moved_faders(before: MergeRequest | None, after: MergeRequest) -> tuple[tuple[str, str], ...]:
    """The faders, as parameter and slot, whose amount differs between two requests."""
    moved: list[tuple[str, str]] = []
    for name in FADER_PARAMETERS:
        old, new = fader_amounts(before, name), fader_amounts(after, name)
        rest = resting_amount(METHODS.get(after.method), name)
        moved += [(name, slot) for slot in new if new[slot] != old.get(slot, rest)]
    return tuple(moved)


def fader_amounts(request: MergeRequest | None, name: str) -> Mapping[str, float]:
    """Slot -> amount of a parameter's faders; empty where it has none."""
    setting = request.settings.get(name) if request else None
    return dict(setting.values) if isinstance(setting, Slots) else {}


def _is_random(amount: Amount) -> bool:
    """Whether block weights are drawn at random."""
    return isinstance(amount, Rules) and any(
        isinstance(curve, (RandomAmount, RandomWeights))
        for line in amount.lines
        if isinstance(line, Rule)
        for _, curve in line.amount.terms
    )


def _render_rules_text(rules: str, *, is_random: bool = False) -> str:
    lines = [line.strip() for line in re.split(r"[\n;]", rules) if line.strip()]
    text = "; ".join(lines)
    shown = (
        text if len(text) <= MAX_RULES_SHOWN else f"{text[:MAX_RULES_SHOWN].rstrip()} … ({len(lines)} rules)"
    )
    return f"{'random weights' if is_random else 'rules'} {shown}"


def _render_adjust_text(settings: Mapping[str, float]) -> str:
    numbers = [f"{name.replace('_', ' ')} {print_number(number)}" for name, number in settings.items()]
    return f"Adjust {', '.join(numbers)}"
