"""Stable Diffusion XL: the base model and models trained from it (Pony, Illustrious, NoobAI, ...)."""

from __future__ import annotations

from lib_merge.architectures.families.common import (
    CLIP_L_IDS,
    DROPPED_PREFIXES,
    EMA_PREFIXES,
    INPAINT,
    LABEL_SLOT,
    MARKERS,
    OPEN_CLIP_OPTIONAL,
    PIX2PIX,
    SCHEDULE,
    UNET_NETWORK,
    V_MARKERS,
    VAE_FINGERPRINTS,
    VAE_SLOT,
    block_names,
    forge_spelling,
    text_slot,
    unet_attention,
    unet_listed_names,
    unet_slots,
)
from lib_merge.architectures.families.symmetries import (
    clip_symmetries,
    combine_symmetries,
    open_clip_symmetries,
    unet_symmetries,
    vae_symmetries,
)
from lib_merge.architectures.family import Component, Family, Fingerprint
from lib_merge.architectures.keys import CONV_IN, SGM_FIRST_PREFIX, SGM_SECOND_PREFIX, UNET_PREFIX, VAE_PREFIX
from lib_merge.architectures.symmetry import Heads
from lib_merge.architectures.topology import (
    ClipTopology,
    OpenClipTopology,
    Topology,
    UNetTopology,
    VaeTopology,
)

HEADS = Heads(width=64)

# A list for SD1, as SuperMerger reads it on SDXL: the numbers of IN09-IN11 and OUT09-OUT11 are ignored.
NO_BLOCKS = ("", "", "")
SD1_LIST = ("BASE", *block_names("IN", 9), *NO_BLOCKS, "M00", *block_names("OUT", 9), *NO_BLOCKS)

SDXL = Family(
    id="sdxl",
    title="Stable Diffusion XL",
    slots=(
        text_slot("CLIP_L", SGM_FIRST_PREFIX),
        text_slot("CLIP_G", SGM_SECOND_PREFIX),
        *unet_slots(9),
        LABEL_SLOT,
        VAE_SLOT,
    ),
    listed_names=unet_listed_names(9),
    groups={"BASE": ("CLIP_L", "CLIP_G")},
    unlisted_slots=("TIME", "LABEL", "OUT", "VAE"),
    other_lists=(SD1_LIST,),
    schedule=SCHEDULE,
    markers=MARKERS,
    dropped_prefixes=DROPPED_PREFIXES,
    ema_prefixes=EMA_PREFIXES,
    position_ids=frozenset({f"{SGM_FIRST_PREFIX}transformer.{CLIP_L_IDS}"}),
    conv_in=CONV_IN,
    fingerprints={
        Component.UNET: (
            (
                Fingerprint(f"{UNET_PREFIX}label_emb.0.0.weight"),
                Fingerprint(f"{UNET_PREFIX}input_blocks.8.0.in_layers.0.weight"),
                Fingerprint(f"{UNET_PREFIX}input_blocks.11.0.in_layers.0.weight", absent=True),
            ),
        ),
        Component.TEXT: (
            (Fingerprint(f"{SGM_SECOND_PREFIX}model.ln_final.weight"),),
            (Fingerprint(f"{SGM_FIRST_PREFIX}transformer.text_model.encoder.layers.0.layer_norm1.weight"),),
        ),
        Component.VAE: VAE_FINGERPRINTS,
    },
    variants=(INPAINT, PIX2PIX),
    v_markers=V_MARKERS,
    default_prediction="eps",
    latent_space="sdxl",
    modelspec="stable-diffusion-xl-v1-base",
    topology=Topology(
        {
            f"{SGM_FIRST_PREFIX}transformer.": ClipTopology(),
            f"{SGM_SECOND_PREFIX}model.": OpenClipTopology(layers=32, width=1280, mlp=5120),
            VAE_PREFIX: VaeTopology(),
            UNET_PREFIX: UNetTopology(
                mult=(1, 2, 4),
                depth=(0, 2, 10),
                middle_depth=10,
                context=2048,
                linear_proj=True,
                label=2816,
            ),
        }
    ),
    symmetries=combine_symmetries(
        unet_symmetries(UNET_PREFIX, HEADS),
        clip_symmetries(f"{SGM_FIRST_PREFIX}transformer."),
        open_clip_symmetries(f"{SGM_SECOND_PREFIX}model."),
        vae_symmetries(VAE_PREFIX),
    ),
    short_title="SDXL",
    network=UNET_NETWORK,
    spellings=(
        forge_spelling(
            "SDXL saved by Forge",
            {"l": SGM_FIRST_PREFIX, "g": f"{SGM_SECOND_PREFIX}model."},
            ("lg", None),
            ("l", True),
        ),
    ),
    attention=unet_attention(HEADS),
    purpose_presets={
        "COMPOSITION": (("BASE", 0.25), ("IN00-IN04", 1), ("IN05", 0.5)),
        "ANATOMY": (("IN04-IN08", 1), ("M00", 0.25), ("OUT00-OUT02", 0.5)),
        "STYLE": (("OUT00", 0.5), ("OUT01-OUT05", 1), ("OUT06-OUT08", 0.5)),
        "TEXTURE": (("OUT03-OUT05", 0.5), ("OUT06-OUT08", 1)),
    },
    embedding_slots=("TIME", "LABEL"),
    tone_vectors=((0, 0, 1), (1, 0, 0), (-1, -1, 0), (-1, 1, 0)),
    optional_suffixes=OPEN_CLIP_OPTIONAL,
)
