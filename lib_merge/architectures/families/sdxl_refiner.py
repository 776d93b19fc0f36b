"""The refiner of Stable Diffusion XL."""

from __future__ import annotations

from lib_merge.architectures.families.common import (
    CONV_IN,
    EMA,
    LABEL_SLOT,
    LEFTOVERS,
    MARKERS,
    NO_SECOND_ENCODER,
    SCHEDULE,
    UNET,
    V_SIGNS,
    VAE,
    VAE_SIGNS,
    VAE_SLOT,
    text_slot,
    unet_numbers,
    unet_slots,
)
from lib_merge.architectures.families.symmetries import (
    open_clip_symmetries,
    together,
    unet_symmetries,
    vae_symmetries,
)
from lib_merge.architectures.family import Clue, Component, Family
from lib_merge.architectures.symmetry import Heads
from lib_merge.architectures.topology import OpenClipTopology, Topology, UNetTopology, VaeTopology

TEXT = "conditioner.embedders.0.model."

SDXL_REFINER = Family(
    id="sdxl-refiner",
    title="Stable Diffusion XL refiner",
    slots=(text_slot("BASE", "conditioner.embedders.0."), *unet_slots(12), LABEL_SLOT, VAE_SLOT),
    numbers=unet_numbers(12),
    homeless=("TIME", "LABEL", "OUT", "VAE"),
    schedule=SCHEDULE,
    markers=MARKERS,
    leftovers=LEFTOVERS,
    ema=EMA,
    conv_in=CONV_IN,
    signs={
        Component.UNET: (
            (
                Clue(f"{UNET}label_emb.0.0.weight"),
                Clue(f"{UNET}input_blocks.11.0.in_layers.0.weight"),
                Clue(f"{UNET}middle_block.1.transformer_blocks.1.norm1.weight"),
            ),
        ),
        Component.TEXT: ((Clue(f"{TEXT}ln_final.weight"), NO_SECOND_ENCODER),),
        Component.VAE: VAE_SIGNS,
    },
    v_signs=V_SIGNS,
    usual_prediction="eps",
    latents="sdxl",
    modelspec="stable-diffusion-xl-v1-refiner",
    topology=Topology(
        {
            TEXT: OpenClipTopology(layers=32, width=1280, mlp=5120),
            VAE: VaeTopology(),
            UNET: UNetTopology(
                channels=384,
                depth=(0, 4, 4, 0),
                middle_depth=4,
                context=1280,
                linear_proj=True,
                label=2560,
            ),
        }
    ),
    symmetries=together(
        unet_symmetries(UNET, Heads(width=64)), open_clip_symmetries(TEXT), vae_symmetries(VAE)
    ),
)
