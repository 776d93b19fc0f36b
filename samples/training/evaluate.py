"""How well a model draws what it is asked for: prompts with new seeds, judged by the pixel check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from lib_merge.hosts.drawing import draw, pipeline_of
from samples.check import Seen, look
from samples.drawings import COLOURS, SHAPES, SIZES

SIDE = 64  # pixels at which the samples are judged: the size they were trained at longest
BATCH = 32


@dataclass(frozen=True)
class Request:
    """A prompt and what its picture must show."""

    prompt: str
    shape: str
    colour: str


@dataclass(frozen=True)
class Judgement:
    """Pictures with what was seen in each."""

    requests: tuple[Request, ...]
    images: tuple[Image.Image, ...]
    seen: tuple[Seen, ...]

    def right(self) -> list[bool]:
        """For each picture, whether both shape and colour are as asked."""
        return [
            request.shape == saw.shape and request.colour == saw.colour
            for request, saw in zip(self.requests, self.seen, strict=True)
        ]

    @property
    def accuracy(self) -> float:
        """Part of the pictures with both shape and colour right."""
        return float(np.mean(self.right()))

    def styled(self, style: str) -> float:
        """Part of the pictures in the style."""
        return float(np.mean([saw.style == style for saw in self.seen]))


def requests(count: int, seed: int) -> list[Request]:
    """Prompts that go through all shapes, colours and sizes evenly, in an order of the seed's."""
    every = list(product(SHAPES, COLOURS, SIZES))
    order = np.random.default_rng(seed).permutation(len(every))
    chosen = [every[order[number % len(every)]] for number in range(count)]
    return [
        Request(f"a {size} {colour} {shape}".replace("  ", " "), shape, colour)
        for shape, colour, size in chosen
    ]


def judge(
    state: Mapping[str, Tensor],
    cases: Sequence[Request],
    *,
    first_seed: int,
    steps: int = 14,
    guidance: float = 4.0,
    side: int = SIDE,
) -> Judgement:
    """Draws the requests with seeds counted up from `first_seed` and looks at them."""
    pipeline = pipeline_of(state)
    images: list[Image.Image] = []
    for start in range(0, len(cases), BATCH):
        part = cases[start : start + BATCH]
        seeds = range(first_seed + start, first_seed + start + len(part))
        prompts = [request.prompt for request in part]
        images += draw(
            pipeline, prompts, seeds=seeds, steps=steps, guidance=guidance, width=side, height=side
        )
    return Judgement(tuple(cases), tuple(images), tuple(look(image) for image in images))


def sheet(images: Sequence[Image.Image], path: Path, columns: int = 8, zoom: int = 2) -> None:
    """The pictures side by side in one file, enlarged without smoothing."""
    side = images[0].width * zoom
    rows = -(-len(images) // columns)
    whole = Image.new("RGB", (columns * side, rows * side), "white")
    for number, image in enumerate(images):
        corner = (number % columns * side, number // columns * side)
        whole.paste(image.resize((side, side), Image.Resampling.NEAREST), corner)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.save(path)
