"""The notes of a plan: EMA weights that are read, keys that are left out or missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lib_merge.architectures import Component, Family, Role, component_of, role_of
from lib_merge.errors import FamilyError
from lib_merge.plan import components
from lib_merge.plan.entries import LEFT_OUT, REQUESTED
from lib_merge.plan.identify import PlanInputs
from lib_merge.plan.parts import keys_without_ema, reads_ema_weights

REASONS = {
    REQUESTED: REQUESTED,
    Role.EMA.value: "EMA weights, which do not belong to the merged weights",
    Role.SCHEDULE.value: "noise schedule, which every loader computes itself",
    Role.UNKNOWN.value: "not part of this model family",
}


def misfit_problems(misfits: Sequence[tuple[str, FamilyError]], family: Family) -> Iterator[FamilyError]:
    """The problems of tensors whose shapes differ, with a hint where A's text encoder or VAE can be kept."""
    parts = {family.slot_by_id[slot].component for slot, _ in misfits}
    keep = {
        Component.TEXT: "--text-encoder a, or BASE at 0, keeps A's text encoder",
        Component.VAE: "--vae a keeps A's VAE",
    }
    hint = "; ".join(keep[part] for part in keep if part in parts) if parts <= keep.keys() else ""
    for _, problem in misfits:
        yield FamilyError(problem.what, where=problem.where, hint=problem.hint or hint)


def ema_notes(inputs: PlanInputs) -> Iterator[str]:
    """Which files are read from their EMA weights, and which of their tensors have none."""
    files = list(zip(inputs.names, inputs.sources[: len(inputs.identities)], strict=False))
    using = [name for name, source in files if reads_ema_weights(source)]
    others = [name for name, source in files if not reads_ema_weights(source)]
    if using:
        yield f"the U-Net of {' and '.join(using)} is read from the EMA weights"
    if others:
        yield f"{' and '.join(others)} contains no EMA weights"
    for name, source in files:
        if reads_ema_weights(source) and (short := keys_without_ema(source)):
            shown = short[0] + (f" and {len(short) - 1} more" if len(short) > 1 else "")
            yield f"{name} contains no EMA weights of {shown}: the plain weights are read"


def missing_notes(inputs: PlanInputs, absent: Mapping[tuple[str, ...], Sequence[str]]) -> Iterator[str]:
    """Which tensors the result does not have, or has from A alone, and why."""
    for (what, *rest), keys in absent.items():
        shown = keys[0] + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")
        if what == LEFT_OUT:
            yield f"left out ({REASONS[rest[0]]}): {shown}"
        else:
            yield f"missing in {' and '.join(rest)}, so they stay A's: {shown}"
    base = inputs.sources[inputs.base].tensors
    others = set(range(len(inputs.recipe.ingredients))) - {inputs.base}
    for index in sorted(n for n in others if inputs.recipe.ingredients[n].alignment is None):
        extra = [
            key
            for key in inputs.sources[index].tensors
            if key not in base
            and role_of(inputs.family, key) is Role.WEIGHT
            and not _is_provided(inputs, key)
        ]
        if extra:
            shown = extra[0] + (f" and {len(extra) - 1} more" if len(extra) > 1 else "")
            yield f"in {inputs.names[index]} and not in A, so left out: {shown}"


def _is_provided(inputs: PlanInputs, key: str) -> bool:
    return components.is_from_other_file(inputs.recipe, component_of(inputs.family, key))
