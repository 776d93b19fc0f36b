"""Draws the pictures of the guide from the samples: `python3 start.py docs --pictures [NAME ...]`.

Each picture is a function of PICTURES, made with the commands that the pages show. The cells of its grids
are kept in output/guide, so that a run that was stopped continues; delete that folder to draw all again. With
all cells in place a run takes seconds, without them some minutes.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import load_file, save_file  # pyright: ignore[reportUnknownVariableType]

from lib_merge.checkpoint import write_file
from lib_merge.cli import main as merge_desk
from samples.assemble import MODELS, assemble

ROOT = Path(__file__).parents[2]
IMAGES = Path(__file__).with_name("images")
WORK = ROOT / "output" / "guide"
RECIPES = ROOT / "recipes"

STEPS = "12"  # of the sampler: more changes little on the samples
PROMPT = "a red circle"
PAPER, INK, FAINT, LINE = "white", "black", "#666666", "#e8590c"
GAP = 6  # pixels
TOP = 22  # pixels for a label
QUALITY = 82  # of WebP

# what the block map shows: rows of the U-Net from top to bottom, IN on the left, OUT on the right
OUTSIDE = ("BASE", "TIME", "OUT")
PAIRS = tuple((f"IN{number:02}", f"OUT{11 - number:02}") for number in range(12))
MIDDLE = "M00"

# the curves of some presets, and what a mixer uses them for
PRESETS = ("GRAD_V", "GRAD_A", "OUT12", "COSINE", "REVERSE_COSINE", "STYLE")
ROLES = ("COMPOSITION", "ANATOMY", "STYLE", "TEXTURE")
MIXES = (
    "PastelMix-dpep4",
    "DunkMash",
    "chillyMixBase",
    "chillyMixBase-V1-NED",
    "StoreBoughtGyoza",
    "CreationMix",
)


@dataclass(frozen=True)
class Cell:
    """One picture with the text above it."""

    label: str
    image: Image.Image


def font(size: int) -> ImageFont.FreeTypeFont:
    """The font of every picture, at a size in pixels."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)


# --- what the command line does ---


