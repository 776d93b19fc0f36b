"""How much of each ingredient is in a result, as percentages that a model page can state."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from lib_merge.architectures import Component, Family, component_of, slot_of
from lib_merge.plan.amounts import Amounts, vae_choice
from lib_merge.plan.fold import Combination, Expression, Rounded, Source, fold
from lib_merge.recipe import BLEND, Recipe

Shares = Mapping[str, float]  # file (or method) -> its share; 1 is all of it


def shares_of(recipe: Recipe, family: Family, sizes: Mapping[str, int]) -> Mapping[Component, Shares]:
    """For the U-Net and the text encoder: the coefficients of every file, averaged over its numbers.

        share(F) = sum over slots(n_slot c_slot(F)) / sum over slots(n_slot)

    sizes  tensor key -> how many numbers it holds. A difference gives a file a share below zero. What a
    method that is not linear makes is counted under that method's name.
    """
    amounts = Amounts(family, tuple(sizes))
    told_apart = amounts.by_key(recipe)
    counted: dict[Component, dict[tuple[str, str], int]] = {}
    for key, size in sizes.items():
        part, slot = component_of(family, key), slot_of(family, key)
        if part is not None and part is not Component.VAE and slot is not None:
            place = slot, key if slot in told_apart else ""
            counted.setdefault(part, {}).setdefault(place, 0)
            counted[part][place] += size
    found: dict[Component, Shares] = {}
    for part, places in counted.items():
        whole = sum(places.values())
        total: dict[str, Fraction] = {}
        for (slot, key), size in places.items():
            expression = _expression(recipe, amounts, part, slot, key)
            for name, share in _terms(recipe, expression):
                total[name] = total.get(name, Fraction(0)) + share * Fraction(size, whole)
        ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))
        found[part] = {name: float(share) for name, share in ranked}
    return {part: found[part] for part in (Component.UNET, Component.TEXT) if part in found}


def _expression(recipe: Recipe, amounts: Amounts, part: Component, slot: str, key: str) -> Expression:
    chosen = recipe.text_encoder if part is Component.TEXT else ""
    if chosen in ("a", "b"):
        return Source("ab".index(chosen))
    return fold(
        recipe,
        lambda amount: amounts.at(amount, slot, key),
        lambda step: amounts.keeps(step, slot, key),
    )


def _terms(recipe: Recipe, expression: Expression) -> list[tuple[str, Fraction]]:
    if isinstance(expression, Source):
        return [(recipe.ingredients[expression.model].file, Fraction(1))]
    if isinstance(expression, Rounded):
        return _terms(recipe, expression.inner)
    if not isinstance(expression, Combination):
        return [(expression.method, Fraction(1))]
    found: list[tuple[str, Fraction]] = []
    for inner, share in expression.terms:
        found += [(name, share * each) for name, each in _terms(recipe, inner)]
    return found


def vae_in_words(recipe: Recipe) -> str:
    """Where the VAE of a result is from."""
    choice = vae_choice(recipe)
    files = [ingredient.file for ingredient in recipe.ingredients]
    if choice == "a":
        return f"of {files[0]}"
    if choice == "b":
        return f"of {files[1]}" if len(files) > 1 else ""
    return {"none": "", BLEND: "merged"}.get(choice, choice)
