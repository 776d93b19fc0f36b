"""Stable Diffusion 3: 3 medium, 3.5 medium and 3.5 large, three families with the same names but other
shapes.

Joint blocks (MMDiT) process image and text tokens together; the last one updates the image tokens only. Keys
and shapes were checked against sd-mecha's list for SD3 medium; the QK norms and the second attention of SD3.5
are those of Stability-AI/sd3.5 `mmditx.py`.
"""

from __future__ import annotations

from lib_merge.architectures.families.common import (
    CLIP_G_FINGERPRINT,
    CLIP_L_FINGERPRINT,
    CLIP_L_IDS,
    DROPPED_PREFIXES,
    EMA_PREFIXES,
    SCHEDULE,
    T5_FINGERPRINT,
    T5_TOKENS,
    VAE_FINGERPRINTS,
    VAE_SLOT,
    block_names,
    block_slots,
    text_slot,
    unet_slot,
)
from lib_merge.architectures.family import Component, Family, Fingerprint, Network
from lib_merge.architectures.keys import CLIP_G_PREFIX, CLIP_L_PREFIX, T5_PREFIX, UNET_PREFIX, VAE_PREFIX
from lib_merge.architectures.part_topology import AxisLengths, KeyShapes, ListedTopology, linear
from lib_merge.architectures.topology import Topology, VaeTopology

BLOCKS, LAST = "joint_blocks.", "final_layer."
SIGN = f"{BLOCKS}0.context_block.attn.qkv.weight"
QK_NORM = f"{UNET_PREFIX}{BLOCKS}0.x_block.attn.ln_q.weight"
SECOND_ATTENTION = f"{UNET_PREFIX}{BLOCKS}0.x_block.attn2.qkv.weight"
EMBEDDERS = ("x_embedder.", "t_embedder.", "y_embedder.", "context_embedder.", "pos_embed")
FREQUENCIES = 256  # of the time embedding


def _stream(name: str, *, qk_norm: bool, only_read: bool = False, twice: bool = False) -> AxisLengths:
    """The layers of a joint block for the image tokens or the text tokens.

    qk_norm    queries and keys are normalised (SD3.5)
    only_read  the tokens are not updated (text tokens in the last block)
    twice      there is a second self-attention (image tokens in the first blocks of SD3.5 medium)
    """
    # adaLN: shift and scale for each norm, and a gate for each residual branch
    amounts = "2 width" if only_read else "9 width" if twice else "6 width"
    shapes = linear(f"{name}.adaLN_modulation.1", amounts, "width")
    for attention in ("attn", "attn2") if twice else ("attn",):
        shapes |= linear(f"{name}.{attention}.qkv", "3 width", "width")
        if not only_read:
            shapes |= linear(f"{name}.{attention}.proj", "width", "width")
        if qk_norm:
            shapes |= {
                f"{name}.{attention}.ln_q.weight": ("head",),
                f"{name}.{attention}.ln_k.weight": ("head",),
            }
    if not only_read:
        shapes |= linear(f"{name}.mlp.fc1", "4 width", "width")
        shapes |= linear(f"{name}.mlp.fc2", "width", "4 width")
    return shapes