def command(*arguments: str) -> str:
    """What a command of merge-desk prints; RuntimeError where it fails."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        status = merge_desk(arguments)
    if status:
        raise RuntimeError(f"merge-desk {' '.join(arguments)}: status {status}")
    return printed.getvalue()


def sample(name: str) -> str:
    """The path of a sample."""
    return str(MODELS / f"{name}.safetensors")


def grid(name: str, *arguments: str, prompt: str = PROMPT) -> list[Image.Image]:
    """The cells of a grid in the order of its plan, x first."""
    sheet = WORK / f"{name}.png"
    options = ("--prompt", prompt, "--steps", STEPS, "-o", str(sheet), "--resume", "--json")
    report = json.loads(command("grid", *arguments, *options))
    cells = sorted(report["each_cell"], key=lambda cell: tuple(reversed(cell["place"])))
    failed = [cell["problem"] for cell in cells if cell["state"] == "failed"]
    if failed:
        raise RuntimeError(f"{name}: {failed[0]}")
    return [Image.open(Path(report["folder"], cell["file"])).convert("RGB") for cell in cells]


def block_map(name: str) -> tuple[Image.Image, Mapping[str, Image.Image], Mapping[str, float]]:
    """A's picture; one for each slot that is taken from B; by how much each differs from A's, in percent."""
    sheet = WORK / f"{name}.png"
    models = (sample("ink"), sample("pastel"), "--blocks")
    options = ("--prompt", PROMPT, "--steps", STEPS, "-o", str(sheet), "--resume", "--json")
    report = json.loads(command("grid", *models, *options))
    own, *others = (
        (
            cell["labels"]["x"].partition("=")[0],
            Image.open(Path(report["folder"], cell["file"])).convert("RGB"),
        )
        for cell in sorted(report["each_cell"], key=lambda cell: cell["place"])
    )
    return own[1], dict(others), report["blocks"]


# --- layout ---


def row(cells: Sequence[Cell], side: int = 128) -> Image.Image:
    """Labelled pictures next to each other."""
    face = font(12)
    page = Image.new("RGB", (len(cells) * (side + GAP) - GAP, side + TOP), PAPER)
    pen = ImageDraw.Draw(page)
    for number, cell in enumerate(cells):
        x = number * (side + GAP)
        pen.text((x, 3), cell.label, INK, face)
        page.paste(cell.image.resize((side, side), Image.Resampling.LANCZOS), (x, TOP))
    return page


def stack(rows: Sequence[Image.Image]) -> Image.Image:
    """Pictures below each other."""
    height = sum(image.height + GAP for image in rows) - GAP
    page = Image.new("RGB", (max(image.width for image in rows), height), PAPER)
    y = 0
    for image in rows:
        page.paste(image, (0, y))
        y += image.height + GAP
    return page


def heat(share: float) -> tuple[int, int, int]:
    """A colour from grey (0) to orange (1)."""
    grey, orange = 222, (232, 89, 12)
    red, green, blue = (round(grey + (channel - grey) * share) for channel in orange)
    return red, green, blue


def curve(numbers: Sequence[float], size: tuple[int, int]) -> Image.Image:
    """Block weights as a line, IN00 on the left and OUT11 on the right; 0 at the bottom, 1 at the top."""
    page = Image.new("RGB", size, "#f6f6f6")
    pen = ImageDraw.Draw(page)
    width, height = size[0] - 8, size[1] - 8
    points = [
        (4 + width * number / (len(numbers) - 1), 4 + height * (1 - weight))
        for number, weight in enumerate(numbers)
    ]
    pen.line(points, LINE, 2)
    return page


# --- the pictures ---


def blocks() -> Image.Image:
    """The block map: one block of ink at a time replaced by pastel's, laid out as the U-Net is."""
    own, by_slot, changes = block_map("blocks")
    most, side = max(changes.values()), 80
    frame, face = 3, font(12)
    cell = (side + 2 * frame, side + 2 * frame + 16)
    columns = 6
    # three pairs in a row: one level of the U-Net
    page = Image.new("RGB", (columns * (cell[0] + GAP) + 3 * GAP, 6 * (cell[1] + 2 * GAP)), PAPER)
    pen = ImageDraw.Draw(page)

    def put(slot: str, column: float, line: int, image: Image.Image, change: float | None) -> None:
        x, y = round(column * (cell[0] + GAP)) + (3 * GAP if column >= 3 else 0), line * (cell[1] + 2 * GAP)
        pen.text((x, y), slot, INK, face)
        text = "" if change is None else f"{change:.1f} %"
        pen.text((x + cell[0] - face.getlength(text), y), text, FAINT, face)
        colour = heat(0 if change is None else change / most)
        pen.rectangle((x, y + 16, x + cell[0] - 1, y + cell[1] - 1), colour)
        page.paste(image.resize((side, side), Image.Resampling.LANCZOS), (x + frame, y + 16 + frame))

    put("ink", 0, 0, own, None)
    for number, slot in enumerate(OUTSIDE):
        put(slot, 3 + number, 0, by_slot[slot], changes[slot])
    for number, (left, right) in enumerate(PAIRS):
        level, column = divmod(number, 3)
        put(left, column, 1 + level, by_slot[left], changes[left])
        put(right, 5 - column, 1 + level, by_slot[right], changes[right])
    put(MIDDLE, 2.5, 5, by_slot[MIDDLE], changes[MIDDLE])
    return page


def alpha() -> Image.Image:
    """Five values of alpha for two seeds."""
    values = ("0", "0.25", "0.5", "0.75", "1")
    images = grid("alpha", sample("ink"), sample("pastel"), "--x", "alpha: 0-1 [5]", "--y", "seed: 1, 2")
    labels = [*(f"alpha {value}" for value in values), *[""] * len(values)]
    cells = [Cell(label, image) for label, image in zip(labels, images, strict=True)]
    return stack([row(cells[:5], 112), row(cells[5:], 112)])


def presets() -> Image.Image:
    """What six presets do to the same picture, each with its curve."""
    images = grid(
        "presets", sample("ink"), sample("pastel"), "--x", f"preset: {', '.join(PRESETS)}", "--seed", "1"
    )
    pictures = row([Cell(name, image) for name, image in zip(PRESETS, images, strict=True)], 112)
    page = Image.new("RGB", (pictures.width, pictures.height + 44 + GAP), PAPER)
    page.paste(pictures, (0, 0))
    for number, name in enumerate(PRESETS):
        page.paste(curve(preset(name), (112, 44)), (number * (112 + GAP), pictures.height + GAP))
    return page


def preset(name: str) -> list[float]:
    """The block weights of a preset from IN00 to OUT11."""
    for shipped in json.loads(command("presets", "--json")):
        if shipped["name"] == name:
            return [weight for slot, weight in shipped["amounts"].items() if re.search(r"\d", slot)]
    raise RuntimeError(f"no preset is called {name}")


