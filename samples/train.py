"""Makes the sample checkpoints' parts from nothing: `python samples/train.py`.

Each stage goes on from where it was stopped and is skipped once done. The text encoder and the VAE are the
same for all four models; `base` and `other` are U-Nets of their own, `ink` and `pastel` light fine-tunes of
`base`.
"""

from __future__ import annotations

import argparse
import sys
from functools import cached_property, partial
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs as a file, from any folder

from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from lib_merge.architectures.diffusers_names import UNET_PREFIX, VAE_PREFIX
from samples.drawings import SIDE
from samples.training import export, text, unet, vae
from samples.training.evaluate import judge, requests, sheet
from samples.training.latents import Lessons, lessons

HERE = Path(__file__).resolve().parent
STAGES = ("text", "vae", "base", "other", "ink", "pastel", "export")
PICTURES = {  # drawings that the U-Nets learn from, by corner of the style space and side
    ("base", unet.HALF): 6000,
    ("base", SIDE): 2000,
    ("ink", unet.HALF): 600,
    ("ink", SIDE): 600,
    ("pastel", unet.HALF): 600,
    ("pastel", SIDE): 600,
}
CORNER_SEEDS = {"base": 21, "ink": 22, "pastel": 23}


class Workshop:
    """The stages, each of which makes what it needs of the others."""

    def __init__(self, folder: Path, parts: Path, scale: float, device: str) -> None:
        self.folder, self.parts, self.scale, self.device = folder, parts, scale, device

    @cached_property
    def text(self) -> CLIPTextModel:
        """The trained text encoder."""
        return text.train(self.folder, self.scale)

    @cached_property
    def vae(self) -> AutoencoderKL:
        """The trained VAE."""
        return vae.train(self.folder, self.scale, self.device)

    def run(self, stage: str) -> None:
        """Run the stage of this name."""
        if stage == "export":
            self.export()
        elif stage in unet.PLANS:
            self.unet(stage)
        else:
            getattr(self, stage)

    def count(self, number: int, least: int) -> int:
        """The number scaled down for a quick run, but at least `least`."""
        return max(least, round(number * min(1.0, self.scale)))

    def teach(self, corner: str, side: int) -> Lessons:
        """The lessons of a corner of the style space at one picture size."""
        count = self.count(PICTURES[corner, side], 4)
        seed = CORNER_SEEDS[corner] + side
        return lessons(self.folder, self.vae, self.text, corner=corner, side=side, count=count, seed=seed)

    def unet(self, name: str) -> UNet2DConditionModel:
        """The trained U-Net of this name."""
        plan = unet.PLANS[name]
        start = self.unet(plan.start).state_dict() if plan.start else None
        return unet.train(self.folder, plan, self.scale, partial(self.teach, plan.corner), start, self.device)

    def export(self) -> None:
        """Writes the parts, then says how well each model draws from them."""
        write = partial(export.write_part, folder=self.parts)
        write("text_encoder", export.text_in_ldm_names(self.text.state_dict()))
        write("vae", export.in_ldm_names(VAE_PREFIX, self.vae.state_dict()))
        for name in unet.PLANS:
            write(f"unet_{name}", export.in_ldm_names(UNET_PREFIX, self.unet(name).state_dict()))
        for name, side in product(unet.PLANS, (unet.HALF, SIDE)):
            self.show(name, side)

    def show(self, name: str, side: int) -> None:
        """Draws from a model's parts, saves the sheet and prints how much of it is right."""
        cases = requests(self.count(64, 1), 77)
        drawn = judge(whole(name, self.parts), cases, first_seed=1000, steps=self.count(14, 2), side=side)
        sheet(drawn.images, self.folder / f"sheet_{name}_{side}.png", zoom=SIDE // side)
        right, pastel = f"{drawn.accuracy:.1%}", f"{drawn.styled('pastel'):.1%}"
        print(f"{name} at {side} px: {right} right in shape and colour, {pastel} pastel")


def whole(name: str, parts: Path) -> dict[str, Tensor]:
    """All tensors of one of the four models, from its parts."""
    state: dict[str, Tensor] = {}
    for part in (f"unet_{name}", "vae", "text_encoder"):
        state |= export.read_part(part, parts)
    return state


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and run the stages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stage", choices=("all", *STAGES), default="all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--out", type=Path, default=HERE / ".training", help="where states and sheets are kept"
    )
    parser.add_argument("--parts", type=Path, default=export.PARTS, help="where the parts go")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="times the usual steps and drawings")
    options = parser.parse_args(arguments)
    shop = Workshop(options.out, options.parts, options.steps_scale, options.device)
    for stage in STAGES if options.stage == "all" else (options.stage,):
        shop.run(stage)


if __name__ == "__main__":
    main()
