"""Stable Diffusion 3: 3 medium, 3.5 medium and 3.5 large, which share names but no shapes worth mixing."""

from __future__ import annotations

from lib_merge.architectures.families.common import (
    CLIP_G_SIGN,
    CLIP_G_TEXT,
    CLIP_L_IDS,
    CLIP_L_SIGN,
    CLIP_L_TEXT,
    EMA,
    LEFTOVERS,
    SCHEDULE,
    T5_SIGN,
    T5_TEXT,
    T5_TOKENS,
    UNET,
    VAE,
    VAE_SIGNS,
    VAE_SLOT,
    block_names,
    blocks,
    text_slot,
    within_unet,
)
from lib_merge.architectures.family import Clue, Component, Family
from lib_merge.architectures.topology import Topology, VaeTopology
from lib_merge.architectures.transformers import JointTopology

QKV = f"{UNET}joint_blocks.0.context_block.attn.qkv.weight"
QK_NORM = f"{UNET}joint_blocks.0.x_block.attn.ln_q.weight"
SECOND_ATTENTION = f"{UNET}joint_blocks.0.x_block.attn2.qkv.weight"
EMBEDDERS = ("x_embedder.", "t_embedder.", "y_embedder.", "context_embedder.", "pos_embed")


def sd3_family(id: str, title: str, modelspec: str, transformer: JointTopology, *clues: Clue) -> Family:
    """One member of the series: BASE and a number a joint block."""
    return Family(
        id=id,
        title=title,
        slots=(
            text_slot("CLIP_L", CLIP_L_TEXT),
            text_slot("CLIP_G", CLIP_G_TEXT),
            text_slot("T5", T5_TEXT),
            *blocks("J", "joint_blocks", transformer.blocks),
            within_unet("IN", *EMBEDDERS),
            within_unet("OUT", "final_layer."),
            VAE_SLOT,
        ),
        numbers=("BASE", *block_names("J", transformer.blocks)),
        groups={"BASE": ("CLIP_L", "CLIP_G", "T5")},
        homeless=("IN", "OUT", "VAE"),
        schedule=SCHEDULE,
        carried=(T5_TOKENS,),
        leftovers=LEFTOVERS,
        ema=EMA,
        position_ids=frozenset({f"{te}transformer.{CLIP_L_IDS}" for te in (CLIP_L_TEXT, CLIP_G_TEXT)}),
        conv_in=f"{UNET}x_embedder.proj.weight",
        signs={
            Component.UNET: ((Clue(QKV), *clues),),
            Component.TEXT: (CLIP_L_SIGN, CLIP_G_SIGN, T5_SIGN),
            Component.VAE: VAE_SIGNS,
        },
        latents="sd3",
        modelspec=modelspec,
        topology=Topology({UNET: transformer, VAE: VaeTopology(z=16, quant=False)}),
    )


SD3 = sd3_family(
    "sd3",
    "Stable Diffusion 3 medium",
    "stable-diffusion-3-m",
    JointTopology(),
    Clue(QK_NORM, absent=True),
)
SD35_MEDIUM = sd3_family(
    "sd35-medium",
    "Stable Diffusion 3.5 medium",
    "stable-diffusion-3-5-medium",
    JointTopology(qk_norm=True, dual=13, positions=384),
    Clue(QK_NORM),
    Clue(SECOND_ATTENTION),
)
SD35_LARGE = sd3_family(
    "sd35-large",
    "Stable Diffusion 3.5 large",
    "stable-diffusion-3-5-large",
    JointTopology(blocks=38, width=38 * 64, qk_norm=True),
    Clue(QK_NORM),
    Clue(SECOND_ATTENTION, absent=True),
)
