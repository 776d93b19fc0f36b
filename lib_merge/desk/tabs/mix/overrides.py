"""Which faders rules override, and with what: computed from the plan of the merge that is applied.

A rule overrides a fader only where the merge mixes: not in a VAE that is A's as it stands, nor in a text
encoder that B does not have.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from lib_merge.desk.selection import FADER_PARAMETERS, TRIAL_AMOUNT, neutral_amounts
from lib_merge.methods import METHODS
from lib_merge.plan import Plan, Source
from lib_merge.plan.amounts import vae_source
from lib_merge.plan.explain import ResolvedWeight, RuleReport, explain_for_keys
from lib_merge.recipe import BLEND, Amount, read_weights
from lib_merge.recipe.options import LIST_OPTIONS, VAE_OPTION
from lib_merge.recipe.weights.lists import print_number
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest

MAX_NAMED = 3  # rules that are named one by one
KEPT = "A's"  # the value of a block that is excluded, where no amount keeps A


@dataclass(frozen=True)
class RuleOverride:
    """What rules do to the block of one fader.

    complete  they set every tensor of the block that is mixed, so that the fader has no effect
    value     the weight of the block, "" where they do not set all of it
    rules     the rules, as text
    text      a sentence, for the fader's tooltip
    """

    complete: bool
    value: str
    rules: str
    text: str


Overrides = Mapping[str, Mapping[str, RuleOverride]]  # parameter -> slot -> what rules do to its block


def overrides_of(service: MergeService, request: MergeRequest) -> Overrides:
    """What the rules of a merge do to its faders; reads headers only. MergeError where it has no plan."""
    rules = parsed_rules(request)
    if not rules:
        return {}
    plan = _trial_plan(service, request)
    keys = tuple(plan.sources[plan.base].tensors)
    reports = {
        parameter: explain_for_keys(amount, plan.identity.family, keys) for parameter, amount in rules.items()
    }
    excluded = {
        weight.key for report in reports.values() for weight in report.endings if weight.excluded
    }  # by the rules of any parameter
    mixed = {entry.key: entry.slot for entry in plan.keys if not isinstance(entry.expression, Source | None)}
    neutral = neutral_amounts(METHODS.get(request.method)) or {}
    kept = {name: print_number(amount) for name, amount in neutral.items()}
    overrides = {
        name: _by_slot(reports.get(name), mixed, excluded, kept.get(name, KEPT))
        for name in _fader_parameters(request)
    }
    return {name: by_slot for name, by_slot in overrides.items() if by_slot}


def parsed_rules(request: MergeRequest) -> Mapping[str, Amount]:
    """Parameter -> its rules without what the faders say; RecipeError for a text that is none."""
    method = METHODS.get(request.method)
    return {
        option.parameter: read_weights(
            request.block_lists[option.name],
            layout=request.layout,
            default=float(method.parameter(option.parameter).default),
        )
        for option in LIST_OPTIONS
        if option.name in request.block_lists
    }


def _trial_plan(service: MergeService, request: MergeRequest) -> Plan:
    """The same merge with every fader up and no rules: what it mixes is what faders can reach."""
    blended = vae_source(service.resolve(request).recipe) == BLEND
    faders = dict.fromkeys(_fader_parameters(request), TRIAL_AMOUNT)
    return service.plan(
        replace(
            request,
            settings={**request.settings, **faders},
            block_lists={},
            adjust="",
            align=False,
            save_options={**request.save_options, **({VAE_OPTION.name: BLEND} if blended else {})},
        )
    )


def _fader_parameters(request: MergeRequest) -> tuple[str, ...]:
    parameters = {parameter.name for parameter in METHODS.get(request.method).parameters}
    return tuple(name for name in FADER_PARAMETERS if name in parameters)


def _by_slot(
    report: RuleReport | None, mixed: Mapping[str, str], excluded: Collection[str], kept: str
) -> Mapping[str, RuleOverride]:
    """Slot -> what the rules of one parameter do to its block, and what `include` and `exclude` of any do.

    mixed     key -> slot, of the keys that are mixed
    excluded  the keys that `include` and `exclude` keep as in A
    kept      the weight that those have, as text
    """
    weights = {weight.key: weight for weight in report.endings} if report else {}
    names = {hit.line: hit.text for hit in report.hits} if report else {}
    slots: dict[str, list[tuple[ResolvedWeight | None, bool]]] = {}
    for key, slot in mixed.items():
        slots.setdefault(slot, []).append((weights.get(key), key in excluded))
    overrides = {slot: _override_of_slot(keys, names, kept) for slot, keys in slots.items()}
    return {slot: override for slot, override in overrides.items() if override}


def _override_of_slot(
    keys: Sequence[tuple[ResolvedWeight | None, bool]], names: Mapping[int, str], kept: str
) -> RuleOverride | None:
    ruled = [weight for weight, excluded in keys if weight is not None and weight.line and not excluded]
    kept_count = sum(excluded for _, excluded in keys)
    if not ruled and not kept_count:
        return None
    lines = [names.get(line, "") for line in sorted({weight.line for weight in ruled})]
    lines += ["include and exclude"] if kept_count else []
    more = f" and {len(lines) - MAX_NAMED} more" if len(lines) > MAX_NAMED else ""
    by = f"the rule{'' if len(lines) == 1 else 's'} {', '.join(lines[:MAX_NAMED])}{more}"
    decided = len(ruled) + kept_count
    if decided < len(keys):
        text = f"{decided} of {len(keys)} tensors are set by {by}; this slider sets the others"
        return RuleOverride(False, "", by, text)
    amounts = sorted({round(weight.amount or 0.0, 4) for weight in ruled})
    texts = [print_number(amount) for amount in amounts]
    texts = [texts[0], texts[-1]] if len(texts) > 1 else texts
    value = " to ".join(texts)
    if kept_count and value != kept:
        value = f"{value}, {kept} where excluded" if value else kept
    return RuleOverride(True, value, by, f"set to {value} by {by}; this slider has no effect")
