"""The networks whose output must not change: LDM's U-Net and autoencoder, CLIP and OpenCLIP, as functions.

Each reads its plan off the keys that it is given and computes with whatever number format they are in.
Written from the modules' code (CompVis/stable-diffusion 21f890f9, generative-models 0ad7de9, transformers,
open_clip); test_networks.py holds them to diffusers and transformers on the sample checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from lib_merge.architectures.part_topology import ShapeMap

State = Mapping[str, Tensor]
HeadsOf = Callable[[int], int]


def random_state(shapes: ShapeMap, seed: int) -> dict[str, Tensor]:
    """Weights in float64 that keep signals at a size of one."""
    chance = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for key, shape in shapes.items():
        if key.endswith("position_ids"):
            state[key] = torch.arange(shape[-1]).reshape(shape)
            continue
        noise = torch.randn(shape, generator=chance, dtype=torch.float64)
        if len(shape) > 1:
            state[key] = noise / math.sqrt(math.prod(shape[1:]))
        else:
            state[key] = 0.3 * noise + (1.0 if key.endswith("weight") else 0.0)
    return state


def under(state: State, prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _numbers(state: State, prefix: str) -> list[int]:
    names = {key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)}
    return sorted(int(name) for name in names if name.isdigit())


def _linear(w: State, name: str, x: Tensor) -> Tensor:
    return functional.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))


def _conv(w: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = w[f"{name}.weight"]
    return functional.conv2d(x, weight, w[f"{name}.bias"], stride, padding=weight.shape[-1] // 2)


def _group_norm(w: State, name: str, x: Tensor, eps: float) -> Tensor:
    return functional.group_norm(x, 32, w[f"{name}.weight"], w[f"{name}.bias"], eps)


def _layer_norm(w: State, name: str, x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """[n, tokens, channels] each."""
    q, k, v = (projection.unflatten(-1, (heads, -1)).transpose(1, 2) for projection in (q, k, v))
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    scores = scores if mask is None else scores + mask
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


# --- U-Net ---


def unet(
    w: State, x: Tensor, time: Tensor, text: Tensor, heads: HeadsOf, label: Tensor | None = None
) -> Tensor:
    """Latents [n, c, h, w], times [n], text [n, tokens, channels], label [n, channels] -> [n, c, h, w]."""
    emb = _embedding(w, time.to(x.dtype), label)
    skips: list[Tensor] = []
    for block in _numbers(w, "input_blocks."):
        x = _block(w, f"input_blocks.{block}", x, emb, text, heads)
        skips.append(x)
    x = _block(w, "middle_block", x, emb, text, heads)
    for block in _numbers(w, "output_blocks."):
        x = _block(w, f"output_blocks.{block}", torch.cat([x, skips.pop()], 1), emb, text, heads)
    return _conv(w, "out.2", functional.silu(_group_norm(w, "out.0", x, 1e-5)))


def _embedding(w: State, time: Tensor, label: Tensor | None) -> Tensor:
    half = w["time_embed.0.weight"].shape[1] // 2
    speeds = torch.exp(-math.log(10000) * torch.arange(half, dtype=time.dtype) / half)
    waves = time[:, None] * speeds
    emb = torch.cat([waves.cos(), waves.sin()], 1)
    emb = _linear(w, "time_embed.2", functional.silu(_linear(w, "time_embed.0", emb)))
    if label is not None:
        emb = emb + _linear(w, "label_emb.0.2", functional.silu(_linear(w, "label_emb.0.0", label)))
    return emb


def _block(w: State, name: str, x: Tensor, emb: Tensor, text: Tensor, heads: HeadsOf) -> Tensor:
    for layer in _numbers(w, f"{name}."):
        inner = f"{name}.{layer}"
        if f"{inner}.in_layers.2.weight" in w:
            x = _residual(w, inner, x, emb)
        elif f"{inner}.proj_in.weight" in w:
            x = _transformer(w, inner, x, text, heads)
        elif f"{inner}.op.weight" in w:
            x = _conv(w, f"{inner}.op", x, stride=2)
        elif f"{inner}.conv.weight" in w:
            x = _conv(w, f"{inner}.conv", functional.interpolate(x, scale_factor=2))
        else:
            x = _conv(w, inner, x)
    return x


def _residual(w: State, name: str, x: Tensor, emb: Tensor) -> Tensor:
    h = _conv(w, f"{name}.in_layers.2", functional.silu(_group_norm(w, f"{name}.in_layers.0", x, 1e-5)))
    h = h + _linear(w, f"{name}.emb_layers.1", functional.silu(emb))[:, :, None, None]
    h = _conv(w, f"{name}.out_layers.3", functional.silu(_group_norm(w, f"{name}.out_layers.0", h, 1e-5)))
    return h + (_conv(w, f"{name}.skip_connection", x) if f"{name}.skip_connection.weight" in w else x)


def _transformer(w: State, name: str, x: Tensor, text: Tensor, heads: HeadsOf) -> Tensor:
    stay, (_, channels, height, width) = x, x.shape
    h = _group_norm(w, f"{name}.norm", x, 1e-6).flatten(2).transpose(1, 2)
    h = functional.linear(h, w[f"{name}.proj_in.weight"].flatten(1), w[f"{name}.proj_in.bias"])
    for block in _numbers(w, f"{name}.transformer_blocks."):
        inner, count = f"{name}.transformer_blocks.{block}", heads(channels)
        normed = _layer_norm(w, f"{inner}.norm1", h)
        h = h + _attention(w, f"{inner}.attn1", normed, normed, count)
        h = h + _attention(w, f"{inner}.attn2", _layer_norm(w, f"{inner}.norm2", h), text, count)
        values, gates = _linear(w, f"{inner}.ff.net.0.proj", _layer_norm(w, f"{inner}.norm3", h)).chunk(2, -1)
        h = h + _linear(w, f"{inner}.ff.net.2", values * functional.gelu(gates))
    h = functional.linear(h, w[f"{name}.proj_out.weight"].flatten(1), w[f"{name}.proj_out.bias"])
    return stay + h.transpose(1, 2).unflatten(2, (height, width))


def _attention(w: State, name: str, x: Tensor, read: Tensor, heads: int) -> Tensor:
    q, k, v = (
        _linear(w, f"{name}.to_q", x),
        _linear(w, f"{name}.to_k", read),
        _linear(w, f"{name}.to_v", read),
    )
    return _linear(w, f"{name}.to_out.0", _attend(q, k, v, heads))


# --- text encoders ---


def clip(w: State, ids: Tensor, heads: int) -> Tensor:
    """CLIP in Hugging Face's naming, below `text_model.`: ids [n, tokens] -> states [n, tokens, channels]."""
    x = (
        w["embeddings.token_embedding.weight"][ids]
        + w["embeddings.position_embedding.weight"][: ids.shape[1]]
    )
    mask = torch.full((ids.shape[1],) * 2, -torch.inf, dtype=x.dtype).triu(1)
    for layer in _numbers(w, "encoder.layers."):
        name = f"encoder.layers.{layer}"
        h = _layer_norm(w, f"{name}.layer_norm1", x)
        q, k, v = (_linear(w, f"{name}.self_attn.{letter}_proj", h) for letter in "qkv")
        x = x + _linear(w, f"{name}.self_attn.out_proj", _attend(q, k, v, heads, mask))
        h = _linear(w, f"{name}.mlp.fc1", _layer_norm(w, f"{name}.layer_norm2", x))
        x = x + _linear(w, f"{name}.mlp.fc2", h * torch.sigmoid(1.702 * h))
    return _layer_norm(w, "final_layer_norm", x)


