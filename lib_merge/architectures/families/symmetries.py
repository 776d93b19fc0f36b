"""Permutation symmetries of the LDM U-Net, of CLIP text encoders and of the VAE.

Sources: CompVis/stable-diffusion 21f890f9 (`openaimodel.py`, `attention.py`, `diffusionmodules/model.py`),
transformers' CLIP and open_clip. Tests apply random permutations to all groups at once, and check that the
output of each network does not change.
"""

from __future__ import annotations

from dataclasses import replace

from lib_merge.architectures.symmetry import (
    AnyPermutation,
    Axis,
    FixedAxes,
    GroupPermutation,
    Heads,
    Structure,
    Symmetries,
    Symmetry,
)

ROWS, COLUMNS = 0, 1

LATENTS = "its channels are those of the latents, which the U-Net, the VAE and the sampler share"
PIXELS = "its channels are those of an image"
WAVES = "its input is the sinusoidal embedding of the time, whose order is fixed"
LABELS = "its input is the image's size and crop, or another vector from outside of the model"
TEXT = "its input is the text encoder's output, whose channels are fixed by textual inversions"
STREAM = (
    "the residual stream between blocks passes GroupNorms with different groups (of 20 and of 30 "
    "channels where a skip connection is concatenated), so that hardly any common permutation is left"
)
RESIDUAL = "the residual stream is fixed by the embeddings (textual inversions) and by the U-Net's input"


def weight_and_bias(name: str, *, axis: int = ROWS, optional: bool = False) -> tuple[Axis, Axis]:
    """The output channels of a layer: an axis of its weight and of its bias."""
    return Axis(f"{name}.weight", axis, optional=optional), Axis(f"{name}.bias", axis, optional=optional)


def columns(name: str) -> Axis:
    """The input channels of a layer: the second axis of its weight."""
    return Axis(f"{name}.weight", COLUMNS)


def hidden_channels(
    kind: str, module: str, first: str, second: str, structure: Structure | None = None
) -> Symmetry:
    """The channels between two layers with only an elementwise function between them."""
    return Symmetry(kind, module, (*weight_and_bias(first), columns(second)), structure or AnyPermutation())


def _gated(name: str) -> tuple[Axis, Axis]:
    """The output channels of a GEGLU layer: its rows are the values, then their gates."""
    weight, bias = weight_and_bias(name)
    return replace(weight, segments=2, segment_indices=(0, 1)), replace(
        bias, segments=2, segment_indices=(0, 1)
    )


def _token_axes() -> tuple[Axis, ...]:
    block = "transformer_blocks.*"
    return (
        *weight_and_bias("proj_in"),
        *(axis for number in (1, 2, 3) for axis in weight_and_bias(f"{block}.norm{number}")),
        *(columns(f"{block}.attn1.to_{letter}") for letter in "qkv"),
        *weight_and_bias(f"{block}.attn1.to_out.0"),
        columns(f"{block}.attn2.to_q"),
        *weight_and_bias(f"{block}.attn2.to_out.0"),
        columns(f"{block}.ff.net.0.proj"),
        *weight_and_bias(f"{block}.ff.net.2"),
        columns("proj_out"),
    )


