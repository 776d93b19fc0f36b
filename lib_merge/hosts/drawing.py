"""Generates pictures from a checkpoint file with diffusers: without a WebUI or network access.

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

from lib_merge.architectures.diffusers_names import (
    CLIP_PREFIX,
    UNET_PREFIX,
    VAE_PREFIX,
    diffusers_state_dict,
    text_state_dict,
    without_text_model,
)
from lib_merge.architectures.families.pipelines import STABLE_DIFFUSION
from lib_merge.clip_tokenizer import load_tokenizer
from lib_merge.errors import CheckpointError, ExtraError, NumericalError, StoppedError

if TYPE_CHECKING:
    from diffusers import (
        AutoencoderKL,
        DPMSolverMultistepScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextModel

SCHEDULER_FIELDS = ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "steps_offset")


def _need_diffusers() -> None:
    """Imports diffusers and transformers; ExtraError where they are not installed."""
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
            hint="pip install diffusers transformers",
        ) from missing
    del StableDiffusionPipeline


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


def _unet(state: Mapping[str, Tensor]) -> UNet2DConditionModel:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(**STABLE_DIFFUSION.unet.infer_config(_shapes(state)))
    unet.load_state_dict(diffusers_state_dict(UNET_PREFIX, state), strict=True)
    return unet


def _vae(state: Mapping[str, Tensor]) -> AutoencoderKL:
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(**STABLE_DIFFUSION.vae.infer_config(_shapes(state)))
    vae.load_state_dict(diffusers_state_dict(VAE_PREFIX, state), strict=True)
    return vae


def _text_encoder(state: Mapping[str, Tensor]) -> CLIPTextModel:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(**STABLE_DIFFUSION.text_encoder.infer_config(_shapes(state)))
    encoder, text = CLIPTextModel(config), text_state_dict(state)
    learnt = {name: text[without_text_model(name)] for name, _ in encoder.named_parameters()}
    encoder.load_state_dict(
        learnt, strict=False
    )  # position ids, where transformers keeps them, are no weights
    return encoder


def _scheduler() -> DPMSolverMultistepScheduler:
    """DPM-Solver++ 2M with SD1's noise schedule; it needs few steps."""
    from diffusers import DPMSolverMultistepScheduler

    config: dict[str, Any] = {name: STABLE_DIFFUSION.scheduler[name] for name in SCHEDULER_FIELDS}
    return DPMSolverMultistepScheduler(**config)


def _place(model: Any, device: str, dtype: torch.dtype) -> Any:
    """The model on its device, in eval mode; float32 needs no conversion, about which diffusers warns."""
    model = model.to(device)
    return (model if dtype == torch.float32 else model.to(dtype)).eval()


def pipeline_of(
    state: Mapping[str, Tensor], *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> StableDiffusionPipeline:
    """A diffusers pipeline from the tensors of an SD1-layout file of any width."""
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
    """A diffusers pipeline from one SD1-layout safetensors file, offline."""
    _need_diffusers()
    from safetensors.torch import load_file

    state = load_file(path)
    missing = [
        prefix
        for prefix in (UNET_PREFIX, VAE_PREFIX, CLIP_PREFIX)
        if not any(key.startswith(prefix) for key in state)
    ]
    if missing:
        raise CheckpointError(
            f"{path.name} has no tensors under {' or '.join(missing)}",
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
    step_done: Callable[[int, Tensor], None] = lambda step, latents: None,
) -> list[Image.Image]:
    """One picture for each prompt and seed, in one batch.

    `step_done` gets the number of steps done and the latents, after each one.
    Raises StoppedError once `stopped` returns true, and NumericalError where a picture has NaN.
    Each picture has its own CPU random generator, so that its noise depends neither on the device nor on the
    rest of the batch.
    """
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    if len(generators) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts with {len(generators)} seeds: each prompt needs its own")

    def at_step_end(_pipeline: object, step: int, _time: object, values: dict[str, Any]) -> dict[str, Any]:
        if stopped():
            raise StoppedError("stopped: no picture was drawn")
        step_done(step + 1, values["latents"])
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
        raise NumericalError("this model draws nothing but NaN", hint="another base, or smaller amounts")
    return list(pipeline.image_processor.numpy_to_pil(drawn.images))
