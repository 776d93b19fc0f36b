"""The share of each ingredient in a result, for a model page."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from lib_merge.architectures import Component, Family, component_of, slot_of
from lib_merge.plan.amounts import Amounts, vae_source
from lib_merge.plan.fold import Combination, Expression, Rounded, Source, fold
from lib_merge.recipe import BLEND, Recipe

Shares = Mapping[str, float]  # file (or method) -> share, where 1 is the whole


def ingredient_shares(recipe: Recipe, family: Family, sizes: Mapping[str, int]) -> Mapping[Component, Shares]:
    """For U-Net and text encoder: file -> its coefficient, averaged over the elements.

        share(F) = sum over slots(n_slot c_slot(F)) / sum over slots(n_slot)

    with n_slot the number of elements of a slot and c_slot(F) the coefficient of file F there. A file that is
    subtracted has a negative share. The result of a method that is not linear counts under the method's name.

    sizes  tensor key -> its number of elements
    """
    amounts = Amounts(family, tuple(sizes))
    per_key = amounts.per_key_slots(recipe)
    elements: dict[Component, dict[tuple[str, str], int]] = {}
    for key, size in sizes.items():
        part, slot = component_of(family, key), slot_of(family, key)
        if part is not None and part is not Component.VAE and slot is not None:
            target = slot, key if slot in per_key else ""
            elements.setdefault(part, {}).setdefault(target, 0)
            elements[part][target] += size
    shares: dict[Component, Shares] = {}
    for part, targets in elements.items():
        numel = sum(targets.values())
        total: dict[str, Fraction] = {}
        for (slot, key), size in targets.items():
            expression = _expression(recipe, amounts, part, slot, key)
            for name, share in _terms(recipe, expression):
                total[name] = total.get(name, Fraction(0)) + share * Fraction(size, numel)
        ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))
        shares[part] = {name: float(share) for name, share in ranked}
    return {part: shares[part] for part in (Component.UNET, Component.TEXT) if part in shares}


def _expression(recipe: Recipe, amounts: Amounts, part: Component, slot: str, key: str) -> Expression:
    chosen = recipe.text_encoder if part is Component.TEXT else ""
    if chosen in ("a", "b"):
        return Source("ab".index(chosen))
    return fold(
        recipe,
        lambda amount: amounts.amount(amount, slot, key),
        lambda step: amounts.is_excluded(step, slot, key),
    )


def _terms(recipe: Recipe, expression: Expression) -> list[tuple[str, Fraction]]:
    if isinstance(expression, Source):
        return [(recipe.ingredients[expression.model].file, Fraction(1))]
    if isinstance(expression, Rounded):
        return _terms(recipe, expression.inner)
    if not isinstance(expression, Combination):
        return [(expression.method, Fraction(1))]
    terms: list[tuple[str, Fraction]] = []
    for inner, share in expression.terms:
        terms += [(name, share * inner_share) for name, inner_share in _terms(recipe, inner)]
    return terms


def render_vae_source(recipe: Recipe) -> str:
    """Where the VAE of a result is from, as text: "of ink", "merged"; "" for none."""
    choice = vae_source(recipe)
    files = [ingredient.file for ingredient in recipe.ingredients]
    if choice == "a":
        return f"of {files[0]}"
    if choice == "b":
        return f"of {files[1]}" if len(files) > 1 else ""
    return {"none": "", BLEND: "merged"}.get(choice, choice)
