"""A family's symmetries in two files at hand: which axes of which tensors make up each group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lib_merge.architectures import (
    Axis,
    Family,
    Heads,
    InGroups,
    Role,
    Structure,
    Symmetry,
    matcher,
    role_of,
    slot_of,
)
from lib_merge.checkpoint import TensorInfo
from lib_merge.rebasin.options import Options

Tensors = Mapping[str, TensorInfo]


@dataclass(frozen=True)
class Member:
    """One axis of one tensor: `taken` of its equal `segments` are rearranged alike."""

    key: str
    axis: int
    segments: int = 1
    taken: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Part:
    """Channels that get one arrangement, and every axis that has to follow it."""

    id: str
    size: int
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Group:
    """What is solved at a time: one part, or for attention heads two (queries and keys; values and output).

    layer  the slot of its first tensor
    heads  how many; 0 for what is no attention
    """

    id: str
    kind: str
    layer: str
    structure: Structure
    parts: tuple[Part, ...]
    heads: int = 0

    @property
    def keys(self) -> frozenset[str]:
        """Every tensor that it touches."""
        return frozenset(member.key for part in self.parts for member in part.members)

    @property
    def channels(self) -> int:
        """How many channels it arranges."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True)
class Grouping:
    """The groups of two models, and what had to be left out with the reason."""

    groups: tuple[Group, ...]
    left_out: tuple[str, ...] = ()


def groups_of(family: Family, source: Tensors, target: Tensors, options: Options) -> Grouping:
    """The selected groups that `source` and `target` have in common, in the order of their names.

    A group is left out where a tensor lacks, where sizes disagree, and where its module holds a tensor that
    the family does not know (an adapter would be left behind by a permutation of its neighbours).
    """
    strange = strange_keys(family, {**source, **target})
    groups: list[Group] = []
    left_out: list[str] = []
    for symmetry in family.symmetries.moves:
        for place in sorted(_places(symmetry, source)):
            group = _group(family, symmetry, place, source)
            if group is None or not _selected(family, group, options):
                continue
            reason = _misfit(group, source, target) or _stranger(place, strange)
            if reason:
                left_out.append(f"{group.id}: {reason}")
            else:
                groups.append(group)
    return Grouping(tuple(sorted(groups, key=lambda group: group.id)), tuple(left_out))


def strange_keys(family: Family, tensors: Iterable[str]) -> list[str]:
    """Weights that neither a symmetry nor a reason to stay speaks of."""
    axes = [f"{move.place}.{axis.key}" for move in family.symmetries.moves for axis in _axes(move)]
    known = [matcher(pattern) for pattern in {*axes, *(kept.key for kept in family.symmetries.stays)}]
    return [
        key
        for key in tensors
        if role_of(family, key) is Role.WEIGHT and not any(pattern.fullmatch(key) for pattern in known)
    ]


def _axes(symmetry: Symmetry) -> tuple[Axis, ...]:
    return (*symmetry.axes, *symmetry.values)


def _places(symmetry: Symmetry, tensors: Tensors) -> set[str]:
    first = symmetry.axes[0].key
    pattern = matcher(f"{symmetry.place}.{first}")
    return {key.removesuffix(f".{first}") for key in tensors if pattern.fullmatch(key)}


def _group(family: Family, symmetry: Symmetry, place: str, tensors: Tensors) -> Group | None:
    layer = slot_of(family, f"{place}.{symmetry.axes[0].key}")
    if layer is None:
        return None
    id = f"{place}.{symmetry.axes[0].key.removesuffix('.weight')}:{symmetry.kind}"
    halves = {"": symmetry.axes} if not symmetry.values else {":qk": symmetry.axes, ":vo": symmetry.values}
    parts = tuple(_part(id + half, place, axes, tensors) for half, axes in halves.items())
    heads = symmetry.structure.of(parts[0].size) if isinstance(symmetry.structure, Heads) else 0
    return Group(id, symmetry.kind, layer, symmetry.structure, parts, heads)


def _part(id: str, place: str, axes: tuple[Axis, ...], tensors: Tensors) -> Part:
    members = tuple(
        Member(key, axis.axis, axis.segments, axis.taken)
        for axis in axes
        for key in _matching(f"{place}.{axis.key}", tensors)
        or ([] if axis.optional else [_plain(place, axis)])
    )
    return Part(id, _length(members[0], tensors) or 0, members)


def _plain(place: str, axis: Axis) -> str:
    return f"{place}.{axis.key}"


def _matching(key: str, tensors: Tensors) -> list[str]:
    if "*" not in key:
        return [key] if key in tensors else []
    pattern = matcher(key)
    return sorted(each for each in tensors if pattern.fullmatch(each))


def _length(member: Member, tensors: Tensors) -> int | None:
    """The channels of one segment, or None where the tensor has no such axis."""
    info = tensors.get(member.key)
    if info is None or len(info.shape) <= member.axis or info.shape[member.axis] % member.segments:
        return None
    return info.shape[member.axis] // member.segments


def _selected(family: Family, group: Group, options: Options) -> bool:
    layers = {slot for name in options.layers for slot in family.groups.get(name, (name,))}
    return (not options.groups or group.kind in options.groups) and (not layers or group.layer in layers)


def _misfit(group: Group, source: Tensors, target: Tensors) -> str:
    for member, size in ((member, part.size) for part in group.parts for member in part.members):
        if "*" in member.key or member.key not in source or member.key not in target:
            return f"{member.key} is not in both files"
        if _length(member, source) != size or _length(member, target) != size:
            return f"{member.key} has another number of channels"
        if source[member.key].numel != target[member.key].numel:
            return f"{member.key} has another shape"
        if not (source[member.key].dtype.floating and target[member.key].dtype.floating):
            return f"{member.key} holds whole numbers"
    return "".join(_uneven(group))


def _uneven(group: Group) -> Iterator[str]:
    size = group.parts[0].size
    if isinstance(group.structure, InGroups) and size % group.structure.count:
        yield f"{size} channels do not fall into {group.structure.count} groups"
    if isinstance(group.structure, Heads) and not group.heads:
        yield f"{size} channels do not fall into heads"


def _stranger(place: str, strange: Iterable[str]) -> str:
    unknown = next((key for key in strange if key.startswith(f"{place}.")), None)
    return f"{unknown} is no tensor of this family" if unknown else ""
