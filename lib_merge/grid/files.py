"""What a grid is saved as: a picture that holds every cell's recipe, a table, a row that moves."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.checkpoint import write_file
from lib_merge.errors import OutputError
from lib_merge.grid.axes import NAMES, Place
from lib_merge.grid.plan import GridPlan
from lib_merge.grid.run import Finished
from lib_merge.recipe import print_recipe

if TYPE_CHECKING:
    from PIL import Image

PICTURES = (".png", ".webp")
MOVING = (".webp", ".gif")
TABLES = (".csv",)
TEXT_KEY = "merge_desk.grid"  # of the PNG's own text, beside "parameters"
USER_COMMENT, EXIF_IFD = 0x9286, 0x8769  # where WebUIs keep the infotext of a webp (A1111, modules/images.py)
MOST_WEBP = 16383  # pixels a side, the format's own limit
PAUSE = 700  # milliseconds a frame


def grid_infotext(plan: GridPlan, finished: Mapping[Place, Finished]) -> str:
    """What the sheet says of itself, as an infotext: the first cell's words and the axes."""
    first = next((each.record.infotext for each in finished.values() if each.record.infotext), "")
    told = [f'{name.upper()} Type: {axis.title}, {name.upper()} Values: {json.dumps(", ".join(axis.labels))}'
            for name, axis in plan.axes.items()]  # fmt: skip
    return ", ".join(part for part in (first, *told) if part)


def grid_as_data(plan: GridPlan, finished: Mapping[Place, Finished]) -> dict[str, Any]:
    """Every cell's labels, recipe and settings; recipes stand once, by their number."""
    recipes = list(dict.fromkeys(print_recipe(work.cell.recipe) for work in plan.work))
    cells: list[dict[str, Any]] = []
    for work in sorted(plan.work, key=lambda each: each.place[::-1]):
        done = finished.get(work.place)
        cells.append(
            {
                **dict(zip(NAMES, work.place, strict=True)),
                "labels": dict(work.labels),
                "recipe": recipes.index(print_recipe(work.cell.recipe)),
                "infotext": done.record.infotext if done else "",
                "problem": done.record.problem if done else "",
            }
        )
    axes = {
        name: {"name": axis.title, "values": list(axis.labels), "text": axis.text}
        for name, axis in plan.axes.items()
    }
    return {"axes": axes, "recipes": recipes, "cells": cells}


def as_csv(plan: GridPlan, finished: Mapping[Place, Finished]) -> str:
    """One line a cell: its values, its state, its times, its file; lines end as RFC 4180 has them.

    (With another end, Python before 3.13 leaves a bare CR in a value without quotes, and nobody reads that.)
    """
    stream = io.StringIO(newline="")
    table = csv.writer(stream, lineterminator="\r\n")
    titles = [axis.title for axis in plan.axes.values()]
    table.writerow([*titles, "state", "merge seconds", "draw seconds", "picture", "problem"])
    for work in sorted(plan.work, key=lambda each: each.place[::-1]):
        done = finished.get(work.place)
        labels = [work.labels[name] for name in plan.axes]
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
    """The sheet as PNG or webp, with its infotext and the recipe of every cell inside."""
    raw = encoded_sheet(image, target.suffix.lower(), infotext, data)
    write_file(target, raw, overwrite=overwrite, endings=PICTURES)


def encoded_sheet(image: Image.Image, ending: str, infotext: str, data: Mapping[str, Any]) -> bytes:
    """What `save_sheet` writes into a file of that ending."""
    text = json.dumps(data, ensure_ascii=False)
    stream = io.BytesIO()
    if ending == ".webp":
        if max(image.size) > MOST_WEBP:
            size = f"{image.width} x {image.height}"
            raise OutputError(f"a webp cannot be {size} pixels", hint="save it as PNG")
        exif = comment(image, f"{infotext}\n{TEXT_KEY}: {text}")
        image.save(stream, format="WEBP", lossless=True, exif=exif)
    else:
        from PIL.PngImagePlugin import PngInfo

        told = PngInfo()
        told.add_text("parameters", infotext)
        told.add_itxt(TEXT_KEY, text, zip=True)
        image.save(stream, format="PNG", pnginfo=told)
    return stream.getvalue()


def comment(image: Image.Image, text: str) -> bytes:
    """An Exif block with a user comment, as WebUIs read it."""
    from PIL import Image

    exif = Image.Exif()
    # a whole part at once: what is put into get_ifd() of a new block Pillow 9.5 does not write
    exif[EXIF_IFD] = {USER_COMMENT: b"UNICODE\0" + text.encode("utf-16-be")}
    return exif.tobytes()


def save_moving(frames: Sequence[Image.Image], target: Path, *, overwrite: bool = False) -> None:
    """The frames as an animation that begins anew, webp or gif."""
    raw = encoded_moving(frames, target.suffix.lower())
    write_file(target, raw, overwrite=overwrite, endings=MOVING)


def encoded_moving(frames: Sequence[Image.Image], ending: str) -> bytes:
    """What `save_moving` writes into a file of that ending."""
    if not frames:
        raise OutputError("there is no picture in this row to move", hint="--row N, or resume the grid")
    stream = io.BytesIO()
    form = ending.removeprefix(".").upper()
    rest = list(frames[1:])
    frames[0].save(stream, format=form, save_all=True, append_images=rest, duration=PAUSE, loop=0)
    return stream.getvalue()
