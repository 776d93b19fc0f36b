"""The expression of every slot of the result; of every tensor where the tensors of a slot differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from lib_merge.architectures import Component, Family
from lib_merge.errors import RecipeError
from lib_merge.methods import METHODS
from lib_merge.plan import components
from lib_merge.plan.amounts import VAE_SLOT_ID, Amounts, vae_source
from lib_merge.plan.fold import Combination, Expression, Source, fold, step_by_name, weight_of
from lib_merge.plan.identify import Diagnostics, PlanInputs
from lib_merge.plan.parts import removed_components
from lib_merge.plan.rule_resolver import slots_by_key
from lib_merge.recipe import BLEND, KEEP_A, NONE, TAKE_B, Recipe, Rules, Setting, Step
from lib_merge.recipe.options import LIST_OPTIONS
from lib_merge.recipe.weights.rules import print_line

LAST_DIGIT = Fraction(1, 10**6)
AMOUNTS_HINT = "Test on the tab Weights, or merge-desk rules TEXT FILE, shows the amount of each tensor"
NOTHING = Combination(())  # what is left where all coefficients are 0
BLOCK_FLAGS = {
    option.parameter: option.flag for option in LIST_OPTIONS
}  # parameter -> flag of its block weights
MAX_RULES_SHOWN = 60  # characters of rules that a hint repeats


@dataclass(frozen=True)
class Expressions:
    """What is computed for each slot and key.

    slots          slot -> its expression, for every slot of the family
    per_key_slots  slots whose tensors have different expressions
    keyed          key -> its expression, for the tensors of those slots
    donors         component -> the file that provides all of it, where that is not A
    removed        components that the result does not have
    """

    slots: Mapping[str, Expression]
    per_key_slots: frozenset[str]
    keyed: Mapping[str, Expression]
    donors: Mapping[Component, int]
    removed: frozenset[Component]


def expressions_of(inputs: PlanInputs, amounts: Amounts, findings: Diagnostics) -> Expressions:
    """Folds the recipe into an expression for every slot and key."""
    folder = _Folder(inputs, amounts, findings)
    donors = {part: model for part in components.COMPONENT_FLAGS if (model := folder.donor(part)) is not None}
    slots = {slot.id: folder.expression(slot.id) for slot in inputs.family.slots}
    by_key = folder.per_key_slots()
    return Expressions(slots, by_key, folder.keyed(slots, by_key), donors, removed_components(inputs.recipe))


@dataclass(frozen=True)
class _Folder:
    """Folds the recipe into one expression for a slot or a tensor."""

    inputs: PlanInputs
    amounts: Amounts
    findings: Diagnostics

    @property
    def recipe(self) -> Recipe:
        return self.inputs.recipe

    @property
    def family(self) -> Family:
        return self.inputs.family

    def per_key_slots(self) -> frozenset[str]:
        """Slots whose tensors have different amounts; without the VAE where one file provides it."""
        slots = self.amounts.per_key_slots(self.recipe)
        return slots if vae_source(self.recipe) == BLEND else slots - {VAE_SLOT_ID}

    def keyed(self, slots: Mapping[str, Expression], by_key: frozenset[str]) -> dict[str, Expression]:
        """Key -> expression for the tensors of those slots; tensors with equal amounts share one object."""
        if not by_key:
            return {}
        cache = {(s, self.amounts.signature(self.recipe, s, "")): slots[s] for s in by_key}
        keyed: dict[str, Expression] = {}
        for key, slot in slots_by_key(self.family, self.amounts.keys).items():
            if slot in by_key:
                signature = (slot, self.amounts.signature(self.recipe, slot, key))
                if signature not in cache:
                    cache[signature] = self.expression(slot, key)
                keyed[key] = cache[signature]
        return keyed

    def expression(self, slot: str, key: str = "") -> Expression:
        """The expression of a slot, or of one tensor of it."""

        def is_excluded(step: Step) -> bool:
            return self.amounts.is_excluded(step, slot, key)

        if slot != VAE_SLOT_ID:
            is_text = self.family.slot_by_id[slot].component is Component.TEXT
            if is_text and self.recipe.text_encoder:
                return self._part(self.recipe.text_encoder, "text encoder")
            return fold(self.recipe, lambda amount: self.amounts.amount(amount, slot, key), is_excluded)
        choice = vae_source(self.recipe)
        if choice == BLEND:
            return fold(self.recipe, lambda amount: self.amounts.vae_amount(amount, key), is_excluded)
        return self._part(choice, "VAE")

    def donor(self, part: Component) -> int | None:
        """The file that provides a whole component; None where that is A, and where it is merged."""
        if not components.is_from_other_file(self.recipe, part):
            return None
        choice = self.recipe.text_encoder if part is Component.TEXT else vae_source(self.recipe)
        expression = self._part(choice, components.COMPONENT_NAMES[part])
        return (
            expression.model
            if isinstance(expression, Source) and expression.model != self.inputs.base
            else None
        )

    def _part(self, choice: str, what: str) -> Expression:
        """The source of a component that one file provides: A, B, or the VAE file."""
        if choice in (KEEP_A, NONE):
            return Source(self.inputs.base)
        if choice == TAKE_B and len(self.recipe.ingredients) > 1:
            return Source(next(n for n in range(len(self.recipe.ingredients)) if n != self.inputs.base))
        if choice == TAKE_B:
            self.findings.problems.append(
                RecipeError(f"there is no B to take the {what} from", hint="choose a, or a VAE file")
            )
            return Source(self.inputs.base)
        return Source(len(self.inputs.sources) - 1)


def check_differences(
    inputs: PlanInputs, amounts: Amounts, expressions: Expressions, findings: Diagnostics
) -> None:
    """Refuses a difference of models as the result, and where a method expects a model (or the reverse)."""
    recipe, slots = inputs.recipe, expressions.slots
    for step in recipe.steps:
        method = METHODS.get(step.method)
        takes_delta = [method.inputs[min(n, len(method.inputs) - 1)].delta for n in range(len(step.inputs))]
        if any(takes_delta):
            _check_deltas(step, takes_delta, inputs, amounts, findings)
    bad = [slot for slot, expression in slots.items() if weight_of(expression) == 0]
    if bad and all(slots[slot] == NOTHING for slot in bad):
        findings.problems.append(_removal(inputs, amounts, bad))
        return
    if bad:
        findings.problems.append(
            RecipeError(
                f"'{recipe.result}' is a difference of models, not a model",
                where=f"slots {', '.join(bad)}" if len(bad) < len(slots) else "",
                hint="add it to a model: add_difference(A, B, C)",
            )
        )
        return
    odd_tensors = [expression for expression in expressions.keyed.values() if weight_of(expression) == 0]
    if odd_tensors:
        what = f"with these rules some tensors of '{recipe.result}' are a difference of models"
        if all(expression == NOTHING for expression in odd_tensors):
            what = f"with these rules nothing is left of some tensors of '{recipe.result}'"
        findings.problems.append(RecipeError(what, hint=AMOUNTS_HINT))
    # thirds and sevenths that are written as decimals miss a sum of 1 by their last digit
    odd = {slot: weight_of(e) for slot, e in slots.items() if abs(weight_of(e) - 1) > LAST_DIGIT}
    if odd:
        sums = sorted({f"{float(amount):.6g}" for amount in odd.values()})
        findings.notes.append(
            f"the amounts sum to {', '.join(sums)} and not to 1 in {len(odd)} of {len(slots)} slots: "
            "they are used as written"
        )


def _removal(inputs: PlanInputs, amounts: Amounts, slots: Sequence[str]) -> RecipeError:
    """Why nothing is left of these slots, with the amount that keeps them where the method has one."""
    recipe = inputs.recipe
    kept = [slot.id for slot in inputs.family.slots if slot.id not in (*slots, VAE_SLOT_ID)]
    where = f"slots {', '.join(slots)}" if kept else ""
    what = ("this block" if len(slots) == 1 else "these blocks") if where else "the model"
    step = step_by_name(recipe, recipe.result)
    neutral = METHODS.get(step.method).neutral_amounts(BLOCK_FLAGS) if step else None
    if step is None or not neutral:
        hint = "give at least one model another amount"
        return RecipeError(f"nothing is left of {what}: the amounts sum to 0", where=where, hint=hint)
    method = METHODS.get(step.method)
    settings = {name: step.setting(method.parameter(name)) for name in neutral}
    amounts_text = ", ".join(
        f"{name} {amounts.amount(setting, slots[0]):g}"
        for name, setting in settings.items()
        if not isinstance(setting, (bool, str, tuple))
    )
    text = f"with {amounts_text}, {method.id} removes {what} entirely"
    return RecipeError(
        text, where=where, hint=_keeping(neutral, settings, "them" if what == "these blocks" else "it")
    )


def _keeping(neutral: Mapping[str, float], settings: Mapping[str, Setting], removed: str) -> str:
    """Which amount keeps a model, and rules with it below them."""
    name, amount = next(iter(neutral.items()))
    setting = settings[name]
    if not isinstance(setting, Rules):
        return f"{amount:g} keeps {removed}"
    rules = "; ".join(map(print_line, setting.lines))
    shown = rules if len(rules) <= MAX_RULES_SHOWN else "..."
    return f'{amount:g} keeps {removed}: {BLOCK_FLAGS[name]} "*: {amount:g}; {shown}"'


def _check_deltas(
    step: Step, takes_delta: Sequence[bool], inputs: PlanInputs, amounts: Amounts, findings: Diagnostics
) -> None:
    first = inputs.family.slots[0].id
    for name, delta in zip(step.inputs, takes_delta, strict=True):
        part = Recipe(inputs.recipe.ingredients, inputs.recipe.steps, name)
        is_delta = weight_of(fold(part, lambda amount: amounts.amount(amount, first))) == 0
        if is_delta != delta:
            kind = "a difference of models" if delta else "a model"
            findings.problems.append(RecipeError(f"step '{step.name}' takes {kind} as '{name}'"))
