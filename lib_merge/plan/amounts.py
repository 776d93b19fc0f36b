"""What a setting of a recipe is worth at each slot of a family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lib_merge.architectures import Family, layout_by_name, leaves_base_open, read_numbers
from lib_merge.errors import MergeError, RecipeError, did_you_mean
from lib_merge.recipe import BLEND, Amount, Numbers, Recipe, Setting, Slots

VAE = "VAE"
BASE = "BASE"


@dataclass(frozen=True)
class Amounts:
    """Reads a recipe's amounts for one family."""

    family: Family

    def at(self, amount: Amount, slot: str) -> float:
        """The number that `amount` gives to `slot`."""
        if isinstance(amount, Numbers):
            return self._numbers(amount)[slot]
        if isinstance(amount, Slots):
            return self._slots(amount).get(slot, amount.rest)
        return float(amount)

    def blended_vae(self, amount: Amount) -> float:
        """The number that the VAE takes where it is blended: BASE's, or the text encoder's on SDXL."""
        named = amount.values if isinstance(amount, Slots) else ()
        if VAE in dict(named):
            return self.at(amount, VAE)
        return self.at(amount, self.family.groups.get(BASE, (BASE,))[0])

    def problems(self, recipe: Recipe) -> Iterator[MergeError]:
        """Lists of the wrong length, unknown layouts, slots that the family does not have."""
        for step in recipe.steps:
            for name, setting in step.settings:
                for amount in _each(setting):
                    yield from self._problems_of(amount, f"step '{step.name}', {name}")

    def _problems_of(self, amount: object, where: str) -> Iterator[MergeError]:
        if isinstance(amount, Numbers):
            try:
                self._numbers(amount, where)
            except MergeError as problem:
                yield problem
        if isinstance(amount, Slots):
            known = [*(slot.id for slot in self.family.slots), *self.family.groups]
            for slot, _ in amount.values:
                if slot not in known:
                    what = f"{self.family.title} has no slot '{slot}'"
                    yield RecipeError(what, where=where, hint=did_you_mean(slot, known))

    def _numbers(self, amount: Numbers, where: str = "") -> dict[str, float]:
        layout = layout_by_name(amount.layout)
        if amount.base is None and leaves_base_open(len(amount.numbers), self.family, layout, where=where):
            raise RecipeError(
                f"a list of {len(amount.numbers)} numbers leaves BASE open",
                where=where,
                hint="put the amount for BASE (the text encoder) in front of them, or end with: base = 0.5",
            )
        return read_numbers(amount.numbers, self.family, layout, base=amount.base or 0.0, where=where)

    def _slots(self, amount: Slots) -> dict[str, float]:
        spread: dict[str, float] = {}
        named = dict(amount.values)
        for group, slots in self.family.groups.items():
            if group in named:
                spread.update(dict.fromkeys(slots, named[group]))
        return {**spread, **{slot: value for slot, value in named.items() if slot not in self.family.groups}}


def names_the_vae(recipe: Recipe) -> bool:
    """Whether some step gives the slot VAE a number of its own."""
    return any(
        isinstance(amount, Slots) and VAE in dict(amount.values)
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
