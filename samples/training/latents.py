"""What the U-Nets learn from: drawings gone through the VAE once, with their captions' text states."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from tqdm import tqdm
from transformers import CLIPTextModel

from lib_merge.clip_tokenizer import load_tokenizer
from samples.training.data import pictures, render
from samples.training.models import SCALE
from samples.training.state import load, save
from samples.training.text import tokens


@dataclass(frozen=True)
class Lessons:
    """Latents [n, 4, side, side] in the U-Net's scale, states [captions, 77, 48], and which is whose."""

    latents: Tensor
    states: Tensor
    caption_of: Tensor  # int64 [n]; row 0 of the states is the empty caption

    def to(self, device: str) -> Lessons:
        """The lessons on another device."""
        return Lessons(self.latents.to(device), self.states.to(device), self.caption_of.to(device))


def encode(vae: AutoencoderKL, count: int, *, seed: int, corner: str, side: int) -> tuple[Tensor, list[str]]:
    """Fresh drawings of a corner as latents, in half precision for the disk's sake, with their captions."""
    gallery = render(count, seed=seed, corner=corner, side=side)
    parts = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in tqdm(range(0, count, 32), desc=f"latents of {corner} at {side}", mininterval=10):
            code = vae.encode(pictures(gallery, slice(start, start + 32))).latent_dist.mean
            parts.append((code * SCALE).half())
    return torch.cat(parts), gallery.captions(seed)


def lessons(
    folder: Path, vae: AutoencoderKL, text: CLIPTextModel, *, corner: str, side: int, count: int, seed: int
) -> Lessons:
    """Encoded once and kept; the text states are quick enough to make again."""
    path = folder / f"latents_{corner}_{side}.pt"
    saved = load(path)
    if not saved:
        latents, captions = encode(vae, count, seed=seed, corner=corner, side=side)
        saved = {"latents": latents, "captions": captions}
        save(path, saved)
    wordings = ["", *sorted(set(saved["captions"]))]
    row_of = {caption: number for number, caption in enumerate(wordings)}
    states = text_states(text, wordings)
    return Lessons(
        saved["latents"].float(), states, torch.tensor([row_of[caption] for caption in saved["captions"]])
    )


@torch.inference_mode()
def text_states(text: CLIPTextModel, captions: list[str]) -> Tensor:
    """States [n, 77, 48] after the last norm, which is what SD1 gives its U-Net."""
    ids = tokens(load_tokenizer(), captions)
    return torch.cat([text(part).last_hidden_state for part in ids.split(64)]).clone()
