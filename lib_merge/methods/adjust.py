"""SuperMerger's Adjust: the first and the last convolution scaled and shifted, for detail and colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from lib_merge.registry import Here, Knob, Spot, end, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

UNET = "model.diffusion_model."
FIRST, NORM, LAST = f"{UNET}input_blocks.0.0", f"{UNET}out.0", f"{UNET}out.2"
TOUCHED = tuple(f"{module}.{part}" for module in (FIRST, NORM, LAST) for part in ("weight", "bias"))

NOWHERE = Spot()
Colour = tuple[float, float, float]
# What one step of brightness and of the three tones does to the last three latents, in fiftieths.
TONES: dict[str, tuple[Colour, Colour, Colour, Colour]] = {
    "": ((-1, 1 / 3, 2 / 3), (1, 1, 0), (0, -1, -1), (1, 0, 1)),
    "sdxl": ((0, 0, 1), (1, 0, 0), (-1, -1, 0), (-1, 1, 0)),
}


@merge_method(
    "adjust",
    title="Adjust",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, fineman and colorcalc",
    purpose="limits",
    elementwise=False,
    ends=[
        end(
            0,
            detail_in=0,
            detail_out=0,
            detail_out2=0,
            contrast=0,
            brightness=0,
            cyan_red=0,
            magenta_green=0,
            yellow_blue=0,
        )
    ],
)
def adjust(
    a: Tensor,
    *,
    detail_in: Annotated[float, Knob(-6, 6, help="more: detail and noise, from the first convolution")] = 0.0,
    detail_out: Annotated[float, Knob(-6, 6, help="more: detail and noise, at the last norm")] = 0.0,
    detail_out2: Annotated[float, Knob(-6, 6, help="more: detail and noise, at the last convolution")] = 0.0,
    contrast: Annotated[float, Knob(-10, 10, help="more: contrast and detail")] = 0.0,
    brightness: Annotated[float, Knob(-10, 10, help="less: dark, more: bright")] = 0.0,
    cyan_red: Annotated[float, Knob(-10, 10, help="less: cyan, more: red")] = 0.0,
    magenta_green: Annotated[float, Knob(-10, 10, help="less: magenta, more: green")] = 0.0,
    yellow_blue: Annotated[float, Knob(-10, 10, help="less: yellow, more: blue")] = 0.0,
    spot: Annotated[Spot, Here(TOUCHED)] = NOWHERE,
) -> Tensor:
    """Change detail, contrast, brightness and colour of what a model draws; needs no second model.

        out = (1 - d / 100) weight, (1 + d / 50) bias, and out.2.bias + (contrast, colour) / 50

    d is detail_in at input_blocks.0.0, detail_out at out.0 and detail_out2 at the weight of out.2. colour is
    brightness, cyan_red, magenta_green and yellow_blue times three numbers each, others on SDXL than on SD1
    and SD2 (TONES). Every other tensor stays as it is; 0 everywhere is A, to the bit. SuperMerger's eight
    numbers, in its order, and what a person sees in its pictures; good up to about 5, says its author.
    """
    module, _, part = spot.key.rpartition(".")
    if spot.key not in TOUCHED:
        return a
    detail = {FIRST: detail_in, NORM: detail_out, LAST: detail_out2}[module]
    if part == "weight":
        return a * (1 - 0.01 * detail)
    if module != LAST:
        return a * (1 + 0.02 * detail)
    amounts = (brightness, cyan_red, magenta_green, yellow_blue)
    tones = TONES.get(spot.family, TONES[""])
    colour = [sum(amount * tone[n] for amount, tone in zip(amounts, tones, strict=True)) for n in range(3)]
    shift = torch.tensor([contrast, *colour], dtype=torch.float64, device=a.device) * 0.02
    return (a.double() + shift).to(a.dtype)
