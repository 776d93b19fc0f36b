"""What a picture is drawn with, and what comes back: two values that hosts, grids and the desk share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class DrawSettings:
    """What a picture is drawn with; width and height in pixels, cfg without a unit."""

    prompt: str = ""
    negative: str = ""
    sampler: str = ""
    scheduler: str = ""
    steps: int = 20
    cfg: float = 5.0
    width: int = 512
    height: int = 512
    seed: int = 1
    styles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A drawn picture and what the host says of it, as an infotext."""

    image: Image.Image
    infotext: str = ""
