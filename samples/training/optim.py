"""Muon for matrices and convolutions, AdamW for the rest: on two cores every step must count.

Muon makes each momentum an (almost) orthogonal matrix, so that all directions of a layer learn equally fast.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (
    3.4445,
    -4.7750,
    2.0315,
)  # quintic of Jordan et al., "Muon", 2024: fast, singular values in 0.7..1.2


def orthogonal(stack: Tensor, rounds: int = 5) -> Tensor:
    """Matrices [n, rows, columns] with their singular values moved towards 1."""
    a, b, c = NEWTON_SCHULZ
    tall = stack.shape[1] > stack.shape[2]
    x = (stack.mT if tall else stack).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).float()


class Optimiser:
    """Both optimisers under one learning rate, which for either is that of AdamW."""

    def __init__(self, model: nn.Module, rate: float, decay: float = 0.01) -> None:
        self.rate, self.decay = rate, decay
        self.groups: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
        others: list[nn.Parameter] = []
        for name, value in model.named_parameters():
            at_an_end = any(part in name for part in ("embedding", "conv_in", "conv_out"))
            if value.ndim >= 2 and min(value.flatten(1).shape) > 4 and not at_an_end:
                self.groups[value.shape[0], value.flatten(1).shape[1]].append(value)
            else:
                others.append(value)
        self.adam = torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
        self.momenta = {
            shape: torch.zeros(len(group), *shape, device=group[0].device)
            for shape, group in self.groups.items()
        }

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One update with the learning rate times `scale`; clears the gradients."""
        for group in self.adam.param_groups:
            group["lr"] = self.rate * scale
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        for shape, group in self.groups.items():
            self._step_matrices(shape, group, self.rate * scale)

    def _step_matrices(self, shape: tuple[int, int], group: list[nn.Parameter], rate: float) -> None:
        gradients = torch.stack([_gradient(value).flatten(1) for value in group])
        momentum = self.momenta[shape].lerp_(gradients, 0.05)
        update = orthogonal(gradients.lerp(momentum, 0.95)) * (0.2 * max(shape) ** 0.5)
        for value, change in zip(group, update, strict=True):
            value.mul_(1 - rate * self.decay).sub_(change.view_as(value), alpha=rate)
            value.grad = None

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {"adam": self.adam.state_dict(), "momenta": self.momenta}

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from `state`."""
        self.adam.load_state_dict(state["adam"])
        for shape, value in state["momenta"].items():
            self.momenta[shape].copy_(value)


def _gradient(value: nn.Parameter) -> Tensor:
    return torch.zeros_like(value) if value.grad is None else value.grad


def ramp(step: int, steps: int, warm: int = 50, cool: float = 0.4) -> float:
    """The learning rate's part at a step: up over `warm` steps, level, down to 0 over the last `cool`."""
    start = min(1.0, (step + 1) / max(1, min(warm, steps // 4)))
    return start * min(1.0, (steps - step) / max(1.0, cool * steps))
