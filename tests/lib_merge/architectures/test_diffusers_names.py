"""LDM names and shapes become exactly those of diffusers' own models, for every family that it can draw."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from lib_merge.architectures import family_by_id
from lib_merge.architectures.diffusers_names import (
    UNET_PREFIX,
    VAE_PREFIX,
    diffusers_name,
    diffusers_names_of,
    diffusers_state_dict,
    to_diffusers,
    to_ldm,
    unet_name,
)

diffusers = pytest.importorskip("diffusers")

OUTER = ("CrossAttnDownBlock2D",) * 3, ("CrossAttnUpBlock2D",) * 3
SD1: dict[str, Any] = {
    "down_block_types": (*OUTER[0], "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *OUTER[1]),
    "block_out_channels": (320, 640, 1280, 1280),
    "attention_head_dim": 8,
    "cross_attention_dim": 768,
}
SD2: dict[str, Any] = {
    **SD1,
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
SDXL: dict[str, Any] = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "transformer_layers_per_block": (1, 2, 10),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
VAE_PLAN: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
}


def weightless(family: str, prefix: str) -> dict[str, Tensor]:
    """The part of a real file under a prefix, as shapes alone."""
    shapes = family_by_id(family).shapes
    return {key: torch.empty(tuple(shapes[key]), device="meta") for key in shapes if key.startswith(prefix)}


def shapes_of(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}


@pytest.mark.parametrize(("family", "plan"), [("sd1", SD1), ("sd2", SD2), ("sdxl", SDXL)])
def test_every_key_of_a_real_unet_lands_on_a_parameter_of_its_shape(
    family: str, plan: dict[str, Any]
) -> None:
    with torch.device("meta"):
        wanted = diffusers.UNet2DConditionModel(**plan).state_dict()
    assert shapes_of(diffusers_state_dict(UNET_PREFIX, weightless(family, UNET_PREFIX))) == shapes_of(wanted)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_every_key_of_a_real_vae_lands_on_a_parameter_of_its_shape(family: str) -> None:
    with torch.device("meta"):
        wanted = diffusers.AutoencoderKL(**VAE_PLAN).state_dict()
    assert shapes_of(diffusers_state_dict(VAE_PREFIX, weightless(family, VAE_PREFIX))) == shapes_of(wanted)


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_no_two_keys_get_the_same_name(family: str) -> None:
    table = diffusers_names_of(family_by_id(family).shapes)
    for prefix in (UNET_PREFIX, VAE_PREFIX):
        names = [name for key, name in table.items() if key.startswith(prefix)]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("input_blocks.3.0.op.weight", "down_blocks.0.downsamplers.0.conv.weight"),
        ("input_blocks.4.0.skip_connection.bias", "down_blocks.1.resnets.0.conv_shortcut.bias"),
        ("middle_block.1.proj_in.weight", "mid_block.attentions.0.proj_in.weight"),
        ("output_blocks.2.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
        ("output_blocks.8.2.conv.bias", "up_blocks.2.upsamplers.0.conv.bias"),
        (
            "output_blocks.11.1.transformer_blocks.0.attn2.to_k.weight",
            "up_blocks.3.attentions.2.transformer_blocks.0.attn2.to_k.weight",
        ),
    ],
)
def test_a_name_follows_from_its_key(key: str, name: str) -> None:
    assert unet_name(key) == name


@pytest.mark.parametrize(
    "key", ["alphas_cumprod", "model_ema.decay", UNET_PREFIX + "input_blocks.x.0.op.weight"]
)
def test_a_key_that_diffusers_has_no_place_for_has_no_name(key: str) -> None:
    assert diffusers_name(key) is None


def test_the_vaes_attention_changes_shape_and_back() -> None:
    name, convolution = "encoder.mid_block.attentions.0.to_q.weight", torch.randn(6, 6, 1, 1)
    linear = to_diffusers(name, convolution)
    assert linear.shape == (6, 6)
    assert torch.equal(to_ldm(name, linear), convolution)
    assert to_diffusers("encoder.conv_in.weight", convolution) is convolution
