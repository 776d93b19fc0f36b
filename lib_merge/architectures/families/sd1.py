"""Stable Diffusion 1: versions 1.1 to 1.5 and models trained from them."""

from __future__ import annotations

from lib_merge.architectures.families.common import (
    CLIP_L_IDS,
    DROPPED_PREFIXES,
    EMA_PREFIXES,
    INPAINT,
    MARKERS,
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
from lib_merge.architectures.families.pipelines import HEADS, STABLE_DIFFUSION
from lib_merge.architectures.families.symmetries import (
    clip_symmetries,
    combine_symmetries,
    unet_symmetries,
    vae_symmetries,
)
from lib_merge.architectures.family import Component, Family, Fingerprint
from lib_merge.architectures.keys import CLIP_PREFIX, CONV_IN, TEXT_PREFIX, UNET_PREFIX, VAE_PREFIX
from lib_merge.architectures.topology import ClipTopology, Topology, UNetTopology, VaeTopology

MIDDLE = f"{UNET_PREFIX}middle_block.1."

TWELVE_INPUT_BLOCKS = (
    Fingerprint(f"{UNET_PREFIX}input_blocks.11.0.in_layers.0.weight"),
    Fingerprint(f"{UNET_PREFIX}label_emb.0.0.weight", absent=True),
)

SD1 = Family(
    id="sd1",
    title="Stable Diffusion 1",
    slots=(text_slot("BASE", TEXT_PREFIX), *unet_slots(12), VAE_SLOT),
    listed_names=unet_listed_names(12),
    unlisted_slots=("TIME", "OUT", "VAE"),
    schedule=SCHEDULE,
    markers=MARKERS,
    dropped_prefixes=DROPPED_PREFIXES,
    ema_prefixes=EMA_PREFIXES,
    position_ids=frozenset({CLIP_PREFIX + CLIP_L_IDS, f"{CLIP_PREFIX}embeddings.position_ids"}),
    conv_in=CONV_IN,
    fingerprints={
        Component.UNET: (
            (Fingerprint(f"{MIDDLE}proj_in.weight", rank=4), *TWELVE_INPUT_BLOCKS),
            # Files converted from diffusers may have matrices in place of the 1x1 convolutions.
            (
                Fingerprint(f"{MIDDLE}transformer_blocks.0.attn2.to_k.weight", axis=1, size=768),
                *TWELVE_INPUT_BLOCKS,
            ),
        ),
        Component.TEXT: (
            (Fingerprint(f"{CLIP_PREFIX}text_model.encoder.layers.0.layer_norm1.weight"),),
            (Fingerprint(f"{CLIP_PREFIX}encoder.layers.0.layer_norm1.weight"),),
        ),
        Component.VAE: VAE_FINGERPRINTS,
    },
    variants=(INPAINT, PIX2PIX),
    v_markers=V_MARKERS,
    default_prediction="eps",
    latent_space="sd",
    modelspec="stable-diffusion-v1",
    topology=Topology({UNET_PREFIX: UNetTopology(), VAE_PREFIX: VaeTopology(), CLIP_PREFIX: ClipTopology()}),
    symmetries=combine_symmetries(  # eight heads at every width
        unet_symmetries(UNET_PREFIX, HEADS), clip_symmetries(CLIP_PREFIX), vae_symmetries(VAE_PREFIX)
    ),
    short_title="SD1",
    network=UNET_NETWORK,
    spellings=(forge_spelling("SD1 saved by Forge", {"l": TEXT_PREFIX}, ("l", False)),),
    attention=unet_attention(HEADS),
    purpose_presets=TWELVE_BLOCKS_PRESETS,
    embedding_slots=("TIME",),
    tone_vectors=TONES,
    pipeline=STABLE_DIFFUSION,
)
