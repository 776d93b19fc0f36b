"""SuperMerger's extended names for the parts of SDXL: 110 of them, finer than its blocks.

    CLIPL CLIPG            the two text encoders
    IN40                   input_blocks.4.0: the number of the block, then that of the layer in it
    IN41                   what stands around the transformer of input_blocks.4.1
    IN410, IN411           its transformer_blocks.0 and .1
    MID10, MID103          middle_block.1, its transformer_blocks.3 (the block has no number)
    OUT22                  output_blocks.2.2, an upsampler
    OUT9                   the last convolution
    TIME LABEL VAE

Read off hako-mikan/sd-webui-supermerger 0b1c491, scripts/mergers/mergers.py (blockfromkey, BLOCKIDXLLL). The
order is that of a list of 110 numbers; no tensor carries its third name, IN0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lib_merge.architectures.families.common import UNET

PLACES = re.compile(
    re.escape(UNET) + r"(input|output)_blocks\.(\d)\.(\d)\.(?:transformer_blocks\.(\d+)\.)?"
    rf"|{re.escape(UNET)}middle_block\.(\d)\.(?:transformer_blocks\.(\d+)\.)?"
)
STARTS = {
    f"{UNET}label_emb.": "LABEL",
    f"{UNET}time_embed.": "TIME",
    f"{UNET}out.": "OUT9",
    "conditioner.embedders.0.": "CLIPL",
    "conditioner.embedders.1.": "CLIPG",
    "first_stage_model.": "VAE",
}
# transformer blocks by block, and the blocks that end in an upsampler
DOWN, UP, MIDDLE, UPSAMPLERS = {4: 2, 5: 2, 7: 10, 8: 10}, {0: 10, 1: 10, 2: 10, 3: 2, 4: 2, 5: 2}, 10, (2, 5)


def _names() -> Iterator[str]:
    yield from ("CLIPL", "CLIPG", "IN0")
    for block in range(9):
        yield from _layers(f"IN{block}", DOWN.get(block, 0))
    yield from ("MID00", "MID10", *(f"MID10{depth}" for depth in range(MIDDLE)), "MID20")
    for block in range(9):
        yield from _layers(f"OUT{block}", UP.get(block, 0))
        if block in UPSAMPLERS:
            yield f"OUT{block}2"
    yield from ("OUT9", "TIME", "LABEL", "VAE")


def _layers(block: str, depth: int) -> Iterator[str]:
    yield f"{block}0"
    if depth:
        yield from (f"{block}1", *(f"{block}1{inner}" for inner in range(depth)))


EXTENDED_NAMES = tuple(_names())
EXTENDED_FAMILY = "sdxl"


def extended_name(key: str) -> str:
    """What SuperMerger calls the part of SDXL that a tensor is in, "" for what lies outside of all."""
    for start, name in STARTS.items():
        if key.startswith(start):
            return name
    place = PLACES.match(key)
    if place is None:
        return ""
    way, block, layer, depth, middle, inner = place.groups(default="")
    if middle:
        return f"MID{middle}0{inner}"
    return f"{'IN' if way == 'input' else 'OUT'}{block}{layer}{depth}"
