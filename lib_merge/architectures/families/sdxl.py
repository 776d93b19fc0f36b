"""Stable Diffusion XL: the base model and all that was trained from it (Pony, Illustrious, NoobAI, ...)."""

from __future__ import annotations

from lib_merge.architectures.families.common import (
    CLIP_L_IDS,
    CONV_IN,
    EMA,
    INPAINT,
    LABEL_SLOT,
    LEFTOVERS,
    MARKERS,
    PIX2PIX,
    SCHEDULE,
    UNET,
    V_SIGNS,
    VAE,
    VAE_SIGNS,
    VAE_SLOT,
    block_names,
    text_slot,
    unet_numbers,
    unet_slots,
)
from lib_merge.architectures.families.symmetries import (
    clip_symmetries,
    open_clip_symmetries,
    together,
    unet_symmetries,
    vae_symmetries,
)
from lib_merge.architectures.family import Clue, Component, Family
from lib_merge.architectures.symmetry import Heads
from lib_merge.architectures.topology import (
    ClipTopology,
    OpenClipTopology,
    Topology,
    UNetTopology,
    VaeTopology,
)

CLIP_L = "conditioner.embedders.0."
CLIP_G = "conditioner.embedders.1."

# A list made for SD1, as SuperMerger reads it: IN09-IN11 and OUT09-OUT11 have no block here.
NOWHERE = ("", "", "")
SD1_LIST = ("BASE", *block_names("IN", 9), *NOWHERE, "M00", *block_names("OUT", 9), *NOWHERE)

SDXL = Family(
    id="sdxl",
    title="Stable Diffusion XL",
    slots=(text_slot("CLIP_L", CLIP_L), text_slot("CLIP_G", CLIP_G), *unet_slots(9), LABEL_SLOT, VAE_SLOT),
    numbers=unet_numbers(9),
    groups={"BASE": ("CLIP_L", "CLIP_G")},
    homeless=("TIME", "LABEL", "OUT", "VAE"),
    lists=(SD1_LIST,),
    schedule=SCHEDULE,
    markers=MARKERS,
    leftovers=LEFTOVERS,
    ema=EMA,
    position_ids=frozenset({f"{CLIP_L}transformer.{CLIP_L_IDS}"}),
    conv_in=CONV_IN,
    signs={
        Component.UNET: (
            (
                Clue(f"{UNET}label_emb.0.0.weight"),
                Clue(f"{UNET}input_blocks.8.0.in_layers.0.weight"),
                Clue(f"{UNET}input_blocks.11.0.in_layers.0.weight", absent=True),
            ),
        ),
        Component.TEXT: (
            (Clue(f"{CLIP_G}model.ln_final.weight"),),
            (Clue(f"{CLIP_L}transformer.text_model.encoder.layers.0.layer_norm1.weight"),),
        ),
        Component.VAE: VAE_SIGNS,
    },
    variants=(INPAINT, PIX2PIX),
    v_signs=V_SIGNS,
    usual_prediction="eps",
    latents="sdxl",
    modelspec="stable-diffusion-xl-v1-base",
    topology=Topology(
        {
            f"{CLIP_L}transformer.": ClipTopology(),
            f"{CLIP_G}model.": OpenClipTopology(layers=32, width=1280, mlp=5120),
            VAE: VaeTopology(),
            UNET: UNetTopology(
                mult=(1, 2, 4),
                depth=(0, 2, 10),
                middle_depth=10,
                context=2048,
                linear_proj=True,
                label=2816,
            ),
        }
    ),
    symmetries=together(
        unet_symmetries(UNET, Heads(width=64)),
        clip_symmetries(f"{CLIP_L}transformer."),
        open_clip_symmetries(f"{CLIP_G}model."),
        vae_symmetries(VAE),
    ),
)