def open_clip(w: State, ids: Tensor, heads: int) -> Tensor:
    """CLIP in OpenCLIP's naming: ids [n, tokens] -> states [n, tokens, channels]."""
    x = w["token_embedding.weight"][ids] + w["positional_embedding"][: ids.shape[1]]
    mask = torch.full((ids.shape[1],) * 2, -torch.inf, dtype=x.dtype).triu(1)
    for layer in _numbers(w, "transformer.resblocks."):
        name = f"transformer.resblocks.{layer}"
        h = _layer_norm(w, f"{name}.ln_1", x)
        h = functional.linear(h, w[f"{name}.attn.in_proj_weight"], w[f"{name}.attn.in_proj_bias"])
        x = x + _linear(w, f"{name}.attn.out_proj", _attend(*h.chunk(3, -1), heads, mask))
        h = functional.gelu(_linear(w, f"{name}.mlp.c_fc", _layer_norm(w, f"{name}.ln_2", x)))
        x = x + _linear(w, f"{name}.mlp.c_proj", h)
    return _layer_norm(w, "ln_final", x)


# --- autoencoder ---


def encode(w: State, pictures: Tensor) -> Tensor:
    """Pictures [n, 3, h, w] -> moments [n, 2 z, h / 8, w / 8]."""
    e = under(w, "encoder.")
    x = _conv(e, "conv_in", pictures)
    for level in _numbers(e, "down."):
        for block in _numbers(e, f"down.{level}.block."):
            x = _vae_residual(e, f"down.{level}.block.{block}", x)
        if f"down.{level}.downsample.conv.weight" in e:
            name = f"down.{level}.downsample.conv"
            x = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), e[f"{name}.weight"], e[f"{name}.bias"], 2)
    x = _conv(e, "conv_out", functional.silu(_group_norm(e, "norm_out", _vae_middle(e, x), 1e-6)))
    return _conv(w, "quant_conv", x)


def decode(w: State, latents: Tensor) -> Tensor:
    """Latents [n, z, h, w] -> pictures [n, 3, 8 h, 8 w]."""
    d = under(w, "decoder.")
    x = _vae_middle(d, _conv(d, "conv_in", _conv(w, "post_quant_conv", latents)))
    for level in reversed(_numbers(d, "up.")):
        for block in _numbers(d, f"up.{level}.block."):
            x = _vae_residual(d, f"up.{level}.block.{block}", x)
        if f"up.{level}.upsample.conv.weight" in d:
            x = _conv(d, f"up.{level}.upsample.conv", functional.interpolate(x, scale_factor=2))
    return _conv(d, "conv_out", functional.silu(_group_norm(d, "norm_out", x, 1e-6)))


def _vae_residual(w: State, name: str, x: Tensor) -> Tensor:
    h = _conv(w, f"{name}.conv1", functional.silu(_group_norm(w, f"{name}.norm1", x, 1e-6)))
    h = _conv(w, f"{name}.conv2", functional.silu(_group_norm(w, f"{name}.norm2", h, 1e-6)))
    return h + (_conv(w, f"{name}.nin_shortcut", x) if f"{name}.nin_shortcut.weight" in w else x)


def _vae_middle(w: State, x: Tensor) -> Tensor:
    x = _vae_residual(w, "mid.block_1", x)
    h = _group_norm(w, "mid.attn_1.norm", x, 1e-6)
    q, k, v = (_conv(w, f"mid.attn_1.{letter}", h).flatten(2).transpose(1, 2) for letter in "qkv")
    h = _attend(q, k, v, heads=1).transpose(1, 2).unflatten(2, x.shape[2:])
    return _vae_residual(w, "mid.block_2", x + _conv(w, "mid.attn_1.proj_out", h))
