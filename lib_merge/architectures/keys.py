"""Prefixes of keys, and a key's role, slot and component in a family.

All prefixes are defined in this file only; all other files import them.
"""

from __future__ import annotations

import re

from lib_merge.architectures.family import Component, Family, Role, Slot

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
AIO_VAE_PREFIX = "vae."  # ComfyUI's prefix for the VAE of Flux and later transformers
VAE_PREFIXES = (AIO_VAE_PREFIX, VAE_PREFIX)  # the two prefixes of VAEs among canonical keys

# Text encoders of Stable Diffusion 1 and 2.
TEXT_PREFIX = "cond_stage_model."
CLIP_PREFIX = f"{TEXT_PREFIX}transformer."
CLIP_WEIGHTS_PREFIX = f"{CLIP_PREFIX}text_model."  # without the projection, which is in memory only
OPEN_CLIP_PREFIX = f"{TEXT_PREFIX}model."

# Text encoders in Stability's generative-models (SGM): SDXL, its refiner, SD-Turbo.
SGM_TEXT_PREFIX = "conditioner."
SGM_ENCODER_PREFIX = f"{SGM_TEXT_PREFIX}embedders."
SGM_FIRST_PREFIX = f"{SGM_ENCODER_PREFIX}0."
SGM_SECOND_PREFIX = f"{SGM_ENCODER_PREFIX}1."

# ComfyUI's names for text encoders in single files: SD3, Flux, and SD and SDXL files that Forge saved.
COMFY_TEXT_PREFIX = "text_encoders."
CLIP_L, CLIP_G, CLIP_H, T5 = "clip_l", "clip_g", "clip_h", "t5xxl"
CLIP_L_PREFIX = f"{COMFY_TEXT_PREFIX}{CLIP_L}."
CLIP_G_PREFIX = f"{COMFY_TEXT_PREFIX}{CLIP_G}."
CLIP_H_PREFIX = f"{COMFY_TEXT_PREFIX}{CLIP_H}."
T5_PREFIX = f"{COMFY_TEXT_PREFIX}{T5}."

TEXT_PREFIXES = (TEXT_PREFIX, SGM_TEXT_PREFIX)  # of the models that AUTOMATIC1111 holds in memory

EMA_PREFIX = "model_ema."

# The modules of an LDM U-Net.
INPUTS, MIDDLE, OUTPUTS = "input_blocks.", "middle_block.", "output_blocks."
TIME, LABEL, OUT = "time_embed.", "label_emb.", "out."

# Tensors that code outside of the families refers to.
CONV_IN_WEIGHT = f"{INPUTS}0.0.weight"
CONV_IN = UNET_PREFIX + CONV_IN_WEIGHT
FIRST_CONV, LAST_NORM, LAST_CONV = f"{UNET_PREFIX}{INPUTS}0.0", f"{UNET_PREFIX}{OUT}0", f"{UNET_PREFIX}{OUT}2"
VAE_DECODER_CONV_IN, VAE_POST_QUANT_CONV = "decoder.conv_in.weight", "post_quant_conv.weight"  # of a VAE
T5_MODULE_KEY = "encoder.block.0.layer.0.SelfAttention.k.weight"  # of a T5 text encoder in a file of its own

BLOCK_PREFIX = re.compile(rf"{re.escape(UNET_PREFIX)}(?:input_blocks\.\d+|middle_block|output_blocks\.\d+)\.")
BLOCK_OR_MODULE_PREFIX = re.compile(rf"{re.escape(UNET_PREFIX)}(?:[a-z]+_blocks\.\d+|[a-z_]+)\.")

POSITION_IDS = "position_ids"  # the end of keys that count 0..76

# As ComfyUI writes and reads them (comfy/supported_models.py, SDXL.model_type).
V_MARKER, ZERO_SNR = "v_pred", "ztsnr"
EDM, EDM_V = ("edm_mean", "edm_std"), ("edm_vpred.sigma_max", "edm_vpred.sigma_min")


def role_of(family: Family, key: str) -> Role:
    """How a merge treats the key."""
    if key in family.position_ids:
        return Role.IDS
    if key in family.markers or key.startswith(family.passthrough_prefixes):
        return Role.MARKER
    if key in family.schedule:
        return Role.SCHEDULE
    if key.startswith(family.ema_prefixes):
        return Role.EMA
    if key.startswith(family.dropped_prefixes) or _find_slot(family, key) is None:
        return Role.UNKNOWN
    return Role.WEIGHT


def slot_of(family: Family, key: str) -> str | None:
    """The id of the slot with the longest prefix of the key; None for a key of no slot."""
    slot = _find_slot(family, key)
    return slot.id if slot else None


def component_of(family: Family, key: str) -> Component | None:
    """The component that the key belongs to; None for a key of no slot."""
    slot = _find_slot(family, key)
    return slot.component if slot else None


def _find_slot(family: Family, key: str) -> Slot | None:
    table, name = family.slot_by_prefix, key
    while name:
        if name in table:
            return table[name]
        name = name.rpartition(".")[0]
    return None


def ema_key(key: str) -> str:
    """The key of a U-Net tensor's EMA weights, as LitEma names them; the name cannot be converted back.

    Source: CompVis/stable-diffusion 21f890f9, ldm/modules/ema.py, lines 16-21.
    """
    if not key.startswith(UNET_PREFIX):
        raise ValueError(f"only the U-Net has EMA weights, and '{key}' is not a key of it")
    return EMA_PREFIX + key.removeprefix("model.").replace(".", "")


def is_unet(key: str) -> bool:
    """Whether a key belongs to the U-Net (or transformer)."""
    return key.startswith(UNET_PREFIX)


def name_within_block(key: str) -> str:
    """The key without the prefix of its block in an LDM U-Net, the same for all blocks; "" outside of
    blocks."""
    match = BLOCK_PREFIX.match(key)
    return key[match.end() :] if match else ""


def block_prefix(key: str) -> str:
    """The prefix of the block or module of the U-Net or transformer that a key belongs to, "" for others."""
    match = BLOCK_OR_MODULE_PREFIX.match(key)
    return match[0] if match else ""
