"""Generates one picture from one checkpoint file and saves it as PNG."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.architectures import read_header
from lib_merge.checkpoint import check_target, write_file
from lib_merge.errors import RecipeError
from lib_merge.hosts.host import DrawSettings, ListedFile
from lib_merge.picture import Picture, read_settings, with_seed
from lib_merge.recipe import RECIPE_KEY, infotext_entry

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

PNG = (".png",)
USUAL_SIDE = 512  # pixels; what SD1 was made for
RESOLUTION = re.compile(r"\s*([0-9]{1,5})\s*[xX]\s*([0-9]{1,5})\s*")


def draw_to_file(
    checkpoint: Path,
    target: Path,
    *,
    prompt: str,
    negative: str = "",
    seed: int = 0,
    steps: int = 20,
    guidance: float = 5.0,
    size: tuple[int | None, int | None] = (None, None),
    device: str = "cpu",
    overwrite: bool = False,
) -> DrawSettings:
    """Generate a picture and save it as PNG; returns the settings that were used.

    None as a size is the size that the model was trained for; seed -1 draws a random seed.
    """
    from lib_merge.hosts.drawing import draw, load_pipeline

    for problem in check_target(target, inputs=[checkpoint], overwrite=overwrite, suffixes=PNG):
        raise problem
    metadata = read_header(checkpoint).metadata
    width, height = (
        default if side is None else side for side, default in zip(size, default_size(metadata), strict=True)
    )
    fields = {"prompt": prompt, "negative": negative, "seed": seed, "steps": steps, "cfg": guidance}
    settings = with_seed(read_settings({**fields, "width": width, "height": height}, DrawSettings()))
    pipeline = load_pipeline(checkpoint, device=device)
    (picture,) = draw(
        pipeline,
        [settings.prompt],
        seeds=[settings.seed],
        steps=settings.steps,
        guidance=settings.cfg,
        width=settings.width,
        height=settings.height,
        negative_prompt=settings.negative,
    )
    text = format_infotext(settings, ListedFile(checkpoint.stem, checkpoint), metadata.get(RECIPE_KEY, ""))
    data = png_bytes(Picture(picture, text))
    write_file(target, data, inputs=[checkpoint], overwrite=overwrite, suffixes=PNG)
    return settings


def png_bytes(picture: Picture) -> bytes:
    """A picture as the bytes of a PNG with its infotext."""
    stream = BytesIO()
    picture.image.save(stream, format="PNG", pnginfo=png_text(picture.infotext))
    return stream.getvalue()


def format_infotext(settings: DrawSettings, checkpoint: ListedFile | None, recipe: str) -> str:
    """The infotext of a picture in the format of WebUIs, with the recipe of the merge."""
    facts = [
        f"Steps: {settings.steps}",
        f"CFG scale: {settings.cfg:g}",
        f"Seed: {settings.seed}",
        f"Size: {settings.width}x{settings.height}",
        *([f"Model: {checkpoint.name}"] if checkpoint and not recipe else []),
        *([infotext_entry(recipe)] if recipe else []),
    ]
    return f"{settings.prompt}\nNegative prompt: {settings.negative}\n{', '.join(facts)}"


def png_text(text: str) -> PngInfo:
    """An infotext as a text chunk of a PNG."""
    from PIL.PngImagePlugin import PngInfo

    chunk = PngInfo()
    if text:
        chunk.add_text("parameters", text)
    return chunk


def default_size(metadata: Mapping[str, str]) -> tuple[int, int]:
    """Width and height in pixels from the metadata (modelspec.resolution), else 512 x 512.

    Metadata is untrusted: a size that cannot be generated is ignored.
    """
    match = RESOLUTION.fullmatch(metadata.get("modelspec.resolution", ""))
    if match:
        width, height = int(match[1]), int(match[2])
        with suppress(RecipeError):
            read_settings({"width": width, "height": height}, DrawSettings())
            return width, height
    return USUAL_SIDE, USUAL_SIDE
