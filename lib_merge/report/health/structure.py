"""Compares the keys and shapes of a file, from its header, with those of its family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from lib_merge.architectures import (
    Component,
    Family,
    Identity,
    Role,
    Topology,
    component_of,
    role_of,
    slot_of,
    topology_of,
)
from lib_merge.checkpoint import Header
from lib_merge.report.health.finding import Finding, count_keys, list_keys


def structure_findings(header: Header, identity: Identity) -> list[Finding]:
    """Missing, extra and misshapen keys of the parts that the file contains."""
    family = identity.family
    own = topology_of(header.tensors).shapes()
    expected = _shapes(header, family, own)
    parts = _parts(header, identity, expected)
    missing = [
        key
        for key in expected
        if key not in header.tensors
        and component_of(family, key) in parts
        and role_of(family, key) is Role.WEIGHT
        and not key.endswith(family.optional_suffixes)
    ]
    extra = [key for key in header.tensors if _is_extra(key, family, expected, own)]
    misshapen = [key for key, shape in expected.items() if not _fits(header, key, shape)]
    return [
        *_by_slot("missing", missing, family, "missing from {slot}", "take {slot} from another model"),
        *_by_slot(
            "extra", extra, family, "in {slot} that no model of this family has", "a merge leaves them out"
        ),
        *_misshapen(misshapen, family, header, expected),
    ]


def _parts(header: Header, identity: Identity, expected: Iterable[str]) -> set[Component | None]:
    """The parts that the file is meant to contain: the detected ones, and those with half of their keys.

    The latter are for files that lack the keys by which a part is detected.
    """
    whole = Counter(component_of(identity.family, key) for key in expected)
    there = Counter(component_of(identity.family, key) for key in expected if key in header.tensors)
    return {part for part, count in there.items() if part in identity.components or 2 * count >= whole[part]}


def _shapes(header: Header, family: Family, own: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Every expected key with its shape: of the file's own widths or full size, whichever fits better.

    The keys are the family's, so that a missing key does not hide a layer. Where neither set of shapes fits
    (a part of unknown widths) every shape is allowed, which () stands for.
    """
    expected: dict[str, tuple[int, ...]] = {}
    for prefix, plan in family.topology.parts.items():
        full = Topology({prefix: plan.with_file_sizes(header.tensors, prefix)}).shapes()
        mine = {key: own.get(key, ()) for key in full}
        best = min((mine, full), key=lambda shapes: _misfits(header, shapes))
        trusted = _misfits(header, best) * 5 <= len(full)
        expected |= best if trusted else dict.fromkeys(full, ())
    return expected


def _misfits(header: Header, shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(not shape or not _fits(header, key, shape) for key, shape in shapes.items())


def _fits(header: Header, key: str, shape: tuple[int, ...]) -> bool:
    """Whether a key is absent or has its shape; a matrix may be stored as a 1x1 convolution."""
    info = header.tensors.get(key)
    return info is None or not shape or _squeezed(info.shape) == _squeezed(shape)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:2] if shape[2:] == (1, 1) else shape


def _is_extra(
    key: str, family: Family, expected: Mapping[str, tuple[int, ...]], own: Mapping[str, tuple[int, ...]]
) -> bool:
    role = role_of(family, key)
    if role is Role.UNKNOWN:
        return not key.startswith(family.dropped_prefixes)
    named_by_prefix = any(key.startswith(prefix) for prefix in family.topology.parts)
    return role is Role.WEIGHT and named_by_prefix and key not in expected and key not in own


def _by_slot(kind: str, keys: Iterable[str], family: Family, what: str, fix: str) -> list[Finding]:
    return [
        Finding(
            kind,
            slot,
            f"{count_keys(slot_keys)} {what.format(slot=slot or 'the file')}: {list_keys(slot_keys)}",
            fix.format(slot=slot),
            slot_keys,
        )
        for slot, slot_keys in by_slot(keys, family).items()
    ]


def by_slot(keys: Iterable[str], family: Family) -> dict[str, tuple[str, ...]]:
    """Slot -> its keys; "" for keys without a slot."""
    slots: dict[str, list[str]] = {}
    for key in keys:
        slots.setdefault(slot_of(family, key) or "", []).append(key)
    return {slot: tuple(slot_keys) for slot, slot_keys in slots.items()}


def _misshapen(
    keys: Iterable[str], family: Family, header: Header, expected: Mapping[str, tuple[int, ...]]
) -> list[Finding]:
    findings: list[Finding] = []
    for key in keys:
        slot, is_, should = slot_of(family, key) or "", header.tensors[key].shape, expected[key]
        turned = ", the axes are swapped" if is_ == tuple(reversed(should)) else ""
        what = f"{key} has the shape {_shape(is_)}, not {_shape(should)}{turned}"
        findings.append(Finding("misshapen", slot, what, f"take {slot} from another model", (key,)))
    return findings


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "of a single number"
