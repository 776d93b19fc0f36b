"""The handlers of the tab *Weights*: rules tested on a model, random weights, Adjust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lib_merge.architectures import DEFAULT_LAYOUT, Family, family_by_id
from lib_merge.desk.lists.handlers import DEFAULT_FAMILY_ID, presets_of
from lib_merge.desk.protocol import Action, action
from lib_merge.desk.selection import ParameterView, Selection, parameter_views
from lib_merge.methods import METHODS
from lib_merge.plan.explain import RuleReport, explain_for_header, explain_for_keys
from lib_merge.plan.rule_resolver import RuleStat
from lib_merge.recipe import Amount, Rules, print_rules, read_weights
from lib_merge.recipe.weights.presets import describe_preset, family_presets
from lib_merge.recipe.weights.rules import rules_of_slots
from lib_merge.service.services import Services

EXAMPLE = "0.5*GRAD_V + 0.5*COSINE\nOUT: 0.7\nattn1: 0.2"


@dataclass(frozen=True)
class FamilyName:
    """The family of models whose faders the page shows, "" for the default one."""

    family: str = ""


@dataclass(frozen=True)
class RulesText:
    """Rules for block weights, and the family to try them on where no A is chosen."""

    text: str = ""
    family: str = ""


@dataclass(frozen=True)
class WeightsOptions:
    """What the tab shows when it is opened.

    example  example rules, for the empty field
    adjust   the parameters of Adjust
    presets  names that rules may use, each with its description
    own      the user's presets, each with its rules: a recipe has their numbers, not their names
    """

    example: str
    adjust: tuple[ParameterView, ...]
    presets: tuple[tuple[str, str], ...]
    own: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RulesResult:
    """What rules do to A.

    text               the rules in canonical form
    stats              of each rule, how many tensors it matches and decides
    amount_by_slot     slot -> weight of most of its tensors, for the faders
    tensors_by_amount  slot -> weight as text -> how many tensors
    model              whose tensors were matched
    """

    text: str
    stats: tuple[RuleStat, ...]
    amount_by_slot: Mapping[str, float]
    tensors_by_amount: Mapping[str, Mapping[str, int]]
    model: str


@action("weights.open", status=False)
def open_(service: Services, action: Action[FamilyName]) -> WeightsOptions:
    """What the tab shows when it is opened."""
    family = _family(action.data.family)
    family_weights = family_presets(family) or family_presets(family_by_id(DEFAULT_FAMILY_ID))
    names = tuple((name, describe_preset(name)) for name in family_weights)
    return WeightsOptions(EXAMPLE, parameter_views(METHODS.get("adjust")), names, _own(service, family))


@action("weights.test", status=False)
def test(service: Services, action: Action[RulesText]) -> RulesResult:
    """Which tensors each rule matches, and the weight of each block."""
    return rules_result(service, action.data, action.selection)


@action("weights.copy", status=False)
def copy(service: Services, action: Action[RulesText]) -> RulesResult:
    """The same as `test`, for a page that copies the weights to the sliders."""
    return rules_result(service, action.data, action.selection)


def rules_result(service: Services, rules: RulesText, selection: Selection) -> RulesResult:
    """What the rules do to A, or to its family while there is none."""
    amount = read_weights(rules.text, layout=DEFAULT_LAYOUT.id)
    report = _report(service, amount, selection, _family(rules.family))
    tensors_by_amount: dict[str, dict[str, int]] = {}
    counts_by_slot: dict[str, dict[float, int]] = {}
    for ending in report.endings:
        _count(tensors_by_amount.setdefault(ending.slot, {}), ending.render_text())
        _count(counts_by_slot.setdefault(ending.slot, {}), ending.amount or 0.0)
    amount_by_slot = {
        slot: max(counts, key=lambda weight: counts[weight]) for slot, counts in counts_by_slot.items()
    }
    text = print_rules(amount) if isinstance(amount, Rules) else ""
    return RulesResult(text, report.hits, amount_by_slot, tensors_by_amount, report.title)


def _own(service: Services, family: Family) -> tuple[tuple[str, str], ...]:
    """The user's presets of a family; none where their file cannot be read, which the tab Mix says."""
    presets, _ = presets_of(service.merging, family)
    return tuple(
        (preset.name, print_rules(rules_of_slots(preset.values))) for preset in presets if preset.own
    )


def _report(service: Services, amount: Amount, selection: Selection, family: Family) -> RuleReport:
    if not selection.a:
        return explain_for_keys(amount, family, tuple(family.shapes))
    checkpoint = service.merging.checkpoint(selection.a)
    return explain_for_header(amount, service.merging.header(checkpoint))


def _family(name: str) -> Family:
    return family_by_id(name or DEFAULT_FAMILY_ID)


def _count(counted: dict[float, int] | dict[str, int], what: float | str) -> None:
    counted[what] = counted.get(what, 0) + 1  # type: ignore[index, call-overload]
