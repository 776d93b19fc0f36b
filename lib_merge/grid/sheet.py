"""The sheet: all pictures of a grid, unscaled, with labels; and the frames of an animated row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.grid.axes.read import AXIS_NAMES, CellPosition, GridAxis, labels_at
from lib_merge.grid.plan import GridPlan
from lib_merge.grid.store import GridStore

if TYPE_CHECKING:
    from PIL import Image, ImageDraw
    from PIL.ImageFont import FreeTypeFont

PAPER, INK, FAINT, BLANK = "white", "black", "#777777", "#e4e4e4"
GAP = 4  # pixels between cells
MIN_WIDTH = 88  # pixels that a label needs, however small the pictures are
LINES = 6  # of a label at most
NOT_DRAWN = "not drawn yet"


@dataclass(frozen=True)
class Tile:
    """The content of a cell of the sheet: a picture, or a note that says why there is none."""

    image: Image.Image | None
    note: str = ""


def load_tiles(plan: GridPlan, store: GridStore) -> dict[CellPosition, Tile]:
    """The tiles of all cells, from the pictures and records in the store."""
    tiles: dict[CellPosition, Tile] = {}
    for job in plan.jobs:
        try:
            name = store.cell_name(job.cell, plan.base.catalog)
        except Exception as error:  # one of its files is missing; the sheet is drawn anyway
            tiles[job.position] = Tile(None, str(error).splitlines()[0])
            continue
        record = store.record(name)
        if record is None:
            tiles[job.position] = Tile(None, NOT_DRAWN)
        elif record.failed:
            tiles[job.position] = Tile(None, record.problem)
        else:
            tiles[job.position] = Tile(store.picture(name), "its picture cannot be read")
    return tiles


def load_font(size: int) -> FreeTypeFont:
    """A font with the letters of most languages, `size` pixels high; every host has it from matplotlib."""
    from pathlib import Path

    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)


def wrap_text(text: str, width: float, face: FreeTypeFont) -> list[str]:
    """The text in at most LINES lines, each at most `width` pixels wide; a wider word is divided."""
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
class SheetLayout:
    """Sizes of a sheet in pixels.

    cell       width and height of a cell
    left, top  margins for the labels of y and x
    line       height of a line of text
    """

    cell: tuple[int, int]
    left: int
    top: int
    line: int


def draw_sheet(
    axes: Mapping[str, GridAxis], tiles: Mapping[CellPosition, Tile], size: tuple[int, int]
) -> Image.Image:
    """The whole grid as one picture: x to the right, y downwards, one sheet below the other for each z.

    size  size of a picture, used while none is drawn
    """
    from PIL import Image, ImageDraw

    sizes = [tile.image.size for tile in tiles.values() if tile.image is not None] or [size]
    width, height = max(w for w, _ in sizes), max(h for _, h in sizes)
    face = load_font(max(12, min(28, width // 14)))
    counts = {name: len(axes[name].values) if name in axes else 1 for name in AXIS_NAMES}
    layout = _sheet_layout(axes, (max(width, MIN_WIDTH), height), face)
    sheet = (
        layout.left + counts["x"] * (layout.cell[0] + GAP),
        layout.top + counts["y"] * (layout.cell[1] + GAP),
    )
    page = Image.new("RGB", (sheet[0], sheet[1] * counts["z"]), PAPER)
    pen = ImageDraw.Draw(page)
    for z in range(counts["z"]):
        _label_sheet(pen, axes, z, z * sheet[1], layout, face)
    for position, tile in tiles.items():
        x = layout.left + position[0] * (layout.cell[0] + GAP)
        y = position[2] * sheet[1] + layout.top + position[1] * (layout.cell[1] + GAP)
        _draw_tile(page, pen, tile, (x, y), (width, height), layout, face)
    return page


def _sheet_layout(axes: Mapping[str, GridAxis], cell: tuple[int, int], face: FreeTypeFont) -> SheetLayout:
    line = round(face.size * 1.3)
    label_lines = max((len(wrap_text(label, cell[0], face)) for label in _labels(axes, "x")), default=0)
    heading_lines = sum(name in axes for name in ("x", "z"))
    label_width = 0
    if "y" in axes:
        names = (*_labels(axes, "y"), axes["y"].title)
        longest = max(face.getlength(word) for name in names for word in (name, *name.split()[:1]))
        label_width = round(min(longest, max(cell[0], 2 * MIN_WIDTH))) + 3 * GAP
    return SheetLayout(cell, label_width + GAP, (heading_lines + label_lines) * line + 2 * GAP, line)


def _labels(axes: Mapping[str, GridAxis], name: str) -> Sequence[str]:
    return axes[name].labels if name in axes else ()


def _label_sheet(
    pen: ImageDraw.ImageDraw,
    axes: Mapping[str, GridAxis],
    z: int,
    top: int,
    layout: SheetLayout,
    face: FreeTypeFont,
) -> None:
    y = top + GAP
    if "z" in axes:
        pen.text((layout.left, y), f"{axes['z'].title}: {axes['z'].labels[z]}", INK, face)
        y += layout.line
    if "x" in axes:
        pen.text((layout.left, y), axes["x"].title, FAINT, face)
        y += layout.line
    for column, label in enumerate(_labels(axes, "x")):
        x = layout.left + column * (layout.cell[0] + GAP)
        _write(pen, label, (x, y), layout.cell[0], layout.line, face)
    if "y" in axes:
        pen.text((GAP, top + layout.top - layout.line - GAP), axes["y"].title, FAINT, face)
    for row, label in enumerate(_labels(axes, "y")):
        lines = len(wrap_text(label, layout.left - 2 * GAP, face))
        middle = top + layout.top + row * (layout.cell[1] + GAP) + (layout.cell[1] - lines * layout.line) // 2
        _write(pen, label, (GAP, middle), layout.left - 2 * GAP, layout.line, face)


def _write(
    pen: ImageDraw.ImageDraw, text: str, at: tuple[int, int], width: int, line: int, face: FreeTypeFont
) -> None:
    for number, line_text in enumerate(wrap_text(text, width, face)):
        pen.text((at[0], at[1] + number * line), line_text, INK, face)


def _draw_tile(
    page: Image.Image,
    pen: ImageDraw.ImageDraw,
    tile: Tile,
    at: tuple[int, int],
    size: tuple[int, int],
    layout: SheetLayout,
    face: FreeTypeFont,
) -> None:
    if tile.image is not None:
        page.paste(tile.image, at)
        return
    pen.rectangle((*at, at[0] + max(size[0], MIN_WIDTH) - 1, at[1] + size[1] - 1), BLANK)
    small = load_font(max(11, int(face.size) - 4))
    max_lines = max(1, (size[1] - 2 * GAP) // round(small.size * 1.2))
    for number, line_text in enumerate(wrap_text(tile.note, layout.cell[0] - 2 * GAP, small)[:max_lines]):
        pen.text((at[0] + GAP, at[1] + GAP + number * round(small.size * 1.2)), line_text, FAINT, small)


def draw_row(
    axes: Mapping[str, GridAxis], tiles: Mapping[CellPosition, Tile], y: int, z: int
) -> list[Image.Image]:
    """The pictures of one row, each with its labels below it: the frames of an animation."""
    from PIL import Image, ImageDraw

    row = sorted(position for position in tiles if position[1:] == (y, z))
    shown = [(position, image) for position in row if (image := tiles[position].image) is not None]
    if not shown:
        return []
    width, height = max(image.width for _, image in shown), max(image.height for _, image in shown)
    face = load_font(max(12, min(28, width // 14)))
    line = round(face.size * 1.3)
    texts = [", ".join(f"{axes[n].title} {v}" for n, v in labels_at(p, axes).items()) for p, _ in shown]
    tall = max(len(wrap_text(text, max(width, MIN_WIDTH) - 2 * GAP, face)) for text in texts) * line + 2 * GAP
    frames: list[Image.Image] = []
    for (_, image), text in zip(shown, texts, strict=True):
        frame = Image.new("RGB", (max(width, MIN_WIDTH), height + tall), PAPER)
        frame.paste(image, (0, 0))
        _write(ImageDraw.Draw(frame), text, (GAP, height + GAP), frame.width - 2 * GAP, line, face)
        frames.append(frame)
    return frames
