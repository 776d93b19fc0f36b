"""Stable Diffusion 2: 2.0, 2.1, their depth, inpainting, unCLIP and upscaling variants, SD-Turbo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lib_merge.architectures.families.common import (
    DROPPED_PREFIXES,
    EMA_PREFIXES,
    INPAINT,
    LABEL_SLOT,
    MARKERS,
    NO_SECOND_ENCODER,
    OPEN_CLIP_OPTIONAL,
    PIX2PIX,
    SCHEDULE,
    TONES,
    TWELVE_BLOCKS_PRESETS,
    UNET_NETWORK,
    V_MARKERS,
    VAE_FINGERPRINTS,
    VAE_SLOT,
    forge_spelling,
    text_slot,
    unet_attention,
    unet_listed_names,
    unet_slots,
)
from lib_merge.architectures.families.symmetries import (
    combine_symmetries,
    open_clip_symmetries,
    unet_symmetries,
    vae_symmetries,
)
from lib_merge.architectures.family import Component, Family, Fingerprint, Spelling
from lib_merge.architectures.keys import (
    CONV_IN,
    OPEN_CLIP_PREFIX,
    SGM_FIRST_PREFIX,
    SGM_SECOND_PREFIX,
    TEXT_PREFIX,
    UNET_PREFIX,
    VAE_PREFIX,
)
from lib_merge.architectures.symmetry import Heads
from lib_merge.architectures.topology import OpenClipTopology, Topology, UNetTopology, VaeTopology

SGM_OPEN_CLIP = f"{SGM_FIRST_PREFIX}model."  # in SD-Turbo as published by Stability
WIDTH = 1024  # of OpenCLIP ViT-H; the SDXL refiner keeps ViT-bigG (1280) at the same name
HEADS = Heads(width=64)  # Stability-AI/stablediffusion, configs/*/v2-*.yaml, num_head_channels
MIDDLE = f"{UNET_PREFIX}middle_block.1."


def _in_sgm_layout(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    alone = not any(SGM_SECOND_PREFIX in name for name in shapes)
    return alone and shapes.get(f"{SGM_OPEN_CLIP}ln_final.weight") == (WIDTH,)


SD2 = Family(
    id="sd2",
    title="Stable Diffusion 2",
    slots=(text_slot("BASE", TEXT_PREFIX, SGM_OPEN_CLIP), *unet_slots(12), LABEL_SLOT, VAE_SLOT),
    listed_names=unet_listed_names(12),
    unlisted_slots=("TIME", "LABEL", "OUT", "VAE"),  # LABEL: only in unCLIP and the upscaler
    schedule=SCHEDULE,
    markers=MARKERS,
    # MiDaS of the depth model, unCLIP's CLIP image encoder and noise augmentor, the upscaler's noise
    # schedule.
    passthrough_prefixes=("depth_model.", "embedder.", "noise_augmentor.", "low_scale_model."),
    dropped_prefixes=DROPPED_PREFIXES,
    ema_prefixes=EMA_PREFIXES,
    conv_in=CONV_IN,
    fingerprints={
        Component.UNET: (
            (
                Fingerprint(f"{MIDDLE}proj_in.weight", rank=2),
                Fingerprint(f"{UNET_PREFIX}input_blocks.11.0.in_layers.0.weight"),
                Fingerprint(f"{MIDDLE}transformer_blocks.1.norm1.weight", absent=True),
            ),
        ),
        Component.TEXT: (
            (Fingerprint(f"{OPEN_CLIP_PREFIX}ln_final.weight"),),
            (Fingerprint(f"{SGM_OPEN_CLIP}ln_final.weight", size=WIDTH), NO_SECOND_ENCODER),
        ),
        Component.VAE: VAE_FINGERPRINTS,
    },
    variants=(
        INPAINT,
        PIX2PIX,
        ("depth", (Fingerprint(CONV_IN, axis=1, size=5),)),
        ("upscaler", (Fingerprint(CONV_IN, axis=1, size=7),)),
        ("unclip", (Fingerprint(f"{UNET_PREFIX}label_emb.0.0.weight"),)),
    ),
    v_markers=V_MARKERS,
    latent_space="sd",
    modelspec="stable-diffusion-v2-512",
    modelspec_v="stable-diffusion-v2-768-v",
    topology=Topology(
        {
            UNET_PREFIX: UNetTopology(context=1024, linear_proj=True),
            VAE_PREFIX: VaeTopology(),
            OPEN_CLIP_PREFIX: OpenClipTopology(),
        }
    ),
    symmetries=replace(
        combine_symmetries(
            unet_symmetries(UNET_PREFIX, HEADS),
            open_clip_symmetries(OPEN_CLIP_PREFIX),
            open_clip_symmetries(SGM_OPEN_CLIP),
            vae_symmetries(VAE_PREFIX),
        ),
        # the upscaler has eight heads of any width, and its outer levels attend to the text alone
        excluded_variants=frozenset({"upscaler"}),
    ),
    short_title="SD2",
    network=UNET_NETWORK,
    spellings=(
        Spelling("SD2 in SGM layout (SD-Turbo)", ((SGM_OPEN_CLIP, OPEN_CLIP_PREFIX),), _in_sgm_layout),
        forge_spelling("SD2 saved by Forge", {"h": OPEN_CLIP_PREFIX}, ("h", None)),
    ),
    attention=unet_attention(HEADS),
    purpose_presets=TWELVE_BLOCKS_PRESETS,
    embedding_slots=("TIME", "LABEL"),
    tone_vectors=TONES,
    optional_suffixes=OPEN_CLIP_OPTIONAL,
)
