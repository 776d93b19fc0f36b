"""What several families share: prefixes, buffers, markers, and the slots of a U-Net of any depth."""

from __future__ import annotations

from collections.abc import Iterable

from lib_merge.architectures.family import Clue, Component, Slot

UNET = "model.diffusion_model."
VAE = "first_stage_model."
CONV_IN = f"{UNET}input_blocks.0.0.weight"

# The buffers of LatentDiffusion (CompVis/stable-diffusion 21f890f9, ldm/models/diffusion/ddpm.py, lines
# 136-168, 112 and 459), of DiscreteDenoiser (Stability-AI/generative-models 0ad7de9, denoiser.py, line 57),
# of ComfyUI's saver, and the mask that old OpenCLIPs stored.
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
        "cond_stage_model.model.attn_mask",
        "conditioner.embedders.0.model.attn_mask",
        "conditioner.embedders.1.model.attn_mask",
    }
)
EMA = ("model_ema.", f"{VAE}model_ema.")
LEFTOVERS = (f"{VAE}loss.",)

# As ComfyUI writes and reads them (comfy/supported_models.py, SDXL.model_type).
V_SIGNS = frozenset({"v_pred", "edm_vpred.sigma_max", "edm_vpred.sigma_min"})
MARKERS = V_SIGNS | {"ztsnr", "edm_mean", "edm_std"}

AIO_VAE = "vae."  # the all-in-one files of Flux call it so

VAE_SIGNS = ((Clue(f"{VAE}decoder.conv_in.weight"),), (Clue(f"{VAE}encoder.conv_in.weight"),))
NO_SECOND_ENCODER = Clue("conditioner.embedders.1.model.ln_final.weight", absent=True)
INPAINT = ("inpaint", (Clue(CONV_IN, axis=1, size=9),))
PIX2PIX = ("pix2pix", (Clue(CONV_IN, axis=1, size=8),))

CLIP_L_IDS = "text_model.embeddings.position_ids"


def block_names(prefix: str, count: int) -> tuple[str, ...]:
    """IN00, IN01, ... as a list of numbers calls them."""
    return tuple(f"{prefix}{number:02}" for number in range(count))


def unet_numbers(levels: int) -> tuple[str, ...]:
    """BASE, IN00.., M00, OUT00..: what a list of numbers stands for on a U-Net of so many input blocks."""
    return ("BASE", *block_names("IN", levels), "M00", *block_names("OUT", levels))


def blocks(slot: str, path: str, count: int) -> Iterable[Slot]:
    """A slot for each of the blocks `path`.0, `path`.1, ..."""
    for name, number in zip(block_names(slot, count), range(count), strict=True):
        yield Slot(name, Component.UNET, (f"{UNET}{path}.{number}.",))


def unet_slots(levels: int) -> tuple[Slot, ...]:
    """The slots of an LDM U-Net: its blocks, TIME and OUT."""
    return (
        *blocks("IN", "input_blocks", levels),
        Slot("M00", Component.UNET, (f"{UNET}middle_block.",)),
        *blocks("OUT", "output_blocks", levels),
        Slot("TIME", Component.UNET, (f"{UNET}time_embed.",)),
        Slot("OUT", Component.UNET, (f"{UNET}out.",)),
    )


LABEL_SLOT = Slot("LABEL", Component.UNET, (f"{UNET}label_emb.",))
VAE_SLOT = Slot("VAE", Component.VAE, (VAE,))


def text_slot(slot: str, *prefixes: str) -> Slot:
    """A text encoder's slot."""
    return Slot(slot, Component.TEXT, prefixes)


# ComfyUI's naming of text encoders in the single files of SD3 and Flux.
CLIP_L_TEXT = "text_encoders.clip_l."
CLIP_G_TEXT = "text_encoders.clip_g."
T5_TEXT = "text_encoders.t5xxl."
T5_TOKENS = f"{T5_TEXT}spiece_model"  # the tokenizer's file as a tensor of bytes
CLIP_LAYER = "transformer.text_model.encoder.layers.0.layer_norm1.weight"
CLIP_L_SIGN = (Clue(CLIP_L_TEXT + CLIP_LAYER),)
CLIP_G_SIGN = (Clue(CLIP_G_TEXT + CLIP_LAYER),)
T5_SIGN = (Clue(f"{T5_TEXT}transformer.encoder.final_layer_norm.weight"),)


def within_unet(slot: str, *names: str) -> Slot:
    """A slot of modules beside the blocks; a name without a dot at its end is a whole key."""
    return Slot(slot, Component.UNET, tuple(UNET + name for name in names))
