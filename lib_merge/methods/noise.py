"""Adds random noise to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from lib_merge.methods.numerics import normal
from lib_merge.parameters import Offset, Range, Seed
from lib_merge.registry import exact_at, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor


@merge_method(
    "add_noise",
    title="Add noise",
    source="hako-mikan sd-webui-supermerger, scripts/mergers/mergers.py, calcmode 'plus random', seeded",
    purpose="limits",
    exact=[exact_at(0, alpha=0)],
    exempt={"changes nothing": "it adds noise by design", "float64": "the noise may dwarf the model"},
)
def add_noise(
    a: Tensor,
    *,
    alpha: Annotated[
        float, Range(0, 0.1, 0.001, help="0 keeps A; the noise's standard deviation", min=0)
    ] = 0.01,
    seed: Annotated[int, Seed(0, 999_999, 1, help="another seed draws other noise")] = 0,
    start: Annotated[int, Offset()] = 0,
) -> Tensor:
    """Add normally distributed noise.

        out = A + alpha N(0, 1)

    alpha 0 is A, to the bit. The same seed gives the same noise, key by key, on every machine.
    """
    return torch.add(a, normal(seed, start, a), alpha=alpha)
