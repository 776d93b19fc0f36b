"""Says what a picture shows: shape, colour, and whether it is in the ink or the pastel style. Needs no model.

The paper is read off the border; whatever differs from it is the drawing; the drawing's outline, brought to
one size, is compared with that of each shape; its strongly coloured pixels vote for a colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from samples.drawings import COLOURS, CREAM, SHAPES, SKY, Drawing, Style, distance

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

NOTHING = "nothing"
TEMPLATE = 32  # side of the squares in which outlines are compared


@dataclass(frozen=True)
class Measured:
    """How much of each shape, colour and style a picture has, 0 to 1.

    shapes   shape -> the share of the area of both outlines that they have in common
    colours  colour -> the share of the drawing's colour that is nearest to it
    pastel   0 for ink to 1 for pastel
    """

    shapes: Mapping[str, float]
    colours: Mapping[str, float]
    pastel: float


@dataclass(frozen=True)
class Seen:
    """What a picture shows; `pastel` runs from 0 (ink) to 1 (pastel)."""

    shape: str
    colour: str
    pastel: float

    @property
    def style(self) -> str:
        """The nearer corner of the style space."""
        return "pastel" if self.pastel > 0.5 else "ink"


def look(image: Image.Image) -> Seen:
    """Detect the shape, colour and style in a picture."""
    measured = measure(image)
    return Seen(_most(measured.shapes, 0.6), _most(measured.colours, 0.0), measured.pastel)


def measure(image: Image.Image) -> Measured:
    """Measure shape, colour and style of a picture; 0 of every shape and colour where nothing is drawn."""
    pixels = np.asarray(image.convert("RGB"), np.float32) / 255
    paper = paper_of(pixels)
    mask = drawing_of(pixels, paper)
    if mask.sum() < 0.01 * mask.size:
        return Measured(dict.fromkeys(SHAPES, 0.0), dict.fromkeys(COLOURS, 0.0), _tint(paper))
    return Measured(shapes_of(mask), colours_of(pixels, mask), style_of(pixels, paper, mask))


def _most(shares: Mapping[str, float], least: float) -> str:
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] > least else NOTHING


def paper_of(pixels: Array) -> Array:
    """The paper's colour [3]: the median of the outermost pixels."""
    edge = max(1, len(pixels) // 32)
    border = [pixels[:edge], pixels[-edge:], pixels[:, :edge], pixels[:, -edge:]]
    return np.median(np.concatenate([part.reshape(-1, 3) for part in border]), axis=0)


def drawing_of(pixels: Array, paper: Array) -> Mask:
    """The drawing as a filled mask: pixels unlike the paper, strokes joined, the largest piece only."""
    apart = ndimage.gaussian_filter(np.abs(pixels - paper).max(axis=2), len(pixels) / 128)
    level = max(0.10, 0.42 * float(np.quantile(apart, 0.97)))
    joined = ndimage.binary_closing(np.pad(apart > level, 8), iterations=2)[8:-8, 8:-8]
    filled = ndimage.binary_fill_holes(joined)
    labels, count = ndimage.label(filled)
    if count == 0:
        return np.zeros(apart.shape, bool)
    sizes = np.bincount(labels.ravel())[1:]
    return labels == 1 + int(np.argmax(sizes))


def _normal(mask: Mask) -> Array:
    """The mask cut out and brought to one size [TEMPLATE, TEMPLATE], 0..1."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    cut = Image.fromarray(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    grey = cut.convert("L").resize((TEMPLATE, TEMPLATE), Image.Resampling.BOX)
    return np.asarray(grey, np.float32) / 255


@lru_cache(maxsize=1)
def _templates() -> dict[str, Array]:
    style = Style(0, 0, 0, 0, 0)
    drawings = {shape: Drawing(shape, "red", "large", style) for shape in SHAPES}
    return {shape: _normal(distance(drawing) < 1) for shape, drawing in drawings.items()}


def shapes_of(mask: Mask) -> dict[str, float]:
    """For every shape the share of area that its outline and the mask's have in common."""
    own = _normal(mask)
    return {
        shape: float(np.minimum(own, other).sum() / np.maximum(own, other).sum())
        for shape, other in _templates().items()
    }


def _hue(colours: Array) -> Array:
    """Hue angles in radians of colours [n, 3]."""
    red, green, blue = colours[:, 0], colours[:, 1], colours[:, 2]
    return np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)


def colours_of(pixels: Array, mask: Mask) -> dict[str, float]:
    """For every named colour the share of the drawing's colour whose hue is nearest to it."""
    inside = pixels[mask]
    strength = inside.max(1) - inside.min(1)
    strong = strength >= max(0.12, float(np.quantile(strength, 0.6)))
    names = list(COLOURS)
    if not strong.any():
        return dict.fromkeys(names, 0.0)
    named = _hue(np.array([COLOURS[name] for name in names], np.float32) / 255)
    apart = _hue(inside[strong])[:, None] - named[None, :]
    nearest = np.cos(apart).argmax(axis=1)
    votes = np.bincount(nearest, weights=strength[strong], minlength=len(names))
    return dict(zip(names, (votes / votes.sum()).tolist(), strict=True))


def _tint(paper: Array) -> float:
    """How far the paper is on the way from cream to sky blue."""
    way = SKY - CREAM
    return float(np.clip(((paper - CREAM) @ way) / (way @ way), 0, 1))


def style_of(pixels: Array, paper: Array, mask: Mask) -> float:
    """0 for ink to 1 for pastel: half by the paper's tint, half by the missing of a dark outline."""
    reach = max(1, len(mask) // 32)
    rim = ndimage.binary_dilation(mask, iterations=reach) & ~ndimage.binary_erosion(
        mask, iterations=2 * reach
    )
    darkest = float(np.quantile(pixels[rim].max(axis=1), 0.12))
    light = np.clip((darkest - 0.2) / 0.45, 0, 1)
    return 0.5 * _tint(paper) + 0.5 * float(light)
