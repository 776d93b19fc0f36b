"""Model families as data: detection, canonical keys, slots, and the lists of block weights of other tools."""

from __future__ import annotations

from lib_merge.architectures.aliases import canonical_names
from lib_merge.architectures.detect import identify, require_same_family
from lib_merge.architectures.extended import EXTENDED_FAMILY, EXTENDED_NAMES, extended_name
from lib_merge.architectures.families import DEFAULT_FAMILY, FAMILIES
from lib_merge.architectures.family import (
    Component,
    Family,
    Fingerprint,
    Identity,
    Layout,
    Network,
    Role,
    SelfAttention,
    Slot,
)
from lib_merge.architectures.files import CANONICAL, open_checkpoint, open_from_header, read_header
from lib_merge.architectures.infer import topology_of
from lib_merge.architectures.keys import component_of, ema_key, is_unet, role_of, slot_of
from lib_merge.architectures.layouts import (
    DEFAULT_LAYOUT,
    LAYOUTS,
    layout_by_name,
    omits_base,
    parse_numbers,
    read_numbers,
)
from lib_merge.architectures.part_topology import KeyShapes, ListedTopology
from lib_merge.architectures.symmetry import (
    SYMMETRY_KINDS,
    AnyPermutation,
    Axis,
    FixedAxes,
    GroupPermutation,
    Heads,
    Structure,
    Symmetries,
    Symmetry,
    key_regex,
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
    """The family with that id, as recipes store it; FamilyError for an unknown one."""
    family = FAMILIES.get(id)
    if family is not None:
        return family
    raise FamilyError(f"there is no family '{id}'", hint=did_you_mean(id, [f.id for f in FAMILIES]))


__all__ = [
    "CANONICAL",
    "DEFAULT_FAMILY",
    "DEFAULT_LAYOUT",
    "EXTENDED_FAMILY",
    "EXTENDED_NAMES",
    "FAMILIES",
    "LAYOUTS",
    "SYMMETRY_KINDS",
    "AnyPermutation",
    "Axis",
    "ClipTopology",
    "Component",
    "Family",
    "Fingerprint",
    "FixedAxes",
    "GroupPermutation",
    "Heads",
    "Identity",
    "KeyShapes",
    "Layout",
    "ListedTopology",
    "Network",
    "OpenClipTopology",
    "Role",
    "SelfAttention",
    "Slot",
    "Structure",
    "Symmetries",
    "Symmetry",
    "Topology",
    "UNetTopology",
    "VaeTopology",
    "canonical_names",
    "component_of",
    "ema_key",
    "extended_name",
    "family_by_id",
    "identify",
    "is_unet",
    "key_regex",
    "layout_by_name",
    "omits_base",
    "open_checkpoint",
    "open_from_header",
    "parse_numbers",
    "read_header",
    "read_numbers",
    "require_same_family",
    "role_of",
    "slot_of",
    "topology_of",
]