def unet_symmetries(unet: str, heads: Heads) -> Symmetries:
    """The symmetries of an LDM U-Net with the prefix `unet` (which ends with a dot).

    Each residual block adds the embedding before its second GroupNorm, so emb_layers is permuted with the
    block's channels; with use_scale_shift_norm, which no SD model has, it would have two segments.
    """
    top, anywhere = unet.removesuffix("."), f"{unet}**"
    attention = (Axis("to_q.weight"), Axis("to_k.weight"))
    values = (Axis("to_v.weight"), columns("to_out.0"))
    vector = (
        *weight_and_bias("time_embed.2"),
        *weight_and_bias("label_emb.0.2", optional=True),
        Axis("label_emb.weight", COLUMNS, optional=True),  # the x4 upscaler's table
        columns("**.emb_layers.1"),
    )
    inside = (
        *weight_and_bias("in_layers.2"),
        *weight_and_bias("emb_layers.1"),
        *weight_and_bias("out_layers.0"),
        columns("out_layers.3"),
    )
    return Symmetries(
        (
            Symmetry("resblocks", anywhere, inside, GroupPermutation()),
            Symmetry("tokens", anywhere, _token_axes()),
            Symmetry("heads", anywhere, attention, heads, values),
            Symmetry("geglu", anywhere, (*_gated("ff.net.0.proj"), columns("ff.net.2"))),
            hidden_channels("embedding", top, "time_embed.0", "time_embed.2"),
            hidden_channels("embedding", top, "label_emb.0.0", "label_emb.0.2"),
            Symmetry("embedding", top, vector),
        ),
        (
            FixedAxes(f"{unet}input_blocks.0.0.weight", (COLUMNS,), LATENTS),
            *fixed(f"{unet}input_blocks.0.0", (ROWS,), STREAM),
            *fixed(f"{unet}out.2", (ROWS,), LATENTS),
            FixedAxes(f"{unet}out.2.weight", (COLUMNS,), STREAM),
            *fixed(f"{unet}out.0", (ROWS,), STREAM),
            FixedAxes(f"{unet}time_embed.0.weight", (COLUMNS,), WAVES),
            FixedAxes(f"{unet}label_emb.0.0.weight", (COLUMNS,), LABELS),
            FixedAxes(f"{unet}label_emb.weight", (ROWS,), LABELS),
            *fixed(f"{anywhere}.attn2.to_k", (COLUMNS,), TEXT),
            *fixed(f"{anywhere}.attn2.to_v", (COLUMNS,), TEXT),
            *fixed(f"{anywhere}.in_layers.0", (ROWS,), STREAM),
            *fixed(f"{anywhere}.in_layers.2", (COLUMNS,), STREAM),
            *fixed(f"{anywhere}.out_layers.3", (ROWS,), STREAM),
            *fixed(f"{anywhere}.skip_connection", (ROWS, COLUMNS), STREAM),
            *fixed(f"{anywhere}.op", (ROWS, COLUMNS), STREAM),
            *fixed(f"{anywhere}.conv", (ROWS, COLUMNS), STREAM),
            *fixed(f"{anywhere}.norm", (ROWS,), STREAM),
            *fixed(f"{anywhere}.proj_in", (COLUMNS,), STREAM),
            *fixed(f"{anywhere}.proj_out", (ROWS,), STREAM),
        ),
    )


def fixed(layer: str, axes: tuple[int, ...], reason: str) -> tuple[FixedAxes, ...]:
    """A layer's weight, fixed on these axes, and its bias where the rows are among them."""
    bias = (FixedAxes(f"{layer}.bias", (ROWS,), reason),) if ROWS in axes else ()
    return (FixedAxes(f"{layer}.weight", axes, reason), *bias)


def clip_symmetries(encoder: str) -> Symmetries:
    """The symmetries of a CLIP text encoder in Hugging Face's naming; it has twelve heads at any width."""
    layer, attention = f"{encoder}**.layers.*", "self_attn."
    queries = (*weight_and_bias(f"{attention}q_proj"), *weight_and_bias(f"{attention}k_proj"))
    values = (*weight_and_bias(f"{attention}v_proj"), columns(f"{attention}out_proj"))
    return Symmetries(
        (
            Symmetry("heads", layer, queries, Heads(count=12), values),
            hidden_channels("mlp", layer, "mlp.fc1", "mlp.fc2"),
        ),
        (
            *(FixedAxes(f"{layer}.self_attn.{letter}_proj.weight", (COLUMNS,), RESIDUAL) for letter in "qkv"),
            *fixed(f"{layer}.self_attn.out_proj", (ROWS,), RESIDUAL),
            *fixed(f"{layer}.layer_norm1", (ROWS,), RESIDUAL),
            *fixed(f"{layer}.layer_norm2", (ROWS,), RESIDUAL),
            FixedAxes(f"{layer}.mlp.fc1.weight", (COLUMNS,), RESIDUAL),
            *fixed(f"{layer}.mlp.fc2", (ROWS,), RESIDUAL),
            *fixed(f"{encoder}**.final_layer_norm", (ROWS,), RESIDUAL),
            FixedAxes(f"{encoder}**.token_embedding.weight", (ROWS, COLUMNS), RESIDUAL),
            FixedAxes(f"{encoder}**.position_embedding.weight", (ROWS, COLUMNS), RESIDUAL),
        ),
    )


