"""Drawings and captions in bulk, picked from by (seed, step), so that a resumed run sees the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samples.drawings import GRID, SIDE, Drawing, caption, distance, draw_at_random, paint

EDGE = 5.0  # pixels outside the edge that still count as the drawing: soft edges and outlines reach so far


@dataclass(frozen=True)
class Gallery:
    """Pictures uint8 [n, side, side, 4], the fourth channel marking the drawing, and what is in each."""

    pixels: NDArray[np.uint8]
    drawings: list[Drawing]

    def captions(self, seed: int) -> list[str]:
        """One caption to a picture, in words that vary."""
        rng = np.random.default_rng(seed)
        return [caption(drawing, int(rng.integers(4))) for drawing in self.drawings]


def render(count: int, *, seed: int, corner: str = "base", side: int = SIDE) -> Gallery:
    """`count` drawings of a corner of the style space."""
    rng = np.random.default_rng(seed)
    drawings = [draw_at_random(rng, corner) for _ in range(count)]
    pixels = np.empty((count, side, side, 4), np.uint8)
    for picture, drawing in zip(pixels, drawings, strict=True):
        picture[..., :3] = np.round(paint(drawing, side) * 255)
        picture[..., 3] = 255 * (distance(drawing, side) < EDGE)
    return Gallery(pixels, drawings)


def at_step(seed: int, step: int) -> tuple[np.random.Generator, torch.Generator]:
    """The sources of chance of one training step, the same on every machine and after every resume."""
    return np.random.default_rng([seed, step]), torch.Generator().manual_seed(seed * 1_000_003 + step)


def crops(gallery: Gallery, rng: np.random.Generator, count: int, side: int) -> Tensor:
    """Random square cut-outs [count, 4, side, side] of 0..1, on the grid, off the border if they can."""
    frame = gallery.pixels.shape[1]
    spare = (frame - side) // GRID
    margin = min(frame // 8 // GRID, spare // 2)
    picks = rng.integers(len(gallery.drawings), size=count)
    corners = rng.integers(margin, spare - margin + 1, (count, 2)) * GRID
    cut = [gallery.pixels[n, y : y + side, x : x + side] for n, (y, x) in zip(picks, corners, strict=True)]
    return torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).float() / 255


def pictures(gallery: Gallery, picks: NDArray[np.int64] | slice) -> Tensor:
    """Whole pictures [n, 3, side, side] of -1..1, as the VAE takes them."""
    chosen = torch.from_numpy(gallery.pixels[picks][..., :3]).permute(0, 3, 1, 2)
    return chosen.float() / 127.5 - 1
