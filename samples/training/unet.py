"""Trains the U-Nets: two from nothing (`base`, `other`), two from `base` (`ink`, `pastel`).

Small pictures come first, for most of what is to be learnt (colours, shapes, what the words mean) shows in
them at a quarter of the cost; whole ones follow, with some small ones between, so that both can be drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from samples.drawings import GRID, SIDE
from samples.training.data import at_step
from samples.training.latents import Lessons
from samples.training.models import new_unet, noise_schedule
from samples.training.optim import Optimiser, ramp
from samples.training.state import Average, Keeper, Meter, load

HALF = SIDE // 2
UNCAPTIONED = 0.1  # of the lessons, for classifier-free guidance
SNR_CAP = 5.0  # Hang et al., "Min-SNR weighting", 2023: nearly clean latents teach little


@dataclass(frozen=True)
class Plan:
    """How one U-Net is trained."""

    name: str
    seed: int
    corner: str
    small: int  # steps on small pictures alone
    whole: int  # steps after that, three of four of them on whole ones
    rate: float
    start: str = ""  # the model to start from; without one the weights are random


PLANS = {
    plan.name: plan
    for plan in (
        Plan("base", 101, "base", small=500, whole=600, rate=2e-3),
        Plan("other", 202, "base", small=500, whole=600, rate=2e-3),
        Plan("ink", 303, "ink", small=0, whole=160, rate=5e-4, start="base"),
        Plan("pastel", 404, "pastel", small=0, whole=160, rate=5e-4, start="base"),
    )
}
BATCH = {HALF: 48, SIDE: 16}  # about the same time on two cores


@dataclass
class Run:
    """A training under way."""

    unet: UNet2DConditionModel
    optimiser: Optimiser
    mean: Average
    step: int

    def state(self, step: int) -> dict[str, Any]:
        """All that is needed to go on after `step` steps."""
        return {
            "model": self.unet.state_dict(),
            "optimiser": self.optimiser.state(),
            "mean": self.mean.values,
            "step": step,
        }


def begin(plan: Plan, saved: dict[str, Any], start: dict[str, Tensor] | None, device: str) -> Run:
    """A run at its start, or where it was last kept."""
    unet = new_unet(plan.seed)
    if start is not None:
        unet.load_state_dict(start)
    unet.to(device)
    run = Run(unet, Optimiser(unet, plan.rate), Average(unet, 150), 0)
    if saved:
        unet.load_state_dict(saved["model"])
        run.optimiser.restore(saved["optimiser"])
        run.mean.restore(saved["mean"])
        run.step = saved["step"]
    return run


def side_of(step: int, small: int) -> int:
    """The picture side that a step trains on."""
    return HALF if step < small or step % 4 == 3 else SIDE


def loss_of(unet: nn.Module, lessons: Lessons, seed: int, step: int, strengths: Tensor) -> Tensor:
    """Weighted squared error of the noise prediction over one batch.

        w(t) = min(snr(t), 5) / snr(t),   snr = abar / (1 - abar)

    `strengths` are abar [1000]. Times are spread evenly over the batch, which calms the loss at no cost.
    """
    rng, chance = at_step(seed, step)
    count = BATCH[lessons.latents.shape[-1] * GRID]
    device = strengths.device
    picks = torch.from_numpy(rng.integers(len(lessons.latents), size=count)).to(device)
    clean = lessons.latents[picks]
    captions = lessons.caption_of[picks] * (torch.rand(count, generator=chance) >= UNCAPTIONED).to(device)
    evenly = (torch.arange(count) + torch.rand(count, generator=chance)) / count
    times = (evenly * len(strengths)).long().clamp_max(len(strengths) - 1).to(device)
    noise = torch.randn(clean.shape, generator=chance).to(device)
    signal = strengths[times][:, None, None, None]
    guess = unet(
        signal.sqrt() * clean + (1 - signal).sqrt() * noise,
        times,
        encoder_hidden_states=lessons.states[captions],
    )
    snr = (signal / (1 - signal)).flatten()
    return ((guess.sample - noise).square().mean((1, 2, 3)) * snr.clamp_max(SNR_CAP) / snr).mean()


def train(
    folder: Path,
    plan: Plan,
    scale: float,
    teach: Callable[[int], Lessons],
    start: dict[str, Tensor] | None = None,
    device: str = "cpu",
) -> UNet2DConditionModel:
    """The U-Net of a plan with its mean weights, trained or taken from where an earlier run ended.

    `teach` gives the lessons of a picture side; `start` is the state of the U-Net to start from.
    """
    small, whole = (round(count * scale) for count in (plan.small, plan.whole))
    steps = max(2, small + whole)
    keeper = Keeper(folder / f"unet_{plan.name}.pt")
    run = begin(plan, load(keeper.path), start, device)
    sides = {step: side_of(step, small) for step in range(run.step, steps)}
    lessons = {side: teach(side).to(device) for side in sorted(set(sides.values()))}
    strengths = noise_schedule().alphas_cumprod.to(device)
    meter = Meter(plan.name, run.step, steps)
    for step, side in sides.items():
        loss = loss_of(run.unet, lessons[side], plan.seed, step, strengths)
        loss.backward()
        nn.utils.clip_grad_norm_(run.unet.parameters(), 1.0)
        run.optimiser.step(ramp(step, steps))
        run.mean.follow(run.unet, step)
        meter.show(loss)
        if keeper.due(step, steps):
            keeper.keep(run.state(step + 1))
    run.mean.give(run.unet)
    return run.unet.cpu().eval()
