"""Closeness to pictures: to files of the user's, or to what A, B or C draws with the same prompts and seeds.

The score is the structural similarity (Wang et al. 2004) of the brightness, less the mean square difference
of the colours: 1 for equal pictures, about 0 for unrelated ones. Both are computed in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.errors import CheckpointError, RecipeError
from lib_merge.search.scorers.scorer import Scorer, ScorerContext, ScorerKind
from lib_merge.search.scorers.statistics import luminance, pixels_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

MODEL_NAMES = ("A", "B", "C")
REFERENCE_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg")
WINDOW = 7  # pixels of a side of SSIM's window
SMALL_MEAN, SMALL_VARIANCE = 0.01**2, 0.03**2  # SSIM's constants for colours from 0 to 1


def mean_square(a: Image, b: Image) -> float:
    """The mean square difference of the colours of two pictures of one size."""
    return float(((pixels_of(a) - pixels_of(b)) ** 2).mean())


def ssim(a: Image, b: Image) -> float:
    """The mean structural similarity of the brightness of two pictures of one size, -1 to 1."""
    x, y = luminance(pixels_of(a)), luminance(pixels_of(b))
    side = min(WINDOW, *x.shape)
    mean_x, mean_y = _window_mean(x, side), _window_mean(y, side)
    var_x = _window_mean(x * x, side) - mean_x**2
    var_y = _window_mean(y * y, side) - mean_y**2
    covariance = _window_mean(x * y, side) - mean_x * mean_y
    above = (2 * mean_x * mean_y + SMALL_MEAN) * (2 * covariance + SMALL_VARIANCE)
    below = (mean_x**2 + mean_y**2 + SMALL_MEAN) * (var_x + var_y + SMALL_VARIANCE)
    return float((above / below).mean())


def _window_mean(values: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """The mean of every window of `side` x `side` within the picture."""
    import numpy as np

    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    windows = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return windows / side**2


@dataclass(frozen=True)
class ClosenessScorer:
    """The mean closeness to references: one for all pictures, or one for each."""

    references: tuple[Image, ...]

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> float:
        """The mean over all pictures."""
        return sum(self._closeness(index, image) for index, image in enumerate(images)) / len(images)

    def _closeness(self, index: int, image: Image) -> float:
        reference = self.references[index if len(self.references) > 1 else 0]
        if reference.size != image.size:
            reference = reference.resize(image.size)
        return ssim(reference, image) - mean_square(reference, image)


def _make(argument: str, context: ScorerContext) -> Scorer:
    if not argument:
        raise RecipeError("closeness needs to know to what", hint="closeness(target.png), closeness(A)")
    if argument in MODEL_NAMES:
        return ClosenessScorer(tuple(context.model_pictures(argument)))
    path = context.folder / argument
    files = (
        sorted(file for file in path.iterdir() if file.suffix.lower() in REFERENCE_SUFFIXES)
        if path.is_dir()
        else [path]
    )
    if len(files) not in (1, len(context.views)):
        what = f"there are {len(files)} pictures for {len(context.views)} prompts and seeds"
        raise RecipeError(
            what, where=argument, hint="one picture, or one for each in the order of their names"
        )
    return ClosenessScorer(tuple(map(_read_picture, files)))


def _read_picture(path: Path) -> Image:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as cause:
        what = "this picture cannot be read"
        raise CheckpointError(what, where=str(path), hint="a PNG, WebP or JPEG file") from cause


CLOSENESS = ScorerKind(
    "closeness",
    "closeness to a picture, to a folder of pictures (one for each), or to what A, B or C draws: up to 1",
    _make,
    "FILE, FOLDER, A, B or C",
)
