"""A plan as a person reads it and as a program does."""

from __future__ import annotations

from typing import Any

from lib_merge.checkpoint import human_size
from lib_merge.plan import aligned
from lib_merge.plan.fold import Application, Expression, Rounded, Source, in_words
from lib_merge.plan.make import summaries
from lib_merge.plan.model import KeyPlan, Plan


def plan_as_text(plan: Plan, threads: int) -> str:
    """The table that `merge-desk plan` prints."""
    lines = [plan.identity.title]
    told = [*map(aligned.in_words, plan.recipe.ingredients), ""]  # a VAE file comes last
    lines += [
        f"  {name} = {file}{words}"
        for name, file, words in zip(plan.names, plan.recipe.files, told, strict=False)
    ]
    rows = [(slot, str(count), human_size(size), words) for slot, words, count, size in summaries(plan)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else [0, 0, 0]
    lines.append("")
    lines += [
        f"{slot:<{widths[0]}}  {count:>{widths[1]}} keys  {size:>{widths[2]}}  {words}"
        for slot, count, size, words in rows
    ]
    lines.append("")
    lines += [f"note: {note}" for note in plan.notes]
    lines.append(
        f"{len(plan.keys)} keys, {formats_in_words(plan)}; {human_size(plan.nbytes)} on disk, "
        f"about {human_size(plan.memory(threads))} of memory beyond the mapped files"
    )
    return "\n".join(lines)


def formats_in_words(plan: Plan) -> str:
    """How many tensors of the result have which number format."""
    counted: dict[str, int] = {}
    for entry in plan.keys:
        counted[entry.dtype.label] = counted.get(entry.dtype.label, 0) + 1
    return ", ".join(
        f"{count} {label}" for label, count in sorted(counted.items(), key=lambda item: -item[1])
    )


def plan_as_data(plan: Plan, threads: int) -> dict[str, Any]:
    """The plan as JSON holds it."""
    return {
        "family": plan.identity.family.id,
        "variant": plan.identity.variant,
        "prediction": plan.prediction,
        "sources": {name: str(source.path) for name, source in zip(plan.names, plan.sources, strict=True)},
        "slots": _slots_as_data(plan),
        "keys": {entry.key: _key_as_data(plan, entry) for entry in plan.keys},
        "notes": list(plan.notes),
        "disk_bytes": plan.nbytes,
        "memory_bytes": plan.memory(threads),
    }


def _slots_as_data(plan: Plan) -> dict[str, dict[str, Any]]:
    """What happens in each slot; where rules tell its tensors apart, how many there are of each kind."""
    slots: dict[str, dict[str, Any]] = {}
    for slot, words, count, size in summaries(plan):
        if slot not in plan.by_key:
            does = {"does": words, "amounts": amounts(plan, plan.slots[slot])}
            slots[slot] = {"keys": count, "bytes": size, **does}
            continue
        found = slots.setdefault(
            slot, {"keys": 0, "bytes": 0, "does": "by rules", "amounts": None, "ways": {}}
        )
        found["keys"] += count
        found["bytes"] += size
        found["ways"][words] = count
    return slots


def amounts(plan: Plan, expression: Expression) -> dict[str, float] | None:
    """How much of each file a linear expression takes; None for one that is not linear."""
    if isinstance(expression, Source):
        return {plan.names[expression.model]: 1.0}
    if isinstance(expression, (Application, Rounded)) or not all(
        isinstance(part, Source) for part, _ in expression.terms
    ):
        return None
    return {in_words(part, plan.names): float(share) for part, share in expression.terms}


def _written(entry: KeyPlan) -> str:
    """What is written where no file is asked: position_ids, or an empty marker."""
    return f"0, 1, 2, ..., {entry.numel - 1}" if entry.numel else "empty, a marker"


def _key_as_data(plan: Plan, entry: KeyPlan) -> dict[str, Any]:
    does = _written(entry) if entry.expression is None else in_words(entry.expression, plan.names)
    data: dict[str, Any] = {
        "slot": entry.slot,
        "dtype": entry.dtype.label,
        "shape": list(entry.shape),
        "does": does,
    }
    if entry.channels is not None:
        data["channels"] = entry.channels
    return data
