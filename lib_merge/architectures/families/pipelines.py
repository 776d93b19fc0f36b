"""The diffusers pipeline of Stable Diffusion 1, with the configs of its models inferred from a file's shapes.

Works without diffusers and transformers installed.
"""

from __future__ import annotations

from collections.abc import Collection

from lib_merge.architectures.keys import (
    CLIP_PREFIX,
    CONV_IN_WEIGHT,
    UNET_PREFIX,
    VAE_POST_QUANT_CONV,
    VAE_PREFIX,
)
from lib_merge.architectures.pipeline import Config, Pipeline, PipelinePart
from lib_merge.architectures.symmetry import Heads
from lib_merge.checkpoint import Shapes

VAE_SCALE = 0.18215  # scaling_factor of all SD1 and SD2 VAEs
# num_heads of configs/stable-diffusion/v1-inference.yaml (CompVis/stable-diffusion 21f890f9)
HEADS = Heads(count=8)
SD2_HEAD_WIDTH = 64  # channels per attention head
WEIGHTS = "diffusion_pytorch_model.safetensors"


def unet_config(shapes: Shapes) -> Config:
    """The config of the U-Net (diffusers.UNet2DConditionModel)."""
    first = shapes[UNET_PREFIX + CONV_IN_WEIGHT]
    levels = [
        shapes[f"{UNET_PREFIX}input_blocks.{block}.0.out_layers.3.weight"][0] for block in (1, 4, 7, 10)
    ]
    attention = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    linear = len(shapes[UNET_PREFIX + "input_blocks.1.1.proj_in.weight"]) == 2  # SD2
    heads = [width // SD2_HEAD_WIDTH for width in levels] if linear else HEADS.count
    return {
        "sample_size": 64,
        "in_channels": first[1],
        "out_channels": shapes[UNET_PREFIX + "out.2.weight"][0],
        "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
        "block_out_channels": levels,
        "layers_per_block": 2,
        "attention_head_dim": heads,  # diffusers reads this as the number of heads
        "cross_attention_dim": shapes[UNET_PREFIX + attention][1],
        "use_linear_projection": linear,
    }


def vae_config(shapes: Shapes) -> Config:
    """The config of the VAE (diffusers.AutoencoderKL)."""
    levels = [shapes[f"{VAE_PREFIX}encoder.down.{level}.block.1.conv2.weight"][0] for level in range(4)]
    return {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": levels,
        "layers_per_block": 2,
        "latent_channels": shapes[VAE_PREFIX + VAE_POST_QUANT_CONV][0],
        "sample_size": 512,
        "scaling_factor": VAE_SCALE,
    }


def text_config(shapes: Shapes) -> Config:
    """The config of the text encoder (transformers.CLIPTextModel); it has twelve heads at any width."""
    text = {
        key.removeprefix(CLIP_PREFIX).removeprefix("text_model."): shape
        for key, shape in shapes.items()
        if key.startswith(CLIP_PREFIX)
    }
    vocabulary_size, width = text["embeddings.token_embedding.weight"][:2]
    return {
        "vocab_size": vocabulary_size,
        "hidden_size": width,
        "intermediate_size": text["encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": _count_children(text, "encoder.layers."),
        "num_attention_heads": 12,
        "max_position_embeddings": text["embeddings.position_embedding.weight"][0],
        "hidden_act": "quick_gelu",
        "projection_dim": width,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
    }


def _count_children(keys: Collection[str], prefix: str) -> int:
    """The number of different numbers that follow `prefix` in the keys."""
    return len({key.removeprefix(prefix).split(".")[0] for key in keys if key.startswith(prefix)})


STABLE_DIFFUSION = Pipeline(
    class_name="StableDiffusionPipeline",
    unet=PipelinePart(
        "unet",
        WEIGHTS,
        "diffusers",
        "UNet2DConditionModel",
        UNET_PREFIX,
        unet_config,
        {"_class_name": "UNet2DConditionModel"},
    ),
    vae=PipelinePart(
        "vae", WEIGHTS, "diffusers", "AutoencoderKL", VAE_PREFIX, vae_config, {"_class_name": "AutoencoderKL"}
    ),
    text_encoder=PipelinePart(
        "text_encoder",
        "model.safetensors",
        "transformers",
        "CLIPTextModel",
        CLIP_PREFIX,
        text_config,
        {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model"},
    ),
    scheduler={
        "_class_name": "PNDMScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "skip_prk_steps": True,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "clip_sample": False,
    },
)
