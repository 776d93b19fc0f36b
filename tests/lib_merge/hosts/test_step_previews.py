"""Previews of the steps cost little, and change nothing of the picture."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lib_merge.hosts.step_previews import MOST_LATENT, PAUSE, SHARE, StepPreviews, decode, estimate
from samples.assemble import assemble


class Decoder:
    """A VAE that counts, takes its time, and notes the shapes that it decodes."""

    def __init__(self, cost: float = 0.0) -> None:
        self.now, self.cost = 0.0, cost
        self.shapes: list[tuple[int, ...]] = []
        self.dtype = torch.float32
        self.config = SimpleNamespace(scaling_factor=0.5)

    def decode(self, latents: Tensor, *, return_dict: bool) -> tuple[Tensor]:
        self.now += self.cost
        self.shapes.append(tuple(latents.shape))
        return (latents[:, :3],)


def pipeline(vae: Decoder, *outputs: Tensor) -> Any:
    processor = SimpleNamespace(postprocess=lambda picture, output_type: [tuple(picture.shape)])
    return SimpleNamespace(
        vae=vae, scheduler=SimpleNamespace(model_outputs=list(outputs)), image_processor=processor
    )


@given(st.integers(1, 200), st.integers(1, 200))
def test_what_is_decoded_is_small_whatever_the_size_of_the_picture(rows: int, columns: int) -> None:
    vae = Decoder()
    latents = torch.ones(2, 4, rows, columns)
    decode(pipeline(vae), latents)
    (shape,) = vae.shapes
    assert shape[:2] == (1, 4)
    assert max(shape[2:]) <= MOST_LATENT
    assert torch.equal(latents, torch.ones(2, 4, rows, columns))


@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=60), st.floats(0, 3))
def test_previews_take_at_most_their_share_of_the_time(steps: list[float], cost: float) -> None:
    vae = Decoder(cost)
    previews = StepPreviews(lambda: vae.now)
    previews.begin()
    for seconds in steps:
        vae.now += seconds
        previews.add(pipeline(vae), torch.zeros(1, 4, 8, 8))
    assert vae.shapes  # the first step has one
    assert (len(vae.shapes) - 1) * max(PAUSE, SHARE * cost) <= vae.now + 1e-6


def test_the_schedulers_estimate_is_shown_where_it_has_one() -> None:
    latents, guess = torch.zeros(1, 4, 8, 8), torch.ones(1, 4, 8, 8)
    assert estimate(pipeline(Decoder(), torch.zeros(2), guess), latents) is guess
    assert estimate(pipeline(Decoder()), latents) is latents
    assert estimate(pipeline(Decoder(), torch.zeros(3)), latents) is latents


@pytest.mark.newest_only
def test_a_picture_with_previews_is_the_picture_without() -> None:
    pytest.importorskip("diffusers")
    from lib_merge.hosts.drawing import draw, load_pipeline

    ready = load_pipeline(assemble()["base"])
    previews = StepPreviews()
    previews.begin()
    seen: list[Any] = []

    def note(step: int, latents: Tensor) -> None:
        previews.add(ready, latents)
        seen.append(previews.image)

    few: Any = {"seeds": [1], "steps": 3, "width": 64, "height": 64}
    (with_previews,) = draw(ready, ["a red circle"], step_done=note, **few)
    (without,) = draw(ready, ["a red circle"], **few)
    assert with_previews.tobytes() == without.tobytes()
    assert seen[0].size == (64, 64)
