"""A VAE alone: of every family that shares its latents, and mergeable with another VAE."""

from __future__ import annotations

from lib_merge.architectures.families.common import (
    AIO_VAE,
    EMA,
    LEFTOVERS,
    VAE,
    VAE_SIGNS,
)
from lib_merge.architectures.family import Clue, Component, Family, Slot
from lib_merge.architectures.topology import Topology, VaeTopology

LATENTS = f"{VAE}decoder.conv_in.weight"

VAE_ALONE = Family(
    id="vae",
    title="VAE alone",
    slots=(Slot("VAE", Component.VAE, (VAE, AIO_VAE)),),
    numbers=(),
    homeless=("VAE",),
    leftovers=LEFTOVERS,
    ema=EMA,
    signs={Component.VAE: (*VAE_SIGNS, (Clue(f"{AIO_VAE}decoder.conv_in.weight"),))},
    variants=(("16 latent channels", (Clue(LATENTS, axis=1, size=16),)),),  # SD3, Flux
    topology=Topology({VAE: VaeTopology()}),
)
