"""What a setting of a recipe is worth at each slot of a family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lib_merge.architectures import Family, slot_of
from lib_merge.errors import MergeError, RecipeError, did_you_mean
from lib_merge.methods import METHODS
from lib_merge.plan.draws import numbers_at
from lib_merge.plan.ruler import Ruler, slots_of
from lib_merge.recipe import BLEND, Amount, Numbers, Recipe, Rules, Setting, Slots, Step
from lib_merge.registry import Parameter

VAE = "VAE"
BASE = "BASE"


class Amounts:
    """Reads a recipe's amounts for one family and the tensors of one model.

    keys   every key of A
    blend  whether the recipe asks for the VAE to be blended, besides what rules and slots say
    """

    def __init__(self, family: Family, keys: Sequence[str] = (), *, blend: bool = False) -> None:
        self.family, self.keys, self.blend = family, tuple(keys), blend
        self._rulers: dict[Rules, Ruler] = {}
        self._seen: tuple[Recipe, Sequence[tuple[Ruler, bool]], frozenset[str]] | None = None

    def at(self, amount: Amount, slot: str, key: str = "") -> float:
        """The number that `amount` gives to a tensor of `slot`, or to those that no rule names."""
        if isinstance(amount, Rules):
            return self.ruler(amount).at(slot, key)
        if isinstance(amount, Numbers):
            return numbers_at(amount, self.family)[slot]
        if isinstance(amount, Slots):
            return self._slots(amount).get(slot, amount.rest)
        return float(amount)

    def blended_vae(self, amount: Amount, key: str = "") -> float:
        """The number that the VAE takes where it is blended: BASE's, or the text encoder's on SDXL."""
        if isinstance(amount, Rules) and (amount.names_the_vae or not self.blend):
            found = self.ruler(amount).of(VAE, key)
            if found is not None or not self.blend:
                return found or 0.0
        named = amount.values if isinstance(amount, Slots) else ()
        if VAE in dict(named):
            return self.at(amount, VAE)
        return self.at(amount, self.family.groups.get(BASE, (BASE,))[0])

    def keeps(self, step: Step, slot: str, key: str = "") -> bool:
        """Whether a method, or the rules of some setting, leave a tensor as the step's first model has it."""
        touched = METHODS.get(step.method).touches
        if touched and key not in touched:
            return True
        return any(self.ruler(rules).keeps(slot, key) for rules in _rules_of(step) if rules.bounds)

    def by_key(self, recipe: Recipe) -> frozenset[str]:
        """Slots whose tensors may differ in their amounts."""
        rules = (rules for step in recipe.steps for rules in _rules_of(step))
        touched = {slot_of(self.family, key) or "" for key in self._touched(recipe)}
        return frozenset(touched).union(*(self.ruler(each).by_key for each in rules))

    def _touched(self, recipe: Recipe) -> frozenset[str]:
        """Keys that some method of the recipe knows by name."""
        return frozenset(key for step in recipe.steps for key in METHODS.get(step.method).touches)

    def signature(self, recipe: Recipe, slot: str, key: str) -> tuple[object, ...]:
        """What tensors of one slot have to agree in to be merged alike."""
        rulers, touched = self._of_recipe(recipe)
        found = [(ruler.of(slot, key), bounded and ruler.keeps(slot, key)) for ruler, bounded in rulers]
        return (*found, key if key in touched else "")

    def _of_recipe(self, recipe: Recipe) -> tuple[Sequence[tuple[Ruler, bool]], frozenset[str]]:
        if self._seen is None or self._seen[0] is not recipe:
            rules = [each for step in recipe.steps for each in _rules_of(step)]
            rulers = [(self.ruler(each), bool(each.bounds)) for each in rules]
            self._seen = recipe, rulers, self._touched(recipe)
        return self._seen[1:]

    def ruler(self, rules: Rules) -> Ruler:
        """The rules, laid over the model."""
        if rules not in self._rulers:
            self._rulers[rules] = Ruler(rules, self.family, self.keys)
        return self._rulers[rules]

    def problems(self, recipe: Recipe) -> Iterator[MergeError]:
        """Lists of the wrong length, unknown layouts, slots that the family does not have."""
        for step in recipe.steps:
            touched = METHODS.get(step.method).touches
            if touched and not set(touched) & set(self.keys):
                yield RecipeError(
                    f"{self.family.title} has none of the tensors that {step.method} changes",
                    where=f"step '{step.name}'",
                    hint=f"it works on U-Nets: {touched[0]}, ...",
                )
            for name, setting in step.settings:
                where, problems = f"step '{step.name}', {name}", list[MergeError]()
                for amount in _each(setting):
                    problems += self._problems_of(amount, where)
                yield from problems or self._beyond(METHODS.get(step.method).parameter(name), setting, where)

    def notes(self, recipe: Recipe) -> Iterator[str]:
        """The optional rules of the recipe that hit nothing."""
        for step in recipe.steps:
            for rules in _rules_of(step):
                yield from self.ruler(rules).notes()

    def _beyond(self, parameter: Parameter, setting: Setting, where: str) -> Iterator[MergeError]:
        """Rules that come to a number which the method does not take; any other is checked in the recipe."""
        for rules in _each(setting):
            if not isinstance(rules, Rules):
                continue
            ruler = self.ruler(rules)
            keys = slots_of(self.family, self.keys).items()
            places = {(slot, key if slot in ruler.by_key else "") for key, slot in keys if slot}
            problems = {parameter.problem(ruler.at(slot, key)) for slot, key in sorted(places)}
            for problem in sorted(problems - {""})[:1]:
                yield RecipeError(problem, where=where, hint=parameter.hint)

    def _problems_of(self, amount: object, where: str) -> Iterator[MergeError]:
        if isinstance(amount, Numbers):
            try:
                numbers_at(amount, self.family, where)
            except MergeError as problem:
                yield problem
        if isinstance(amount, Rules):
            yield from self.ruler(amount).problems(where)
        if isinstance(amount, Slots):
            known = [*(slot.id for slot in self.family.slots), *self.family.groups]
            for slot, _ in amount.values:
                if slot not in known:
                    what = f"{self.family.title} has no slot '{slot}'"
                    yield RecipeError(what, where=where, hint=did_you_mean(slot, known))

    def _slots(self, amount: Slots) -> dict[str, float]:
        spread: dict[str, float] = {}
        named = dict(amount.values)
        for group, slots in self.family.groups.items():
            if group in named:
                spread.update(dict.fromkeys(slots, named[group]))
        return {**spread, **{slot: value for slot, value in named.items() if slot not in self.family.groups}}


def _rules_of(step: Step) -> Iterator[Rules]:
    for _, setting in step.settings:
        yield from (each for each in _each(setting) if isinstance(each, Rules))


def names_the_vae(recipe: Recipe) -> bool:
    """Whether some step gives the slot VAE a number of its own."""
    return any(
        (isinstance(amount, Slots) and VAE in dict(amount.values))
        or (isinstance(amount, Rules) and amount.names_the_vae)
        for step in recipe.steps
        for _, setting in step.settings
        for amount in _each(setting)
    )


def _each(setting: Setting) -> Sequence[Setting]:
    return setting if isinstance(setting, tuple) else (setting,)


def vae_choice(recipe: Recipe) -> str:
    """Where the VAE comes from: "a", "b", "blend" or a file; A's unless the recipe asks otherwise."""
    if recipe.vae:
        return recipe.vae
    return BLEND if names_the_vae(recipe) else "a"
