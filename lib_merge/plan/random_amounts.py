"""Amounts that are drawn at random, the same on every run, and amounts out of lists of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from statistics import NormalDist

from lib_merge.architectures import (
    EXTENDED_FAMILY,
    EXTENDED_NAMES,
    Family,
    extended_name,
    layout_by_name,
    omits_base,
    read_numbers,
)
from lib_merge.errors import RecipeError
from lib_merge.parameters import seed_for
from lib_merge.recipe import Numbers
from lib_merge.recipe.weights.supermerger_random import RandomWeights

AMOUNT_DIGITS = 4  # decimals of a random amount: the number that is printed is the number that is used
EXTENDED_INDEX = {name: index for index, name in enumerate(EXTENDED_NAMES)}


def unit_uniform(seed: int, name: str) -> float:
    """A random number between 0 and 1, both excluded, that depends on the seed and the name alone."""
    return (seed_for(seed, name) + 0.5) / 2.0**63


def uniform_number(quantile: float, low: float, high: float) -> float:
    """The uniform distribution's quantile: low + (high - low) quantile."""
    return round(low + (high - low) * quantile, AMOUNT_DIGITS)


def normal_number(
    quantile: float, mean: float, deviation: float, low: float | None, high: float | None
) -> float:
    """The quantile of a normal distribution that is truncated at `low` and `high`; None is no bound."""
    if not deviation:
        return mean
    curve = NormalDist(mean, deviation)
    start = 0.0 if low is None else curve.cdf(low)
    stop = 1.0 if high is None else curve.cdf(high)
    inside = min(max(start + (stop - start) * quantile, 1e-12), 1 - 1e-12)
    value = curve.inv_cdf(inside)
    return round(
        min(max(value, value if low is None else low), value if high is None else high), AMOUNT_DIGITS
    )


# --- lists ---


def list_amount(listed: Numbers | RandomWeights, family: Family, slot: str, key: str) -> float:
    """The amount that a list gives to a tensor.

    key  the tensor; a list of SuperMerger's extended names distinguishes the tensors of a slot
    """
    if isinstance(listed, Numbers):
        if not listed.is_per_key:
            return amounts_by_slot(listed, family)[slot]
        index = _extended_index(family, key, len(listed.numbers))
        return 0.0 if index is None else listed.numbers[index]
    if listed.is_extended:
        index = _extended_index(family, key, len(listed.entries))
    else:
        index = _slot_indices(listed.layout, len(listed.entries), family)[slot]
    if index is None:
        return 0.0
    number = listed.sample(index)
    return uniform_number(unit_uniform(listed.seed, key), *listed.bounds(index)) if number is None else number


def check_list(listed: Numbers | RandomWeights, family: Family) -> None:
    """Raises RecipeError where the list does not fit the family."""
    if listed.is_extended if isinstance(listed, RandomWeights) else listed.is_per_key:
        require_extended(family, f"the list has {len(EXTENDED_NAMES)} numbers")
    elif isinstance(listed, RandomWeights):
        _slot_indices(listed.layout, len(listed.entries), family)
    else:
        amounts_by_slot(listed, family)


def require_extended(family: Family, what: str) -> None:
    """Raises RecipeError unless the family is SDXL; `what` is the beginning of the message."""
    if family.id != EXTENDED_FAMILY:
        hint = "SuperMerger's extended names exist for SDXL only"
        raise RecipeError(f"{what}, and this is {family.title}", hint=hint)


def _extended_index(family: Family, key: str, count: int) -> int | None:
    """The index of a tensor's number; None for the VAE, whose number SuperMerger never reads."""
    require_extended(family, f"the list has {count} numbers")
    name = extended_name(key)
    return None if name == "VAE" else EXTENDED_INDEX.get(name)


@lru_cache(maxsize=64)
def _slot_indices(layout_name: str, count: int, family: Family) -> Mapping[str, int | None]:
    """Slot -> the index of its number in a list of `count` numbers; None where the slot stays A's."""
    layout = layout_by_name(layout_name)
    if omits_base(count, family, layout):
        hint = "put the amount for BASE (the text encoder) in front of the list"
        raise RecipeError(f"a list of {count} numbers has none for BASE", hint=hint)
    numbering = read_numbers([float(number) for number in range(1, count + 1)], family, layout, base=0.0)
    return {slot: int(number) - 1 if number else None for slot, number in numbering.items()}


@lru_cache(maxsize=256)
def amounts_by_slot(amount: Numbers, family: Family, where: str = "") -> dict[str, float]:
    """Slot -> the number that a list has for it; RecipeError for a list of the wrong length."""
    layout = layout_by_name(amount.layout)
    if amount.base is None and omits_base(len(amount.numbers), family, layout, where=where):
        raise RecipeError(
            f"a list of {len(amount.numbers)} numbers has none for BASE",
            where=where,
            hint="put the amount for BASE (the text encoder) first, or end the list with: base = 0.5",
        )
    return read_numbers(amount.numbers, family, layout, base=amount.base or 0.0, where=where)