def style() -> Image.Image:
    """Pastel's style for ink's drawing: by the presets of the four roles, and by adding a difference."""
    prompt = "a green star"
    axis = f"preset: ALL_A, {', '.join(ROLES)}, ALL_B"
    images = grid("style", sample("ink"), sample("pastel"), "--x", axis, "--seed", "3", prompt=prompt)
    names = ("ink", *ROLES, "pastel")
    first = row([Cell(name, image) for name, image in zip(names, images, strict=True)], 112)
    three = (sample("ink"), sample("pastel"), sample("base"), "--method", "add_difference")
    added = grid("difference", *three, "--x", "alpha: 0, 0.5, 1", "--seed", "3", prompt=prompt)
    labels = ("alpha 0", "alpha 0.5", "alpha 1")
    second = row([Cell(label, image) for label, image in zip(labels, added, strict=True)], 112)
    return stack([first, second])


def mend() -> Image.Image:
    """Pastel, pastel with noise in OUT08, and the same with ink's OUT08."""
    folder = WORK / "models"
    folder.mkdir(exist_ok=True)
    torn, mended = folder / "torn.safetensors", folder / "mended.safetensors"
    options = ("--overwrite", "--no-hashes", "-o")
    noise = ("--method", "add_noise", "--weights", "OUT08: 0.1", "--seed", "1")
    command("merge", sample("pastel"), *noise, *options, str(torn))
    command("merge", sample("ink"), str(torn), "--weights", "1; OUT08: 0", *options, str(mended))
    models = ", ".join((sample("pastel"), str(torn), str(mended)))
    images = grid("mend", sample("pastel"), str(torn), "--x", f"checkpoint: {models}", "--seed", "1")
    labels = ("pastel", "torn", "mended")
    return row([Cell(label, image) for label, image in zip(labels, images, strict=True)])


def mixes() -> Image.Image:
    """The recipes of the published mixes, run on samples in place of their ingredients."""
    folder = WORK / "ingredients"
    ingredients(folder)
    targets = [WORK / "models" / f"{name}.safetensors" for name in MIXES]
    for name, target in zip(MIXES, targets, strict=True):
        if not target.exists():
            recipe = str(RECIPES / f"{name}.recipe")
            command("merge", "--recipe", recipe, "--models", str(folder), "-o", str(target), "--no-hashes")
    models = ", ".join(map(str, targets))
    images = grid("mixes", sample("ink"), sample("pastel"), "--x", f"checkpoint: {models}", "--seed", "1")
    labels = ("PastelMix-dpep4", "DunkMash", "chillyMixBase", "V1-NED", "Gyoza", "CreationMix")
    return row([Cell(label, image) for label, image in zip(labels, images, strict=True)], 112)


def ingredients(folder: Path) -> None:
    """Samples under the names of the recipes' files, as recipes/INGREDIENTS.md says; base in place of other.

    Other was trained apart from the rest: a merge with it is no test of a recipe, and draws noise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = (RECIPES / "INGREDIENTS.md").read_text(encoding="utf-8")
    for name, which, form in re.findall(r"^\| `([^`]+)` \| (\w+) \| ([^|]+) \|$", table, re.MULTILINE):
        state = load_file(MODELS / f"{which.replace('other', 'base')}.safetensors")
        prefix = "first_stage_model."
        if "VAE alone" in form:
            state = {key.removeprefix(prefix): x for key, x in state.items() if key.startswith(prefix)}
        elif "no VAE" in form:
            state = {key: x for key, x in state.items() if not key.startswith(prefix)}
        if "fp32" in form:
            state = {key: x.float() if x.is_floating_point() else x for key, x in state.items()}
        save_file(state, folder / f"{name}.safetensors")


PICTURES: Mapping[str, Callable[[], Image.Image]] = {
    "blocks": blocks,
    "alpha": alpha,
    "presets": presets,
    "style": style,
    "mend": mend,
    "mixes": mixes,
}


def main(names: Sequence[str]) -> int:
    """Draws the pictures of these names."""
    assemble()
    WORK.mkdir(parents=True, exist_ok=True)
    IMAGES.mkdir(exist_ok=True)
    for name in names:
        stream = io.BytesIO()
        PICTURES[name]().save(stream, "WEBP", quality=QUALITY, method=6)
        target = IMAGES / f"{name}.webp"
        write_file(target, stream.getvalue(), overwrite=True)
        print(f"{target.relative_to(ROOT).as_posix()}: {len(stream.getvalue()) / 1000:.0f} KB", flush=True)
    return 0
