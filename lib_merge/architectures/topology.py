"""Topologies: all keys and shapes of a model, computed from a few sizes.

A `Topology` is a checkpoint; its parts (a U-Net, a text encoder, a VAE) are `PartTopology` objects, whose
defaults are the sizes of the published model. `shapes()` of a part has keys without the part's prefix.
Sources: the modules that define the names, CompVis/stable-diffusion 21f890f9 and
Stability-AI/generative-models 0ad7de9 (ldm/sgm `openaimodel.UNetModel`, `diffusionmodules/model.py`),
open_clip 3.3 and transformers' CLIP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from lib_merge.architectures.part_topology import (
    PartTopology,
    ShapeMap,
    Tensors,
    conv,
    conv_1x1,
    linear,
    norm,
    under,
)


@dataclass(frozen=True)
class UNetTopology:
    """A U-Net in LDM naming.

    channels      channels of the first level
    mult          channels of each level as multiples of `channels`
    res_blocks    residual blocks per level in the input blocks (one more in the output blocks)
    depth         transformer blocks after each residual block, per level; 0 for none
    middle_depth  transformer blocks in the middle block
    context       channels of the text encoder's output
    linear_proj   proj_in and proj_out are linear layers (SD2, SDXL), not 1x1 convolutions (SD1)
    label         channels of the vector for label_emb (size and crop on SDXL); None without one
    """

    channels: int = 320
    mult: tuple[int, ...] = (1, 2, 4, 4)
    res_blocks: int = 2
    depth: tuple[int, ...] = (1, 1, 1, 0)
    middle_depth: int = 1
    context: int = 768
    in_channels: int = 4
    out_channels: int = 4
    linear_proj: bool = False
    label: int | None = None

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(self.channels * mult for mult in self.mult)

    def narrow(self) -> UNetTopology:
        """The same U-Net with two channels at the first level."""
        return replace(self, channels=2, context=3, label=self.label and 5)

    def with_file_sizes(self, tensors: Tensors, prefix: str) -> UNetTopology:
        """The same part, since it has no tokens."""
        return self

    def shapes(self) -> ShapeMap:
        """Key -> shape of the U-Net."""
        embedding = 4 * self.channels
        shapes = {
            **linear("time_embed.0", embedding, self.channels),
            **linear("time_embed.2", embedding, embedding),
        }
        if self.label is not None:
            shapes |= linear("label_emb.0.0", embedding, self.label)
            shapes |= linear("label_emb.0.2", embedding, embedding)
        skips = self._down(shapes)
        middle = self.widths[-1]
        shapes |= self._res("middle_block.0", middle, middle)
        shapes |= self._transformer("middle_block.1", middle, self.middle_depth)
        shapes |= self._res("middle_block.2", middle, middle)
        self._up(shapes, skips)
        return shapes | norm("out.0", self.channels) | conv("out.2", self.out_channels, self.channels)

    def _down(self, shapes: ShapeMap) -> list[int]:
        """Add the input blocks to `shapes`; returns the channels of their skip connections."""
        shapes |= conv("input_blocks.0.0", self.channels, self.in_channels)
        skips = [self.channels]
        for level, (width, depth) in enumerate(zip(self.widths, self.depth, strict=True)):
            for _ in range(self.res_blocks):
                name = f"input_blocks.{len(skips)}"
                shapes |= self._res(f"{name}.0", skips[-1], width)
                shapes |= self._transformer(f"{name}.1", width, depth)
                skips.append(width)
            if level < len(self.mult) - 1:
                shapes |= conv(f"input_blocks.{len(skips)}.0.op", width, width)
                skips.append(width)
        return skips

    def _up(self, shapes: ShapeMap, skips: list[int]) -> None:
        """Add the output blocks to `shapes`; each takes the last skip connection that is left."""
        block, channels = 0, self.widths[-1]
        for level in reversed(range(len(self.mult))):
            width, depth = self.widths[level], self.depth[level]
            for _ in range(self.res_blocks + 1):
                shapes |= self._res(f"output_blocks.{block}.0", channels + skips.pop(), width)
                shapes |= self._transformer(f"output_blocks.{block}.1", width, depth)
                block, channels = block + 1, width
            if level:
                shapes |= conv(f"output_blocks.{block - 1}.{2 if depth else 1}.conv", width, width)

    def _res(self, name: str, into: int, out: int) -> ShapeMap:
        return {
            **norm(f"{name}.in_layers.0", into),
            **conv(f"{name}.in_layers.2", out, into),
            **linear(f"{name}.emb_layers.1", out, 4 * self.channels),
            **norm(f"{name}.out_layers.0", out),
            **conv(f"{name}.out_layers.3", out, out),
            **(conv(f"{name}.skip_connection", out, into, 1) if into != out else {}),
        }

    def _transformer(self, name: str, width: int, depth: int) -> ShapeMap:
        if not depth:
            return {}
        project = linear if self.linear_proj else conv_1x1
        shapes = {**norm(f"{name}.norm", width), **project(f"{name}.proj_in", width, width)}
        for block in range(depth):
            shapes |= self._transformer_block(f"{name}.transformer_blocks.{block}", width)
        return shapes | project(f"{name}.proj_out", width, width)

    def _transformer_block(self, name: str, width: int) -> ShapeMap:
        shapes: ShapeMap = {}
        for attention, context in (("attn1", width), ("attn2", self.context)):
            shapes[f"{name}.{attention}.to_q.weight"] = (width, width)
            shapes[f"{name}.{attention}.to_k.weight"] = (width, context)
            shapes[f"{name}.{attention}.to_v.weight"] = (width, context)
            shapes |= linear(f"{name}.{attention}.to_out.0", width, width)
        shapes |= linear(f"{name}.ff.net.0.proj", 8 * width, width)  # GEGLU: values and gates, 4 each
        shapes |= linear(f"{name}.ff.net.2", width, 4 * width)
        for number in (1, 2, 3):
            shapes |= norm(f"{name}.norm{number}", width)
        return shapes


@dataclass(frozen=True)
class ClipTopology:
    """A CLIP text encoder in Hugging Face's naming; the defaults are CLIP ViT-L/14."""

    layers: int = 12
    width: int = 768
    mlp: int = 3072
    vocab: int = 49408
    positions: int = 77
    position_ids: bool = True

    def narrow(self) -> ClipTopology:
        """The same encoder with three channels and six tokens."""
        return replace(self, width=3, mlp=4, vocab=6)

    def with_file_sizes(self, tensors: Tensors, prefix: str) -> ClipTopology:
        """The same encoder with the file's numbers of positions (LongCLIP has 248) and tokens, if larger."""
        embeddings = f"{prefix}text_model.embeddings."
        return replace(
            self,
            positions=_rows(tensors, f"{embeddings}position_embedding.weight", self.positions, self.width),
            vocab=_rows(tensors, f"{embeddings}token_embedding.weight", self.vocab, self.width),
        )

    def shapes(self) -> ShapeMap:
        """Key -> shape of the encoder."""
        shapes: ShapeMap = {"embeddings.position_ids": (1, self.positions)} if self.position_ids else {}
        shapes["embeddings.token_embedding.weight"] = (self.vocab, self.width)
        shapes["embeddings.position_embedding.weight"] = (self.positions, self.width)
        for layer in range(self.layers):
            name = f"encoder.layers.{layer}"
            for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
                shapes |= linear(f"{name}.self_attn.{part}", self.width, self.width)
            shapes |= norm(f"{name}.layer_norm1", self.width)
            shapes |= linear(f"{name}.mlp.fc1", self.mlp, self.width)
            shapes |= linear(f"{name}.mlp.fc2", self.width, self.mlp)
            shapes |= norm(f"{name}.layer_norm2", self.width)
        return under("text_model.", shapes | norm("final_layer_norm", self.width))


