"""The main job on the sample checkpoints: merge two of them with 26 block weights and look at the result.

    python -m samples.demo [--output FOLDER]

Writes the merged checkpoint, and one sheet with A, B and the merge drawn for the same prompts and seeds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from lib_merge.architectures import read_header
from lib_merge.checkpoint import write_file
from lib_merge.errors import MergeError
from lib_merge.execute import MergeOptions, merge_to_file
from lib_merge.hosts.drawing import draw, load_pipeline
from lib_merge.plan import make_plan
from lib_merge.recipe import Ingredient, Numbers, Recipe, Step, print_recipe
from samples.assemble import MODELS, OUTPUT, assemble

# the text encoder and the input blocks stay A's; the output blocks, which hold the style, go halfway to B
WEIGHTS = (0.0, *[0.0] * 12, 0.2, *[round(0.3 + 0.03 * block, 2) for block in range(12)])
PROMPTS = ("a red circle", "a blue square", "a green triangle", "a yellow cross")
SEEDS = tuple(range(1000, 1000 + len(PROMPTS)))
SIDE = 128  # pixels; what the samples were trained for
ZOOM = 2
MARGIN = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Assemble, merge, draw, and say where everything is; returns the exit status."""
    parser = argparse.ArgumentParser(description="Merge two sample checkpoints and draw the result.")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for what is made")
    options = parser.parse_args(arguments)
    try:
        run(options.output)
    except MergeError as problem:
        print(f"merge-desk: {problem}", file=sys.stderr)
        return 2
    return 0


def run(output: Path) -> None:
    """The whole job, with a line for every step."""
    output.mkdir(parents=True, exist_ok=True)
    say("putting the sample checkpoints together in samples/models")
    assemble(MODELS)
    target = output / "ink_to_pastel.safetensors"
    say("merging ink and pastel with 26 block weights")
    merge(MODELS / "ink.safetensors", MODELS / "pastel.safetensors", target)
    rows = {
        "A: ink": MODELS / "ink.safetensors",
        "the merge": target,
        "B: pastel": MODELS / "pastel.safetensors",
    }
    pictures = {}
    for name, path in rows.items():
        say(f"drawing {len(PROMPTS)} pictures with {name}")
        pictures[name] = draw(load_pipeline(path), PROMPTS, seeds=SEEDS, width=SIDE, height=SIDE)
    picture = output / "sheet.png"
    stream = BytesIO()
    sheet(pictures, PROMPTS).save(stream, format="PNG")
    write_file(picture, stream.getvalue(), overwrite=True)
    print(f"\nthe merged checkpoint: {target}\nthe pictures:          {picture}\n\nits recipe:")
    print(print_recipe(recipe("ink.safetensors", "pastel.safetensors")))


def recipe(a: str, b: str) -> Recipe:
    """A weighted sum with the block weights above."""
    step = Step("M", "weighted_sum", ("A", "B"), (("alpha", Numbers("supermerger", WEIGHTS)),))
    return Recipe((Ingredient("A", a), Ingredient("B", b)), (step,), "M")


def merge(a: Path, b: Path, target: Path) -> None:
    """Plan from the headers, then carry it out."""
    plan = make_plan(recipe(a.name, b.name), {path.name: read_header(path) for path in (a, b)})
    merge_to_file(plan, target, MergeOptions(overwrite=True))


def sheet(rows: dict[str, list[Image.Image]], prompts: Sequence[str]) -> Image.Image:
    """One labelled picture: a row a model, a column a prompt."""
    side = next(iter(rows.values()))[0].width * ZOOM
    font = ImageFont.load_default(size=18)
    left, top = 110, 40
    size = (left + len(prompts) * (side + MARGIN), top + len(rows) * (side + MARGIN))
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    for column, prompt in enumerate(prompts):
        pen.text((left + column * (side + MARGIN), MARGIN), prompt, "black", font)
    for row, (name, pictures) in enumerate(rows.items()):
        y = top + row * (side + MARGIN)
        pen.text((MARGIN, y + side // 2), name, "black", font)
        for column, picture in enumerate(pictures):
            page.paste(
                picture.resize((side, side), Image.Resampling.LANCZOS), (left + column * (side + MARGIN), y)
            )
    return page


BEGAN = time.monotonic()


def say(what: str) -> None:
    """One line of progress, with the seconds since the start."""
    print(f"[{time.monotonic() - BEGAN:5.1f} s] {what} ...", flush=True)


if __name__ == "__main__":
    sys.exit(main())
