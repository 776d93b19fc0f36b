"""Draws pictures from a checkpoint file with diffusers alone: no WebUI, no network, no guess at the sizes.

pipeline = load_pipeline(Path("base.safetensors"))
pictures = draw(pipeline, ["a red circle"], seeds=[1], steps=15, guidance=4, width=128, height=128)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lib_merge.architectures.diffusers_names import TEXT, UNET, VAE, diffusers_state, text_state
from lib_merge.errors import CheckpointError, ExtraError, NumbersError, StoppedError
from lib_merge.hosts.clip_tokenizer import load_tokenizer

if TYPE_CHECKING:
    from diffusers import (
        AutoencoderKL,
        DPMSolverMultistepScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextModel

SCALE = 0.18215  # of every SD1 and SD2 VAE
SD1_HEADS = 8
SD2_HEAD_WIDTH = 64


def _need_diffusers() -> None:
    """Imports what draws, once; ExtraError when it is not installed."""
    try:
        from transformers.utils import logging

        loudness = logging.get_verbosity()
        logging.set_verbosity_error()  # its warnings are of image processors, which nothing here uses
        try:
            from diffusers import StableDiffusionPipeline
        finally:
            logging.set_verbosity(loudness)
    except ImportError as missing:
        raise ExtraError(
            f"drawing without a WebUI needs {missing.name}, which is not installed",
            hint='pip install "merge-desk[standalone]"',
        ) from missing
    del StableDiffusionPipeline


def _numbers(keys: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbered children `prefix` has."""
    return len({key.removeprefix(prefix).split(".")[0] for key in keys if key.startswith(prefix)})


def unet_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The U-Net's sizes, read off the shapes of an LDM file's tensors."""
    first = state[UNET + "input_blocks.0.0.weight"]
    levels = [state[f"{UNET}input_blocks.{block}.0.out_layers.3.weight"].shape[0] for block in (1, 4, 7, 10)]
    attention = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    linear = len(state[UNET + "input_blocks.1.1.proj_in.weight"].shape) == 2  # SD2
    heads = [width // SD2_HEAD_WIDTH for width in levels] if linear else SD1_HEADS
    return {
        "sample_size": 64,
        "in_channels": first.shape[1],
        "out_channels": state[UNET + "out.2.weight"].shape[0],
        "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
        "block_out_channels": levels,
        "layers_per_block": 2,
        "attention_head_dim": heads,  # diffusers reads this as the number of heads
        "cross_attention_dim": state[UNET + attention].shape[1],
        "use_linear_projection": linear,
    }


def vae_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The VAE's sizes, read off the shapes of an LDM file's tensors."""
    levels = [state[f"{VAE}encoder.down.{level}.block.1.conv2.weight"].shape[0] for level in range(4)]
    return {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": levels,
        "layers_per_block": 2,
        "latent_channels": state[VAE + "post_quant_conv.weight"].shape[0],
        "sample_size": 512,
        "scaling_factor": SCALE,
    }


def text_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The text encoder's sizes, read off the shapes; SD1's has twelve heads whatever its width."""
    text = text_state(state)
    words = text["embeddings.token_embedding.weight"]
    return {
        "vocab_size": words.shape[0],
        "hidden_size": words.shape[1],
        "intermediate_size": text["encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": _numbers(text, "encoder.layers."),
        "num_attention_heads": 12,
        "max_position_embeddings": text["embeddings.position_embedding.weight"].shape[0],
        "hidden_act": "quick_gelu",
        "projection_dim": words.shape[1],
        "bos_token_id": 49406,
        "eos_token_id": 49407,
    }


def _unet(state: Mapping[str, Tensor]) -> UNet2DConditionModel:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(**unet_config(state))
    unet.load_state_dict(diffusers_state(UNET, state), strict=True)
    return unet


def _vae(state: Mapping[str, Tensor]) -> AutoencoderKL:
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(**vae_config(state))
    vae.load_state_dict(diffusers_state(VAE, state), strict=True)
    return vae


def _text_encoder(state: Mapping[str, Tensor]) -> CLIPTextModel:
    from transformers import CLIPTextConfig, CLIPTextModel

    encoder, text = CLIPTextModel(CLIPTextConfig(**text_config(state))), text_state(state)
    learnt = {name: text[name.removeprefix("text_model.")] for name, _ in encoder.named_parameters()}
    encoder.load_state_dict(
        learnt, strict=False
    )  # position ids, where transformers keeps them, are no weights
    return encoder


def _scheduler() -> DPMSolverMultistepScheduler:
    """DPM-Solver++ 2M over SD1's schedule, which needs the fewest steps."""
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=1000,
        steps_offset=1,
    )


def _place(model: Any, device: str, dtype: torch.dtype) -> Any:
    """The model on its device. It is float32 as built: a needless change of format makes diffusers warn."""
    model = model.to(device)
    return (model if dtype == torch.float32 else model.to(dtype)).eval()


def pipeline_of(
    state: Mapping[str, Tensor], *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> StableDiffusionPipeline:
    """A pipeline from the tensors of an SD1 file, whatever its width."""
    _need_diffusers()
    from diffusers import StableDiffusionPipeline

    models = {"vae": _vae(state), "text_encoder": _text_encoder(state), "unet": _unet(state)}
    placed: dict[str, Any] = {name: _place(model, device, dtype) for name, model in models.items()}
    build: Any = StableDiffusionPipeline  # its annotations call for the parts that it lets one leave out
    pipeline = build(
        **placed,
        tokenizer=load_tokenizer(),
        scheduler=_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def load_pipeline(
    path: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> StableDiffusionPipeline:
    """A pipeline from one SD1-layout safetensors file, wholly offline."""
    _need_diffusers()
    from safetensors.torch import load_file

    state = load_file(path)
    missing = [prefix for prefix in (UNET, VAE, TEXT) if not any(key.startswith(prefix) for key in state)]
    if missing:
        raise CheckpointError(
            f"{path.name} holds no tensors under {' or '.join(missing)}",
            where=str(path),
            hint="a whole SD1.x checkpoint: U-Net, VAE and text encoder in one file",
        )
    return pipeline_of(state, device=device, dtype=dtype)


def draw(
    pipeline: StableDiffusionPipeline,
    prompts: Sequence[str],
    *,
    seeds: Sequence[int],
    steps: int = 15,
    guidance: float = 4.0,
    width: int = 512,
    height: int = 512,
    negative_prompt: str = "",
    stopped: Callable[[], bool] = lambda: False,
) -> list[Image.Image]:
    """One picture to each prompt and seed, drawn together; StoppedError once `stopped` says so, NumbersError
    where a picture comes out as NaN.

    Each picture's noise comes from a CPU generator of its own, so that neither the device nor the pictures
    beside it change it.
    """
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    if len(generators) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts with {len(generators)} seeds: each prompt needs its own")

    def at_step_end(_pipeline: object, _step: int, _time: object, values: dict[str, Any]) -> dict[str, Any]:
        if stopped():
            raise StoppedError("stopped: no picture was drawn")
        return values

    with torch.inference_mode():
        draw_all: Any = pipeline  # its annotation of the callback is not what it calls
        drawn = draw_all(
            prompt=list(prompts),
            negative_prompt=[negative_prompt] * len(prompts),
            generator=generators,
            num_inference_steps=steps,
            guidance_scale=guidance,
            width=width,
            height=height,
            callback_on_step_end=at_step_end,
            output_type="np",
        )
    if not np.isfinite(drawn.images).all():
        raise NumbersError("this model draws nothing but NaN", hint="another base, or smaller amounts")
    return list(pipeline.image_processor.numpy_to_pil(drawn.images))
