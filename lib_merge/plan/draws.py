"""Numbers drawn at random, the same on every run; and what a list says for a tensor."""

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
    leaves_base_open,
    read_numbers,
)
from lib_merge.errors import RecipeError
from lib_merge.recipe.dice import Dice
from lib_merge.recipe.numbers import Numbers
from lib_merge.registry import seed_for

DIGITS = 4  # of numbers drawn at random, so that what is read is what is used
PLACES = {name: place for place, name in enumerate(EXTENDED_NAMES)}


def share_of(seed: int, name: str) -> float:
    """A number out of (0, 1) for a name."""
    return (seed_for(seed, name) + 0.5) / 2.0**63


def uniform(share: float, low: float, high: float) -> float:
    """The number at a share of the way from one bound to the other."""
    return round(low + (high - low) * share, DIGITS)


def normal(share: float, mean: float, deviation: float, low: float | None, high: float | None) -> float:
    """The number with that share of a normal distribution below it, cut off at the bounds."""
    if not deviation:
        return mean
    curve = NormalDist(mean, deviation)
    start = 0.0 if low is None else curve.cdf(low)
    stop = 1.0 if high is None else curve.cdf(high)
    inside = min(max(start + (stop - start) * share, 1e-12), 1 - 1e-12)
    value = curve.inv_cdf(inside)
    return round(min(max(value, value if low is None else low), value if high is None else high), DIGITS)


# --- lists ---


def listed(found: Numbers | Dice, family: Family, slot: str, key: str) -> float:
    """What a list gives to a tensor.

    key  one of the slot's tensors, where the list is finer than slots
    """
    if isinstance(found, Numbers):
        if not found.by_key:
            return numbers_at(found, family)[slot]
        place = _extended_place(family, key, len(found.numbers))
        return 0.0 if place is None else found.numbers[place]
    if found.extended:
        place = _extended_place(family, key, len(found.entries))
    else:
        place = _slot_places(found.layout, len(found.entries), family)[slot]
    if place is None:
        return 0.0
    number = found.number(place)
    return uniform(share_of(found.seed, key), *found.bounds(place)) if number is None else number


def check_list(found: Numbers | Dice, family: Family) -> None:
    """Raises RecipeError where the family takes no such list."""
    if found.extended if isinstance(found, Dice) else found.by_key:
        require_extended(family, f"{len(EXTENDED_NAMES)} numbers were given")
    elif isinstance(found, Dice):
        _slot_places(found.layout, len(found.entries), family)
    else:
        numbers_at(found, family)


def require_extended(family: Family, what: str) -> None:
    """Raises RecipeError for a family that SuperMerger has no extended names for."""
    if family.id != EXTENDED_FAMILY:
        hint = "SuperMerger's extended names are those of SDXL"
        raise RecipeError(f"{what}, and this is {family.title}", hint=hint)


def _extended_place(family: Family, key: str, count: int) -> int | None:
    """The place of a tensor's number; the VAE stays A's, since its number is never read there either."""
    require_extended(family, f"{count} numbers were given")
    name = extended_name(key)
    return None if name == "VAE" else PLACES.get(name)


@lru_cache(maxsize=64)
def _slot_places(layout_name: str, count: int, family: Family) -> Mapping[str, int | None]:
    """Slot -> the place in a list of so many numbers that it follows, None for what stays A's."""
    layout = layout_by_name(layout_name)
    if leaves_base_open(count, family, layout):
        hint = "begin with the amount for BASE (the text encoder)"
        raise RecipeError(f"a list of {count} leaves BASE open", hint=hint)
    marks = read_numbers([float(place) for place in range(1, count + 1)], family, layout, base=0.0)
    return {slot: int(mark) - 1 if mark else None for slot, mark in marks.items()}


@lru_cache(maxsize=256)
def numbers_at(amount: Numbers, family: Family, where: str = "") -> dict[str, float]:
    """What a list says for every slot."""
    layout = layout_by_name(amount.layout)
    if amount.base is None and leaves_base_open(len(amount.numbers), family, layout, where=where):
        raise RecipeError(
            f"a list of {len(amount.numbers)} numbers leaves BASE open",
            where=where,
            hint="put the amount for BASE (the text encoder) in front of them, or end with: base = 0.5",
        )
    return read_numbers(amount.numbers, family, layout, base=amount.base or 0.0, where=where)
