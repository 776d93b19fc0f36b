"""What a slot of a family is, in sentences: its place in the network, its tensors, what mixers say of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod

from lib_merge.architectures.family import Component, Family, RangeAmounts
from lib_merge.architectures.keys import component_of, slot_of
from lib_merge.architectures.part_topology import ShapeMap

BLOCKS_PER_LEVEL = 3  # blocks on one resolution of an LDM U-Net
MIXERS = "the experience of mixers, not a measurement; a block map measures it for your models"
OUTSIDE = {  # what the slots do that are no blocks
    "TIME": "The time embedding: tells every block how noisy the picture is.",
    "LABEL": "The embedding of what else the U-Net is given as numbers, such as the picture's size.",
    "OUT": "The last layers: turn the result of the last block into latents.",
    "IN": "The first layers: turn latents, prompt and time into what the blocks work on.",
    "VAE": "The VAE: turns the finished latents into pixels.",
}
TEXT = "A text encoder: turns the words of the prompt into what the blocks work on."


@dataclass(frozen=True)
class BlockNote:
    """What a slot is.

    place    where it is in the network, and what it does there
    tensors  what it consists of in the full-size model
    said     what mixers say of it, with where that comes from; "" for nothing
    """

    place: str
    tensors: str
    said: str = ""


@cache
def block_notes(family: Family) -> Mapping[str, BlockNote]:
    """Slot -> what it is, for every slot of a family."""
    shapes: dict[str, ShapeMap] = {slot.id: {} for slot in family.slots}
    for key, shape in family.shapes.items():
        slot = slot_of(family, key)
        if slot is not None:
            shapes[slot][key] = shape
    totals = _weights_of_components(family)
    return {
        slot.id: BlockNote(
            _place(slot.id, family, shapes),
            _tensors(shapes[slot.id], slot.component, totals[slot.component]),
            _said(slot.id, family),
        )
        for slot in family.slots
    }


def _weights_of_components(family: Family) -> Mapping[Component, int]:
    totals = dict.fromkeys(Component, 0)
    for key, shape in family.shapes.items():
        component = component_of(family, key)
        if component is not None:
            totals[component] += prod(shape)
    return totals


# --- the place ---


def _place(slot: str, family: Family, shapes: Mapping[str, ShapeMap]) -> str:
    names = [other.id for other in family.slots]
    ins, outs = (_numbered(names, side) for side in ("IN", "OUT"))
    if slot in (*ins, *outs, "M00") and ins and outs:
        return _unet_place(slot, ins, outs, shapes)
    if family.slot_by_id[slot].component is Component.TEXT:
        return TEXT
    row = _numbered(names, slot.rstrip("0123456789"))
    if slot in row:
        return f"Block {row.index(slot) + 1} of {len(row)} of its kind in the transformer."
    return OUTSIDE.get(slot, "")


def _numbered(names: Sequence[str], prefix: str) -> list[str]:
    return [name for name in names if prefix and name.removeprefix(prefix).isdigit() and name != prefix]


def _unet_place(slot: str, ins: Sequence[str], outs: Sequence[str], shapes: Mapping[str, ShapeMap]) -> str:
    """Where a block of a U-Net is, with the size that its features have there."""
    halvings = [_halves(shapes[name]) for name in ins]
    if slot in ins:
        at = ins.index(slot)
        size = _size(sum(halvings[: at + 1]))
        return f"Block {at + 1} of the encoder, at {size}. Its result also goes to {outs[-1 - at]}."
    if slot == "M00":
        return f"The middle block, between encoder and decoder, at {_size(sum(halvings))}."
    at = outs.index(slot)
    doublings = sum(_doubles(shapes[name]) for name in outs[:at])
    size = _size(sum(halvings) - doublings)
    return f"Block {at + 1} of the decoder, at {size}. It also gets the result of {ins[-1 - at]}."


def _size(halvings: int) -> str:
    return f"1/{8 * 2**halvings} of the picture's width and height"  # latents have 1/8


def _halves(shapes: ShapeMap) -> bool:
    return any(".op." in key for key in shapes)


def _doubles(shapes: ShapeMap) -> bool:
    return any(re.search(r"\.[12]\.conv\.weight$", key) for key in shapes)


# --- the tensors ---


def _tensors(shapes: ShapeMap, component: Component, total: int) -> str:
    if not shapes:
        return ""
    weights = sum(prod(shape) for shape in shapes.values())
    whole = {Component.UNET: "of the network", Component.TEXT: "of the text encoders"}.get(component, "")
    share = f", {_percent(weights / total)} {whole}" if whole and weights != total else ""
    parts = ", ".join(_parts(shapes))
    return f"{len(shapes)} tensors, {_millions(weights)} weights{share}{': ' if parts else ''}{parts}."


def _millions(weights: int) -> str:
    return f"{weights / 1e6:.3g} million" if weights >= 1e5 else f"{weights:,}"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %" if share >= 0.0005 else "less than 0.1 %"


def _parts(shapes: ShapeMap) -> list[str]:
    """What a block of a U-Net is made of."""
    residual = [key for key in shapes if key.endswith("in_layers.2.weight")]
    layers = {match[0] for key in shapes if (match := re.search(r"^.*transformer_blocks\.\d+\.", key))}
    parts = [_residual(shapes[residual[0]], len(residual))] if residual else []
    if residual and layers:
        parts.append(f"{_count(len(layers), 'transformer block')} (attention to the prompt)")
    if _halves(shapes):
        parts.append("a convolution that halves the size")
    if _doubles(shapes):
        parts.append("a convolution that doubles the size")
    return parts


def _residual(shape: Sequence[int], count: int) -> str:
    return f"{_count(count, 'residual block')} ({shape[1]} to {shape[0]} channels)"


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


# --- what mixers say ---


def _said(slot: str, family: Family) -> str:
    names = {
        purpose.lower(): amount
        for purpose, spans in family.purpose_presets.items()
        if (amount := _amount(slot, spans, family))
    }
    if not names:
        return ""
    words = " and ".join(name if amount == 1 else f"partly {name}" for name, amount in names.items())
    return f"{words[0].upper()}{words[1:]} ({MIXERS})."


def _amount(slot: str, spans: RangeAmounts, family: Family) -> float:
    listed = family.listed_names
    name = next((group for group, slots in family.groups.items() if slot in slots), slot)
    for span, amount in spans:
        low, _, high = span.partition("-")
        if name in listed[listed.index(low) : listed.index(high or low) + 1]:
            return amount
    return 0.0
