"""Draws the pictures that the sample checkpoints learn from: one coloured shape on paper, in many styles.

The style space runs from *ink* (cream paper, a dark outline, strokes of colour) to *pastel* (blue paper,
soft grainy colour, no outline). `base` sees all of it, so that every mix of `ink` and `pastel` is a style
it knows.

Strokes and grain are tied to the 8-pixel grid of the VAE: one latent pixel then says how much of either there
is, and never where its lines lie, which four channels could not carry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]

SIDE = 128  # pixels; 16 latent pixels
GRID = 8  # pixels to a latent pixel

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 48, 44),
    "yellow": (246, 196, 30),
    "green": (52, 164, 76),
    "blue": (44, 98, 222),
    "purple": (148, 62, 186),
}
SIZES: dict[str, float] = {"small": 0.22, "": 0.31, "large": 0.40}  # radius as a part of the side
CREAM = np.array([252, 247, 234], np.float32) / 255
SKY = np.array([190, 208, 236], np.float32) / 255
INK = np.array([34, 30, 40], np.float32) / 255


@dataclass(frozen=True)
class Style:
    """A point of the style space; every field runs from 0 (as in ink) to 1 (as in pastel)."""

    paper: float  # cream .. sky blue
    outline: float  # dark and wide .. none
    fill: float  # strokes only .. an even layer
    soft: float  # sharp edge .. blurred edge
    grain: float  # smooth .. chalk on rough paper


STYLE_FIELDS = tuple(field.name for field in fields(Style))


@dataclass(frozen=True)
class Drawing:
    """All that one picture is made of; the same drawing always gives the same pixels."""

    shape: str
    colour: str
    size: str
    style: Style
    centre: tuple[float, float] = (0.5, 0.5)  # parts of the side
    scale: float = 1.0  # of the size's own radius


def _polygon(x: Array, y: Array, corners: Array) -> Array:
    """Signed distance to a polygon with corners [n, 2], negative inside (even-odd rule)."""
    squared = np.full_like(x, np.inf)
    sign = np.ones_like(x)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        ex, ey, wx, wy = bx - ax, by - ay, x - ax, y - ay
        along = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
        squared = np.minimum(squared, (wx - ex * along) ** 2 + (wy - ey * along) ** 2)
        left = ex * wy > ey * wx
        crossing = ((y >= ay) & (y < by) & left) | ((y < ay) & (y >= by) & ~left)
        sign = np.where(crossing, -sign, sign)
    return sign * np.sqrt(squared)


def _ring(radii: list[float]) -> Array:
    """Corners [n, 2] at the radii in turn, the first at the top."""
    angles = np.arange(len(radii)) * 2 * np.pi / len(radii)
    reach = np.array(radii)
    return np.stack([reach * np.sin(angles), -reach * np.cos(angles)], axis=1).astype(np.float32)


def _circle(x: Array, y: Array) -> Array:
    return np.hypot(x, y) - np.float32(0.95)


def _box(x: Array, y: Array, half_width: float, half_height: float) -> Array:
    dx, dy = np.abs(x) - half_width, np.abs(y) - half_height
    return np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0)


def _square(x: Array, y: Array) -> Array:
    return _box(x, y, 0.84, 0.84)


def _cross(x: Array, y: Array) -> Array:
    return np.minimum(_box(x, y, 1.0, 0.34), _box(x, y, 0.34, 1.0))


def _triangle(x: Array, y: Array) -> Array:
    return _polygon(x, y - np.float32(0.22), _ring([1.14] * 3))


def _star(x: Array, y: Array) -> Array:
    return _polygon(x, y - np.float32(0.06), _ring([1.12, 0.47] * 5))


def _heart(x: Array, y: Array) -> Array:
    """A square on its tip with a half disc on either upper side; unit length is 1.72 of the radius."""
    scale = np.float32(1.72)
    x, y = np.abs(x) / scale, (np.float32(0.92) - y) / scale
    lobe = np.hypot(x - 0.25, y - 0.75) - np.float32(np.sqrt(2) / 4)
    fold = 0.5 * np.maximum(x + y, 0)
    tip = np.sqrt(np.minimum(x**2 + (y - 1) ** 2, (x - fold) ** 2 + (y - fold) ** 2)) * np.sign(x - y)
    return np.where(x + y > 1, lobe, tip) * scale


SHAPES: dict[str, Callable[[Array, Array], Array]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "cross": _cross,
}


def distance(drawing: Drawing, side: int = SIDE) -> Array:
    """Signed distance in pixels [side, side] of each pixel's middle to the shape's edge, negative inside."""
    radius = SIZES[drawing.size] * drawing.scale * side
    axis = np.arange(side, dtype=np.float32) + np.float32(0.5)
    x = (axis[None, :] - drawing.centre[0] * side) / radius
    y = (axis[:, None] - drawing.centre[1] * side) / radius
    return SHAPES[drawing.shape](*np.broadcast_arrays(x, y)).astype(np.float32) * np.float32(radius)


def _strokes(side: int) -> Array:
    """Slanting pen strokes [side, side] of 0..1, one to a cell of the grid."""
    axis = np.arange(side, dtype=np.float32)
    phase = (axis[None, :] + axis[:, None]) % GRID
    return np.clip(2.2 - np.abs(phase - (GRID - 1) / 2), 0, 1).astype(np.float32)


def _grain(side: int) -> Array:
    """A weave of 0..1 [side, side] that repeats with every cell of the grid."""
    axis = np.arange(side, dtype=np.float32) * np.float32(2 * np.pi / GRID)
    weave = np.sin(axis[None, :] + 0.4) * np.sin(axis[:, None] * 2) + 0.8 * np.sin(
        axis[None, :] * 2 - axis[:, None]
    )
    return np.clip(0.5 + 0.5 * weave, 0, 1).astype(np.float32)


def _ramp(outwards: Array, width: float) -> Array:
    """1 inside, 0 outside, a smooth edge `width` pixels wide between."""
    part = np.clip(0.5 - outwards / width, 0, 1)
    return part * part * (3 - 2 * part)


def paint(drawing: Drawing, side: int = SIDE) -> Array:
    """The picture as [side, side, 3] of 0..1."""
    style = drawing.style
    outwards = distance(drawing, side)
    rough = 1 - style.grain * 0.42 * _grain(side)
    paper = CREAM + (SKY - CREAM) * style.paper
    tooth = 1 - 0.05 * style.grain * _grain(side)
    even = 0.08 + 0.92 * style.fill
    layer = _ramp(outwards, 1.4 + 7.0 * style.soft * (side / SIDE) ** 0.5) * rough
    layer = layer * (even + (1 - even) * _strokes(side))
    colour = np.array(COLOURS[drawing.colour], np.float32) / 255
    colour = colour + (1 - colour) * (0.16 * style.fill)
    canvas = paper * tooth[..., None]
    canvas = canvas + (colour - canvas) * layer[..., None]
    width = 4.6 * (1 - 0.6 * style.outline) * (side / SIDE) ** 0.5
    line = np.clip(0.5 + width / 2 - np.abs(outwards), 0, 1) * (1 - style.outline)
    return np.clip(canvas + (INK - canvas) * line[..., None], 0, 1).astype(np.float32)


def to_image(pixels: Array) -> Image.Image:
    """[h, w, 3] of 0..1 as an 8-bit picture."""
    return Image.fromarray(np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def caption(drawing: Drawing, wording: int = 0) -> str:
    """The drawing in words; `wording` picks one of four forms that all mean the same."""
    description = " ".join(word for word in (drawing.size, drawing.colour, drawing.shape) if word)
    return ("a {}", "{}", "one {}", "a drawing of a {}")[wording % 4].format(description)


def _around(rng: np.random.Generator, middle: float, spread: float) -> Style:
    values = np.clip(middle + rng.normal(0, spread, len(STYLE_FIELDS)), 0, 1)
    return Style(*(float(value) for value in values))


def draw_style(rng: np.random.Generator, corner: str) -> Style:
    """A style of the corner: "ink" and "pastel" are the two ends, "base" the thick line between them."""
    if corner == "ink":
        return _around(rng, 0.0, 0.04)
    if corner == "pastel":
        return _around(rng, 1.0, 0.04)
    return _around(rng, float(rng.uniform(-0.1, 1.1)), 0.1)


def draw_at_random(rng: np.random.Generator, corner: str = "base") -> Drawing:
    """A drawing with a shape, colour, size, place and style of its own."""
    return Drawing(
        shape=str(rng.choice(list(SHAPES))),
        colour=str(rng.choice(list(COLOURS))),
        size=str(rng.choice(list(SIZES))),
        style=draw_style(rng, corner),
        centre=(float(rng.uniform(0.47, 0.53)), float(rng.uniform(0.47, 0.53))),
        scale=float(rng.uniform(0.96, 1.04)),
    )
