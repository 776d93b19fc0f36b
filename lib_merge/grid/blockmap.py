"""The map of effective blocks: how much the picture changes when one slot at a time is taken from B.

    change = 100 sqrt(mean((P - Q)^2)) / 255

the root mean square, over all pixels and channels, of the difference between A's picture P and the picture Q
with one slot taken from B, in percent of a channel's range. 0 is no change; two unrelated pictures of noise
differ by about 41 %. It measures the effect of a block for this prompt, seed and sampler, not whether the
picture is better. (SuperMerger's "effective block checker" counts pixels beyond a threshold of 20 instead:
hako-mikan/sd-webui-supermerger 0b1c491, xyplot.py.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.architectures import Family
from lib_merge.errors import RecipeError
from lib_merge.grid.axes.read import AxisSpec
from lib_merge.grid.plan import GridPlan
from lib_merge.grid.sheet import BLANK, FAINT, GAP, INK, MIN_WIDTH, PAPER, Tile, load_font
from lib_merge.recipe import Ingredient, Recipe, Step
from lib_merge.recipe.weights.rules import VAE_SLOT_ID

if TYPE_CHECKING:
    from PIL import Image

RANGE = 255
HOT = (232, 89, 12)  # the colour of the marks on the faders
FRAME = 4  # pixels


def map_recipe(a: Ingredient, b: Ingredient) -> Recipe:
    """The recipe that every cell of a map starts from: A, with nothing of B."""
    step = Step("M", "weighted_sum", (a.name, b.name), (("alpha", 0.0),))
    return Recipe((a, b), (step,), "M")


def map_axis(family: Family) -> AxisSpec:
    """The axis of a map: A alone, then each slot by itself; not the VAE, which only decodes the picture."""
    slots = [slot.id for slot in family.slots if slot.id != VAE_SLOT_ID]
    return AxisSpec("blocks", ", ".join([f"{slots[0]}=0", *(f"{slot}=1" for slot in slots)]))


def map_columns(plan: GridPlan) -> dict[str, int]:
    """Slot -> the column of the map's plan that shows it."""
    labels = plan.axes["x"].labels
    return {label.partition("=")[0]: column for column, label in enumerate(labels) if label.endswith("=1")}


def picture_change(before: Image.Image, after: Image.Image) -> float:
    """The difference of two pictures of the same size in percent; see the module's docstring."""
    import numpy as np

    if before.size != after.size:
        raise RecipeError(f"a picture of {before.size} cannot be compared with one of {after.size}")
    one, other = (np.asarray(picture.convert("RGB"), dtype=np.float64) for picture in (before, after))
    return 100 * math.sqrt(float(np.mean((one - other) ** 2))) / RANGE


def block_changes(plan: GridPlan, tiles: Mapping[tuple[int, int, int], Tile]) -> dict[str, float]:
    """Slot -> change, for the slots that have a picture; empty while A's own picture is missing."""
    first = tiles[0, 0, 0].image
    if first is None:
        return {}
    changes: dict[str, float] = {}
    for slot, column in map_columns(plan).items():
        image = tiles[column, 0, 0].image
        if image is not None:
            changes[slot] = picture_change(first, image)
    return changes


@dataclass(frozen=True)
class BlockRows:
    """The slots of a map, arranged as a U-Net is drawn.

    beside  slots outside of the blocks, such as text encoders
    pairs   (IN, OUT) of each skip connection, from top to bottom
    middle  middle blocks, at the bottom of the U
    """

    beside: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    middle: tuple[str, ...]


def block_rows(family: Family) -> BlockRows:
    """The rows of a family's map; in a family without IN and OUT blocks all slots are in `beside`."""
    slots = [slot.id for slot in family.slots if slot.id != VAE_SLOT_ID]
    blocks = [name for name in family.listed_names if name in slots]
    ins, outs = _numbered(blocks, "IN"), _numbered(blocks, "OUT")
    if not ins or not outs:
        return BlockRows(tuple(slots), (), ())
    middle = tuple(name for name in blocks if name.startswith("M") and name not in (*ins, *outs))
    beside = tuple(slot for slot in slots if slot not in (*ins, *outs, *middle))
    return BlockRows(beside, tuple(zip(ins, reversed(outs), strict=True)), middle)


def u_shape(family: Family) -> tuple[tuple[str, ...], ...]:
    """All slots in rows of one or two, from top to bottom; "" for an empty position."""
    rows = block_rows(family)
    beside = rows.beside
    if not rows.pairs:
        half = (len(beside) + 1) // 2
        return tuple((beside[n], beside[n + half] if n + half < len(beside) else "") for n in range(half))
    above = tuple(beside[at : at + 2] for at in range(0, len(beside), 2))
    return (*above, *rows.pairs, *((name,) for name in rows.middle))


def _numbered(blocks: Sequence[str], prefix: str) -> list[str]:
    return [name for name in blocks if name.startswith(prefix) and name.removeprefix(prefix).isdigit()]


def draw_map(
    family: Family, tiles: Mapping[str, Tile], changes: Mapping[str, float], size: tuple[int, int]
) -> Image.Image:
    """The map as a picture: each slot's tile at its position in the U; the frame's colour shows the change.

    tiles    slot -> its tile
    changes  slot -> change in percent
    size     of one tile's picture
    """
    from PIL import Image, ImageDraw

    rows = u_shape(family)
    face = load_font(max(12, min(22, size[0] // 8)))
    line, width = round(face.size * 1.35), max(size[0], 2 * MIN_WIDTH - 40)
    cell = (width + 2 * FRAME, size[1] + 2 * FRAME + line)
    page = Image.new("RGB", (2 * cell[0] + 5 * GAP, len(rows) * (cell[1] + 2 * GAP) + 2 * GAP), PAPER)
    pen = ImageDraw.Draw(page)
    most = max(changes.values(), default=0.0)
    for number, row in enumerate(rows):
        for column, slot in enumerate(row):
            if not slot:
                continue
            x = 2 * GAP + column * (cell[0] + GAP)
            if len(row) == 1:
                x = (page.width - cell[0]) // 2
            y = 2 * GAP + number * (cell[1] + 2 * GAP)
            label = f"{changes[slot]:.1f} %" if slot in changes else "no picture"
            pen.text((x, y), slot, INK, face)
            pen.text((x + cell[0] - face.getlength(label), y), label, INK if slot in changes else FAINT, face)
            box = (x, y + line, x + cell[0] - 1, y + cell[1] - 1)
            pen.rectangle(box, _heat(changes[slot] / most if slot in changes and most else 0.0))
            image = tiles[slot].image if slot in tiles else None
            if image is not None:
                page.paste(image, (x + FRAME + (width - image.width) // 2, y + line + FRAME))
            else:
                pen.rectangle((x + FRAME, y + line + FRAME, box[2] - FRAME, box[3] - FRAME), BLANK)
    return page


def _heat(share: float) -> tuple[int, int, int]:
    """The colour of a frame: grey at 0, HOT at 1."""
    grey = 222
    red, green, blue = (round(grey + (hot - grey) * share) for hot in HOT)
    return red, green, blue
