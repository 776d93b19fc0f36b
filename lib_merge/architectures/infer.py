"""Infers the topology of a file from its shapes, for models of any width, such as the narrow samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lib_merge.architectures.keys import (
    CLIP_PREFIX,
    CONV_IN_WEIGHT,
    OPEN_CLIP_PREFIX,
    SGM_FIRST_PREFIX,
    SGM_SECOND_PREFIX,
    UNET_PREFIX,
    VAE_PREFIX,
)
from lib_merge.architectures.part_topology import PartTopology, Tensors
from lib_merge.architectures.topology import (
    ClipTopology,
    OpenClipTopology,
    Topology,
    UNetTopology,
    VaeTopology,
)


@dataclass(frozen=True)
class _Part:
    """The tensors below one prefix."""

    tensors: Tensors
    prefix: str

    def has(self, key: str) -> bool:
        return self.prefix + key in self.tensors

    def size(self, key: str, axis: int = 0) -> int:
        return self.tensors[self.prefix + key].shape[axis]

    def rank(self, key: str) -> int:
        return len(self.tensors[self.prefix + key].shape)

    def count(self, pattern: str) -> int:
        """How many keys pattern.format(0), pattern.format(1), ... exist without a gap."""
        number = 0
        while self.has(pattern.format(number)):
            number += 1
        return number


def _multiples(widths: list[int], base: int) -> tuple[int, ...] | None:
    return tuple(width // base for width in widths) if all(width % base == 0 for width in widths) else None


def _unet(part: _Part) -> UNetTopology | None:
    if part.has("label_emb.weight"):  # the x4 upscaler, whose outer levels have cross-attention only
        return None
    channels = part.size("input_blocks.0.0.weight")
    widths: list[int] = []
    depths: list[int] = []
    block, res_blocks = 1, 0
    while part.has(f"input_blocks.{block}.0.out_layers.3.weight"):
        name = f"input_blocks.{block}"
        widths.append(part.size(f"{name}.0.out_layers.3.weight"))
        depths.append(part.count(name + ".1.transformer_blocks.{}.norm1.weight"))
        while part.has(f"input_blocks.{block}.0.out_layers.3.weight"):
            block += 1
        res_blocks = res_blocks or block - 1
        block += part.has(f"input_blocks.{block}.0.op.weight")
    mult = _multiples(widths, channels)
    if not mult or not res_blocks:
        return None
    attention = "middle_block.1"
    return UNetTopology(
        channels=channels,
        mult=mult,
        res_blocks=res_blocks,
        depth=tuple(depths),
        middle_depth=part.count(attention + ".transformer_blocks.{}.norm1.weight"),
        context=part.size(f"{attention}.transformer_blocks.0.attn2.to_k.weight", 1),
        in_channels=part.size("input_blocks.0.0.weight", 1),
        out_channels=part.size("out.2.weight"),
        linear_proj=part.rank(f"{attention}.proj_in.weight") == 2,
        label=part.size("label_emb.0.0.weight", 1) if part.has("label_emb.0.0.weight") else None,
    )


def _clip(part: _Part) -> ClipTopology:
    embeddings = "text_model.embeddings."
    return ClipTopology(
        layers=part.count("text_model.encoder.layers.{}.layer_norm1.weight"),
        width=part.size(f"{embeddings}token_embedding.weight", 1),
        mlp=part.size("text_model.encoder.layers.0.mlp.fc1.weight"),
        vocab=part.size(f"{embeddings}token_embedding.weight"),
        positions=part.size(f"{embeddings}position_embedding.weight"),
        position_ids=part.has(f"{embeddings}position_ids"),
    )


def _open_clip(part: _Part) -> OpenClipTopology:
    return OpenClipTopology(
        layers=part.count("transformer.resblocks.{}.ln_1.weight"),
        width=part.size("ln_final.weight"),
        mlp=part.size("transformer.resblocks.0.mlp.c_fc.weight"),
        vocab=part.size("token_embedding.weight"),
        positions=part.size("positional_embedding"),
        projection=part.has("text_projection"),
        logit_scale=part.has("logit_scale"),
    )


def _vae(part: _Part) -> VaeTopology | None:
    ch = part.size("encoder.conv_in.weight")
    levels = part.count("encoder.down.{}.block.0.conv1.weight")
    widths = [part.size(f"encoder.down.{level}.block.0.conv1.weight") for level in range(levels)]
    mult = _multiples(widths, ch)
    if not mult:
        return None
    return VaeTopology(
        ch=ch,
        mult=mult,
        res_blocks=part.count("encoder.down.0.block.{}.conv1.weight"),
        z=part.size("decoder.conv_in.weight", 1),
        in_channels=part.size("encoder.conv_in.weight", 1),
        quant=part.has("quant_conv.weight"),
    )


# (prefix of a part, a key below it that only this kind of part has, function that infers its topology)
PART_READERS: tuple[tuple[str, str, Callable[[_Part], PartTopology | None]], ...] = (
    (UNET_PREFIX, CONV_IN_WEIGHT, _unet),
    (CLIP_PREFIX, "text_model.embeddings.token_embedding.weight", _clip),
    (OPEN_CLIP_PREFIX, "ln_final.weight", _open_clip),
    (f"{SGM_FIRST_PREFIX}transformer.", "text_model.embeddings.token_embedding.weight", _clip),
    (f"{SGM_FIRST_PREFIX}model.", "ln_final.weight", _open_clip),
    (f"{SGM_SECOND_PREFIX}model.", "ln_final.weight", _open_clip),
    (VAE_PREFIX, "encoder.conv_in.weight", _vae),
)


def topology_of(tensors: Tensors) -> Topology:
    """The topologies of the U-Net, text encoders and VAE in a file with canonical keys.

    A part is left out where its shapes do not fit any topology (a pruned or damaged part, the x4 upscaler).
    Compare `topology_of(tensors).shapes()` with the file to find tensors that do not fit.
    """
    parts: dict[str, PartTopology] = {}
    for prefix, marker_key, infer in PART_READERS:
        if prefix + marker_key in tensors:
            try:
                part = infer(_Part(tensors, prefix))
            except (KeyError, IndexError):  # a missing key or axis
                continue
            if part is not None:
                parts[prefix] = part
    return Topology(parts)
