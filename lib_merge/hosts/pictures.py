"""One picture from one checkpoint file, saved as PNG."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.checkpoint import check_target, read_header, write_file
from lib_merge.errors import RecipeError
from lib_merge.hosts.host import Ckpt, DrawSettings
from lib_merge.picture import read_settings
from lib_merge.recipe import RECIPE_KEY, in_infotext

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
) -> tuple[int, int]:
    """Draw and save as PNG; returns width and height in pixels.

    Sizes left open are what the model was made for.
    """
    from lib_merge.hosts.drawing import draw, load_pipeline

    for problem in check_target(target, inputs=[checkpoint], overwrite=overwrite, endings=PNG):
        raise problem
    metadata = read_header(checkpoint).metadata
    width, height = (
        default if given is None else given for given, default in zip(size, usual_size(metadata), strict=True)
    )
    asked = {"prompt": prompt, "negative": negative, "seed": seed, "steps": steps, "cfg": guidance}
    settings = read_settings({**asked, "width": width, "height": height}, DrawSettings())
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
    told = infotext(settings, Ckpt(checkpoint.stem, checkpoint), metadata.get(RECIPE_KEY, ""))
    stream = BytesIO()
    picture.save(stream, format="PNG", pnginfo=png_facts(told))
    write_file(target, stream.getvalue(), inputs=[checkpoint], overwrite=overwrite, endings=PNG)
    return settings.width, settings.height


def infotext(settings: DrawSettings, checkpoint: Ckpt | None, recipe: str) -> str:
    """What a picture says of itself, in the words of WebUIs, and the recipe that drew it."""
    facts = [
        f"Steps: {settings.steps}",
        f"CFG scale: {settings.cfg:g}",
        f"Seed: {settings.seed}",
        f"Size: {settings.width}x{settings.height}",
        *([f"Model: {checkpoint.name}"] if checkpoint and not recipe else []),
        *([in_infotext(recipe)] if recipe else []),
    ]
    return f"{settings.prompt}\nNegative prompt: {settings.negative}\n{', '.join(facts)}"


def png_facts(text: str) -> PngInfo:
    """An infotext as PNG carries it."""
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    if text:
        told.add_text("parameters", text)
    return told


def usual_size(metadata: Mapping[str, str]) -> tuple[int, int]:
    """Width and height that the file says it was made for (modelspec.resolution), else 512 x 512.

    What the metadata says was written by anybody: a size that cannot be drawn counts as none.
    """
    found = RESOLUTION.fullmatch(metadata.get("modelspec.resolution", ""))
    if found:
        width, height = int(found[1]), int(found[2])
        with suppress(RecipeError):
            read_settings({"width": width, "height": height}, DrawSettings())
            return width, height
    return USUAL_SIDE, USUAL_SIDE
