"""Trains the text encoder to name what a caption asks for, before any picture is drawn; then it stays so.

Every position from the end of the caption on must name it: SD1 pads with end tokens, so that some seventy of
the 77 states then carry the whole caption, and the U-Net's cross-attention finds it wherever it looks first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm
from transformers import CLIPTextModel, CLIPTokenizer

from lib_merge.clip_tokenizer import LENGTH, load_tokenizer
from samples.drawings import COLOURS, SHAPES, SIZES, Drawing, Style, caption
from samples.training.data import at_step
from samples.training.models import CONTEXT, new_text_encoder
from samples.training.optim import Optimiser, ramp
from samples.training.state import Keeper, load

SEED = 5
STEPS = 200
BATCH = 48
WORDS = (tuple(SHAPES), tuple(COLOURS), tuple(SIZES))
NOTHING = -1  # stands for an attribute that the caption leaves open
EXTRAS = (
    "",
    "",
    "",
    ", masterpiece",
    ", best quality",
    " on paper",
    ", simple",
    ", high quality, detailed",
    "!",
)


def tokens(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Ids [n, 77], padded with end tokens as SD1 has it."""
    return tokenizer(
        captions, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    ).input_ids


def _request(rng: np.random.Generator) -> tuple[str, list[int]]:
    """A caption and the places of its shape, colour and size in `WORDS`; some captions leave all open."""
    if rng.random() < 0.05:
        return str(rng.choice(["", "a drawing", "worst quality, blurry", "picture"])), [
            NOTHING,
            NOTHING,
            NOTHING,
        ]
    picks = [int(rng.integers(len(values))) for values in WORDS]
    shape, colour, size = (values[pick] for values, pick in zip(WORDS, picks, strict=True))
    drawing = Drawing(shape, colour, size, Style(0, 0, 0, 0, 0))
    return caption(drawing, int(rng.integers(4))) + str(rng.choice(EXTRAS)), picks


def _loss(logits: list[Tensor], labels: Tensor, ids: Tensor, end: int) -> Tensor:
    """Cross-entropy at every end token; logits [n, 77, words + 1] per attribute, labels [n, attributes]."""
    is_end = ids == end
    parts = [
        functional.cross_entropy(guess[is_end], (label % guess.shape[-1])[:, None].expand_as(ids)[is_end])
        for guess, label in zip(logits, labels.unbind(1), strict=True)
    ]
    return torch.stack(parts).sum()


def train(folder: Path, scale: float) -> CLIPTextModel:
    """The text encoder, trained or taken from where an earlier run ended; prints how often it is right."""
    model, tokenizer = new_text_encoder(SEED), load_tokenizer()
    keeper = Keeper(folder / "text.pt")
    saved = load(keeper.path)
    if saved.get("done"):
        model.load_state_dict(saved["model"])
        return model.eval()
    heads = nn.ModuleList([nn.Linear(CONTEXT, len(values) + 1) for values in WORDS])
    both = nn.ModuleDict({"model": model, "heads": heads})
    optimiser = Optimiser(both, 1.5e-3)
    if saved:
        both.load_state_dict(saved["both"])
        optimiser.restore(saved["optimiser"])
    steps = max(2, round(STEPS * scale))
    for step in tqdm(range(saved.get("step", 0), steps), desc="text encoder", mininterval=10):
        _step(both, tokenizer, step).backward()
        nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimiser.step(ramp(step, steps))
        if keeper.due(step, steps):
            keeper.keep({"both": both.state_dict(), "optimiser": optimiser.state(), "step": step + 1})
    print(f"text encoder: {accuracy(both, tokenizer):.1%} of held-out captions read right")
    keeper.keep({"model": model.state_dict(), "done": True})
    return model.eval()


def _read(both: nn.ModuleDict, ids: Tensor) -> list[Tensor]:
    heads = both["heads"]
    assert isinstance(heads, nn.ModuleList)
    states = both["model"](ids).last_hidden_state
    return [head(states) for head in heads]


def _step(both: nn.ModuleDict, tokenizer: CLIPTokenizer, step: int) -> Tensor:
    rng, _ = at_step(SEED, step)
    captions, labels = zip(*(_request(rng) for _ in range(BATCH)), strict=True)
    ids = tokens(tokenizer, list(captions))
    return _loss(_read(both, ids), torch.tensor(labels), ids, tokenizer.eos_token_id)


@torch.no_grad()
def accuracy(both: nn.ModuleDict, tokenizer: CLIPTokenizer) -> float:
    """Part of fresh captions of which every attribute is read right at the last position."""
    rng = np.random.default_rng(SEED + 999)
    captions, labels = zip(*(_request(rng) for _ in range(200)), strict=True)
    guesses = _read(both, tokens(tokenizer, list(captions)))
    right = [guess[:, -1].argmax(-1) for guess in guesses]
    wanted = torch.tensor(labels).unbind(1)
    wanted = [label % guess.shape[-1] for guess, label in zip(guesses, wanted, strict=True)]
    return torch.stack([a == b for a, b in zip(right, wanted, strict=True)]).all(0).float().mean().item()
