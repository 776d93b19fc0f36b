"""Groups of two files: which axes of which tensors a symmetry of the family permutes together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lib_merge.architectures import (
    Axis,
    Family,
    GroupPermutation,
    Heads,
    Role,
    Structure,
    Symmetry,
    key_regex,
    role_of,
    slot_of,
)
from lib_merge.architectures.part_topology import Tensors
from lib_merge.rebasin.options import Options


@dataclass(frozen=True)
class Member:
    """One axis of one tensor: of its `segments` equal segments those with indices in `taken` are permuted."""

    key: str
    axis: int
    segments: int = 1
    taken: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Part:
    """Channels with one arrangement, and every axis that it permutes."""

    id: str
    size: int
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Group:
    """The parts that are solved together: one, or for attention heads two (queries and keys; values, output).

    layer  the slot of its first tensor
    heads  the number of attention heads; 0 for other layers
    """

    id: str
    kind: str
    layer: str
    structure: Structure
    parts: tuple[Part, ...]
    heads: int = 0

    @property
    def keys(self) -> frozenset[str]:
        """The key of every tensor of the group."""
        return frozenset(member.key for part in self.parts for member in part.members)

    @property
    def channels(self) -> int:
        """The number of channels of all parts."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True)
class Grouping:
    """The groups of two models, and those that are left out, with the reason."""

    groups: tuple[Group, ...]
    left_out: tuple[str, ...] = ()


def groups_of(family: Family, source: Tensors, target: Tensors, options: Options) -> Grouping:
    """The selected groups that `source` and `target` have in common, in the order of their names.

    A group is left out where a tensor is missing, where sizes differ, and where its module has a tensor that
    the family does not describe (an adapter, which a permutation of its neighbours would invalidate).
    """
    strange = strange_keys(family, {**source, **target})
    groups: list[Group] = []
    left_out: list[str] = []
    for symmetry in family.symmetries.permutable:
        for module in sorted(_modules(symmetry, source)):
            group = _group(family, symmetry, module, source)
            if group is None or not _selected(family, group, options):
                continue
            reason = _misfit(group, source, target) or _stranger(module, strange)
            if reason:
                left_out.append(f"{group.id}: {reason}")
            else:
                groups.append(group)
    return Grouping(tuple(sorted(groups, key=lambda group: group.id)), tuple(left_out))


def strange_keys(family: Family, tensors: Iterable[str]) -> list[str]:
    """Weights that the family lists neither with a symmetry nor as fixed."""
    axes = [f"{move.module}.{axis.key}" for move in family.symmetries.permutable for axis in _axes(move)]
    patterns = [key_regex(pattern) for pattern in {*axes, *(kept.key for kept in family.symmetries.fixed)}]
    return [
        key
        for key in tensors
        if role_of(family, key) is Role.WEIGHT and not any(pattern.fullmatch(key) for pattern in patterns)
    ]


def _axes(symmetry: Symmetry) -> tuple[Axis, ...]:
    return (*symmetry.axes, *symmetry.values)


def _modules(symmetry: Symmetry, tensors: Tensors) -> set[str]:
    first = symmetry.axes[0].key
    pattern = key_regex(f"{symmetry.module}.{first}")
    return {key.removesuffix(f".{first}") for key in tensors if pattern.fullmatch(key)}


def _group(family: Family, symmetry: Symmetry, module: str, tensors: Tensors) -> Group | None:
    layer = slot_of(family, f"{module}.{symmetry.axes[0].key}")
    if layer is None:
        return None
    id = f"{module}.{symmetry.axes[0].key.removesuffix('.weight')}:{symmetry.kind}"
    halves = {"": symmetry.axes} if not symmetry.values else {":qk": symmetry.axes, ":vo": symmetry.values}
    parts = tuple(_part(id + half, module, axes, tensors) for half, axes in halves.items())
    heads = symmetry.structure.count_for(parts[0].size) if isinstance(symmetry.structure, Heads) else 0
    return Group(id, symmetry.kind, layer, symmetry.structure, parts, heads)


def _part(id: str, module: str, axes: tuple[Axis, ...], tensors: Tensors) -> Part:
    members = tuple(
        Member(key, axis.axis, axis.segments, axis.segment_indices)
        for axis in axes
        for key in _matching(f"{module}.{axis.key}", tensors)
        or ([] if axis.optional else [_plain(module, axis)])
    )
    return Part(id, _length(members[0], tensors) or 0, members)


def _plain(module: str, axis: Axis) -> str:
    return f"{module}.{axis.key}"


def _matching(key: str, tensors: Tensors) -> list[str]:
    if "*" not in key:
        return [key] if key in tensors else []
    pattern = key_regex(key)
    return sorted(name for name in tensors if pattern.fullmatch(name))


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
            return f"{member.key} holds integers"
    return "".join(_uneven(group))


def _uneven(group: Group) -> Iterator[str]:
    size = group.parts[0].size
    if isinstance(group.structure, GroupPermutation) and size % group.structure.count:
        yield f"{size} channels do not fall into {group.structure.count} groups"
    if isinstance(group.structure, Heads) and not group.heads:
        yield f"{size} channels do not fall into heads"


def _stranger(module: str, strange: Iterable[str]) -> str:
    unknown = next((key for key in strange if key.startswith(f"{module}.")), None)
    return f"{unknown} is no tensor of this family" if unknown else ""
