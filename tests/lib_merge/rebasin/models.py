"""Narrow models of every family with random weights, random arrangements of them, and what they compute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from lib_merge.architectures import (
    ClipTopology,
    GroupPermutation,
    Heads,
    OpenClipTopology,
    Topology,
    UNetTopology,
    VaeTopology,
    family_by_id,
)
from lib_merge.checkpoint import Checkpoint, Header, TensorInfo
from lib_merge.checkpoint.legacy_tensors import LoadedCheckpoint
from lib_merge.dtypes import from_torch
from lib_merge.rebasin import ArrangedCheckpoint, Arrangement, Group, Options, groups_of
from tests.lib_merge.rebasin import networks

UNET, VAE = "model.diffusion_model.", "first_stage_model."
SD1_TEXT, SD2_TEXT = "cond_stage_model.transformer.", "cond_stage_model.model."
CLIP_L, CLIP_G = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."

# As LDM builds them, but narrow: GroupNorms need multiples of 32 channels, and 64 to have two in a group.
NARROW_VAE = VaeTopology(ch=64, mult=(1, 2))
NARROW_CLIP = ClipTopology(layers=2, width=48, mlp=96, vocab=50, positions=9)
NARROW_OPEN_CLIP = OpenClipTopology(layers=2, width=128, mlp=96, vocab=50, positions=9)
MODELS = {
    "sd1": Topology(
        {
            UNET: UNetTopology(channels=64, mult=(1, 2, 1, 1), context=48),
            VAE: NARROW_VAE,
            SD1_TEXT: NARROW_CLIP,
        }
    ),
    "sd2": Topology(
        {
            UNET: UNetTopology(channels=64, mult=(1, 2, 1, 1), context=128, linear_proj=True),
            VAE: NARROW_VAE,
            SD2_TEXT: NARROW_OPEN_CLIP,
        }
    ),
    "sdxl": Topology(
        {
            UNET: UNetTopology(
                channels=64,
                mult=(1, 2, 2),
                depth=(0, 2, 3),
                middle_depth=3,
                context=176,
                linear_proj=True,
                label=40,
            ),
            VAE: NARROW_VAE,
            CLIP_L: NARROW_CLIP,
            CLIP_G: NARROW_OPEN_CLIP,
        }
    ),
}

# Two levels and one residual block each: for the search, whose sums are many.
SHALLOW = {
    family: Topology(
        {
            prefix: replace(part, mult=(1, 2), res_blocks=1, depth=(1, 1))
            if isinstance(part, UNetTopology)
            else replace(part, mult=(1,), res_blocks=1)
            if isinstance(part, VaeTopology)
            else part
            for prefix, part in topology.parts.items()
        }
    )
    for family, topology in MODELS.items()
}


def shapes_of(family: str) -> dict[str, tuple[int, ...]]:
    return MODELS[family].shapes()


def checkpoint(state: Mapping[str, Tensor], name: str = "model") -> Checkpoint:
    """A checkpoint in memory."""
    infos = {key: TensorInfo(from_torch(value.dtype), tuple(value.shape)) for key, value in state.items()}
    return LoadedCheckpoint(Header(Path(f"{name}.safetensors"), infos), dict(state))


def every_group(family: str, state: Mapping[str, Tensor], **options: object) -> tuple[Group, ...]:
    tensors = checkpoint(state).header.tensors
    return groups_of(family_by_id(family), tensors, tensors, Options(**options)).groups


def arranged(
    state: Mapping[str, Tensor], groups: Iterable[Group], arrangements: Mapping[str, Arrangement]
) -> dict[str, Tensor]:
    """The state under arrangements, as a merge sees it."""
    seen = ArrangedCheckpoint(checkpoint(state), groups, arrangements)
    return {key: seen.tensor(key) for key in state}


def at_random(groups: Iterable[Group], seed: int, *, turned: bool = False) -> dict[str, Arrangement]:
    """An arrangement for every part, drawn from all that its structure allows."""
    chance = torch.Generator().manual_seed(seed)
    arrangements: dict[str, Arrangement] = {}
    for group in groups:
        size, structure = group.parts[0].size, group.structure
        count = group.heads or (structure.count if isinstance(structure, GroupPermutation) else 1)
        blocks = torch.randperm(count, generator=chance)
        for part in group.parts:
            inner = [torch.randperm(size // count, generator=chance) for _ in range(count)]
            order = torch.cat(
                [
                    int(block) * (size // count) + channels
                    for block, channels in zip(blocks, inner, strict=True)
                ]
            )
            turns = None
            if turned and isinstance(structure, Heads):
                noise = torch.randn(count, *2 * (size // count,), generator=chance, dtype=torch.float64)
                turns = torch.linalg.qr(noise)[0]
            arrangements[part.id] = Arrangement(order, turns)
    return arrangements


def outputs(family: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What each part of a narrow model computes from fixed inputs, in the state's number format."""
    chance = torch.Generator().manual_seed(5)
    kind = state[f"{UNET}out.2.bias"].dtype

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=chance, dtype=torch.float64).to(kind)

    topology = MODELS[family].unet
    assert topology is not None
    heads = (lambda _: 8) if family == "sd1" else (lambda channels: channels // 64)
    label = noise(1, topology.label) if topology.label else None
    times, text = torch.tensor([413]), noise(1, 7, topology.context)
    results = {
        "unet": networks.unet(networks.under(state, UNET), noise(1, 4, 8, 8), times, text, heads, label)
    }
    vae = networks.under(state, VAE)
    results["encoder"] = networks.encode(vae, noise(1, 3, 8, 8))
    results["decoder"] = networks.decode(vae, noise(1, 4, 4, 4))
    ids = torch.tensor([[1, 30, 7, 7, 2]])
    for prefix in MODELS[family].parts:
        own = networks.under(state, prefix)
        if isinstance(MODELS[family].parts[prefix], ClipTopology):
            results[prefix] = networks.clip(networks.under(own, "text_model."), ids, heads=12)
        elif isinstance(MODELS[family].parts[prefix], OpenClipTopology):
            results[prefix] = networks.open_clip(own, ids, heads=2)
    return results


def change(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, float]:
    """How far each output moved, as a share of its size."""
    return {name: float((after[name] - x).norm() / x.norm()) for name, x in before.items()}
