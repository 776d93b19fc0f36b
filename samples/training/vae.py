"""Trains the VAE on cut-outs of drawings, then on whole ones."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional

from samples.drawings import SIDE
from samples.training.data import Gallery, at_step, crops, pictures, render
from samples.training.models import LATENTS, SCALE, new_vae
from samples.training.optim import Optimiser, ramp
from samples.training.state import Keeper, Meter, load

SEED = 11
STEPS = 900
PICTURES = 2500  # of each size
SMALL = 0.7  # of the batches come from small pictures, whose details are finer
WHOLE = 0.1  # the last part of the steps, on whole pictures: it settles the attention, which cut-outs mislead
SPREAD = 0.1  # of the latents' noise: the decoder must bear what the U-Net gets wrong
DRAWING = 4.0  # extra weight of the drawing over the paper, which is most of the area


def _batch(galleries: list[Gallery], step: int, steps: int) -> tuple[Tensor, torch.Generator]:
    """Cut-outs at first, which teach as much as whole pictures for each pixel; whole pictures last."""
    rng, chance = at_step(SEED, step)
    gallery = galleries[int(rng.random() < SMALL)]
    if step >= steps * (1 - WHOLE):
        side = gallery.pixels.shape[1]
        return crops(gallery, rng, 2 * (SIDE // side) ** 2, side), chance
    return crops(gallery, rng, 16, 32), chance


def loss_of(vae: AutoencoderKL, batch: Tensor, chance: torch.Generator, thumbnail: float) -> Tensor:
    """How far the pictures come back from themselves.

    `thumbnail` pulls three latent channels towards the shrunken picture: without it the first minutes go by
    before encoder and decoder find any common code, and a thumbnail is the easiest thing for a U-Net to draw.
    """
    image, weight = batch[:, :3] * 2 - 1, 1 + DRAWING * batch[:, 3:]
    weight = weight / weight.mean()
    code = vae.encode(image).latent_dist
    mean, spread = code.mean.float(), code.logvar.float()
    noise = torch.randn(mean.shape, generator=chance).to(mean.device) * SPREAD
    wrong = vae.decode(mean + noise).sample.float() - image
    small = functional.avg_pool2d(image, 8) * 1.5
    return (
        (weight * wrong.square()).mean()
        + 0.05 * (weight * wrong.abs()).mean()
        + 1e-3 * mean.square().mean()
        + 1e-3 * (spread - 2 * math.log(SPREAD)).square().mean()
        + thumbnail * (mean[:, :3] - small).square().mean()
    )


@torch.no_grad()
def settle(vae: AutoencoderKL, sample: Tensor) -> None:
    """Moves and scales the latents through the 1x1 convolutions beside them, so that SD1's factor fits.

    latents' = (latents - mean) / (spread * 0.18215), channel by channel
    """
    code = torch.cat([vae.encode(part).latent_dist.mean for part in sample.split(16)])
    mean, spread = code.mean((0, 2, 3)), code.std((0, 2, 3))
    scale = 1 / (spread.clamp_min(0.3 * float(spread.max())) * SCALE)  # a nearly dead channel is not blown up
    before, after = vae.quant_conv, vae.post_quant_conv
    if before is None or after is None:
        raise ValueError("SD1's VAE has a 1x1 convolution on either side of its latents")
    after.bias.add_(after.weight[:, :, 0, 0] @ mean)
    after.weight.div_(scale[None, :, None, None])
    before.bias[:LATENTS].sub_(mean).mul_(scale)
    before.weight[:LATENTS].mul_(scale[:, None, None, None])
    before.bias[LATENTS:].add_(2 * scale.log())


def train(folder: Path, scale: float, device: str) -> AutoencoderKL:
    """The VAE, trained for `scale` times the usual steps or taken from where an earlier run ended."""
    vae = new_vae(SEED).to(device)
    keeper = Keeper(folder / "vae.pt")
    saved = load(keeper.path)
    if saved.get("done"):
        vae.load_state_dict(saved["model"])
        return vae.cpu().eval()
    count = max(4, round(PICTURES * min(1.0, scale)))
    galleries = [render(count, seed=SEED), render(count, seed=SEED + 1, side=SIDE // 2)]
    optimiser = Optimiser(vae, 2e-3)
    if saved:
        vae.load_state_dict(saved["model"])
        optimiser.restore(saved["optimiser"])
    _learn(vae, optimiser, keeper, galleries, range(saved.get("step", 0), max(2, round(STEPS * scale))))
    vae.cpu().eval()
    settle(vae, pictures(galleries[0], slice(0, 256)))
    keeper.keep({"model": vae.state_dict(), "done": True})
    return vae


def _learn(
    vae: AutoencoderKL, optimiser: Optimiser, keeper: Keeper, galleries: list[Gallery], span: range
) -> None:
    steps = span.stop
    meter = Meter("VAE", span.start, steps)
    for step in span:
        batch, chance = _batch(galleries, step, steps)
        with torch.autocast(vae.device.type, torch.bfloat16):
            loss = loss_of(vae, batch.to(vae.device), chance, 0.3 * max(0.0, 1 - 4 * step / steps))
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step(ramp(step, steps))
        meter.show(loss)
        if keeper.due(step, steps):
            keeper.keep({"model": vae.state_dict(), "optimiser": optimiser.state(), "step": step + 1})
