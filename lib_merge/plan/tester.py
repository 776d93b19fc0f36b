"""Tells what block weights do to one model: what every rule hits, and what every tensor ends with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lib_merge.architectures import Family, Role, identify, role_of, slot_of
from lib_merge.checkpoint import Header
from lib_merge.errors import PlanError
from lib_merge.plan.ruler import Hit, Ruler
from lib_merge.recipe import Amount, Rules, over
from lib_merge.recipe.numbers import print_number
from lib_merge.recipe.rules import VAE


@dataclass(frozen=True)
class Ending:
    """What one tensor ends with.

    amount  None where it stays A's: no rule hits it, or `exclude` does
    line    the rule that decides, counted from 1; 0 for none
    """

    key: str
    slot: str
    amount: float | None
    line: int
    excluded: bool = False

    @property
    def told(self) -> str:
        """In words."""
        if self.excluded:
            return "stays as it is (include, exclude)"
        if self.amount is None:
            return "stays A's" if self.slot == VAE else "0 (no rule)"
        return f"{print_number(round(self.amount, 6))} (rule {self.line})"


@dataclass(frozen=True)
class RuleReport:
    """What block weights do to one model."""

    title: str
    hits: tuple[Hit, ...]
    endings: tuple[Ending, ...]


def report_of_header(amount: Amount, header: Header) -> RuleReport:
    """What an amount does to a model; raises PlanError with everything that does not fit the model."""
    family = identify(header.tensors, metadata=header.metadata, where=str(header.path)).family
    return report_of_keys(amount, family, tuple(header.tensors))


def report_of_keys(amount: Amount, family: Family, keys: Sequence[str]) -> RuleReport:
    """The same for a family and any of its keys."""
    # a list or a number is a rule for everything
    rules = amount if isinstance(amount, Rules) else Rules(over(amount, Rules(())).lines[:-1])
    ruler = Ruler(rules, family, keys)
    if problems := list(ruler.problems("rules")):
        raise PlanError(problems)
    weights = [key for key in keys if role_of(family, key) is Role.WEIGHT]
    endings = (_ending(ruler, key, slot_of(family, key) or "") for key in weights)
    return RuleReport(family.title, tuple(ruler.tally()), tuple(endings))


def _ending(ruler: Ruler, key: str, slot: str) -> Ending:
    if ruler.keeps(slot, key):
        return Ending(key, slot, None, 0, excluded=True)
    rule = ruler.winner(slot, key)
    line = next((n for n, each in enumerate(ruler.rules.lines, 1) if each is rule), 0)
    return Ending(key, slot, ruler.of(slot, key), line)


def report_as_data(report: RuleReport) -> dict[str, Any]:
    """The report as JSON holds it."""
    return asdict(report)


def report_as_text(report: RuleReport, *, every: bool = False) -> str:
    """A row for every rule, then what the tensors of every slot end with, or with `every` each tensor."""
    lines = [report.title, "", "rule  hits  decides"]
    lines += [f"{hit.line:>4}  {hit.hits:>4}  {hit.wins:>7}  {hit.text}" for hit in report.hits]
    lines += ["", *(_keys(report) if every else _slots(report))]
    return "\n".join(lines)


def _keys(report: RuleReport) -> Iterator[str]:
    width = max(len(ending.key) for ending in report.endings)
    for ending in sorted(report.endings, key=lambda each: each.key):
        yield f"{ending.key:<{width}}  {ending.slot:<6}  {ending.told}"


def _slots(report: RuleReport) -> Iterator[str]:
    slots: dict[str, dict[str, int]] = {}
    for ending in report.endings:
        counted = slots.setdefault(ending.slot, {})
        counted[ending.told] = counted.get(ending.told, 0) + 1
    for slot, counted in sorted(slots.items(), key=lambda item: item[0]):
        first, *others = sorted(counted.items(), key=lambda item: -item[1])
        yield f"{slot:<6}  {first[1]:>4} x  {first[0]}"
        yield from (f"        {count:>4} x  {told}" for told, count in others)
