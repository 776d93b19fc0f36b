"""The pictures of trials, small enough to keep all of them, in a folder for each study."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.checkpoint import write_file
from lib_merge.picture import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE, SMALL_SIDE = 768, 128  # pixels of the longer side
MOST_KEPT = 9  # pictures of a trial
QUALITY = 90
WEBP = ".webp"
FOLDER_DIGITS = 16  # hexadecimal


class TrialPictures:
    """The pictures of one study's trials.

    folder  of all studies
    """

    def __init__(self, folder: Path, storage: str, study: str) -> None:
        digest = hashlib.sha256(f"{storage}\n{study}".encode()).hexdigest()
        self.folder = folder / digest[:FOLDER_DIGITS]

    def add(self, number: int, pictures: Sequence[Picture]) -> None:
        """Keep the pictures of a trial; OutputError where that fails."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for index, picture in enumerate(pictures[:MOST_KEPT]):
            write_file(self._path(number, index), _webp(picture.image, SIDE), overwrite=True)
        if pictures:
            write_file(self._small(number), _webp(pictures[0].image, SMALL_SIDE), overwrite=True)

    def count(self, number: int) -> int:
        """How many pictures of a trial there are."""
        return next(
            (index for index in range(MOST_KEPT) if not self._path(number, index).is_file()), MOST_KEPT
        )

    def has_all(self, number: int, pictures: int) -> bool:
        """Whether all pictures of a trial that has so many are kept: they come a moment after its score."""
        return self.count(number) >= min(pictures, MOST_KEPT)

    def read(self, number: int, index: int) -> bytes | None:
        """A picture of a trial as a WebP file; None where there is none."""
        return _bytes(self._path(number, index))

    def read_small(self, number: int) -> bytes | None:
        """The first picture of a trial, for a list."""
        return _bytes(self._small(number))

    def _small(self, number: int) -> Path:
        return self.folder / f"{number:05}{WEBP}"

    def _path(self, number: int, index: int) -> Path:
        return self.folder / f"{number:05}-{index}{WEBP}"


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _webp(image: Image, side: int) -> bytes:
    small = image.copy()
    small.thumbnail((side, side))
    stream = BytesIO()
    small.save(stream, format="WEBP", quality=QUALITY)
    return stream.getvalue()
