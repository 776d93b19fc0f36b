"""The refiner of Stable Diffusion XL."""

from __future__ import annotations

from lib_merge.architectures.families.common import (
    DROPPED_PREFIXES,
    EMA_PREFIXES,
    LABEL_SLOT,
    MARKERS,
    NO_SECOND_ENCODER,
    OPEN_CLIP_OPTIONAL,
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
from lib_merge.architectures.family import Component, Family, Fingerprint
from lib_merge.architectures.keys import CONV_IN, SGM_FIRST_PREFIX, UNET_PREFIX, VAE_PREFIX
from lib_merge.architectures.symmetry import Heads
from lib_merge.architectures.topology import OpenClipTopology, Topology, UNetTopology, VaeTopology

OPEN_CLIP = f"{SGM_FIRST_PREFIX}model."
HEADS = Heads(width=64)

SDXL_REFINER = Family(
    id="sdxl-refiner",
    title="Stable Diffusion XL refiner",
    slots=(text_slot("BASE", SGM_FIRST_PREFIX), *unet_slots(12), LABEL_SLOT, VAE_SLOT),
    listed_names=unet_listed_names(12),
    unlisted_slots=("TIME", "LABEL", "OUT", "VAE"),
    schedule=SCHEDULE,
    markers=MARKERS,
    dropped_prefixes=DROPPED_PREFIXES,
    ema_prefixes=EMA_PREFIXES,
    conv_in=CONV_IN,
    fingerprints={
        Component.UNET: (
            (
                Fingerprint(f"{UNET_PREFIX}label_emb.0.0.weight"),
                Fingerprint(f"{UNET_PREFIX}input_blocks.11.0.in_layers.0.weight"),
                Fingerprint(f"{UNET_PREFIX}middle_block.1.transformer_blocks.1.norm1.weight"),
            ),
        ),
        Component.TEXT: ((Fingerprint(f"{OPEN_CLIP}ln_final.weight"), NO_SECOND_ENCODER),),
        Component.VAE: VAE_FINGERPRINTS,
    },
    v_markers=V_MARKERS,
    default_prediction="eps",
    latent_space="sdxl",
    modelspec="stable-diffusion-xl-v1-refiner",
    topology=Topology(
        {
            OPEN_CLIP: OpenClipTopology(layers=32, width=1280, mlp=5120),
            VAE_PREFIX: VaeTopology(),
            UNET_PREFIX: UNetTopology(
                channels=384,
                depth=(0, 4, 4, 0),
                middle_depth=4,
                context=1280,
                linear_proj=True,
                label=2560,
            ),
        }
    ),
    symmetries=combine_symmetries(
        unet_symmetries(UNET_PREFIX, HEADS), open_clip_symmetries(OPEN_CLIP), vae_symmetries(VAE_PREFIX)
    ),
    network=UNET_NETWORK,
    spellings=(forge_spelling("SDXL refiner saved by Forge", {"g": OPEN_CLIP}, ("g", None)),),
    attention=unet_attention(HEADS),
    purpose_presets=TWELVE_BLOCKS_PRESETS,
    embedding_slots=("TIME", "LABEL"),
    tone_vectors=TONES,
    optional_suffixes=OPEN_CLIP_OPTIONAL,
)