@dataclass(frozen=True)
class OpenClipTopology:
    """A CLIP text encoder in OpenCLIP's naming; the defaults are ViT-H/14 as in SD2 files."""

    layers: int = 24
    width: int = 1024
    mlp: int = 4096
    vocab: int = 49408
    positions: int = 77
    projection: bool = True  # text_projection
    logit_scale: bool = True

    def narrow(self) -> OpenClipTopology:
        """The same encoder with three channels and six tokens."""
        return replace(self, width=3, mlp=4, vocab=6)

    def with_file_sizes(self, tensors: Tensors, prefix: str) -> OpenClipTopology:
        """The same encoder with the file's numbers of positions and tokens, if larger."""
        return replace(
            self,
            positions=_rows(tensors, f"{prefix}positional_embedding", self.positions, self.width),
            vocab=_rows(tensors, f"{prefix}token_embedding.weight", self.vocab, self.width),
        )

    def shapes(self) -> ShapeMap:
        """Key -> shape of the encoder."""
        shapes: ShapeMap = {
            "positional_embedding": (self.positions, self.width),
            **({"text_projection": (self.width, self.width)} if self.projection else {}),
            **({"logit_scale": ()} if self.logit_scale else {}),
        }
        for layer in range(self.layers):
            name = f"transformer.resblocks.{layer}"
            shapes |= norm(f"{name}.ln_1", self.width)
            shapes[f"{name}.attn.in_proj_weight"] = (3 * self.width, self.width)
            shapes[f"{name}.attn.in_proj_bias"] = (3 * self.width,)
            shapes |= linear(f"{name}.attn.out_proj", self.width, self.width)
            shapes |= norm(f"{name}.ln_2", self.width)
            shapes |= linear(f"{name}.mlp.c_fc", self.mlp, self.width)
            shapes |= linear(f"{name}.mlp.c_proj", self.width, self.mlp)
        shapes["token_embedding.weight"] = (self.vocab, self.width)
        return shapes | norm("ln_final", self.width)