def transformer(
    blocks: int = 24, width: int = 1536, *, qk_norm: bool = False, twice: int = 0, positions: int = 192
) -> ListedTopology:
    """The transformer of one of the three families.

    twice      number of the first blocks that have a second self-attention
    positions  side of the square of positional embeddings
    """
    once: AxisLengths = {
        "pos_embed": (1, "positions", "width"),
        "x_embedder.proj.weight": ("width", 16, 2, 2),
        "x_embedder.proj.bias": ("width",),
        **linear("context_embedder", "width", "context"),
        **linear("t_embedder.mlp.0", "width", FREQUENCIES),
        **linear("t_embedder.mlp.2", "width", "width"),
        **linear("y_embedder.mlp.0", "width", "pooled"),
        **linear("y_embedder.mlp.2", "width", "width"),
        **linear(f"{LAST}adaLN_modulation.1", "2 width", "width"),
        **linear(f"{LAST}linear", 64, "width"),  # 2x2 latents of 16 channels
    }
    text, picture = _stream("context_block", qk_norm=qk_norm), _stream("x_block", qk_norm=qk_norm)
    sizes = {"width": width, "head": 64, "context": 4096, "pooled": 2048, "positions": positions**2}
    return ListedTopology(
        sizes,
        (
            KeyShapes(once),
            KeyShapes({**text, **_stream("x_block", qk_norm=qk_norm, twice=True)}, BLOCKS, range(twice)),
            KeyShapes({**text, **picture}, BLOCKS, range(twice, blocks - 1)),
            KeyShapes(
                {**_stream("context_block", qk_norm=qk_norm, only_read=True), **picture},
                BLOCKS,
                range(blocks - 1, blocks),
            ),
        ),
    )


def sd3_family(
    id: str,
    title: str,
    short: str,
    modelspec: str,
    count: int,
    network: ListedTopology,
    *conditions: Fingerprint,
) -> Family:
    """One of the three families; `count` joint blocks, `conditions` in addition to the common fingerprint."""
    return Family(
        id=id,
        title=title,
        slots=(
            text_slot("CLIP_L", CLIP_L_PREFIX),
            text_slot("CLIP_G", CLIP_G_PREFIX),
            text_slot("T5", T5_PREFIX),
            *block_slots("J", BLOCKS, count),
            unet_slot("IN", *EMBEDDERS),
            unet_slot("OUT", LAST),
            VAE_SLOT,
        ),
        listed_names=("BASE", *block_names("J", count)),
        groups={"BASE": ("CLIP_L", "CLIP_G", "T5")},
        unlisted_slots=("IN", "OUT", "VAE"),
        schedule=SCHEDULE,
        passthrough_prefixes=(T5_TOKENS,),
        dropped_prefixes=DROPPED_PREFIXES,
        ema_prefixes=EMA_PREFIXES,
        position_ids=frozenset({f"{te}transformer.{CLIP_L_IDS}" for te in (CLIP_L_PREFIX, CLIP_G_PREFIX)}),
        conv_in=f"{UNET_PREFIX}x_embedder.proj.weight",
        fingerprints={
            Component.UNET: ((Fingerprint(UNET_PREFIX + SIGN), *conditions),),
            Component.TEXT: (CLIP_L_FINGERPRINT, CLIP_G_FINGERPRINT, T5_FINGERPRINT),
            Component.VAE: VAE_FINGERPRINTS,
        },
        latent_space="sd3",
        modelspec=modelspec,
        topology=Topology({UNET_PREFIX: network, VAE_PREFIX: VaeTopology(z=16, quant=False)}),
        short_title=short,
        network=Network(UNET_PREFIX, SIGN, VAE_PREFIX),
    )


SD3 = sd3_family(
    "sd3",
    "Stable Diffusion 3 medium",
    "SD3",
    "stable-diffusion-3-m",
    24,
    transformer(),
    Fingerprint(QK_NORM, absent=True),
)
SD35_MEDIUM = sd3_family(
    "sd35-medium",
    "Stable Diffusion 3.5 medium",
    "SD3.5",
    "stable-diffusion-3-5-medium",
    24,
    transformer(qk_norm=True, twice=13, positions=384),
    Fingerprint(QK_NORM),
    Fingerprint(SECOND_ATTENTION),
)
SD35_LARGE = sd3_family(
    "sd35-large",
    "Stable Diffusion 3.5 large",
    "SD3.5",
    "stable-diffusion-3-5-large",
    38,
    transformer(blocks=38, width=38 * 64, qk_norm=True),
    Fingerprint(QK_NORM),
    Fingerprint(SECOND_ATTENTION, absent=True),
)
