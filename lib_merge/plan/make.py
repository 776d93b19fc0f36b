"""Joins a recipe to the headers of its files: every key's fate, and all problems at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction

from lib_merge.architectures import (
    Component,
    Family,
    Identity,
    Role,
    component_of,
    identify,
    require_same_family,
    role_of,
    slot_of,
)
from lib_merge.checkpoint import Header, TensorInfo
from lib_merge.dtypes import I64, Dtype
from lib_merge.errors import FamilyError, MergeError, PlanError, RecipeError
from lib_merge.methods import METHODS
from lib_merge.plan import aligned, prediction, whole_parts
from lib_merge.plan.amounts import VAE, Amounts, vae_choice
from lib_merge.plan.fold import Expression, Source, fold, in_words, models_of, step_by_name, weight_of
from lib_merge.plan.model import KeyPlan, Plan
from lib_merge.plan.parts import left_out, reads_averages, saved_format, with_averages, without_average
from lib_merge.plan.ruler import slots_of
from lib_merge.recipe import BLEND, KEEP_A, NONE, TAKE_B, VAE_WORDS, Recipe, Step

LAST_DIGIT = Fraction(1, 10**6)


def make_plan(recipe: Recipe, headers: Mapping[str, Header]) -> Plan:
    """What the recipe does with these files; raises PlanError with everything that is wrong.

    headers  the header of every file in `recipe.files`, by the name that the recipe gives it
    """
    sources = tuple(headers[file] for file in recipe.files)
    if recipe.ema:
        sources = tuple(map(with_averages, sources))
    identities, problems = _identify(recipe, sources)
    if problems:
        raise PlanError(problems)
    base = base_of(recipe)
    family = identities[base].family
    sources = tuple(whole_parts.named_as(family, source) for source in sources)
    planner = _Planner(recipe, sources, identities, base)
    problems = [
        *aligned.problems_of(recipe, identities),
        *whole_parts.problems_of(recipe, base, identities, sources, planner.names),
        *prediction.problems_of(recipe, family),
        *planner.amounts.problems(recipe),
    ]
    if problems:
        raise PlanError(problems)
    return planner.plan()


def replan(previous: Plan, recipe: Recipe, headers: Mapping[str, Header]) -> Plan | None:
    """The plan of a recipe that differs from a planned one in its steps alone, else None.

    Costs what the slots cost that changed. Of notes it has the previous plan's and what the change adds.
    """
    old = previous.recipe
    same = _but_for_steps(old) == _but_for_steps(recipe)
    sources = tuple(headers[file] for file in recipe.files)
    if not same or any(new is not known for new, known in zip(sources, previous.sources, strict=True)):
        return None
    if base_of(recipe) != previous.base:
        return None
    planner = _Planner(recipe, previous.sources, previous.identities, previous.base)
    problems = list(planner.amounts.problems(recipe))
    if problems:
        raise PlanError(problems)
    return planner.plan(previous)


def _but_for_steps(recipe: Recipe) -> tuple[object, ...]:
    return tuple(
        getattr(recipe, each.name) for each in fields(recipe) if each.name not in ("steps", "result")
    )


def base_of(recipe: Recipe) -> int:
    """Which ingredient is A: the first input of the first input, and so on, of what is saved."""
    name = recipe.result
    while (step := step_by_name(recipe, name)) is not None:
        name = step.inputs[0]
    return [ingredient.name for ingredient in recipe.ingredients].index(name)


def _identify(recipe: Recipe, sources: Sequence[Header]) -> tuple[list[Identity], list[MergeError]]:
    """The family of every ingredient; a VAE file is looked at apart."""
    identities: list[Identity] = []
    problems: list[MergeError] = []
    for ingredient, header in zip(recipe.ingredients, sources, strict=False):
        try:
            identities.append(identify(header.tensors, metadata=header.metadata, where=str(header.path)))
        except MergeError as problem:
            problems.append(problem)
            continue
        if identities[-1].is_vae_only:
            hint = "choose it as the VAE (--vae FILE), not as a model"
            problems.append(
                FamilyError(f"{ingredient.name} holds a VAE and no model", where=str(header.path), hint=hint)
            )
    if not problems:
        names = [
            f"{ingredient.name} ({header.name})"
            for ingredient, header in zip(recipe.ingredients, sources, strict=False)
        ]
        try:
            require_same_family(dict(zip(names, identities, strict=True)))
        except MergeError as problem:
            problems.append(problem)
    return identities, problems


@dataclass
class _Planner:
    """Goes over the keys of A and notes what happens to each, and what is wrong."""

    recipe: Recipe
    sources: tuple[Header, ...]
    identities: Sequence[Identity]
    base: int
    problems: list[MergeError] = field(default_factory=list[MergeError])
    notes: list[str] = field(default_factory=list[str])
    absent: dict[tuple[str, ...], list[str]] = field(default_factory=dict[tuple[str, ...], list[str]])
    misfits: list[tuple[str, FamilyError]] = field(default_factory=list[tuple[str, FamilyError]])
    by_key: frozenset[str] = frozenset()
    keyed: Mapping[str, Expression] = field(default_factory=dict[str, Expression])

    def __post_init__(self) -> None:
        self.identity = self.identities[self.base]
        self.family: Family = self.identity.family
        keys = tuple(self.sources[self.base].tensors)
        self.amounts = Amounts(self.family, keys, blend=self.recipe.vae == BLEND)
        self.left_out = left_out(self.recipe)
        self.donors = {part: model for part in whole_parts.FLAGS if (model := self._donor(part)) is not None}
        self.names = [ingredient.name for ingredient in self.recipe.ingredients] + ["the VAE file"]

    def plan(self, previous: Plan | None = None) -> Plan:
        """The finished plan; entries of slots that are as in `previous` are taken from there."""
        slots = {slot.id: self._expression(slot.id) for slot in self.family.slots}
        self.by_key = self._by_key()
        self.found = {
            (slot, self.amounts.signature(self.recipe, slot, "")): slots[slot] for slot in self.by_key
        }
        self.keyed = self._keyed(slots)
        self._check_kinds(slots, list(dict.fromkeys(self.keyed.values())))
        keys = self._entries(slots) if previous is None else self._changed_entries(slots, previous)
        if self.recipe.ema:
            self._note_averages()
        predicted = prediction.predicted(
            self.recipe, self.base, self.identities, self.sources, self.names, keys
        )
        self.notes += predicted.notes
        keys = sorted([*keys, *predicted.markers], key=lambda entry: entry.key)
        self._tell_misfits()
        self._note_absent()
        self.notes += aligned.notes_of(self.recipe)
        self.notes += self.amounts.notes(self.recipe)
        if not keys:
            self.problems.append(FamilyError(f"{self.names[self.base]} holds no weights of a model"))
        if self.problems:
            raise PlanError(self.problems)
        return Plan(
            self.recipe,
            tuple(self.identities),
            self.sources,
            tuple(self.names[: len(self.sources)]),
            self.base,
            tuple(keys),
            slots,
            tuple(dict.fromkeys(self.notes)),
            self.by_key,
            prediction=predicted.kind,
            predictor=predicted.source,
            prediction_notes=predicted.notes,
        )

    def _entries(self, slots: Mapping[str, Expression]) -> list[KeyPlan]:
        return [entry for key in self._keys() if (entry := self._key(key, slots)) is not None]

    def _changed_entries(self, slots: Mapping[str, Expression], previous: Plan) -> list[KeyPlan]:
        changed = {slot for slot in slots if slots[slot] != previous.slots[slot]}
        changed |= self.by_key | previous.by_key
        replaced = {*previous.prediction_notes, *self.amounts.notes(previous.recipe)}
        lasting = (note for note in previous.notes if note not in replaced)
        self.notes += [note for note in lasting if note not in self.notes]
        kept = (entry for entry in previous.keys if entry.key not in self.family.markers)
        redone = (self._again(entry, slots) if entry.slot in changed else entry for entry in kept)
        return [entry for entry in redone if entry is not None]

    def _again(self, old: KeyPlan, slots: Mapping[str, Expression]) -> KeyPlan | None:
        """An entry that stays equal stays the same object: so a live session knows that nothing changed."""
        new = self._key(old.key, slots)
        return old if new == old else new

    def _by_key(self) -> frozenset[str]:
        """Slots whose tensors the rules tell apart; not the VAE where it comes whole from one file."""
        found = self.amounts.by_key(self.recipe)
        return found if vae_choice(self.recipe) == BLEND else found - {VAE}

    def _keyed(self, slots: Mapping[str, Expression]) -> dict[str, Expression]:
        """What the tensors of those slots become; those with the same amounts share one expression."""
        if not self.by_key:
            return {}
        known = {(s, self.amounts.signature(self.recipe, s, "")): slots[s] for s in self.by_key}
        keyed: dict[str, Expression] = {}
        for key, slot in slots_of(self.family, self.amounts.keys).items():
            if slot in self.by_key:
                signature = (slot, self.amounts.signature(self.recipe, slot, key))
                if signature not in known:
                    known[signature] = self._expression(slot, key)
                keyed[key] = known[signature]
        return keyed

    def _expression(self, slot: str, key: str = "") -> Expression:
        def keeps(step: Step) -> bool:
            return self.amounts.keeps(step, slot, key)

        if slot != VAE:
            is_text = self.family.slot_by_id[slot].component is Component.TEXT
            if is_text and self.recipe.text_encoder:
                return self._part(self.recipe.text_encoder, "text encoder")
            return fold(self.recipe, lambda amount: self.amounts.at(amount, slot, key), keeps)
        choice = vae_choice(self.recipe)
        if choice == BLEND:
            return fold(self.recipe, lambda amount: self.amounts.blended_vae(amount, key), keeps)
        return self._part(choice, "VAE")

    def _part(self, choice: str, what: str) -> Expression:
        """A part as one file has it: A, B, or the VAE file."""
        if choice in (KEEP_A, NONE):
            return Source(self.base)
        if choice == TAKE_B and len(self.recipe.ingredients) > 1:
            return Source(next(n for n in range(len(self.recipe.ingredients)) if n != self.base))
        if choice == TAKE_B:
            self.problems.append(
                RecipeError(f"there is no B to take the {what} from", hint="take A's, or a VAE file")
            )
            return Source(self.base)
        return Source(len(self.sources) - 1)

    def _donor(self, part: Component) -> int | None:
        """The file that gives a part whole; None where A does, or where it is merged or left out."""
        if not whole_parts.is_whole(self.recipe, part):
            return None
        choice = self.recipe.text_encoder if part is Component.TEXT else vae_choice(self.recipe)
        expression = self._part(choice, whole_parts.WORDS[part])
        return expression.model if isinstance(expression, Source) and expression.model != self.base else None

    def _check_kinds(self, slots: Mapping[str, Expression], keyed: Sequence[Expression]) -> None:
        """A difference of models is no model, nor is one thing where a method wants the other."""
        for step in self.recipe.steps:
            method = METHODS.get(step.method)
            wants = [method.inputs[min(n, len(method.inputs) - 1)].delta for n in range(len(step.inputs))]
            if any(wants):
                self._check_deltas(step.name, step.inputs, wants)
        bad = [slot for slot, expression in slots.items() if weight_of(expression) == 0]
        if bad:
            self.problems.append(
                RecipeError(
                    f"'{self.recipe.result}' is a difference of models, not a model",
                    where=f"slots {', '.join(bad)}" if len(bad) < len(slots) else "",
                    hint="add it to a model: add_difference(A, B, C)",
                )
            )
            return
        if any(weight_of(expression) == 0 for expression in keyed):
            what = f"rules leave a mere difference of models of some tensors of '{self.recipe.result}'"
            self.problems.append(RecipeError(what, hint="merge-desk rules TEXT FILE tells which"))
        # thirds and sevenths written as decimals miss 1 by their last digit
        odd = {slot: weight_of(e) for slot, e in slots.items() if abs(weight_of(e) - 1) > LAST_DIGIT}
        if odd:
            amounts = sorted({f"{float(amount):.6g}" for amount in odd.values()})
            self.notes.append(
                f"the amounts sum to {', '.join(amounts)} and not to 1 in {len(odd)} of {len(slots)} slots: "
                "they are taken as they are"
            )

    def _check_deltas(self, step: str, inputs: Sequence[str], wants: Sequence[bool]) -> None:
        for name, delta in zip(inputs, wants, strict=True):
            part = Recipe(self.recipe.ingredients, self.recipe.steps, name)
            is_delta = (
                weight_of(fold(part, lambda amount: self.amounts.at(amount, self.family.slots[0].id))) == 0
            )
            if is_delta != delta:
                kind = "a difference of models" if delta else "a model"
                self.problems.append(RecipeError(f"step '{step}' takes {kind} where '{name}' stands"))

    def _keys(self) -> list[str]:
        """A's keys, and those that A lacks of a text encoder or VAE that comes whole from another file."""
        keys = dict.fromkeys(self.sources[self.base].tensors)
        for part, model in self.donors.items():
            tensors = self.sources[model].tensors
            keys.update(dict.fromkeys(key for key in tensors if component_of(self.family, key) is part))
        return sorted(keys)

    def _key(self, key: str, slots: Mapping[str, Expression]) -> KeyPlan | None:
        part = component_of(self.family, key)
        if part in self.left_out:
            self.absent.setdefault(("left out", AS_ASKED), []).append(key)
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
            if role is Role.EMA and self.recipe.ema:
                return None  # they went into the U-Net's own names
            self.absent.setdefault(("left out", role.value), []).append(key)
            return None
        slot = slot_of(self.family, key) or ""
        expression = self.keyed.get(key) or slots.get(slot, Source(owner))
        return self._weight(key, slot, info, owner, expression)

    def _owner(self, key: str, part: Component | None) -> tuple[int, TensorInfo]:
        """The file whose tensor a key of the result is like: A, or the one that gives this part whole.

        A's number format stays, and its shape where it holds the same numbers.
        """
        own = self.sources[self.base].tensors.get(key)
        donor = self.donors.get(part) if part is not None else None
        theirs = self.sources[donor].tensors.get(key) if donor is not None else None
        if donor is None or theirs is None:
            assert own is not None
            return self.base, own
        if own is None:
            return donor, theirs
        same = _squeezed(own.shape) == _squeezed(theirs.shape)
        return donor, own if same else replace(theirs, dtype=own.dtype)

    def _weight(
        self, key: str, slot: str, info: TensorInfo, owner: int, expression: Expression
    ) -> KeyPlan | None:
        dtype = saved_format(self.recipe, self.family, key, slot, info)
        lacking = [m for m in sorted(models_of(expression)) if key not in self.sources[m].tensors]
        if lacking:
            self.absent.setdefault(("lacking", *(self.names[m] for m in lacking)), []).append(key)
            return KeyPlan(key, slot, dtype, info.shape, Source(owner))
        if not info.dtype.floating:  # counters and the like: quantised weights were refused by the files
            return KeyPlan(key, slot, info.dtype, info.shape, Source(owner))
        odd = [m for m in sorted(models_of(expression)) if not self.sources[m].tensors[key].dtype.floating]
        if odd:
            label = self.sources[odd[0]].tensors[key].dtype.label
            what = f"{self.names[odd[0]]} holds whole numbers ({label}) where weights belong"
            hint = "use another copy of this model, in fp16, bf16 or fp32"
            self.problems.append(FamilyError(what, where=key, hint=hint))
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
        """Fewer input channels than A are merged as far as they go; nothing else fits."""
        if key == self.family.conv_in and all(_narrower(shape, info.shape) for shape in misfits.values()):
            channels = min(shape[1] for shape in misfits.values())
            has = f"{self.names[self.base]} has {info.shape[1]} input channels"
            self.notes.append(f"{has}: the first {channels} are merged, the rest stay")
            return KeyPlan(key, slot, dtype, info.shape, expression, channels)
        other, shape = next(iter(misfits.items()))
        hint = ""
        if key == self.family.conv_in and _narrower(info.shape, shape):
            hint = f"{self.names[other]} is an {self.identities[other].variant or 'other'} model: make it A"
        problem = FamilyError(
            "the models disagree about the shape of one tensor: "
            f"{self._named(self.base)} has {info.shape}, {self._named(other)} has {shape}",
            where=key,
            hint=hint,
        )
        self.misfits.append((slot, problem))
        return None

    def _tell_misfits(self) -> None:
        """Where only the text encoder (or a blended VAE) differs, A's can be kept: the hint says how."""
        parts = {self.family.slot_by_id[slot].component for slot, _ in self.misfits}
        keep = {
            Component.TEXT: "--text-encoder a, or BASE at 0, keeps A's text encoder",
            Component.VAE: "--vae a keeps A's VAE",
        }
        hint = "; ".join(keep[part] for part in keep if part in parts) if parts <= keep.keys() else ""
        self.problems += [
            FamilyError(problem.what, where=problem.where, hint=problem.hint or hint)
            for _, problem in self.misfits
        ]

    def _named(self, model: int) -> str:
        return f"{self.names[model]} ({self.sources[model].name})"

    def _note_averages(self) -> None:
        files = list(zip(self.names, self.sources[: len(self.identities)], strict=False))
        using = [name for name, source in files if reads_averages(source)]
        others = [name for name, source in files if not reads_averages(source)]
        if using:
            self.notes.append(f"the U-Net of {' and '.join(using)} is read from its training averages (EMA)")
        if others:
            self.notes.append(f"{' and '.join(others)} holds no training averages (EMA)")
        for name, source in files:
            if reads_averages(source) and (short := without_average(source)):
                shown = short[0] + (f" and {len(short) - 1} more" if len(short) > 1 else "")
                self.notes.append(f"{name} holds no average of {shown}: those are read as they are")

    def _note_absent(self) -> None:
        for (what, *rest), keys in self.absent.items():
            shown = keys[0] + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")
            if what == "left out":
                self.notes.append(f"left out ({REASONS[rest[0]]}): {shown}")
            else:
                self.notes.append(f"{' and '.join(rest)} lacks what A has, which stays A's: {shown}")
        base = self.sources[self.base].tensors
        others = set(range(len(self.recipe.ingredients))) - {self.base}
        for index in sorted(n for n in others if self.recipe.ingredients[n].aligned is None):
            extra = [
                key
                for key in self.sources[index].tensors
                if key not in base and role_of(self.family, key) is Role.WEIGHT and not self._taken(key)
            ]
            if extra:
                shown = extra[0] + (f" and {len(extra) - 1} more" if len(extra) > 1 else "")
                self.notes.append(f"{self.names[index]} has what A lacks, which is left out: {shown}")

    def _taken(self, key: str) -> bool:
        return whole_parts.is_whole(self.recipe, component_of(self.family, key))


