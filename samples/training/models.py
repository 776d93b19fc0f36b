"""The three parts of the samples as diffusers and transformers classes, built from SD1's plan made narrow."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

# One level must widen and one must narrow, or keys of a real file (`skip_connection`, `nin_shortcut`) would
# be missing; 64 is the fewest channels that normalisation in 32 groups leaves colour in.
CHANNELS = (64, 128, 64, 64)
CONTEXT = 48  # width of the text encoder
LATENTS = 4
SCALE = 0.18215  # latents times this have unit spread, as in every SD1 file
TEXT_CONFIG = Path(__file__).parents[1] / "text_encoder_config.json"


def new_unet(seed: int) -> UNet2DConditionModel:
    """A U-Net with SD1's 686 tensors; latents [n, 4, h, w] and text [n, 77, 48] to noise [n, 4, h, w]."""
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENTS,
        out_channels=LATENTS,
        down_block_types=(
            "CrossAttnDownBlock2D",
            "CrossAttnDownBlock2D",
            "CrossAttnDownBlock2D",
            "DownBlock2D",
        ),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=CHANNELS,
        layers_per_block=2,
        attention_head_dim=8,  # diffusers reads this as the number of heads in SD1 configs
        cross_attention_dim=CONTEXT,
        norm_num_groups=32,
    )


def new_vae(seed: int) -> AutoencoderKL:
    """A VAE with SD1's 248 tensors; pictures [n, 3, 8h, 8w] of -1..1 to latents [n, 4, h, w] and back."""
    torch.manual_seed(seed)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=CHANNELS,
        layers_per_block=2,
        latent_channels=LATENTS,
        norm_num_groups=32,
        sample_size=128,
        scaling_factor=SCALE,
    )


def text_config() -> CLIPTextConfig:
    """The text encoder's plan, as the folder beside the checkpoints states it for the hosts."""
    return CLIPTextConfig(**json.loads(TEXT_CONFIG.read_text(encoding="utf-8")))


def new_text_encoder(seed: int) -> CLIPTextModel:
    """A text encoder with SD1's 12 layers; ids [n, 77] to states [n, 77, 48]."""
    torch.manual_seed(seed)
    return CLIPTextModel(text_config())


def noise_schedule() -> DDPMScheduler:
    """SD1's schedule: 1,000 steps, beta from 0.00085 to 0.012, linear in its square root, noise predicted."""
    return DDPMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
    )
