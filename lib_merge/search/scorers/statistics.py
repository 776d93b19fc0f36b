"""Scorers that need nothing but the pictures: the mean of a statistic of each. All of them from 0 up.

They measure and do not judge: a picture of noise is the sharpest. Use them with a negative factor, with
others, or with a range of weights that keeps pictures sound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from lib_merge.errors import RecipeError
from lib_merge.search.scorers.scorer import MakeScorer, Scorer, ScorerContext, ScorerKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Pixels: TypeAlias = NDArray[np.float64]  # height x width x 3, 0 to 1

LUMINANCE = (0.299, 0.587, 0.114)  # of red, green, blue (ITU-R BT.601)
BINS = 64  # of the histogram of brightness


def pixels_of(image: Image) -> Pixels:
    """The colours of a picture in float64, 0 to 1."""
    import numpy as np

    return np.asarray(image.convert("RGB"), dtype=np.float64) / 255.0


def luminance(pixels: Pixels) -> NDArray[np.float64]:
    """The brightness of each pixel, 0 to 1."""
    import numpy as np

    return pixels @ np.array(LUMINANCE)


def brightness(pixels: Pixels) -> float:
    """The mean brightness."""
    return float(luminance(pixels).mean())


def contrast(pixels: Pixels) -> float:
    """The standard deviation of the brightness."""
    return float(luminance(pixels).std())


def sharpness(pixels: Pixels) -> float:
    """The variance of the Laplacian of the brightness."""
    grey = luminance(pixels)
    if min(grey.shape) < 3:
        return 0.0
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var())


def colourfulness(pixels: Pixels) -> float:
    """The colourfulness of Hasler and Süsstrunk (2003), for colours from 0 to 1."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    opponents = red - green, (red + green) / 2 - blue
    spread = sum(float(opponent.var()) for opponent in opponents) ** 0.5
    offset = sum(float(opponent.mean()) ** 2 for opponent in opponents) ** 0.5
    return spread + 0.3 * offset


def saturation(pixels: Pixels) -> float:
    """The mean saturation, as in HSV."""
    import numpy as np

    high, low = pixels.max(axis=-1), pixels.min(axis=-1)
    return float(np.divide(high - low, high, out=np.zeros_like(high), where=high > 0).mean())


def entropy(pixels: Pixels) -> float:
    """The entropy of the brightness in bits, up to 6."""
    import numpy as np

    counts, _ = np.histogram(luminance(pixels), bins=BINS, range=(0.0, 1.0))
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


@dataclass(frozen=True)
class StatisticScorer:
    """The mean of a statistic over all pictures."""

    measure: Callable[[Pixels], float]

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> float:
        """The mean; prompts do not matter."""
        return sum(self.measure(pixels_of(image)) for image in images) / len(images)


def _maker(name: str, measure: Callable[[Pixels], float]) -> MakeScorer:
    def make(argument: str, context: ScorerContext) -> Scorer:
        if argument:
            raise RecipeError(f"{name} takes nothing in brackets", where=argument, hint=name)
        return StatisticScorer(measure)

    return make


STATISTICS: tuple[tuple[Callable[[Pixels], float], str], ...] = (
    (brightness, "mean brightness, 0 to 1"),
    (contrast, "standard deviation of the brightness, 0 to 0.5"),
    (sharpness, "variance of the Laplacian of the brightness: 0 for a blurred picture, above 0.1 for noise"),
    (colourfulness, "Hasler and Süsstrunk's colourfulness: 0 for grey, about 0.4 for vivid colours"),
    (saturation, "mean saturation, 0 to 1"),
    (entropy, "entropy of the brightness, 0 to 6 bits"),
)


def statistic_kinds() -> tuple[ScorerKind, ...]:
    """The scorers of this module."""
    return tuple(
        ScorerKind(measure.__name__, text, _maker(measure.__name__, measure)) for measure, text in STATISTICS
    )
