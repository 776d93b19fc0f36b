"""Which blocks matter for a prompt: one slot at a time is swapped from A to B; the picture's change counts.

    change = 100 sqrt(mean((P - Q)^2)) / 255

the root mean square over all pixels and channels of the difference between A's own picture P and the picture
Q with that one slot taken from B, in percent of the whole range of a channel. 0 is no change at all; two
pictures of noise that have nothing in common differ by about 41 %. It says how much a block does for this
prompt, seed and sampler, and not whether that is for the better. (SuperMerger's "effective block checker"
counts pixels beyond a threshold of 20 in place of this: hako-mikan/sd-webui-supermerger 0b1c491, xyplot.py.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lib_merge.architectures import Family
from lib_merge.errors import RecipeError
from lib_merge.grid.axes import Asked
from lib_merge.grid.blocks import VAE
from lib_merge.grid.plan import GridPlan
from lib_merge.grid.sheet import BLANK, FAINT, GAP, INK, NARROW, PAPER, Tile, font
from lib_merge.recipe import Ingredient, Recipe, Step

if TYPE_CHECKING:
    from PIL import Image

RANGE = 255
HOT = (232, 89, 12)  # the colour of the marks on the faders
FRAME = 4  # pixels


def map_recipe(a: Ingredient, b: Ingredient) -> Recipe:
    """A with nothing of B, which every cell of a map starts from."""
    step = Step("M", "weighted_sum", (a.name, b.name), (("alpha", 0.0),))
    return Recipe((a, b), (step,), "M")


def map_axis(family: Family) -> Asked:
    """An axis with A alone first, and then every slot by itself; the VAE draws nothing of its own."""
    slots = [slot.id for slot in family.slots if slot.id != VAE]
    return Asked("blocks", ", ".join([f"{slots[0]}=0", *(f"{slot}=1" for slot in slots)]))


def slots_of_map(plan: GridPlan) -> dict[str, int]:
    """Which column of a map's plan shows which slot."""
    labels = plan.axes["x"].labels
    return {label.partition("=")[0]: place for place, label in enumerate(labels) if label.endswith("=1")}


def change(before: Image.Image, after: Image.Image) -> float:
    """How far two pictures of one size lie apart, in percent; see the top of this module."""
    import numpy as np

    if before.size != after.size:
        raise RecipeError(f"a picture of {before.size} cannot be compared with one of {after.size}")
    one, other = (np.asarray(each.convert("RGB"), dtype=np.float64) for each in (before, after))
    return 100 * math.sqrt(float(np.mean((one - other) ** 2))) / RANGE


def influences(plan: GridPlan, tiles: Mapping[tuple[int, int, int], Tile]) -> dict[str, float]:
    """Each slot's change, for those that have a picture; nothing while A's own is missing."""
    first = tiles[0, 0, 0].image
    if first is None:
        return {}
    found: dict[str, float] = {}
    for slot, place in slots_of_map(plan).items():
        image = tiles[place, 0, 0].image
        if image is not None:
            found[slot] = change(first, image)
    return found


def u_shape(family: Family) -> tuple[tuple[str, ...], ...]:
    """Slots in rows as a U-Net is drawn: text above, IN down the left, OUT up the right, the middle below."""
    slots = [slot.id for slot in family.slots if slot.id != VAE]
    blocks = [name for name in family.numbers if name in slots]
    ins, outs = _numbered(blocks, "IN"), _numbered(blocks, "OUT")
    if not ins or not outs:
        half = (len(slots) + 1) // 2
        return tuple((slots[n], slots[n + half] if n + half < len(slots) else "") for n in range(half))
    middle = [name for name in blocks if name.startswith("M") and name not in (*ins, *outs)]
    beside = [slot for slot in slots if slot not in (*ins, *outs, *middle)]
    rows = [tuple(beside[at : at + 2]) for at in range(0, len(beside), 2)]
    rows += [(left, right) for left, right in zip(ins, reversed(outs), strict=True)]
    return (*rows, *((name,) for name in middle))


def _numbered(blocks: Sequence[str], prefix: str) -> list[str]:
    return [name for name in blocks if name.startswith(prefix) and name.removeprefix(prefix).isdigit()]


def draw_map(
    family: Family, tiles: Mapping[str, Tile], found: Mapping[str, float], size: tuple[int, int]
) -> Image.Image:
    """The map: every slot's picture in its place of the U, its frame the hotter the more it changes.

    tiles  a picture by slot; size  of one
    """
    from PIL import Image, ImageDraw

    rows = u_shape(family)
    face = font(max(12, min(22, size[0] // 8)))
    line, width = round(face.size * 1.35), max(size[0], 2 * NARROW - 40)
    cell = (width + 2 * FRAME, size[1] + 2 * FRAME + line)
    page = Image.new("RGB", (2 * cell[0] + 5 * GAP, len(rows) * (cell[1] + 2 * GAP) + 2 * GAP), PAPER)
    pen = ImageDraw.Draw(page)
    most = max(found.values(), default=0.0)
    for number, row in enumerate(rows):
        for place, slot in enumerate(row):
            if not slot:
                continue
            x = 2 * GAP + place * (cell[0] + GAP)
            if len(row) == 1:
                x = (page.width - cell[0]) // 2
            y = 2 * GAP + number * (cell[1] + 2 * GAP)
            told = f"{found[slot]:.1f} %" if slot in found else "no picture"
            pen.text((x, y), slot, INK, face)
            pen.text((x + cell[0] - face.getlength(told), y), told, INK if slot in found else FAINT, face)
            box = (x, y + line, x + cell[0] - 1, y + cell[1] - 1)
            pen.rectangle(box, _heat(found[slot] / most if slot in found and most else 0.0))
            image = tiles[slot].image if slot in tiles else None
            if image is not None:
                page.paste(image, (x + FRAME + (width - image.width) // 2, y + line + FRAME))
            else:
                pen.rectangle((x + FRAME, y + line + FRAME, box[2] - FRAME, box[3] - FRAME), BLANK)
    return page


def _heat(share: float) -> tuple[int, int, int]:
    """From grey to the colour of the marks."""
    grey = 222
    red, green, blue = (round(grey + (hot - grey) * share) for hot in HOT)
    return red, green, blue
