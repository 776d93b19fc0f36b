"""Evaluates the settings of a recipe: the number that an amount has at a slot or tensor of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lib_merge.architectures import Family, slot_of
from lib_merge.errors import MergeError, RecipeError, did_you_mean
from lib_merge.methods import METHODS
from lib_merge.parameters import Parameter
from lib_merge.plan.random_amounts import amounts_by_slot
from lib_merge.plan.rule_resolver import RuleResolver, slots_by_key
from lib_merge.recipe import BLEND, Amount, Numbers, Recipe, Rules, Setting, Slots, Step
from lib_merge.recipe.model import setting_values
from lib_merge.recipe.weights.rules import VAE_SLOT_ID

BASE = "BASE"


class Amounts:
    """Evaluates a recipe's amounts for one family and the tensors of one model.

    keys   every key of A
    blend  whether the recipe says vae = blend; without it, the VAE is merged only where an amount names it
    """

    def __init__(self, family: Family, keys: Sequence[str] = (), *, blend: bool = False) -> None:
        self.family, self.keys, self.blend = family, tuple(keys), blend
        self._resolvers: dict[Rules, RuleResolver] = {}
        self._rule_amounts: dict[Rules, frozenset[float]] = {}
        self._cached: tuple[Recipe, Sequence[tuple[RuleResolver, bool]], frozenset[str]] | None = None

    def amount(self, amount: Amount, slot: str, key: str = "") -> float:
        """The number at a tensor; without `key`, at those tensors of the slot that no rule names."""
        if isinstance(amount, Rules):
            return self.resolver(amount).amount(slot, key)
        if isinstance(amount, Numbers):
            return amounts_by_slot(amount, self.family)[slot]
        if isinstance(amount, Slots):
            return self._amounts_by_slot(amount).get(slot, amount.rest)
        return float(amount)

    def vae_amount(self, amount: Amount, key: str = "") -> float:
        """The amount of a blended VAE: that of VAE where it is set, else that of BASE (the text encoder)."""
        if isinstance(amount, Rules) and (amount.names_vae or not self.blend):
            number = self.resolver(amount).amount_or_none(VAE_SLOT_ID, key)
            if number is not None or not self.blend:
                return number or 0.0
        named = amount.values if isinstance(amount, Slots) else ()
        if VAE_SLOT_ID in dict(named):
            return self.amount(amount, VAE_SLOT_ID)
        return self.amount(amount, self.family.groups.get(BASE, (BASE,))[0])

    def is_excluded(self, step: Step, slot: str, key: str = "") -> bool:
        """Whether a step copies a tensor from its first model.

        That is so where its method changes other keys only, and where `include` or `exclude` says so.
        """
        touched = METHODS.get(step.method).only_keys
        if touched and key not in touched:
            return True
        return any(
            self.resolver(rules).is_excluded(slot, key) for rules in _rules_of(step) if rules.restrictions
        )

    def per_key_slots(self, recipe: Recipe) -> frozenset[str]:
        """Slots in which two tensors may have different amounts."""
        rules = (rules for step in recipe.steps for rules in _rules_of(step))
        touched = {slot_of(self.family, key) or "" for key in self._touched(recipe)}
        return frozenset(touched).union(*(self.resolver(rule_set).per_key_slots for rule_set in rules))

    def _touched(self, recipe: Recipe) -> frozenset[str]:
        """Keys that some method of the recipe changes by name."""
        return frozenset(key for step in recipe.steps for key in METHODS.get(step.method).only_keys)

    def signature(self, recipe: Recipe, slot: str, key: str) -> tuple[object, ...]:
        """A value that is equal for two tensors of one slot where they are merged by the same expression."""
        resolvers, touched = self._of_recipe(recipe)
        amounts = [
            (resolver.amount_or_none(slot, key), restricted and resolver.is_excluded(slot, key))
            for resolver, restricted in resolvers
        ]
        return (*amounts, key if key in touched else "")

    def _of_recipe(self, recipe: Recipe) -> tuple[Sequence[tuple[RuleResolver, bool]], frozenset[str]]:
        if self._cached is None or self._cached[0] is not recipe:
            rules = [rule_set for step in recipe.steps for rule_set in _rules_of(step)]
            resolvers = [(self.resolver(rule_set), bool(rule_set.restrictions)) for rule_set in rules]
            self._cached = recipe, resolvers, self._touched(recipe)
        return self._cached[1:]

    def resolver(self, rules: Rules) -> RuleResolver:
        """The rules, resolved for this model; cached."""
        if rules not in self._resolvers:
            self._resolvers[rules] = RuleResolver(rules, self.family, self.keys)
        return self._resolvers[rules]

    def problems(self, recipe: Recipe) -> Iterator[MergeError]:
        """Lists of the wrong length, unknown layouts, slots and blocks that the family does not have."""
        for step in recipe.steps:
            touched = METHODS.get(step.method).only_keys
            if touched and not set(touched) & set(self.keys):
                yield RecipeError(
                    f"{self.family.title} has none of the tensors that {step.method} changes",
                    where=f"step '{step.name}'",
                    hint=f"use it on a model that has {touched[0]}",
                )
            for name, setting in step.settings:
                where, problems = f"step '{step.name}', {name}", list[MergeError]()
                for amount in _amounts_in(setting):
                    problems += self._problems_of(amount, where)
                yield from problems or self._range_problems(
                    METHODS.get(step.method).parameter(name), setting, where
                )

    def notes(self, recipe: Recipe) -> Iterator[str]:
        """Notes on optional rules that match no tensor, and on numbers outside of what is usual."""
        for step in recipe.steps:
            for rules in _rules_of(step):
                yield from self.resolver(rules).notes()
            of_step = f" (step '{step.name}')" if len(recipe.steps) > 1 else ""
            for name, setting in step.settings:
                parameter = METHODS.get(step.method).parameter(name)
                farthest = max(self._values(parameter, setting), key=parameter.outside, default=0.0)
                if parameter.outside(farthest):
                    usual = f"{parameter.range.low:g} to {parameter.range.high:g}"
                    yield f"{name} {farthest:g} is outside of the usual {usual}{of_step}"

    def _values(self, parameter: Parameter, setting: Setting) -> Iterator[float]:
        """Every number of a parameter with a usual range."""
        if parameter.kind in (bool, str) or not parameter.range.is_only_usual:
            return
        for amount in _amounts_in(setting):
            if isinstance(amount, Rules):
                yield from self._amounts_of_rules(amount)
            else:
                yield from (value for value in setting_values(amount) if isinstance(value, (int, float)))

    def _range_problems(self, parameter: Parameter, setting: Setting, where: str) -> Iterator[MergeError]:
        """Rules whose amount is outside the method's range; other settings are checked in the recipe."""
        for rules in _amounts_in(setting):
            if not isinstance(rules, Rules):
                continue
            problems = {parameter.problem(number) for number in self._amounts_of_rules(rules)}
            for problem in sorted(problems - {""})[:1]:
                yield RecipeError(problem, where=where, hint=parameter.hint)

    def _amounts_of_rules(self, rules: Rules) -> frozenset[float]:
        """Every number that the rules set; cached."""
        if rules not in self._rule_amounts:
            resolver = self.resolver(rules)
            keys = slots_by_key(self.family, self.keys).items()
            targets = {(slot, key if slot in resolver.per_key_slots else "") for key, slot in keys if slot}
            self._rule_amounts[rules] = frozenset(resolver.amount(*target) for target in targets)
        return self._rule_amounts[rules]

    def _problems_of(self, amount: object, where: str) -> Iterator[MergeError]:
        if isinstance(amount, Numbers):
            try:
                amounts_by_slot(amount, self.family, where)
            except MergeError as problem:
                yield problem
        if isinstance(amount, Rules):
            yield from self.resolver(amount).problems(where)
        if isinstance(amount, Slots):
            names = [*(slot.id for slot in self.family.slots), *self.family.groups]
            for slot, _ in amount.values:
                if slot not in names:
                    what = f"{self.family.title} has no slot '{slot}'"
                    yield RecipeError(what, where=where, hint=did_you_mean(slot, names))

    def _amounts_by_slot(self, amount: Slots) -> dict[str, float]:
        spread: dict[str, float] = {}
        named = dict(amount.values)
        for group, slots in self.family.groups.items():
            if group in named:
                spread.update(dict.fromkeys(slots, named[group]))
        return {**spread, **{slot: value for slot, value in named.items() if slot not in self.family.groups}}


def _rules_of(step: Step) -> Iterator[Rules]:
    for _, setting in step.settings:
        yield from (amount for amount in _amounts_in(setting) if isinstance(amount, Rules))


def names_vae(recipe: Recipe) -> bool:
    """Whether an amount of some step names the slot VAE."""
    return any(
        (isinstance(amount, Slots) and VAE_SLOT_ID in dict(amount.values))
        or (isinstance(amount, Rules) and amount.names_vae)
        for step in recipe.steps
        for _, setting in step.settings
        for amount in _amounts_in(setting)
    )


def _amounts_in(setting: Setting) -> Sequence[Setting]:
    return setting if isinstance(setting, tuple) else (setting,)


def vae_source(recipe: Recipe) -> str:
    """Where the VAE comes from: "a", "b", "blend", "none" or a file; "a" unless the recipe says otherwise."""
    if recipe.vae:
        return recipe.vae
    return BLEND if names_vae(recipe) else "a"
