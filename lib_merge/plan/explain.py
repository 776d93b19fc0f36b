"""Explains block weights on one model: which tensors every rule matches, and the weight of every tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lib_merge.architectures import Family, Role, identify, role_of, slot_of
from lib_merge.checkpoint import Header
from lib_merge.errors import PlanError
from lib_merge.plan.rule_resolver import RuleResolver, RuleStat
from lib_merge.recipe import Amount, Rules, overlay_rules
from lib_merge.recipe.weights.lists import print_number
from lib_merge.recipe.weights.rules import VAE_SLOT_ID


@dataclass(frozen=True)
class ResolvedWeight:
    """The weight that the rules give to one tensor.

    key       the tensor
    slot      its slot
    amount    null where it stays A's: no rule matches it, or `exclude` does
    line      the number of the rule that decides, counts from 1; 0 for none
    excluded  whether `include` or `exclude` leaves it as it is
    """

    key: str
    slot: str
    amount: float | None
    line: int
    excluded: bool = False

    def render_text(self) -> str:
        """The amount and what decides it: `0.4 (rule 2)`."""
        if self.excluded:
            return "stays as it is (include, exclude)"
        if self.amount is None:
            return "stays A's" if self.slot == VAE_SLOT_ID else "0 (no rule)"
        return f"{print_number(round(self.amount, 6))} (rule {self.line})"


@dataclass(frozen=True)
class RuleReport:
    """What block weights do to one model.

    title    the family of the model
    hits     the statistics of every rule
    endings  the weight of every tensor
    """

    # the fields' names are persisted: the HTTP API and `merge-desk rules --json` have them
    title: str
    hits: tuple[RuleStat, ...]
    endings: tuple[ResolvedWeight, ...]


def explain_for_header(amount: Amount, header: Header) -> RuleReport:
    """What an amount does to the model of a file; PlanError with all that does not fit the model."""
    family = identify(header.tensors, metadata=header.metadata, where=str(header.path)).family
    return explain_for_keys(amount, family, tuple(header.tensors))


def explain_for_keys(amount: Amount, family: Family, keys: Sequence[str]) -> RuleReport:
    """What an amount does to these keys of a family; PlanError as in `explain_for_header`."""
    # a list or a number is turned into a rule for everything
    rules = amount if isinstance(amount, Rules) else Rules(overlay_rules(amount, Rules(())).lines[:-1])
    resolver = RuleResolver(rules, family, keys)
    if problems := list(resolver.problems("rules")):
        raise PlanError(problems)
    weights = [key for key in keys if role_of(family, key) is Role.WEIGHT]
    resolved = (_resolved(resolver, key, slot_of(family, key) or "") for key in weights)
    return RuleReport(family.title, tuple(resolver.rule_stats()), tuple(resolved))


def _resolved(resolver: RuleResolver, key: str, slot: str) -> ResolvedWeight:
    if resolver.is_excluded(slot, key):
        return ResolvedWeight(key, slot, None, 0, excluded=True)
    rule = resolver.winning_rule(slot, key)
    line = next((n for n, candidate in enumerate(resolver.rules.lines, 1) if candidate is rule), 0)
    return ResolvedWeight(key, slot, resolver.amount_or_none(slot, key), line)


def rule_report_to_dict(report: RuleReport) -> dict[str, Any]:
    """The report as a dictionary for JSON."""
    return asdict(report)


def render_rule_report(report: RuleReport, *, every: bool = False) -> str:
    """A row for every rule, then a row for every slot with its weights, or with `every` for every tensor."""
    lines = [report.title, "", "rule  hits  decides"]
    lines += [f"{stat.line:>4}  {stat.hits:>4}  {stat.wins:>7}  {stat.text}" for stat in report.hits]
    lines += ["", *(_keys(report) if every else _slots(report))]
    return "\n".join(lines)


def _keys(report: RuleReport) -> Iterator[str]:
    width = max(len(weight.key) for weight in report.endings)
    for weight in sorted(report.endings, key=lambda weight: weight.key):
        yield f"{weight.key:<{width}}  {weight.slot:<6}  {weight.render_text()}"


def _slots(report: RuleReport) -> Iterator[str]:
    slots: dict[str, dict[str, int]] = {}
    for weight in report.endings:
        counts = slots.setdefault(weight.slot, {})
        text = weight.render_text()
        counts[text] = counts.get(text, 0) + 1
    for slot, counts in sorted(slots.items(), key=lambda item: item[0]):
        first, *others = sorted(counts.items(), key=lambda item: -item[1])
        yield f"{slot:<6}  {first[1]:>4} x  {first[0]}"
        yield from (f"        {count:>4} x  {text}" for text, count in others)
