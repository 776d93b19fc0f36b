"""A VAE file: usable in every family with the same latent space, and mergeable with another VAE file."""

from __future__ import annotations

from lib_merge.architectures.families.common import (
    AIO_VAE_FINGERPRINT,
    DROPPED_PREFIXES,
    EMA_PREFIXES,
    VAE_FINGERPRINTS,
)
from lib_merge.architectures.family import Component, Family, Fingerprint, Slot
from lib_merge.architectures.keys import AIO_VAE_PREFIX, VAE_DECODER_CONV_IN, VAE_PREFIX
from lib_merge.architectures.topology import Topology, VaeTopology

LATENTS = VAE_PREFIX + VAE_DECODER_CONV_IN

VAE_ALONE = Family(
    id="vae",
    title="VAE alone",
    slots=(Slot("VAE", Component.VAE, (VAE_PREFIX, AIO_VAE_PREFIX)),),
    listed_names=(),
    unlisted_slots=("VAE",),
    dropped_prefixes=DROPPED_PREFIXES,
    ema_prefixes=EMA_PREFIXES,
    fingerprints={Component.VAE: (*VAE_FINGERPRINTS, AIO_VAE_FINGERPRINT)},
    variants=(("16 latent channels", (Fingerprint(LATENTS, axis=1, size=16),)),),  # SD3, Flux
    topology=Topology({VAE_PREFIX: VaeTopology()}),
)
