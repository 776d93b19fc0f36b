"""Stable Diffusion 2: 2.0, 2.1, their depth, inpainting, unCLIP and upscaling kin, SD-Turbo."""

from __future__ import annotations

from dataclasses import replace

from lib_merge.architectures.families.common import (
    CONV_IN,
    EMA,
    INPAINT,
    LABEL_SLOT,
    LEFTOVERS,
    MARKERS,
    NO_SECOND_ENCODER,
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
    open_clip_symmetries,
    together,
    unet_symmetries,
    vae_symmetries,
)
from lib_merge.architectures.family import Clue, Component, Family
from lib_merge.architectures.symmetry import Heads
from lib_merge.architectures.topology import OpenClipTopology, Topology, UNetTopology, VaeTopology

TEXT = "cond_stage_model.model."
SGM_TEXT = "conditioner.embedders.0.model."  # SD-Turbo as Stability published it
MIDDLE = f"{UNET}middle_block.1."

SD2 = Family(
    id="sd2",
    title="Stable Diffusion 2",
    slots=(text_slot("BASE", "cond_stage_model.", SGM_TEXT), *unet_slots(12), LABEL_SLOT, VAE_SLOT),
    numbers=unet_numbers(12),
    homeless=("TIME", "LABEL", "OUT", "VAE"),  # LABEL: unCLIP and the upscaler alone
    schedule=SCHEDULE,
    markers=MARKERS,
    # MiDaS of the depth model, CLIP's eye and its noise of unCLIP, the upscaler's noise.
    carried=("depth_model.", "embedder.", "noise_augmentor.", "low_scale_model."),
    leftovers=LEFTOVERS,
    ema=EMA,
    conv_in=CONV_IN,
    signs={
        Component.UNET: (
            (
                Clue(f"{MIDDLE}proj_in.weight", rank=2),
                Clue(f"{UNET}input_blocks.11.0.in_layers.0.weight"),
                Clue(f"{MIDDLE}transformer_blocks.1.norm1.weight", absent=True),
            ),
        ),
        Component.TEXT: (
            (Clue(f"{TEXT}ln_final.weight"),),
            (Clue(f"{SGM_TEXT}ln_final.weight", size=1024), NO_SECOND_ENCODER),
        ),
        Component.VAE: VAE_SIGNS,
    },
    variants=(
        INPAINT,
        PIX2PIX,
        ("depth", (Clue(CONV_IN, axis=1, size=5),)),
        ("upscaler", (Clue(CONV_IN, axis=1, size=7),)),
        ("unclip", (Clue(f"{UNET}label_emb.0.0.weight"),)),
    ),
    v_signs=V_SIGNS,
    latents="sd",
    modelspec="stable-diffusion-v2-512",
    modelspec_v="stable-diffusion-v2-768-v",
    topology=Topology(
        {UNET: UNetTopology(context=1024, linear_proj=True), VAE: VaeTopology(), TEXT: OpenClipTopology()}
    ),
    symmetries=replace(
        together(
            unet_symmetries(UNET, Heads(width=64)),
            open_clip_symmetries(TEXT),
            open_clip_symmetries(SGM_TEXT),
            vae_symmetries(VAE),
        ),
        not_for=frozenset(
            {"upscaler"}
        ),  # eight heads of any width; its outer levels attend to the text alone
    ),
)
