"""Plans every key of the result: its source or expression, dtype and shape; collects what does not fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lib_merge.architectures import Component, Family, Role, component_of, role_of, slot_of
from lib_merge.checkpoint import Header, TensorInfo
from lib_merge.dtypes import I64, Dtype
from lib_merge.errors import FamilyError
from lib_merge.plan.expressions import Expressions
from lib_merge.plan.fold import Expression, Source, models_of
from lib_merge.plan.identify import Diagnostics, PlanInputs
from lib_merge.plan.model import KeyPlan, Plan
from lib_merge.plan.parts import output_dtype

REQUESTED = "as requested"
LEFT_OUT, MISSING = "left out", "lacking"


@dataclass
class EntryPlanner:
    """Makes the KeyPlan of every key, and collects problems and notes on the way.

    absent   (LEFT_OUT, reason) or (MISSING, names of models) -> the keys
    misfits  slot and problem of each tensor whose shape differs between models
    """

    inputs: PlanInputs
    expressions: Expressions
    findings: Diagnostics
    absent: dict[tuple[str, ...], list[str]] = field(default_factory=dict[tuple[str, ...], list[str]])
    misfits: list[tuple[str, FamilyError]] = field(default_factory=list[tuple[str, FamilyError]])

    @property
    def family(self) -> Family:
        """The family of the result."""
        return self.inputs.family

    @property
    def sources(self) -> Sequence[Header]:
        """The headers of the files."""
        return self.inputs.sources

    def plan_all(self) -> list[KeyPlan]:
        """The entry of every key of the result."""
        return [entry for key in self._keys() if (entry := self._key(key)) is not None]

    def plan_changed(self, previous: Plan, replaced: Collection[str]) -> list[KeyPlan]:
        """The entries after a change of steps; those of slots whose expression is unchanged are reused.

        replaced  notes of the previous plan that are made again, or no longer hold
        """
        slots = self.expressions.slots
        changed = {slot for slot in slots if slots[slot] != previous.slots[slot]}
        changed |= self.expressions.per_key_slots | previous.per_key_slots
        notes = (note for note in previous.notes if note not in replaced)
        self.findings.notes += [note for note in notes if note not in self.findings.notes]
        old_entries = (entry for entry in previous.keys if entry.key not in self.family.markers)
        entries = (self._reuse(entry) if entry.slot in changed else entry for entry in old_entries)
        return [entry for entry in entries if entry is not None]

    def _reuse(self, old: KeyPlan) -> KeyPlan | None:
        """The new entry, or the old object where they are equal: live sessions compare by identity."""
        new = self._key(old.key)
        return old if new == old else new

    def _keys(self) -> list[str]:
        """A's keys, and keys that A lacks of a text encoder or VAE that another file provides."""
        keys = dict.fromkeys(self.sources[self.inputs.base].tensors)
        for part, model in self.expressions.donors.items():
            tensors = self.sources[model].tensors
            keys.update(dict.fromkeys(key for key in tensors if component_of(self.family, key) is part))
        return sorted(keys)

    def _key(self, key: str) -> KeyPlan | None:
        part = component_of(self.family, key)
        if part in self.expressions.removed:
            self.absent.setdefault((LEFT_OUT, REQUESTED), []).append(key)
            return None
        role = role_of(self.family, key)
        if key in self.family.markers:
            return None  # see plan.prediction
        owner, info = self._owner(key, part)
        if role is Role.IDS:
            return KeyPlan(key, slot_of(self.family, key) or "", I64, info.shape, None)
        if role is Role.MARKER:
            return KeyPlan(key, "", info.dtype, info.shape, Source(owner))
        if role is not Role.WEIGHT:
            if role is Role.EMA and self.inputs.recipe.ema:
                return None  # they are read under the names of the U-Net: parts.with_ema_weights
            self.absent.setdefault((LEFT_OUT, role.value), []).append(key)
            return None
        slot = slot_of(self.family, key) or ""
        expression = self.expressions.keyed.get(key) or self.expressions.slots.get(slot, Source(owner))
        return self._weight(key, slot, info, owner, expression)

    def _owner(self, key: str, part: Component | None) -> tuple[int, TensorInfo]:
        """The file that dtype and shape of a key are from: A, or the file that provides this component.

        A's dtype is kept, and A's shape where it has the same number of elements.
        """
        own = self.sources[self.inputs.base].tensors.get(key)
        donor = self.expressions.donors.get(part) if part is not None else None
        other = self.sources[donor].tensors.get(key) if donor is not None else None
        if donor is None or other is None:
            assert own is not None
            return self.inputs.base, own
        if own is None:
            return donor, other
        same = _squeezed(own.shape) == _squeezed(other.shape)
        return donor, own if same else replace(other, dtype=own.dtype)

    def _weight(
        self, key: str, slot: str, info: TensorInfo, owner: int, expression: Expression
    ) -> KeyPlan | None:
        dtype = output_dtype(self.inputs.recipe, self.family, key, slot, info)
        missing = [m for m in sorted(models_of(expression)) if key not in self.sources[m].tensors]
        if missing:
            self.absent.setdefault((MISSING, *(self.inputs.names[m] for m in missing)), []).append(key)
            return KeyPlan(key, slot, dtype, info.shape, Source(owner))
        if not info.dtype.floating:  # such as counters; files with quantised weights were refused before
            return KeyPlan(key, slot, info.dtype, info.shape, Source(owner))
        odd = [m for m in sorted(models_of(expression)) if not self.sources[m].tensors[key].dtype.floating]
        if odd:
            label = self.sources[odd[0]].tensors[key].dtype.label
            what = f"{self.inputs.names[odd[0]]} has integers ({label}) in place of weights"
            hint = "use a copy of this model in fp16, bf16 or fp32"
            self.findings.problems.append(FamilyError(what, where=key, hint=hint))
            return None
        shapes = {m: self.sources[m].tensors[key].shape for m in models_of(expression)}
        misfits = {m: shape for m, shape in shapes.items() if _squeezed(shape) != _squeezed(info.shape)}
        if not misfits:
            return KeyPlan(key, slot, dtype, info.shape, expression)
        return self._misfit(key, slot, info, dtype, expression, misfits)

    def _misfit(
        self,
        key: str,
        slot: str,
        info: TensorInfo,
        dtype: Dtype,
        expression: Expression,
        misfits: Mapping[int, tuple[int, ...]],
    ) -> KeyPlan | None:
        """Merges a first convolution with fewer input channels than A's; any other shape is a problem."""
        if key == self.family.conv_in and all(_narrower(shape, info.shape) for shape in misfits.values()):
            channels = min(shape[1] for shape in misfits.values())
            has = f"{self.inputs.names[self.inputs.base]} has {info.shape[1]} input channels"
            self.findings.notes.append(f"{has}: the first {channels} are merged, the others stay A's")
            return KeyPlan(key, slot, dtype, info.shape, expression, channels)
        other, shape = next(iter(misfits.items()))
        hint = ""
        if key == self.family.conv_in and _narrower(info.shape, shape):
            variant = self.inputs.identities[other].variant or "other"
            hint = f"{self.inputs.names[other]} is an {variant} model: make it A"
        problem = FamilyError(
            "a tensor has different shapes in these models: "
            f"{self.inputs.named(self.inputs.base)} has {info.shape}, {self.inputs.named(other)} has {shape}",
            where=key,
            hint=hint,
        )
        self.misfits.append((slot, problem))
        return None


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without trailing ones: (320, 768, 1, 1), of a 1x1 convolution, becomes (320, 768)."""
    while shape and shape[-1] == 1 and len(shape) > 2:
        shape = shape[:-1]
    return shape


def _narrower(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two convolutions differ in the number of input channels alone, of which the first has fewer."""
    return (
        len(shape) == len(other) == 4
        and shape[1] < other[1]
        and shape[:1] + shape[2:] == other[:1] + other[2:]
    )