AS_ASKED = "as asked"
REASONS = {
    AS_ASKED: AS_ASKED,
    Role.EMA.value: "training averages, which no longer fit a merged model",
    Role.SCHEDULE.value: "noise schedule, which every loader rebuilds",
    Role.UNKNOWN.value: "no part of this family of models",
}


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without trailing ones: a linear layer and a 1x1 convolution hold the same numbers."""
    while shape and shape[-1] == 1 and len(shape) > 2:
        shape = shape[:-1]
    return shape


def _narrower(shape: tuple[int, ...], than: tuple[int, ...]) -> bool:
    """Whether a convolution differs from another in nothing but having fewer input channels."""
    return (
        len(shape) == len(than) == 4 and shape[1] < than[1] and shape[:1] + shape[2:] == than[:1] + than[2:]
    )


def summaries(plan: Plan) -> Iterator[tuple[str, str, int, int]]:
    """For every slot in use: its name, what happens there in words, how many keys and bytes.

    A slot whose tensors are merged differently has a row for each way, the commonest first.
    """
    counted: dict[str, dict[Expression, list[int]]] = {}
    for entry in plan.keys:
        usual = plan.slots.get(entry.slot, Source(plan.base))
        way = entry.expression if entry.slot in plan.by_key and entry.expression else usual
        counted.setdefault(entry.slot, {}).setdefault(way, []).append(entry.nbytes)
    for slot in [slot for slot in plan.slots if slot in counted]:
        for way, sizes in sorted(counted[slot].items(), key=lambda item: -len(item[1])):
            yield slot, in_words(way, plan.names), len(sizes), sum(sizes)


__all__ = ["VAE_WORDS", "base_of", "make_plan", "summaries"]
