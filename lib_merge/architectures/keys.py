"""What a key is to a family: its role, its slot, its part of the model."""

from __future__ import annotations

from lib_merge.architectures.families.common import UNET
from lib_merge.architectures.family import Component, Family, Role, Slot


def role_of(family: Family, key: str) -> Role:
    """What a merge does with the key."""
    if key in family.position_ids:
        return Role.IDS
    if key in family.markers or key.startswith(family.carried):
        return Role.MARKER
    if key in family.schedule:
        return Role.SCHEDULE
    if key.startswith(family.ema):
        return Role.EMA
    if key.startswith(family.leftovers) or _find(family, key) is None:
        return Role.UNKNOWN
    return Role.WEIGHT


def slot_of(family: Family, key: str) -> str | None:
    """The slot with the longest prefix of the key, or None for a key outside of every slot."""
    slot = _find(family, key)
    return slot.id if slot else None


def component_of(family: Family, key: str) -> Component | None:
    """The part of the model that the key belongs to."""
    slot = _find(family, key)
    return slot.component if slot else None


def _find(family: Family, key: str) -> Slot | None:
    table, name = family.slot_by_prefix, key
    while name:
        if name in table:
            return table[name]
        name = name.rpartition(".")[0]
    return None


def ema_key(key: str) -> str:
    """The name of a U-Net key's training average, as LitEma makes it; it cannot be turned back.

    Source: CompVis/stable-diffusion 21f890f9, ldm/modules/ema.py, lines 16-21.
    """
    if not key.startswith(UNET):
        raise ValueError(f"only the U-Net has training averages, and '{key}' is not its")
    return "model_ema." + key.removeprefix("model.").replace(".", "")
