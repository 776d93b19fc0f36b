"""Plans of the diffusion transformers, SD3 and Flux, in the naming of their single files.

Checked against sd-mecha's key lists (SD3 medium, Flux dev); qk-norm and the second attention of SD3.5
as Stability-AI/sd3.5 `mmditx.py` builds them.
"""

from __future__ import annotations

from dataclasses import dataclass

from lib_merge.architectures.topology import Shapes, conv, linear

TIME = 256  # frequencies of the time embedding, in both


@dataclass(frozen=True)
class JointTopology:
    """SD3's transformer: image and text tokens side by side through joint blocks.

    blocks     joint blocks; the last updates the image tokens alone
    width      channels of a token
    head       channels of an attention head
    qk_norm    queries and keys are normed (SD3.5)
    dual       how many of the first blocks attend to the image a second time (SD3.5 medium: 13)
    positions  side of the square of learnt positions
    """

    blocks: int = 24
    width: int = 1536
    head: int = 64
    qk_norm: bool = False
    dual: int = 0
    positions: int = 192
    latents: int = 16
    context: int = 4096
    pooled: int = 2048

    def shapes(self) -> Shapes:
        """Every key of the transformer and its shape."""
        width, patch = self.width, 4 * self.latents  # patches of 2x2
        shapes: Shapes = {
            "pos_embed": (1, self.positions**2, width),
            **conv("x_embedder.proj", width, self.latents, 2),
            **linear("context_embedder", width, self.context),
            **linear("t_embedder.mlp.0", width, TIME),
            **linear("t_embedder.mlp.2", width, width),
            **linear("y_embedder.mlp.0", width, self.pooled),
            **linear("y_embedder.mlp.2", width, width),
            **linear("final_layer.adaLN_modulation.1", 2 * width, width),
            **linear("final_layer.linear", patch, width),
        }
        for block in range(self.blocks):
            last = block == self.blocks - 1
            name = f"joint_blocks.{block}"
            shapes |= self._stream(f"{name}.context_block", only_read=last)
            shapes |= self._stream(f"{name}.x_block", dual=block < self.dual)
        return shapes

    def _stream(self, name: str, *, only_read: bool = False, dual: bool = False) -> Shapes:
        width = self.width
        amounts = 2 if only_read else 9 if dual else 6  # shift and scale, and a gate where something is added
        shapes = linear(f"{name}.adaLN_modulation.1", amounts * width, width)
        for attention in ("attn", "attn2") if dual else ("attn",):
            shapes |= linear(f"{name}.{attention}.qkv", 3 * width, width)
            if not only_read:
                shapes |= linear(f"{name}.{attention}.proj", width, width)
            if self.qk_norm:
                shapes[f"{name}.{attention}.ln_q.weight"] = (self.head,)
                shapes[f"{name}.{attention}.ln_k.weight"] = (self.head,)
        if not only_read:
            shapes |= linear(f"{name}.mlp.fc1", 4 * width, width)
            shapes |= linear(f"{name}.mlp.fc2", width, 4 * width)
        return shapes


@dataclass(frozen=True)
class FluxTopology:
    """Flux's transformer: double blocks keep text and image apart, single blocks do not."""

    double: int = 19
    single: int = 38
    width: int = 3072
    head: int = 128
    patch: int = 64  # 2x2 latents of 16 channels
    context: int = 4096
    pooled: int = 768
    guidance: bool = True

    def shapes(self) -> Shapes:
        """Every key of the transformer and its shape."""
        width = self.width
        shapes = {**linear("img_in", width, self.patch), **linear("txt_in", width, self.context)}
        guidance = {"guidance_in": TIME} if self.guidance else {}
        for name, into in {"time_in": TIME, "vector_in": self.pooled, **guidance}.items():
            shapes |= linear(f"{name}.in_layer", width, into)
            shapes |= linear(f"{name}.out_layer", width, width)
        for block in range(self.double):
            for stream in ("img", "txt"):
                shapes |= self._double(f"double_blocks.{block}.{stream}")
        for block in range(self.single):
            name = f"single_blocks.{block}"
            shapes |= linear(f"{name}.modulation.lin", 3 * width, width)
            shapes |= linear(f"{name}.linear1", 7 * width, width)  # query, key, value, and the MLP's 4
            shapes |= linear(f"{name}.linear2", width, 5 * width)
            shapes |= self._norms(f"{name}.norm")
        shapes |= linear("final_layer.adaLN_modulation.1", 2 * width, width)
        return shapes | linear("final_layer.linear", self.patch, width)

    def _double(self, name: str) -> Shapes:
        width = self.width
        return {
            **linear(f"{name}_mod.lin", 6 * width, width),
            **linear(f"{name}_attn.qkv", 3 * width, width),
            **linear(f"{name}_attn.proj", width, width),
            **linear(f"{name}_mlp.0", 4 * width, width),
            **linear(f"{name}_mlp.2", width, 4 * width),
            **self._norms(f"{name}_attn.norm"),
        }

    def _norms(self, name: str) -> Shapes:
        return {f"{name}.query_norm.scale": (self.head,), f"{name}.key_norm.scale": (self.head,)}
