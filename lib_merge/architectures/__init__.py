"""What keys a model has and what they mean: families as data, detection, slots, and lists of numbers."""

from __future__ import annotations

from lib_merge.architectures.detect import identify, require_same_family
from lib_merge.architectures.extended import EXTENDED_FAMILY, EXTENDED_NAMES, extended_name
from lib_merge.architectures.families import FAMILIES
from lib_merge.architectures.family import (
    Clue,
    Component,
    Family,
    Identity,
    Layout,
    Role,
    Slot,
)
from lib_merge.architectures.infer import topology_of
from lib_merge.architectures.keys import component_of, ema_key, role_of, slot_of
from lib_merge.architectures.layouts import (
    DEFAULT_LAYOUT,
    LAYOUTS,
    layout_by_name,
    leaves_base_open,
    parse_numbers,
    read_numbers,
)
from lib_merge.architectures.symmetry import (
    SYMMETRY_KINDS,
    Axis,
    Free,
    Heads,
    InGroups,
    Kept,
    Structure,
    Symmetries,
    Symmetry,
    matcher,
)
from lib_merge.architectures.topology import (
    ClipTopology,
    OpenClipTopology,
    Topology,
    UNetTopology,
    VaeTopology,
)
from lib_merge.errors import FamilyError, did_you_mean


def family_by_id(id: str) -> Family:
    """The family of that id, as recipes store it."""
    for family in FAMILIES:
        if family.id == id:
            return family
    raise FamilyError(f"there is no family '{id}'", hint=did_you_mean(id, [f.id for f in FAMILIES]))


__all__ = [
    "DEFAULT_LAYOUT",
    "EXTENDED_FAMILY",
    "EXTENDED_NAMES",
    "FAMILIES",
    "LAYOUTS",
    "SYMMETRY_KINDS",
    "Axis",
    "ClipTopology",
    "Clue",
    "Component",
    "Family",
    "Free",
    "Heads",
    "Identity",
    "InGroups",
    "Kept",
    "Layout",
    "OpenClipTopology",
    "Role",
    "Slot",
    "Structure",
    "Symmetries",
    "Symmetry",
    "Topology",
    "UNetTopology",
    "VaeTopology",
    "component_of",
    "ema_key",
    "extended_name",
    "family_by_id",
    "identify",
    "layout_by_name",
    "leaves_base_open",
    "matcher",
    "parse_numbers",
    "read_numbers",
    "require_same_family",
    "role_of",
    "slot_of",
    "topology_of",
]
