"""The networks that the other tests compute with are the real ones: diffusers and transformers agree."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lib_merge.hosts.drawing import pipeline_of
from samples.assemble import assemble
from tests.lib_merge.rebasin import networks
from tests.lib_merge.rebasin.models import SD1_TEXT, UNET, VAE


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    tensors = load_file(assemble()["base"])
    return {key: value.double() if value.is_floating_point() else value for key, value in tensors.items()}


@pytest.fixture(scope="module")
def pipeline(state: dict[str, Tensor]) -> object:
    for package in ("diffusers", "transformers"):
        pytest.importorskip(package)
    pipe = pipeline_of(state)
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        part.double().eval()
    return pipe


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@torch.inference_mode()
def test_unet(state: dict[str, Tensor], pipeline: object) -> None:
    x, time, text = noise(2, 4, 8, 8), torch.tensor([3, 721]), noise(2, 77, 48)
    ours = networks.unet(networks.under(state, UNET), x, time, text, lambda _: 8)
    theirs = pipeline.unet(x, time, encoder_hidden_states=text).sample  # type: ignore[attr-defined]
    assert apart(ours, theirs) < 1e-6  # diffusers makes the waves of the time in float32


@torch.inference_mode()
def test_vae(state: dict[str, Tensor], pipeline: object) -> None:
    vae, own = pipeline.vae, networks.under(state, VAE)  # type: ignore[attr-defined]
    assert (
        apart(
            networks.encode(own, noise(1, 3, 32, 32)), vae.encode(noise(1, 3, 32, 32)).latent_dist.parameters
        )
        < 1e-10
    )
    assert apart(networks.decode(own, noise(1, 4, 4, 4)), vae.decode(noise(1, 4, 4, 4)).sample) < 1e-10


@torch.inference_mode()
def test_text_encoder(state: dict[str, Tensor], pipeline: object) -> None:
    ids = torch.tensor([[49406, 320, 736, 49407]])
    ours = networks.clip(networks.under(state, f"{SD1_TEXT}text_model."), ids, heads=12)
    theirs = pipeline.text_encoder(ids).last_hidden_state  # type: ignore[attr-defined]
    assert apart(ours, theirs) < 1e-10
