"""What a file should hold and what it holds: keys and shapes, from the header alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from lib_merge.architectures import (
    ClipTopology,
    Component,
    Family,
    Identity,
    OpenClipTopology,
    Role,
    Topology,
    component_of,
    role_of,
    slot_of,
    topology_of,
)
from lib_merge.architectures.topology import Plan
from lib_merge.checkpoint import Header
from lib_merge.report.finding import Finding, count_keys, named

# Keys that whole and working files lack: OpenCLIP's last layer and scale, which no image needs.
OPTIONAL = ("text_projection", "logit_scale")


def structure_findings(header: Header, identity: Identity) -> list[Finding]:
    """Missing, extra and misshapen keys of the parts that the file holds at all."""
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
        and not key.endswith(OPTIONAL)
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
    """The parts that the file means to hold: those it was recognised by, and those with half of their keys.

    The latter for a file that lacks the very keys by which such a part is recognised.
    """
    whole = Counter(component_of(identity.family, key) for key in expected)
    there = Counter(component_of(identity.family, key) for key in expected if key in header.tensors)
    return {part for part, count in there.items() if part in identity.components or 2 * count >= whole[part]}


def _shapes(header: Header, family: Family, own: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Every key that belongs there; shapes from the file's own widths, or else full-size, what fits better.

    Names are the family's, whose every part has fixed ones: a missing key must not hide a layer. Where
    neither set of shapes fits (a part of unknown widths) a key may have any: its shape is ().
    """
    expected: dict[str, tuple[int, ...]] = {}
    for prefix, plan in family.topology.parts.items():
        full = Topology({prefix: _as_long(plan, prefix, header)}).shapes()
        mine = {key: own.get(key, ()) for key in full}
        best = min((mine, full), key=lambda shapes: _misfits(header, shapes))
        trusted = _misfits(header, best) * 5 <= len(full)
        expected |= best if trusted else dict.fromkeys(full, ())
    return expected


def _as_long(plan: Plan, prefix: str, header: Header) -> Plan:
    """The plan with the file's numbers of positions and tokens where these are larger.

    LongCLIP has 248 positions, and training may have added tokens.
    """
    if isinstance(plan, ClipTopology):
        rows = (
            "text_model.embeddings.position_embedding.weight",
            "text_model.embeddings.token_embedding.weight",
        )
    elif isinstance(plan, OpenClipTopology):
        rows = "positional_embedding", "token_embedding.weight"
    else:
        return plan
    positions, tokens = (header.tensors.get(prefix + key) for key in rows)
    if positions is not None and _is_longer(positions.shape, plan.positions, plan.width):
        plan = replace(plan, positions=positions.shape[0])
    if tokens is not None and _is_longer(tokens.shape, plan.vocab, plan.width):
        plan = replace(plan, vocab=tokens.shape[0])
    return plan


def _is_longer(shape: tuple[int, ...], usual: int, width: int) -> bool:
    return len(shape) == 2 and shape[1] == width and shape[0] > usual


def _misfits(header: Header, shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(not shape or not _fits(header, key, shape) for key, shape in shapes.items())


def _fits(header: Header, key: str, shape: tuple[int, ...]) -> bool:
    """Whether a key has its shape (or is not there); a matrix may be stored as a 1x1 convolution."""
    info = header.tensors.get(key)
    return info is None or not shape or _squeezed(info.shape) == _squeezed(shape)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:2] if shape[2:] == (1, 1) else shape


def _is_extra(
    key: str, family: Family, expected: Mapping[str, tuple[int, ...]], own: Mapping[str, tuple[int, ...]]
) -> bool:
    role = role_of(family, key)
    if role is Role.UNKNOWN:
        return not key.startswith(family.leftovers)
    named_by_prefix = any(key.startswith(prefix) for prefix in family.topology.parts)
    return role is Role.WEIGHT and named_by_prefix and key not in expected and key not in own


def _by_slot(kind: str, keys: Iterable[str], family: Family, what: str, fix: str) -> list[Finding]:
    return [
        Finding(
            kind,
            slot,
            f"{count_keys(found)} {what.format(slot=slot or 'the file')}: {named(found)}",
            fix.format(slot=slot),
            found,
        )
        for slot, found in by_slot(keys, family).items()
    ]


def by_slot(keys: Iterable[str], family: Family) -> dict[str, tuple[str, ...]]:
    """Keys under their slots; "" for those without one."""
    slots: dict[str, list[str]] = {}
    for key in keys:
        slots.setdefault(slot_of(family, key) or "", []).append(key)
    return {slot: tuple(found) for slot, found in slots.items()}


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
