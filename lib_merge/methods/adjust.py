"""SuperMerger's Adjust: the first and the last convolution scaled and shifted, for detail and colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from lib_merge.architectures import FAMILIES
from lib_merge.architectures.families.common import TONES as STANDARD_TONES
from lib_merge.architectures.keys import FIRST_CONV, LAST_CONV, LAST_NORM
from lib_merge.parameters import KeyRef, Range, TensorRef
from lib_merge.registry import exact_at, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

FIRST, NORM, LAST = FIRST_CONV, LAST_NORM, LAST_CONV
CHANGED_KEYS = tuple(f"{module}.{part}" for module in (FIRST, NORM, LAST) for part in ("weight", "bias"))

NO_TENSOR = TensorRef()


@merge_method(
    "adjust",
    title="Adjust",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, fineman and colorcalc",
    purpose="limits",
    elementwise=False,
    exact=[
        exact_at(
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
    detail_in: Annotated[
        float,
        Range(-6, 6, help="more: detail and noise, from the first convolution", title="Detail, first layer"),
    ] = 0.0,
    detail_out: Annotated[
        float, Range(-6, 6, help="more: detail and noise, at the last norm", title="Detail, last norm")
    ] = 0.0,
    detail_out2: Annotated[
        float,
        Range(-6, 6, help="more: detail and noise, at the last convolution", title="Detail, last layer"),
    ] = 0.0,
    contrast: Annotated[float, Range(-10, 10, help="more: contrast and detail")] = 0.0,
    brightness: Annotated[float, Range(-10, 10, help="less: dark, more: bright")] = 0.0,
    cyan_red: Annotated[float, Range(-10, 10, help="less: cyan, more: red", title="Cyan to red")] = 0.0,
    magenta_green: Annotated[
        float, Range(-10, 10, help="less: magenta, more: green", title="Magenta to green")
    ] = 0.0,
    yellow_blue: Annotated[
        float, Range(-10, 10, help="less: yellow, more: blue", title="Yellow to blue")
    ] = 0.0,
    tensor: Annotated[TensorRef, KeyRef(CHANGED_KEYS)] = NO_TENSOR,
) -> Tensor:
    """Change detail, contrast, brightness and colour of what a model draws; needs no second model.

        out = (1 - d / 100) weight, (1 + d / 50) bias, and out.2.bias + (contrast, colour) / 50

    d is detail_in at input_blocks.0.0, detail_out at out.0 and detail_out2 at the weight of out.2. colour is
    brightness, cyan_red, magenta_green and yellow_blue times three numbers each, others on SDXL than on SD1
    and SD2. Every other tensor stays as it is; 0 everywhere is A, to the bit. SuperMerger's eight
    numbers, in its order, and what a person sees in its pictures; good up to about 5, says its author.
    """
    module, _, part = tensor.key.rpartition(".")
    if tensor.key not in CHANGED_KEYS:
        return a
    detail = {FIRST: detail_in, NORM: detail_out, LAST: detail_out2}[module]
    if part == "weight":
        return a * (1 - 0.01 * detail)
    if module != LAST:
        return a * (1 + 0.02 * detail)
    amounts = (brightness, cyan_red, magenta_green, yellow_blue)
    family = FAMILIES.get(tensor.family)
    tones = (family and family.tone_vectors) or STANDARD_TONES
    colour = [sum(amount * tone[n] for amount, tone in zip(amounts, tones, strict=True)) for n in range(3)]
    shift = torch.tensor([contrast, *colour], dtype=torch.float64, device=a.device) * 0.02
    return (a.double() + shift).to(a.dtype)