def _rows(tensors: Tensors, key: str, default: int, width: int) -> int:
    """The number of rows of the file's embedding, if it has this width and more rows than the default."""
    info = tensors.get(key)
    longer = info is not None and len(info.shape) == 2 and info.shape[1] == width and info.shape[0] > default
    return info.shape[0] if info is not None and longer else default


@dataclass(frozen=True)
class VaeTopology:
    """A VAE in LDM naming.

    quant  whether it has the two 1x1 convolutions at the latents, quant_conv and post_quant_conv
    """

    ch: int = 128
    mult: tuple[int, ...] = (1, 2, 4, 4)
    res_blocks: int = 2
    z: int = 4
    in_channels: int = 3
    quant: bool = True

    def narrow(self) -> VaeTopology:
        """The same VAE with two channels at the first level."""
        return replace(self, ch=2)

    def with_file_sizes(self, tensors: Tensors, prefix: str) -> VaeTopology:
        """The same part, since it has no tokens."""
        return self

    def shapes(self) -> ShapeMap:
        """Key -> shape of the VAE."""
        shapes = {**under("encoder.", self._encoder()), **under("decoder.", self._decoder())}
        if self.quant:
            shapes |= conv("quant_conv", 2 * self.z, 2 * self.z, 1)
            shapes |= conv("post_quant_conv", self.z, self.z, 1)
        return shapes

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(self.ch * mult for mult in self.mult)

    def _encoder(self) -> ShapeMap:
        shapes = conv("conv_in", self.ch, self.in_channels)
        width = self.ch
        for level, out in enumerate(self.widths):
            for block in range(self.res_blocks):
                shapes |= _vae_res(f"down.{level}.block.{block}", width, out)
                width = out
            if level < len(self.mult) - 1:
                shapes |= conv(f"down.{level}.downsample.conv", out, out)
        return shapes | _vae_middle(width) | norm("norm_out", width) | conv("conv_out", 2 * self.z, width)

    def _decoder(self) -> ShapeMap:
        width = self.widths[-1]
        shapes = conv("conv_in", width, self.z) | _vae_middle(width)
        for level in reversed(range(len(self.mult))):
            out = self.widths[level]
            for block in range(self.res_blocks + 1):
                shapes |= _vae_res(f"up.{level}.block.{block}", width, out)
                width = out
            if level:
                shapes |= conv(f"up.{level}.upsample.conv", out, out)
        return shapes | norm("norm_out", width) | conv("conv_out", self.in_channels, width)


def _vae_res(name: str, into: int, out: int) -> ShapeMap:
    return {
        **norm(f"{name}.norm1", into),
        **conv(f"{name}.conv1", out, into),
        **norm(f"{name}.norm2", out),
        **conv(f"{name}.conv2", out, out),
        **(conv(f"{name}.nin_shortcut", out, into, 1) if into != out else {}),
    }


def _vae_middle(width: int) -> ShapeMap:
    shapes = _vae_res("mid.block_1", width, width) | _vae_res("mid.block_2", width, width)
    shapes |= norm("mid.attn_1.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        shapes |= conv_1x1(f"mid.attn_1.{part}", width, width)
    return shapes


P = TypeVar("P")


@dataclass(frozen=True)
class Topology:
    """The topology of a checkpoint: prefix of a part's keys -> the part."""

    parts: Mapping[str, PartTopology] = field(default_factory=dict[str, PartTopology])

    def shapes(self) -> ShapeMap:
        """Key -> shape of the checkpoint."""
        return {
            prefix + key: shape for prefix, part in self.parts.items() for key, shape in part.shapes().items()
        }

    def narrow(self) -> Topology:
        """The same parts with minimal sizes."""
        return Topology({prefix: part.narrow() for prefix, part in self.parts.items()})

    @property
    def unet(self) -> UNetTopology | None:
        """The U-Net, if there is one."""
        return next(self._of(UNetTopology), None)

    @property
    def vae(self) -> VaeTopology | None:
        """The VAE, if there is one."""
        return next(self._of(VaeTopology), None)

    @property
    def text(self) -> tuple[ClipTopology | OpenClipTopology, ...]:
        """The text encoders: CLIP, then OpenCLIP."""
        return (*self._of(ClipTopology), *self._of(OpenClipTopology))

    def _of(self, kind: type[P]) -> Iterator[P]:
        return (part for part in self.parts.values() if isinstance(part, kind))
