"""A plan as text and as a dictionary."""

from __future__ import annotations

from typing import Any

from lib_merge.checkpoint import human_size
from lib_merge.plan.fold import Application, Expression, Rounded, Source, render_expression
from lib_merge.plan.make import slot_summaries
from lib_merge.plan.model import KeyPlan, Plan
from lib_merge.plan.parts import render_alignment


def render_plan(plan: Plan, threads: int) -> str:
    """The table that `merge-desk plan` prints."""
    lines = [plan.identity.title]
    alignments = [*map(render_alignment, plan.recipe.ingredients), ""]  # a VAE file comes last
    lines += [
        f"  {name} = {file}{alignment}"
        for name, file, alignment in zip(plan.names, plan.recipe.files, alignments, strict=False)
    ]
    rows = [
        (slot, str(count), human_size(size), expression)
        for slot, expression, count, size in slot_summaries(plan)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else [0, 0, 0]
    lines.append("")
    lines += [
        f"{slot:<{widths[0]}}  {count:>{widths[1]}} keys  {size:>{widths[2]}}  {expression}"
        for slot, count, size, expression in rows
    ]
    lines.append("")
    lines += [f"note: {note}" for note in plan.notes]
    lines.append(
        f"{len(plan.keys)} keys, {render_dtype_counts(plan)}; {human_size(plan.nbytes)} on disk, "
        f"about {human_size(plan.memory(threads))} of memory beyond the mapped files"
    )
    return "\n".join(lines)


def render_dtype_counts(plan: Plan) -> str:
    """The number of tensors of each dtype: `686 fp16, 2 fp32`."""
    counts: dict[str, int] = {}
    for entry in plan.keys:
        counts[entry.dtype.label] = counts.get(entry.dtype.label, 0) + 1
    return ", ".join(f"{count} {label}" for label, count in sorted(counts.items(), key=lambda item: -item[1]))


def plan_to_dict(plan: Plan, threads: int) -> dict[str, Any]:
    """The plan as a dictionary for JSON."""
    return {
        "family": plan.identity.family.id,
        "variant": plan.identity.variant,
        "prediction": plan.prediction,
        "sources": {name: str(source.path) for name, source in zip(plan.names, plan.sources, strict=True)},
        "slots": _slots_to_dict(plan),
        "keys": {entry.key: _key_to_dict(plan, entry) for entry in plan.keys},
        "notes": list(plan.notes),
        "disk_bytes": plan.nbytes,
        "memory_bytes": plan.memory(threads),
    }


def _slots_to_dict(plan: Plan) -> dict[str, dict[str, Any]]:
    """Slot -> its expression; where its tensors have different ones, each with the number of tensors."""
    slots: dict[str, dict[str, Any]] = {}
    for slot, expression, count, size in slot_summaries(plan):
        if slot not in plan.per_key_slots:
            does = {"does": expression, "amounts": file_amounts(plan, plan.slots[slot])}
            slots[slot] = {"keys": count, "bytes": size, **does}
            continue
        row = slots.setdefault(slot, {"keys": 0, "bytes": 0, "does": "by rules", "amounts": None, "ways": {}})
        row["keys"] += count
        row["bytes"] += size
        row["ways"][expression] = count
    return slots


def file_amounts(plan: Plan, expression: Expression) -> dict[str, float] | None:
    """File -> its coefficient in a linear expression; None for one that is not linear."""
    if isinstance(expression, Source):
        return {plan.names[expression.model]: 1.0}
    if isinstance(expression, (Application, Rounded)) or not all(
        isinstance(part, Source) for part, _ in expression.terms
    ):
        return None
    return {render_expression(part, plan.names): float(share) for part, share in expression.terms}


def _constant_text(entry: KeyPlan) -> str:
    """The text for an entry that reads no file: position_ids, or an empty marker."""
    return f"0, 1, 2, ..., {entry.numel - 1}" if entry.numel else "empty, a marker"


def _key_to_dict(plan: Plan, entry: KeyPlan) -> dict[str, Any]:
    does = (
        _constant_text(entry) if entry.expression is None else render_expression(entry.expression, plan.names)
    )
    data: dict[str, Any] = {
        "slot": entry.slot,
        "dtype": entry.dtype.label,
        "shape": list(entry.shape),
        "does": does,
    }
    if entry.channels is not None:
        data["channels"] = entry.channels
    return data
