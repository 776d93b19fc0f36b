"""Makes the plan of a merge from a recipe and the headers of its files; reports all problems at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields

from lib_merge.checkpoint import Header
from lib_merge.errors import FamilyError, PlanError
from lib_merge.plan import components, prediction
from lib_merge.plan.amounts import Amounts
from lib_merge.plan.entries import EntryPlanner
from lib_merge.plan.expressions import check_differences, expressions_of
from lib_merge.plan.fold import Expression, Source, render_expression
from lib_merge.plan.identify import Diagnostics, PlanInputs, base_index, identify_all
from lib_merge.plan.model import Plan
from lib_merge.plan.notes import ema_notes, misfit_problems, missing_notes
from lib_merge.plan.parts import alignment_notes, alignment_problems, with_ema_weights
from lib_merge.recipe import BLEND, Recipe


def make_plan(recipe: Recipe, headers: Mapping[str, Header]) -> Plan:
    """The plan of a recipe over these files; PlanError with all problems.

    headers  file -> its header, for every name in `recipe.files`
    """
    sources = tuple(headers[file] for file in recipe.files)
    if recipe.ema:
        sources = tuple(map(with_ema_weights, sources))
    identities, problems = identify_all(recipe, sources)
    if problems:
        raise PlanError(problems)
    base = base_index(recipe)
    family = identities[base].family
    sources = tuple(components.with_family_vae_prefix(family, source) for source in sources)
    inputs = PlanInputs(recipe, sources, identities, base)
    amounts = _amounts(inputs)
    problems = [
        *alignment_problems(recipe, identities),
        *components.component_problems(recipe, base, identities, sources, inputs.names),
        *prediction.prediction_problems(recipe, family),
        *amounts.problems(recipe),
    ]
    if problems:
        raise PlanError(problems)
    return _planned(inputs, amounts)


def replan(previous: Plan, recipe: Recipe, headers: Mapping[str, Header]) -> Plan | None:
    """The plan of a recipe that differs from a planned one in its steps alone; None where it differs in more.

    Work is done only for slots whose expression changed. The notes are the previous plan's and the new ones.
    """
    old = previous.recipe
    same = _without_steps(old) == _without_steps(recipe)
    sources = tuple(headers[file] for file in recipe.files)
    if not same or any(
        new is not old_source for new, old_source in zip(sources, previous.sources, strict=True)
    ):
        return None
    if base_index(recipe) != previous.base:
        return None
    inputs = PlanInputs(recipe, previous.sources, previous.identities, previous.base)
    amounts = _amounts(inputs)
    problems = list(amounts.problems(recipe))
    if problems:
        raise PlanError(problems)
    return _planned(inputs, amounts, previous)


def _without_steps(recipe: Recipe) -> tuple[object, ...]:
    return tuple(
        getattr(recipe, field.name) for field in fields(recipe) if field.name not in ("steps", "result")
    )


def _amounts(inputs: PlanInputs) -> Amounts:
    keys = tuple(inputs.sources[inputs.base].tensors)
    return Amounts(inputs.family, keys, blend=inputs.recipe.vae == BLEND)


def _planned(inputs: PlanInputs, amounts: Amounts, previous: Plan | None = None) -> Plan:
    """The finished plan; entries of slots whose expression is that of `previous` are reused."""
    recipe, findings = inputs.recipe, Diagnostics()
    expressions = expressions_of(inputs, amounts, findings)
    check_differences(inputs, amounts, expressions, findings)
    entries = EntryPlanner(inputs, expressions, findings)
    if previous is None:
        keys = entries.plan_all()
    else:
        keys = entries.plan_changed(previous, {*previous.prediction_notes, *amounts.notes(previous.recipe)})
    if recipe.ema:
        findings.notes += ema_notes(inputs)
    resolved = prediction.resolve_prediction(
        recipe, inputs.base, inputs.identities, inputs.sources, inputs.names, keys
    )
    findings.notes += resolved.notes
    keys = sorted([*keys, *resolved.markers], key=lambda entry: entry.key)
    findings.problems += misfit_problems(entries.misfits, inputs.family)
    findings.notes += missing_notes(inputs, entries.absent)
    findings.notes += alignment_notes(recipe)
    findings.notes += amounts.notes(recipe)
    if not keys:
        findings.problems.append(FamilyError(f"{inputs.names[inputs.base]} contains no model weights"))
    if findings.problems:
        raise PlanError(findings.problems)
    return Plan(
        recipe,
        inputs.identities,
        inputs.sources,
        tuple(inputs.names[: len(inputs.sources)]),
        inputs.base,
        tuple(keys),
        expressions.slots,
        tuple(dict.fromkeys(findings.notes)),
        expressions.per_key_slots,
        prediction=resolved.kind,
        predictor=resolved.source,
        prediction_notes=resolved.notes,
    )


def slot_summaries(plan: Plan) -> Iterator[tuple[str, str, int, int]]:
    """For every slot in use: slot, expression as text, number of keys, bytes.

    A slot whose tensors have several expressions has a row for each, the most frequent first.
    """
    sizes_by_slot: dict[str, dict[Expression, list[int]]] = {}
    for entry in plan.keys:
        slot_expression = plan.slots.get(entry.slot, Source(plan.base))
        own = entry.expression if entry.slot in plan.per_key_slots else None
        expression = own or slot_expression
        sizes_by_slot.setdefault(entry.slot, {}).setdefault(expression, []).append(entry.nbytes)
    for slot in [slot for slot in plan.slots if slot in sizes_by_slot]:
        for expression, sizes in sorted(sizes_by_slot[slot].items(), key=lambda item: -len(item[1])):
            yield slot, render_expression(expression, plan.names), len(sizes), sum(sizes)
