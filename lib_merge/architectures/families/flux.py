"""Flux.1: dev, schnell, and the tools with the same transformer (fill, canny, depth, Kontext).

Its double blocks have separate weights for text and image tokens, its single blocks do not. Keys and shapes
were checked against sd-mecha's list for Flux dev.
"""

from __future__ import annotations

from lib_merge.architectures.families.common import (
    AIO_VAE_FINGERPRINT,
    CLIP_L_FINGERPRINT,
    CLIP_L_IDS,
    SCHEDULE,
    T5_FINGERPRINT,
    T5_TOKENS,
    VAE_FINGERPRINTS,
    block_names,
    block_slots,
    text_slot,
    unet_slot,
)
from lib_merge.architectures.family import Component, Family, Fingerprint, Network, Slot
from lib_merge.architectures.keys import AIO_VAE_PREFIX, CLIP_L_PREFIX, T5_PREFIX, UNET_PREFIX, VAE_PREFIX
from lib_merge.architectures.part_topology import AxisLengths, KeyShapes, ListedTopology, linear
from lib_merge.architectures.topology import Topology, VaeTopology

IMG_IN = f"{UNET_PREFIX}img_in.weight"
GUIDANCE = f"{UNET_PREFIX}guidance_in.in_layer.weight"
DOUBLE_BLOCKS, SINGLE_BLOCKS, LAST = "double_blocks.", "single_blocks.", "final_layer."
DOUBLE, SINGLE = 19, 38
FREQUENCIES = 256  # of the time embedding
SIGN = f"{DOUBLE_BLOCKS}0.img_attn.norm.key_norm.scale"
WIDTHS = {"width": 3072, "head": 128, "context": 4096, "pooled": 768}


def _embedder(name: str, into: int | str) -> AxisLengths:
    return {**linear(f"{name}.in_layer", "width", into), **linear(f"{name}.out_layer", "width", "width")}


def _norms(name: str) -> AxisLengths:
    return {f"{name}.query_norm.scale": ("head",), f"{name}.key_norm.scale": ("head",)}


def _stream(name: str) -> AxisLengths:
    return {
        **linear(f"{name}_mod.lin", "6 width", "width"),
        **linear(f"{name}_attn.qkv", "3 width", "width"),
        **linear(f"{name}_attn.proj", "width", "width"),
        **linear(f"{name}_mlp.0", "4 width", "width"),
        **linear(f"{name}_mlp.2", "width", "4 width"),
        **_norms(f"{name}_attn.norm"),
    }


SINGLE_BLOCK: AxisLengths = {
    **linear("modulation.lin", "3 width", "width"),
    **linear("linear1", "7 width", "width"),  # query, key, value, and the MLP's 4
    **linear("linear2", "width", "5 width"),
    **_norms("norm"),
}
TRANSFORMER = ListedTopology(
    WIDTHS,
    (
        KeyShapes(
            {
                **linear("img_in", "width", 64),  # 2x2 latents of 16 channels
                **linear("txt_in", "width", "context"),
                **_embedder("time_in", FREQUENCIES),
                **_embedder("vector_in", "pooled"),
                **_embedder("guidance_in", FREQUENCIES),
            }
        ),
        KeyShapes({**_stream("img"), **_stream("txt")}, DOUBLE_BLOCKS, range(DOUBLE)),
        KeyShapes(SINGLE_BLOCK, SINGLE_BLOCKS, range(SINGLE)),
        KeyShapes(
            {
                **linear(f"{LAST}adaLN_modulation.1", "2 width", "width"),
                **linear(f"{LAST}linear", 64, "width"),
            }
        ),
    ),
)

FLUX = Family(
    id="flux",
    title="Flux.1",
    slots=(
        text_slot("CLIP_L", CLIP_L_PREFIX),
        text_slot("T5", T5_PREFIX),
        *block_slots("D", DOUBLE_BLOCKS, DOUBLE),
        *block_slots("S", SINGLE_BLOCKS, SINGLE),
        unet_slot("IN", "img_in.", "txt_in.", "time_in.", "vector_in.", "guidance_in."),
        unet_slot("OUT", LAST),
        Slot("VAE", Component.VAE, (AIO_VAE_PREFIX, VAE_PREFIX)),
    ),
    listed_names=("BASE", *block_names("D", DOUBLE), *block_names("S", SINGLE)),
    groups={"BASE": ("CLIP_L", "T5")},
    unlisted_slots=("IN", "OUT", "VAE"),
    schedule=SCHEDULE,
    passthrough_prefixes=(T5_TOKENS,),
    position_ids=frozenset({f"{CLIP_L_PREFIX}transformer.{CLIP_L_IDS}"}),
    conv_in=IMG_IN,
    fingerprints={
        Component.UNET: (
            (
                Fingerprint(UNET_PREFIX + SIGN),
                Fingerprint(IMG_IN),
                # Chroma, LongCat-Image and Ovis-Image lack this key
                Fingerprint(f"{UNET_PREFIX}vector_in.in_layer.weight"),
                Fingerprint(f"{UNET_PREFIX}double_stream_modulation_img.lin.weight", absent=True),  # Flux.2
                Fingerprint(f"{UNET_PREFIX}distilled_guidance_layer.in_proj.weight", absent=True),  # Chroma
            ),
        ),
        Component.TEXT: (CLIP_L_FINGERPRINT, T5_FINGERPRINT),
        Component.VAE: (*VAE_FINGERPRINTS, AIO_VAE_FINGERPRINT),
    },
    variants=(
        ("fill", (Fingerprint(IMG_IN, axis=1, size=384),)),
        ("control", (Fingerprint(IMG_IN, axis=1, size=128),)),  # canny and depth
        ("schnell", (Fingerprint(IMG_IN), Fingerprint(GUIDANCE, absent=True))),
    ),
    latent_space="flux",
    modelspec="flux-1-dev",
    topology=Topology({UNET_PREFIX: TRANSFORMER, AIO_VAE_PREFIX: VaeTopology(z=16, quant=False)}),
    short_title="Flux.1",
    network=Network(
        UNET_PREFIX,
        SIGN,
        AIO_VAE_PREFIX,
        # modules of Flux.2 and Chroma, which are refused by name
        modules=(
            "distilled_guidance_layer.",
            "double_stream_modulation_img.",
            "double_stream_modulation_txt.",
            "single_stream_modulation.",
        ),
        # Since February 2026 ComfyUI names and saves these norms as `.weight`; other programs as `.scale`.
        replacements=((r"((?:double|single)_blocks\.\d+\..*(?:query|key)_norm)\.weight$", r"\1.scale"),),
    ),
)
