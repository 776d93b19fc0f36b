"""Data that several families share: buffers, markers, fingerprints, and the slots of an LDM U-Net."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lib_merge.architectures.family import (
    Component,
    Fingerprint,
    Network,
    SelfAttention,
    Slot,
    Spelling,
    ToneVectors,
)
from lib_merge.architectures.keys import (
    AIO_VAE_PREFIX,
    CLIP_G_PREFIX,
    CLIP_H_PREFIX,
    CLIP_L_PREFIX,
    CONV_IN,
    CONV_IN_WEIGHT,
    EDM,
    EDM_V,
    EMA_PREFIX,
    INPUTS,
    LABEL,
    MIDDLE,
    OPEN_CLIP_PREFIX,
    OUT,
    OUTPUTS,
    SGM_FIRST_PREFIX,
    SGM_SECOND_PREFIX,
    T5_PREFIX,
    TEXT_PREFIXES,
    TIME,
    UNET_PREFIX,
    V_MARKER,
    VAE_DECODER_CONV_IN,
    VAE_PREFIX,
    ZERO_SNR,
)
from lib_merge.architectures.symmetry import Heads

# The buffers of LatentDiffusion (CompVis/stable-diffusion 21f890f9, ldm/models/diffusion/ddpm.py, lines
# 136-168, 112 and 459), of DiscreteDenoiser (Stability-AI/generative-models 0ad7de9, denoiser.py, line 57),
# those that ComfyUI saves, and the attention mask that old versions of OpenCLIP stored.
SCHEDULE = frozenset(
    {
        "betas",
        "alphas_cumprod",
        "alphas_cumprod_prev",
        "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod",
        "log_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod",
        "sqrt_recipm1_alphas_cumprod",
        "posterior_variance",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
        "lvlb_weights",
        "logvar",
        "scale_factor",
        "denoiser.sigmas",
        "model_sampling.sigmas",
        "model.model_sampling.sigmas",
        f"{OPEN_CLIP_PREFIX}attn_mask",
        f"{SGM_FIRST_PREFIX}model.attn_mask",
        f"{SGM_SECOND_PREFIX}model.attn_mask",
    }
)
EMA_PREFIXES = (EMA_PREFIX, VAE_PREFIX + EMA_PREFIX)
DROPPED_PREFIXES = (f"{VAE_PREFIX}loss.",)

V_MARKERS = frozenset({V_MARKER, *EDM_V})
MARKERS = V_MARKERS | {ZERO_SNR, *EDM}

VAE_FINGERPRINTS = (
    (Fingerprint(VAE_PREFIX + VAE_DECODER_CONV_IN),),
    (Fingerprint(f"{VAE_PREFIX}encoder.conv_in.weight"),),
)
AIO_VAE_FINGERPRINT = (Fingerprint(AIO_VAE_PREFIX + VAE_DECODER_CONV_IN),)
NO_SECOND_ENCODER = Fingerprint(f"{SGM_SECOND_PREFIX}model.ln_final.weight", absent=True)
INPAINT = ("inpaint", (Fingerprint(CONV_IN, axis=1, size=9),))
PIX2PIX = ("pix2pix", (Fingerprint(CONV_IN, axis=1, size=8),))

CLIP_L_IDS = "text_model.embeddings.position_ids"


def block_names(prefix: str, count: int) -> tuple[str, ...]:
    """Names of blocks as in lists of block weights: IN00, IN01, ..."""
    return tuple(f"{prefix}{number:02}" for number in range(count))


def unet_listed_names(levels: int) -> tuple[str, ...]:
    """The names of a list of block weights (BASE, IN00.., M00, OUT00..) for a U-Net with `levels` input
    blocks."""
    return ("BASE", *block_names("IN", levels), "M00", *block_names("OUT", levels))


def block_slots(slot: str, path: str, count: int) -> Iterable[Slot]:
    """One slot per block `path`0, `path`1, ... of the U-Net; `path` ends with a dot."""
    for name, number in zip(block_names(slot, count), range(count), strict=True):
        yield Slot(name, Component.UNET, (f"{UNET_PREFIX}{path}{number}.",))


def unet_slots(levels: int) -> tuple[Slot, ...]:
    """The slots of an LDM U-Net: its blocks, TIME and OUT."""
    return (
        *block_slots("IN", INPUTS, levels),
        unet_slot("M00", MIDDLE),
        *block_slots("OUT", OUTPUTS, levels),
        unet_slot("TIME", TIME),
        unet_slot("OUT", OUT),
    )


def unet_slot(slot: str, *names: str) -> Slot:
    """A slot of modules of the U-Net; a name without a dot at its end is a whole key."""
    return Slot(slot, Component.UNET, tuple(UNET_PREFIX + name for name in names))


UNET_NETWORK = Network(
    UNET_PREFIX, CONV_IN_WEIGHT, VAE_PREFIX, excluded_prefixes=("zero_convs.", "input_hint_block.")
)


def unet_attention(heads: Heads) -> SelfAttention:
    """The self-attention layers of an LDM U-Net."""
    layer = r"(?P<layer>.*\.transformer_blocks\.(?P<depth>\d+)\.attn1\.)to_q\.weight"
    return SelfAttention(
        layer, heads, query="to_q.weight", key="to_k.weight", value="to_v.weight", out="to_out.0.weight"
    )


LABEL_SLOT = unet_slot("LABEL", LABEL)
VAE_SLOT = Slot("VAE", Component.VAE, (VAE_PREFIX,))


def text_slot(slot: str, *prefixes: str) -> Slot:
    """The slot of a text encoder with these prefixes."""
    return Slot(slot, Component.TEXT, prefixes)


# In the single files of SD3 and Flux.
T5_TOKENS = f"{T5_PREFIX}spiece_model"  # the tokenizer's file, stored as a tensor of bytes
CLIP_LAYER = "transformer.text_model.encoder.layers.0.layer_norm1.weight"
CLIP_L_FINGERPRINT = (Fingerprint(CLIP_L_PREFIX + CLIP_LAYER),)
CLIP_G_FINGERPRINT = (Fingerprint(CLIP_G_PREFIX + CLIP_LAYER),)
T5_FINGERPRINT = (Fingerprint(f"{T5_PREFIX}transformer.encoder.final_layer_norm.weight"),)

# OpenCLIP's projection and scale, which image generation does not use
OPEN_CLIP_OPTIONAL = ("text_projection", "logit_scale")

# The effect of Adjust's brightness and tones on the last three latent channels of SD1 and SD2.
TONES: ToneVectors = ((-1, 1 / 3, 2 / 3), (1, 1, 0), (0, -1, -1), (1, 0, 1))

# Presets that are named after a purpose, for a U-Net with twelve input blocks.
TWELVE_BLOCKS_PRESETS = {
    "COMPOSITION": (("BASE", 0.25), ("IN00-IN03", 1), ("IN04-IN05", 0.5)),
    "ANATOMY": (("IN04-IN08", 1), ("IN09-M00", 0.25), ("OUT03-OUT05", 0.5)),
    "STYLE": (("OUT00-OUT02", 0.5), ("OUT03-OUT08", 1), ("OUT09-OUT11", 0.5)),
    "TEXTURE": (("OUT06-OUT08", 0.5), ("OUT09-OUT11", 1)),
}

# Tensors of Forge's text encoders that files of SD and SDXL do not have: they keep their names, and are not
# merged.
FORGE_ONLY_KEYS = tuple(
    (name, name)
    for name in (
        f"{CLIP_L_PREFIX}logit_scale",
        f"{CLIP_L_PREFIX}transformer.text_projection.",
        f"{CLIP_G_PREFIX}transformer.{CLIP_L_IDS}",
        f"{CLIP_H_PREFIX}transformer.{CLIP_L_IDS}",
    )
)
FORGE_CLIPS = {"l": CLIP_L_PREFIX, "g": CLIP_G_PREFIX, "h": CLIP_H_PREFIX}


def forge_spelling(title: str, prefixes: Mapping[str, str], *when: tuple[str, bool | None]) -> Spelling:
    """The spelling of files whose text encoders Forge saved under ComfyUI's prefixes.

    prefixes  letter of a text encoder (of FORGE_CLIPS) -> its canonical prefix in the family
    when      (letters of the encoders in such a file, whether it has a label embedding; None for either)
              pairs
    """

    def applies(shapes: Mapping[str, tuple[int, ...]]) -> bool:
        if UNET_PREFIX + CONV_IN_WEIGHT not in shapes or any(
            name.startswith(TEXT_PREFIXES) for name in shapes
        ):
            return False
        clips = "".join(
            letter
            for letter, prefix in FORGE_CLIPS.items()
            if any(name.startswith(prefix) for name in shapes)
        )
        labelled = any(name.startswith(UNET_PREFIX + LABEL) for name in shapes)
        return any(clips == letters and label in (None, labelled) for letters, label in when)

    renames = tuple((FORGE_CLIPS[letter], prefix) for letter, prefix in prefixes.items())
    return Spelling(title, (*FORGE_ONLY_KEYS, *renames), applies)
