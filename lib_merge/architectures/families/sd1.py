"""Stable Diffusion 1: 1.1 to 1.5 and all that was trained from them."""

from __future__ import annotations

from lib_merge.architectures.families.common import (
    CLIP_L_IDS,
    CONV_IN,
    EMA,
    INPAINT,
    LEFTOVERS,
    MARKERS,
    PIX2PIX,
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
    clip_symmetries,
    together,
    unet_symmetries,
    vae_symmetries,
)
from lib_merge.architectures.family import Clue, Component, Family
from lib_merge.architectures.symmetry import Heads
from lib_merge.architectures.topology import ClipTopology, Topology, UNetTopology, VaeTopology

TEXT = "cond_stage_model.transformer."
MIDDLE = f"{UNET}middle_block.1."

TWELVE_BLOCKS = (
    Clue(f"{UNET}input_blocks.11.0.in_layers.0.weight"),
    Clue(f"{UNET}label_emb.0.0.weight", absent=True),
)

SD1 = Family(
    id="sd1",
    title="Stable Diffusion 1",
    slots=(text_slot("BASE", "cond_stage_model."), *unet_slots(12), VAE_SLOT),
    numbers=unet_numbers(12),
    homeless=("TIME", "OUT", "VAE"),
    schedule=SCHEDULE,
    markers=MARKERS,
    leftovers=LEFTOVERS,
    ema=EMA,
    position_ids=frozenset({TEXT + CLIP_L_IDS, f"{TEXT}embeddings.position_ids"}),
    conv_in=CONV_IN,
    signs={
        Component.UNET: (
            (Clue(f"{MIDDLE}proj_in.weight", rank=4), *TWELVE_BLOCKS),
            # Files that went through diffusers may hold the 1x1 convolutions as matrices.
            (Clue(f"{MIDDLE}transformer_blocks.0.attn2.to_k.weight", axis=1, size=768), *TWELVE_BLOCKS),
        ),
        Component.TEXT: (
            (Clue(f"{TEXT}text_model.encoder.layers.0.layer_norm1.weight"),),
            (Clue(f"{TEXT}encoder.layers.0.layer_norm1.weight"),),
        ),
        Component.VAE: VAE_SIGNS,
    },
    variants=(INPAINT, PIX2PIX),
    v_signs=V_SIGNS,
    usual_prediction="eps",
    latents="sd",
    modelspec="stable-diffusion-v1",
    topology=Topology({UNET: UNetTopology(), VAE: VaeTopology(), TEXT: ClipTopology()}),
    symmetries=together(  # eight heads at every width
        unet_symmetries(UNET, Heads(count=8)), clip_symmetries(TEXT), vae_symmetries(VAE)
    ),
)
