"""Training that can be stopped at any time: each stage keeps its last state in a file and goes on from it."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm


def save(path: Path, value: dict[str, Any]) -> None:
    """Write to another name first and rename, so that the file is complete or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(value, partial)
    partial.replace(path)


def load(path: Path) -> dict[str, Any]:
    """The saved state, empty where there is none."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else {}


class Keeper:
    """Says when a running stage should write its state: every minute, and at the end."""

    def __init__(
        self, path: Path, every: float = 60.0
    ) -> None:  # seconds; a state takes well under one to write
        self.path, self.every, self.last = path, every, time.monotonic()

    def due(self, step: int, steps: int) -> bool:
        """Whether the step just made should be kept."""
        return step + 1 == steps or time.monotonic() - self.last > self.every

    def keep(self, value: dict[str, Any]) -> None:
        """Writes a state and starts the next minute."""
        save(self.path, value)
        self.last = time.monotonic()


class Meter:
    """A progress bar with the loss of late."""

    def __init__(self, name: str, start: int, steps: int) -> None:
        self.bar = tqdm(total=steps, initial=start, desc=name, mininterval=10)
        self.losses: deque[float] = deque(maxlen=100)

    def show(self, loss: Tensor) -> None:
        """Advance the bar by one step, with the mean of the last 100 losses."""
        self.losses.append(float(loss.detach()))
        self.bar.set_postfix(loss=f"{sum(self.losses) / len(self.losses):.4f}", refresh=False)
        self.bar.update()


class Average:
    """The running mean of a model's weights, which draws better than any single step's."""

    def __init__(self, model: nn.Module, horizon: int) -> None:
        self.horizon = horizon  # steps
        self.values = [value.detach().clone() for value in model.parameters()]

    @torch.no_grad()
    def follow(self, model: nn.Module, step: int) -> None:
        """Moves towards the model; early on faster, so that the first random weights are soon forgotten."""
        part = max(1 / self.horizon, 1 / (1 + step / 4))
        now = [value.detach() for value in model.parameters()]
        torch._foreach_lerp_(self.values, now, min(1.0, part))

    @torch.no_grad()
    def give(self, model: nn.Module) -> None:
        """Puts the mean into the model."""
        for value, mean in zip(model.parameters(), self.values, strict=True):
            value.copy_(mean)

    def restore(self, values: list[Tensor]) -> None:
        """Continues from a saved mean."""
        torch._foreach_copy_(self.values, values)
