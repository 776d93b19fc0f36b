"""Flux.1: dev, schnell, and the tools that share their transformer (fill, canny, depth, Kontext)."""

from __future__ import annotations

from lib_merge.architectures.families.common import (
    AIO_VAE,
    CLIP_L_IDS,
    CLIP_L_SIGN,
    CLIP_L_TEXT,
    SCHEDULE,
    T5_SIGN,
    T5_TEXT,
    T5_TOKENS,
    UNET,
    VAE,
    VAE_SIGNS,
    block_names,
    blocks,
    text_slot,
    within_unet,
)
from lib_merge.architectures.family import Clue, Component, Family, Slot
from lib_merge.architectures.topology import Topology, VaeTopology
from lib_merge.architectures.transformers import FluxTopology

IMG_IN = f"{UNET}img_in.weight"
GUIDANCE = f"{UNET}guidance_in.in_layer.weight"
DOUBLE, SINGLE = 19, 38

FLUX = Family(
    id="flux",
    title="Flux.1",
    slots=(
        text_slot("CLIP_L", CLIP_L_TEXT),
        text_slot("T5", T5_TEXT),
        *blocks("D", "double_blocks", DOUBLE),
        *blocks("S", "single_blocks", SINGLE),
        within_unet("IN", "img_in.", "txt_in.", "time_in.", "vector_in.", "guidance_in."),
        within_unet("OUT", "final_layer."),
        Slot("VAE", Component.VAE, (AIO_VAE, VAE)),
    ),
    numbers=("BASE", *block_names("D", DOUBLE), *block_names("S", SINGLE)),
    groups={"BASE": ("CLIP_L", "T5")},
    homeless=("IN", "OUT", "VAE"),
    schedule=SCHEDULE,
    carried=(T5_TOKENS,),
    position_ids=frozenset({f"{CLIP_L_TEXT}transformer.{CLIP_L_IDS}"}),
    conv_in=IMG_IN,
    signs={
        Component.UNET: (
            (
                Clue(f"{UNET}double_blocks.0.img_attn.norm.key_norm.scale"),
                Clue(IMG_IN),
                Clue(f"{UNET}vector_in.in_layer.weight"),  # Chroma, LongCat-Image and Ovis-Image have none
                Clue(f"{UNET}double_stream_modulation_img.lin.weight", absent=True),  # Flux.2
                Clue(f"{UNET}distilled_guidance_layer.in_proj.weight", absent=True),  # Chroma
            ),
        ),
        Component.TEXT: (CLIP_L_SIGN, T5_SIGN),
        Component.VAE: (*VAE_SIGNS, (Clue(f"{AIO_VAE}decoder.conv_in.weight"),)),
    },
    variants=(
        ("fill", (Clue(IMG_IN, axis=1, size=384),)),
        ("control", (Clue(IMG_IN, axis=1, size=128),)),  # canny and depth
        ("schnell", (Clue(IMG_IN), Clue(GUIDANCE, absent=True))),
    ),
    latents="flux",
    modelspec="flux-1-dev",
    topology=Topology({UNET: FluxTopology(), AIO_VAE: VaeTopology(z=16, quant=False)}),
)
