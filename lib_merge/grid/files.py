"""The files of a finished grid: the sheet with every cell's recipe inside, a table, an animated row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.checkpoint import write_file
from lib_merge.errors import OutputError
from lib_merge.grid.axes.read import AXIS_NAMES, CellPosition
from lib_merge.grid.plan import GridPlan
from lib_merge.grid.run import CellResult
from lib_merge.recipe import print_recipe

if TYPE_CHECKING:
    from PIL import Image

SHEET_SUFFIXES = (".png", ".webp")
ANIMATION_SUFFIXES = (".webp", ".gif")
TABLE_SUFFIXES = (".csv",)
TEXT_KEY = "merge_desk.grid"  # key of the data in a PNG's text; "parameters" has the infotext
USER_COMMENT, EXIF_IFD = 0x9286, 0x8769  # where WebUIs keep the infotext of a webp (A1111, modules/images.py)
MOST_WEBP = 16383  # pixels a side, the format's own limit
PAUSE = 700  # milliseconds a frame


def grid_infotext(plan: GridPlan, finished: Mapping[CellPosition, CellResult]) -> str:
    """The infotext of the sheet: that of the first cell, and the axes."""
    first = next((result.record.infotext for result in finished.values() if result.record.infotext), "")
    axes = [f'{name.upper()} Type: {axis.title}, {name.upper()} Values: {json.dumps(", ".join(axis.labels))}'
            for name, axis in plan.axes.items()]  # fmt: skip
    return ", ".join(part for part in (first, *axes) if part)


def grid_to_dict(plan: GridPlan, finished: Mapping[CellPosition, CellResult]) -> dict[str, Any]:
    """A dictionary for JSON: axes, recipes, and all cells, which name their recipe by its index."""
    recipes = list(dict.fromkeys(print_recipe(job.cell.recipe) for job in plan.jobs))
    cells: list[dict[str, Any]] = []
    for job in sorted(plan.jobs, key=lambda job: job.position[::-1]):
        done = finished.get(job.position)
        cells.append(
            {
                **dict(zip(AXIS_NAMES, job.position, strict=True)),
                "labels": dict(job.labels),
                "recipe": recipes.index(print_recipe(job.cell.recipe)),
                "infotext": done.record.infotext if done else "",
                "problem": done.record.problem if done else "",
            }
        )
    axes = {
        name: {"name": axis.title, "values": list(axis.labels), "text": axis.text}
        for name, axis in plan.axes.items()
    }
    return {"axes": axes, "recipes": recipes, "cells": cells}


def grid_to_csv(plan: GridPlan, finished: Mapping[CellPosition, CellResult]) -> str:
    """A CSV table with one row for each cell: its values, state, times, file and problem.

    Lines end in CR LF (RFC 4180), so that a CR in a value is quoted in Python before 3.13 too.
    """
    stream = io.StringIO(newline="")
    table = csv.writer(stream, lineterminator="\r\n")
    titles = [axis.title for axis in plan.axes.values()]
    table.writerow([*titles, "state", "merge seconds", "draw seconds", "picture", "problem"])
    for job in sorted(plan.jobs, key=lambda job: job.position[::-1]):
        done = finished.get(job.position)
        labels = [job.labels[name] for name in plan.axes]
        if done is None:
            table.writerow([*labels, "not drawn", "", "", "", ""])
            continue
        record = done.record
        merged = "" if record.merge_seconds is None else f"{record.merge_seconds:.3f}"
        state, picture = ("failed", "") if record.failed else ("done", f"{done.name}.png")
        table.writerow([*labels, state, merged, f"{record.draw_seconds:.3f}", picture, record.problem])
    return stream.getvalue()


def save_sheet(
    image: Image.Image, target: Path, infotext: str, data: Mapping[str, Any], *, overwrite: bool = False
) -> None:
    """Write the sheet as PNG or WebP, with its infotext and the recipes of all cells in the metadata."""
    raw = encode_sheet(image, target.suffix.lower(), infotext, data)
    write_file(target, raw, overwrite=overwrite, suffixes=SHEET_SUFFIXES)


def encode_sheet(image: Image.Image, ending: str, infotext: str, data: Mapping[str, Any]) -> bytes:
    """The bytes that `save_sheet` writes into a file with this suffix."""
    text = json.dumps(data, ensure_ascii=False)
    stream = io.BytesIO()
    if ending == ".webp":
        if max(image.size) > MOST_WEBP:
            size = f"{image.width} x {image.height}"
            raise OutputError(f"a webp cannot be {size} pixels", hint="save it as PNG")
        exif = exif_comment(image, f"{infotext}\n{TEXT_KEY}: {text}")
        image.save(stream, format="WEBP", lossless=True, exif=exif)
    else:
        from PIL.PngImagePlugin import PngInfo

        text_chunks = PngInfo()
        text_chunks.add_text("parameters", infotext)
        text_chunks.add_itxt(TEXT_KEY, text, zip=True)
        image.save(stream, format="PNG", pnginfo=text_chunks)
    return stream.getvalue()


def exif_comment(image: Image.Image, text: str) -> bytes:
    """An Exif block with a user comment, in the encoding that WebUIs read."""
    from PIL import Image

    exif = Image.Exif()
    # set as a whole: Pillow 9.5 does not write what is added to get_ifd() of a new block
    exif[EXIF_IFD] = {USER_COMMENT: b"UNICODE\0" + text.encode("utf-16-be")}
    return exif.tobytes()


def save_animation(frames: Sequence[Image.Image], target: Path, *, overwrite: bool = False) -> None:
    """Write the frames as an animation that repeats, WebP or GIF."""
    raw = encode_animation(frames, target.suffix.lower())
    write_file(target, raw, overwrite=overwrite, suffixes=ANIMATION_SUFFIXES)


def encode_animation(frames: Sequence[Image.Image], ending: str) -> bytes:
    """The bytes that `save_animation` writes into a file with this suffix."""
    if not frames:
        raise OutputError("there is no picture in this row to move", hint="--row N, or resume the grid")
    stream = io.BytesIO()
    form = ending.removeprefix(".").upper()
    rest = list(frames[1:])
    frames[0].save(stream, format=form, save_all=True, append_images=rest, duration=PAUSE, loop=0)
    return stream.getvalue()
