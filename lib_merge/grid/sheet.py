"""The sheet: every cell in its place with labels, pixel for pixel as it was drawn; and a row that moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.grid.axes import NAMES, Axis, Place, labels_at
from lib_merge.grid.plan import GridPlan
from lib_merge.grid.store import Store

if TYPE_CHECKING:
    from PIL import Image, ImageDraw
    from PIL.ImageFont import FreeTypeFont

PAPER, INK, FAINT, BLANK = "white", "black", "#777777", "#e4e4e4"
GAP = 4  # pixels between cells
NARROW = 88  # pixels; a label needs so much, however small the pictures
LINES = 6  # of a label at most
NOT_DRAWN = "not drawn yet"


@dataclass(frozen=True)
class Tile:
    """What stands in a cell: a picture, or why there is none."""

    image: Image.Image | None
    note: str = ""


def tiles_of(plan: GridPlan, store: Store) -> dict[Place, Tile]:
    """Every cell as the store has it now."""
    tiles: dict[Place, Tile] = {}
    for work in plan.work:
        try:
            name = store.name(work.cell, plan.base.shelf)
        except Exception as gone:  # one of its files; the sheet is made all the same
            tiles[work.place] = Tile(None, str(gone).splitlines()[0])
            continue
        record = store.record(name)
        if record is None:
            tiles[work.place] = Tile(None, NOT_DRAWN)
        elif record.failed:
            tiles[work.place] = Tile(None, record.problem)
        else:
            tiles[work.place] = Tile(store.picture(name), "its picture cannot be read")
    return tiles


def font(size: int) -> FreeTypeFont:
    """A face with the letters of most languages, at a size in pixels; matplotlib brings it to every host."""
    from pathlib import Path

    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)


def wrapped(text: str, width: float, face: FreeTypeFont) -> list[str]:
    """The text in lines that are no wider; a word that is wider is cut."""
    lines: list[str] = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if face.getlength(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        while face.getlength(word) > width and len(word) > 1:
            fits = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or face.getlength(word[:n]) <= width)
            lines[-1], word = word[:fits], word[fits:]
            lines.append("")
        lines[-1] = word
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], lines[LINES - 1] + " ..."]
    return lines


@dataclass(frozen=True)
class Measures:
    """Sizes of a sheet in pixels: a cell, its picture, the margins of labels, a line of text."""

    cell: tuple[int, int]
    left: int
    top: int
    line: int


def draw_sheet(axes: Mapping[str, Axis], tiles: Mapping[Place, Tile], size: tuple[int, int]) -> Image.Image:
    """The whole grid: x to the right, y downwards, a sheet below another for each z.

    size  of a cell's picture where there is none yet
    """
    from PIL import Image, ImageDraw

    sizes = [tile.image.size for tile in tiles.values() if tile.image is not None] or [size]
    width, height = max(w for w, _ in sizes), max(h for _, h in sizes)
    face = font(max(12, min(28, width // 14)))
    counts = {name: len(axes[name].values) if name in axes else 1 for name in NAMES}
    made = _measures(axes, (max(width, NARROW), height), face)
    sheet = (
        made.left + counts["x"] * (made.cell[0] + GAP),
        made.top + counts["y"] * (made.cell[1] + GAP),
    )
    page = Image.new("RGB", (sheet[0], sheet[1] * counts["z"]), PAPER)
    pen = ImageDraw.Draw(page)
    for z in range(counts["z"]):
        _label_sheet(pen, axes, z, z * sheet[1], made, face)
    for place, tile in tiles.items():
        x = made.left + place[0] * (made.cell[0] + GAP)
        y = place[2] * sheet[1] + made.top + place[1] * (made.cell[1] + GAP)
        _draw_tile(page, pen, tile, (x, y), (width, height), made, face)
    return page


def _measures(axes: Mapping[str, Axis], cell: tuple[int, int], face: FreeTypeFont) -> Measures:
    line = round(face.size * 1.3)
    tall = max((len(wrapped(label, cell[0], face)) for label in _labels(axes, "x")), default=0)
    heads = sum(name in axes for name in ("x", "z"))
    wide = 0
    if "y" in axes:
        names = (*_labels(axes, "y"), axes["y"].title)
        longest = max(face.getlength(word) for name in names for word in (name, *name.split()[:1]))
        wide = round(min(longest, max(cell[0], 2 * NARROW))) + 3 * GAP
    return Measures(cell, wide + GAP, (heads + tall) * line + 2 * GAP, line)


def _labels(axes: Mapping[str, Axis], name: str) -> Sequence[str]:
    return axes[name].labels if name in axes else ()


def _label_sheet(
    pen: ImageDraw.ImageDraw, axes: Mapping[str, Axis], z: int, top: int, made: Measures, face: FreeTypeFont
) -> None:
    y = top + GAP
    if "z" in axes:
        pen.text((made.left, y), f"{axes['z'].title}: {axes['z'].labels[z]}", INK, face)
        y += made.line
    if "x" in axes:
        pen.text((made.left, y), axes["x"].title, FAINT, face)
        y += made.line
    for place, label in enumerate(_labels(axes, "x")):
        x = made.left + place * (made.cell[0] + GAP)
        _write(pen, label, (x, y), made.cell[0], made.line, face)
    if "y" in axes:
        pen.text((GAP, top + made.top - made.line - GAP), axes["y"].title, FAINT, face)
    for place, label in enumerate(_labels(axes, "y")):
        lines = len(wrapped(label, made.left - 2 * GAP, face))
        middle = top + made.top + place * (made.cell[1] + GAP) + (made.cell[1] - lines * made.line) // 2
        _write(pen, label, (GAP, middle), made.left - 2 * GAP, made.line, face)


def _write(
    pen: ImageDraw.ImageDraw, text: str, at: tuple[int, int], width: int, line: int, face: FreeTypeFont
) -> None:
    for number, words in enumerate(wrapped(text, width, face)):
        pen.text((at[0], at[1] + number * line), words, INK, face)


def _draw_tile(
    page: Image.Image,
    pen: ImageDraw.ImageDraw,
    tile: Tile,
    at: tuple[int, int],
    size: tuple[int, int],
    made: Measures,
    face: FreeTypeFont,
) -> None:
    if tile.image is not None:
        page.paste(tile.image, at)
        return
    pen.rectangle((*at, at[0] + max(size[0], NARROW) - 1, at[1] + size[1] - 1), BLANK)
    small = font(max(11, int(face.size) - 4))
    room = max(1, (size[1] - 2 * GAP) // round(small.size * 1.2))
    for number, words in enumerate(wrapped(tile.note, made.cell[0] - 2 * GAP, small)[:room]):
        pen.text((at[0] + GAP, at[1] + GAP + number * round(small.size * 1.2)), words, FAINT, small)


def draw_row(axes: Mapping[str, Axis], tiles: Mapping[Place, Tile], y: int, z: int) -> list[Image.Image]:
    """The pictures of one row, each with its labels beneath it: the frames of an animation."""
    from PIL import Image, ImageDraw

    row = sorted(place for place in tiles if place[1:] == (y, z))
    shown = [(place, image) for place in row if (image := tiles[place].image) is not None]
    if not shown:
        return []
    width, height = max(image.width for _, image in shown), max(image.height for _, image in shown)
    face = font(max(12, min(28, width // 14)))
    line = round(face.size * 1.3)
    texts = [", ".join(f"{axes[n].title} {v}" for n, v in labels_at(p, axes).items()) for p, _ in shown]
    tall = max(len(wrapped(text, max(width, NARROW) - 2 * GAP, face)) for text in texts) * line + 2 * GAP
    frames: list[Image.Image] = []
    for (_, image), text in zip(shown, texts, strict=True):
        frame = Image.new("RGB", (max(width, NARROW), height + tall), PAPER)
        frame.paste(image, (0, 0))
        _write(ImageDraw.Draw(frame), text, (GAP, height + GAP), frame.width - 2 * GAP, line, face)
        frames.append(frame)
    return frames
