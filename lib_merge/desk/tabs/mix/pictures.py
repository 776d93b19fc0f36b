"""What a generated picture says of the settings it was made with, for the page."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from PIL import Image

from lib_merge.desk.common import data_url
from lib_merge.desk.selection import Selection
from lib_merge.desk.tabs.mix.view import MixResult
from lib_merge.errors import OutputError, StoreError
from lib_merge.hosts.host import DrawSettings, Picture
from lib_merge.hosts.pictures import png_text
from lib_merge.library.desk_state import keep_picture
from lib_merge.library.picture_cards import read_cards
from lib_merge.service.services import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureKeys:
    """What a result says of the settings it was made with: see MixResult."""

    comparison: str
    drawing: str
    seed: int

    @classmethod
    def of(cls, selection: Selection, settings: DrawSettings, fields: Mapping[str, object]) -> PictureKeys:
        """The keys of a picture; `fields` are those of the page that the settings were read from."""
        return cls(_comparison_key(selection, settings), drawing_key(fields), settings.seed)

    def result(self, services: Services, picture: Picture | None = None) -> MixResult:
        """The result, and its picture kept for a page that is opened again."""
        keys = MixResult(comparison_key=self.comparison, drawing_key=self.drawing, seed=self.seed)
        if picture is None:
            return keys
        png, kept = png_of(picture), ""
        try:
            kept = _keep(services.merging.host.data_dir(), png)
        except OutputError as cause:
            log.info("a picture is not kept: %s", cause)
        url = data_url(png, "image/png")
        return replace(keys, picture=url, picture_id=kept, infotext=picture.infotext)


def _keep(folder: Path, png: bytes) -> str:
    """Keep a picture beside those that cards show; returns its id."""
    try:
        shown = {card.id for card in read_cards(folder)}
    except StoreError as cause:
        log.info("pictures are not tidied up: %s", cause)
        return keep_picture(folder, png, None)
    return keep_picture(folder, png, shown)


def png_of(picture: Picture) -> bytes:
    """A picture as a PNG that carries its generation parameters, as WebUIs write them."""
    stream = BytesIO()
    picture.image.save(stream, format="PNG", pnginfo=png_text(picture.infotext))
    return stream.getvalue()


def preview_url(image: Image.Image) -> str:
    """A preview as a small JPEG in a data URL."""
    stream = BytesIO()
    image.convert("RGB").save(stream, format="JPEG", quality=75)
    return data_url(stream.getvalue(), "image/jpeg")


def drawing_key(fields: Mapping[str, object]) -> str:
    """Equal for two states of the page exactly where the fields of a picture's settings hold the same."""
    text = json.dumps(fields, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _comparison_key(selection: Selection, settings: DrawSettings) -> str:
    return json.dumps([selection.a, repr(settings)])
