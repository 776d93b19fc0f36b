"""SuperMerger's extended names for the parts of SDXL: 110 of them, finer than its blocks.

    CLIPL CLIPG            the two text encoders
    IN40                   input_blocks.4.0: the number of the block, then that of the layer in it
    IN41                   input_blocks.4.1 without its transformer blocks
    IN410, IN411           its transformer_blocks.0 and .1
    MID10, MID103          middle_block.1, its transformer_blocks.3 (the block has no number)
    OUT22                  output_blocks.2.2, an upsampler
    OUT9                   the last convolution
    TIME LABEL VAE

Source: hako-mikan/sd-webui-supermerger 0b1c491, scripts/mergers/mergers.py (blockfromkey, BLOCKIDXLLL). The
order is that of a list of 110 numbers; its third name, IN0, applies to no tensor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lib_merge.architectures.keys import (
    LABEL,
    OUT,
    SGM_FIRST_PREFIX,
    SGM_SECOND_PREFIX,
    TIME,
    UNET_PREFIX,
    VAE_PREFIX,
)

BLOCK_KEY = re.compile(
    re.escape(UNET_PREFIX) + r"(input|output)_blocks\.(\d)\.(\d)\.(?:transformer_blocks\.(\d+)\.)?"
    rf"|{re.escape(UNET_PREFIX)}middle_block\.(\d)\.(?:transformer_blocks\.(\d+)\.)?"
)
NAMES_BY_PREFIX = {
    UNET_PREFIX + LABEL: "LABEL",
    UNET_PREFIX + TIME: "TIME",
    UNET_PREFIX + OUT: "OUT9",
    SGM_FIRST_PREFIX: "CLIPL",
    SGM_SECOND_PREFIX: "CLIPG",
    VAE_PREFIX: "VAE",
}
# The number of transformer blocks of each input, output and middle block; output blocks with an upsampler.
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
    """SuperMerger's extended name for the part of SDXL that a key belongs to; "" for a key of no part."""
    for start, name in NAMES_BY_PREFIX.items():
        if key.startswith(start):
            return name
    match = BLOCK_KEY.match(key)
    if match is None:
        return ""
    side, block, layer, depth, middle, inner = match.groups(default="")
    if middle:
        return f"MID{middle}0{inner}"
    return f"{'IN' if side == 'input' else 'OUT'}{block}{layer}{depth}"
