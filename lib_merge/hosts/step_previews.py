"""Small pictures of a picture that is being generated, for a host that has no preview of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor

MOST_LATENT = 16  # rows and columns of the latent that is decoded: 128 pixels with SD's VAE
SHARE = 10  # a preview takes at most one part in so many of the time
PAUSE = 0.3  # seconds between two at least


class StepPreviews:
    """The last preview of the picture that is being generated.

    What is decoded is the scheduler's own estimate of the finished latent, shrunk to MOST_LATENT, so that its
    cost does not depend on the picture's size. The sampling itself is left as it is.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0.0
        self.image: Image.Image | None = None

    def begin(self) -> None:
        """Another picture begins."""
        self.image, self._next = None, self._clock()

    def add(self, pipeline: Any, latents: Tensor) -> None:
        """A step is done; makes a preview where one is due."""
        began = self._clock()
        if began < self._next:
            return
        self.image = decode(pipeline, estimate(pipeline, latents))
        ended = self._clock()
        self._next = ended + max(PAUSE, SHARE * (ended - began))


def estimate(pipeline: Any, latents: Tensor) -> Tensor:
    """What the finished latent will be, by the scheduler; the latent as it is where that does not say."""
    outputs = getattr(pipeline.scheduler, "model_outputs", None) or [None]
    last = outputs[-1]
    return last if isinstance(last, Tensor) and last.shape == latents.shape else latents


def decode(pipeline: Any, latents: Tensor) -> Image.Image:
    """A latent as a small picture."""
    first = latents[:1].detach().clone()
    shrink = max(1, -(-max(first.shape[-2:]) // MOST_LATENT))
    if shrink > 1:
        first = torch.nn.functional.avg_pool2d(first.float(), shrink, ceil_mode=True)
    vae = pipeline.vae
    with torch.inference_mode():
        picture = vae.decode(first.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[0]
    finite = torch.nan_to_num(picture.float())
    return pipeline.image_processor.postprocess(finite, output_type="pil")[0]
