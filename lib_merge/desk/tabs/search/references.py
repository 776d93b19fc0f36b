"""Pictures that the user gives a score to compare with."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from io import BytesIO
from pathlib import Path

from lib_merge.checkpoint import write_file
from lib_merge.errors import RecipeError

MOST_BYTES = 64 << 20  # of the data URL
SIDE = 2048  # pixels of the longer side
NAME_DIGITS = 6  # hexadecimal, of the content
NOT_IN_NAMES = re.compile(r"[^\w-]+")
MOST_NAME = 40  # characters


def keep_reference(folder: Path, url: str, name: str) -> str:
    """Keep a picture of a data URL; the name that it has in a score. RecipeError where it is no picture."""
    from PIL import Image, UnidentifiedImageError

    head, _, body = url.partition(",")
    if not head.startswith("data:") or len(body) > MOST_BYTES:
        raise RecipeError("this picture cannot be read", where=name, hint="a PNG, WebP or JPEG file")
    try:
        raw = base64.b64decode(body, validate=True)
        with Image.open(BytesIO(raw)) as picture:
            image = picture.convert("RGB")
    except (
        binascii.Error,
        OSError,
        ValueError,
        UnidentifiedImageError,
        Image.DecompressionBombError,
    ) as cause:
        raise RecipeError(
            "this picture cannot be read", where=name, hint="a PNG, WebP or JPEG file"
        ) from cause
    image.thumbnail((SIDE, SIDE))
    stream = BytesIO()
    image.save(stream, format="PNG")
    digest = hashlib.sha256(raw).hexdigest()[:NAME_DIGITS]
    stem = NOT_IN_NAMES.sub("-", Path(name).stem).strip("-")[:MOST_NAME]
    target = folder / f"{stem or 'picture'}-{digest}.png"
    folder.mkdir(parents=True, exist_ok=True)
    write_file(target, stream.getvalue(), overwrite=True)
    return target.name