def open_clip_symmetries(encoder: str) -> Symmetries:
    """The symmetries of a CLIP text encoder in OpenCLIP's naming: heads of 64 channels; q, k, v in one
    matrix."""
    layer = f"{encoder}transformer.resblocks.*"

    def rows(*indices: int) -> tuple[Axis, Axis]:
        weight, bias = Axis("attn.in_proj_weight", segments=3), Axis("attn.in_proj_bias", segments=3)
        return replace(weight, segment_indices=indices), replace(bias, segment_indices=indices)

    values = (*rows(2), columns("attn.out_proj"))
    return Symmetries(
        (
            Symmetry("heads", layer, rows(0, 1), Heads(width=64), values),
            hidden_channels("mlp", layer, "mlp.c_fc", "mlp.c_proj"),
        ),
        (
            FixedAxes(f"{layer}.attn.in_proj_weight", (COLUMNS,), RESIDUAL),
            *fixed(f"{layer}.attn.out_proj", (ROWS,), RESIDUAL),
            *fixed(f"{layer}.ln_1", (ROWS,), RESIDUAL),
            *fixed(f"{layer}.ln_2", (ROWS,), RESIDUAL),
            FixedAxes(f"{layer}.mlp.c_fc.weight", (COLUMNS,), RESIDUAL),
            *fixed(f"{layer}.mlp.c_proj", (ROWS,), RESIDUAL),
            *fixed(f"{encoder}ln_final", (ROWS,), RESIDUAL),
            FixedAxes(f"{encoder}token_embedding.weight", (ROWS, COLUMNS), RESIDUAL),
            FixedAxes(f"{encoder}positional_embedding", (ROWS, COLUMNS), RESIDUAL),
            FixedAxes(f"{encoder}text_projection", (ROWS, COLUMNS), RESIDUAL),
            FixedAxes(f"{encoder}logit_scale", (), "it is a scalar"),
        ),
    )


def vae_symmetries(vae: str) -> Symmetries:
    """The symmetries of an LDM VAE; its attention layers have one head."""
    anywhere = f"{vae}**"
    inside = (*weight_and_bias("conv1"), *weight_and_bias("norm2"), columns("conv2"))
    values = (*weight_and_bias("v"), columns("proj_out"))
    half = f"{vae}*"
    return Symmetries(
        (
            Symmetry("resblocks", anywhere, inside, GroupPermutation()),
            Symmetry(
                "heads",
                f"{anywhere}.attn_1",
                (*weight_and_bias("q"), *weight_and_bias("k")),
                Heads(count=1),
                values,
            ),
        ),
        (
            *fixed(f"{vae}quant_conv", (ROWS, COLUMNS), LATENTS),
            *fixed(f"{vae}post_quant_conv", (ROWS, COLUMNS), LATENTS),
            FixedAxes(f"{vae}encoder.conv_in.weight", (COLUMNS,), PIXELS),
            FixedAxes(f"{vae}decoder.conv_in.weight", (COLUMNS,), LATENTS),
            *fixed(f"{half}.conv_in", (ROWS,), STREAM),
            *fixed(f"{half}.norm_out", (ROWS,), STREAM),
            FixedAxes(f"{half}.conv_out.weight", (COLUMNS,), STREAM),
            *fixed(f"{vae}encoder.conv_out", (ROWS,), LATENTS),
            *fixed(f"{vae}decoder.conv_out", (ROWS,), PIXELS),
            *fixed(f"{anywhere}.norm1", (ROWS,), STREAM),
            *fixed(f"{anywhere}.conv1", (COLUMNS,), STREAM),
            *fixed(f"{anywhere}.conv2", (ROWS,), STREAM),
            *fixed(f"{anywhere}.nin_shortcut", (ROWS, COLUMNS), STREAM),
            *fixed(f"{anywhere}.conv", (ROWS, COLUMNS), STREAM),
            *fixed(f"{anywhere}.norm", (ROWS,), STREAM),
            *(FixedAxes(f"{anywhere}.attn_1.{letter}.weight", (COLUMNS,), STREAM) for letter in "qkv"),
            *fixed(f"{anywhere}.attn_1.proj_out", (ROWS,), STREAM),
        ),
    )


def combine_symmetries(*parts: Symmetries) -> Symmetries:
    """The symmetries of a model, from those of its parts."""
    return Symmetries(
        tuple(symmetry for part in parts for symmetry in part.permutable),
        tuple(axes for part in parts for axes in part.fixed),
    )
