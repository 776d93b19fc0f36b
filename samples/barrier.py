"""Measures how much aligning helps a merge of two models without a common ancestor.

`other` and `base` were trained from different random weights. Merges of the two along alpha from 0 to 1 are
tried on new drawings: the loss is the squared error of the noise prediction (as in training, without its
weights), with the same drawings, times and noise for every merge. The *barrier* is the most by which
the loss lies above the straight line between its ends.

    python -m samples.barrier [--pictures 96] [--plot docs/pictures/barrier.png]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lib_merge.architectures import read_header
from lib_merge.checkpoint import write_file
from lib_merge.execute import MergeOptions, merge_to_memory
from lib_merge.hosts.drawing import pipeline_of
from lib_merge.plan import make_plan
from lib_merge.rebasin import Alignments
from lib_merge.recipe import parse_recipe
from samples.assemble import assemble
from samples.training.latents import Lessons, encode, text_states
from samples.training.models import noise_schedule
from samples.training.unet import HALF

ALPHAS = tuple(round(step / 10, 1) for step in range(11))
RECIPE = """merge-desk recipe 2
A = "{a}.safetensors"
B = "{b}.safetensors"
B1 = rebasin(B, to = A)
B2 = rebasin(B, to = A, procrustes = true)
B3 = rebasin(B, to = A, groups = "geglu, heads")
M = weighted_sum(A, {which}, alpha = {alpha})
save M
"""
WAYS = {
    "as they are": "B",
    "aligned": "B1",
    "aligned, heads rotated too": "B2",
    "heads and feed-forward alone": "B3",
}
SEED = 977  # of drawings that no model has seen
BATCH = 48


def main() -> None:
    """Measure, print a table, plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--a", default="base")
    parser.add_argument("--b", default="other")
    parser.add_argument("--pictures", type=int, default=96)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    lessons = fresh_lessons(options.pictures)
    alignments = Alignments()
    curves: dict[str, list[float]] = {}
    for way, which in WAYS.items():
        curves[way] = [
            loss_of(merged(options.a, options.b, which, alpha, alignments), lessons) for alpha in ALPHAS
        ]
        losses = " ".join(f"{loss:.4f}" for loss in curves[way])
        print(f"{way:<30} barrier {barrier(curves[way]):.4f}   {losses}", flush=True)
    if options.plot:
        plot(curves, options)


def merged(a: str, b: str, which: str, alpha: float, alignments: Alignments) -> dict[str, Tensor]:
    """The tensors of one merge of the two."""
    folder = assemble()[a].parent
    recipe = parse_recipe(RECIPE.format(a=a, b=b, which=which, alpha=alpha))
    plan = make_plan(recipe, {file: read_header(folder / file) for file in recipe.files})
    return merge_to_memory(plan, MergeOptions(alignments=alignments))


def fresh_lessons(count: int) -> Lessons:
    """Drawings that no model was trained on, as latents, with the text of what is in them."""
    pipeline: Any = pipeline_of(merged("base", "other", "B", 0, Alignments()))
    latents, captions = encode(pipeline.vae, count, seed=SEED, corner="base", side=HALF)
    texts = sorted(set(captions))
    states = text_states(pipeline.text_encoder, texts)
    return Lessons(latents.float(), states, torch.tensor([texts.index(caption) for caption in captions]))


@torch.inference_mode()
def loss_of(state: dict[str, Tensor], lessons: Lessons) -> float:
    """Mean squared error of the noise prediction, at times spread evenly from 0 to 1,000."""
    pipeline: Any = pipeline_of(state)
    unet: nn.Module = pipeline.unet.float()
    strengths = noise_schedule().alphas_cumprod
    chance = torch.Generator().manual_seed(SEED)
    count = len(lessons.latents)
    noise = torch.randn(lessons.latents.shape, generator=chance)
    times = ((torch.arange(count) + 0.5) / count * len(strengths)).long()[
        torch.randperm(count, generator=chance)
    ]
    signal = strengths[times][:, None, None, None]
    noisy = signal.sqrt() * lessons.latents + (1 - signal).sqrt() * noise
    text = lessons.states[lessons.caption_of]
    total = 0.0
    for start in range(0, count, BATCH):
        part = slice(start, start + BATCH)
        guess = unet(noisy[part], times[part], encoder_hidden_states=text[part]).sample
        total += float((guess - noise[part]).square().mean((1, 2, 3)).double().sum())
    return total / count


def barrier(losses: Sequence[float]) -> float:
    """The most by which the losses lie above the straight line between the first and the last."""
    line = [(1 - alpha) * losses[0] + alpha * losses[-1] for alpha in ALPHAS]
    return max(loss - straight for loss, straight in zip(losses, line, strict=True))


def plot(curves: dict[str, list[float]], options: argparse.Namespace) -> None:
    """The losses along alpha, a line for each way."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for style, (way, losses) in zip(("o-", "s-", "^--", "x:"), curves.items(), strict=True):
        axes.plot(ALPHAS, losses, style, label=f"{way}: barrier {barrier(losses):.3f}", markersize=4)
    axes.set(
        xlabel=f"alpha: 0 is {options.a}, 1 is {options.b}", ylabel="noise-prediction error", ylim=(0, None)
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    stream = BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    write_file(options.plot, stream.getvalue(), overwrite=True, suffixes=(".png",))


if __name__ == "__main__":
    main()
