"""What may be rearranged in an LDM U-Net, in CLIP's text encoders and in the autoencoder, and what stays.

Read off the modules' code (CompVis/stable-diffusion 21f890f9, `openaimodel.py`, `attention.py`,
`diffusionmodules/model.py`; transformers' CLIP; open_clip) and tested: an arrangement drawn at random
for all groups at once leaves the output of every one of these networks as it was.
"""

from __future__ import annotations

from dataclasses import replace

from lib_merge.architectures.symmetry import (
    Axis,
    Free,
    Heads,
    InGroups,
    Kept,
    Structure,
    Symmetries,
    Symmetry,
)

ROWS, COLUMNS = 0, 1

LATENTS = "its channels are the latents', which the U-Net, the VAE and the sampler share"
PIXELS = "its channels are a picture's"
WAVES = "its input is the time as sines and cosines, in their order"
LABELS = "its input is the picture's size and crop, or another vector from outside"
TEXT = "its input is the text encoder's output, whose channels textual inversions know"
STREAM = (
    "the stream between blocks goes through GroupNorms with different groups (20 beside 30 channels where a "
    "skip joins), whose common refinement leaves next to nothing"
)
RESIDUAL = (
    "the stream between layers ends in the U-Net and begins in embeddings, which textual inversions know"
)


def pair(name: str, *, axis: int = ROWS, optional: bool = False) -> tuple[Axis, Axis]:
    """A layer's weight and bias by output channel."""
    return Axis(f"{name}.weight", axis, optional=optional), Axis(f"{name}.bias", axis, optional=optional)


def columns(name: str) -> Axis:
    """A layer's weight by input channel."""
    return Axis(f"{name}.weight", COLUMNS)


def hidden(kind: str, place: str, first: str, second: str, structure: Structure | None = None) -> Symmetry:
    """What lies between two layers with nothing but an elementwise function between them."""
    return Symmetry(kind, place, (*pair(first), columns(second)), structure or Free())


def _gated(name: str) -> tuple[Axis, Axis]:
    """A GEGLU layer, whose rows are values and then their gates."""
    weight, bias = pair(name)
    return replace(weight, segments=2, taken=(0, 1)), replace(bias, segments=2, taken=(0, 1))


def _token_axes() -> tuple[Axis, ...]:
    block = "transformer_blocks.*"
    return (
        *pair("proj_in"),
        *(axis for number in (1, 2, 3) for axis in pair(f"{block}.norm{number}")),
        *(columns(f"{block}.attn1.to_{each}") for each in "qkv"),
        *pair(f"{block}.attn1.to_out.0"),
        columns(f"{block}.attn2.to_q"),
        *pair(f"{block}.attn2.to_out.0"),
        columns(f"{block}.ff.net.0.proj"),
        *pair(f"{block}.ff.net.2"),
        columns("proj_out"),
    )


def unet_symmetries(unet: str, heads: Heads) -> Symmetries:
    """Of an LDM U-Net whose keys begin with `unet` (which ends with a dot).

    The embedding is added inside each residual block before its second GroupNorm, so it follows the block's
    channels; with scale and shift instead (no SD model has them) it would have two segments.
    """
    top, anywhere = unet.removesuffix("."), f"{unet}**"
    attention = (Axis("to_q.weight"), Axis("to_k.weight"))
    values = (Axis("to_v.weight"), columns("to_out.0"))
    vector = (
        *pair("time_embed.2"),
        *pair("label_emb.0.2", optional=True),
        Axis("label_emb.weight", COLUMNS, optional=True),  # the x4 upscaler's table
        columns("**.emb_layers.1"),
    )
    inside = (*pair("in_layers.2"), *pair("emb_layers.1"), *pair("out_layers.0"), columns("out_layers.3"))
    return Symmetries(
        (
            Symmetry("resblocks", anywhere, inside, InGroups()),
            Symmetry("tokens", anywhere, _token_axes()),
            Symmetry("heads", anywhere, attention, heads, values),
            Symmetry("geglu", anywhere, (*_gated("ff.net.0.proj"), columns("ff.net.2"))),
            hidden("embedding", top, "time_embed.0", "time_embed.2"),
            hidden("embedding", top, "label_emb.0.0", "label_emb.0.2"),
            Symmetry("embedding", top, vector),
        ),
        (
            Kept(f"{unet}input_blocks.0.0.weight", (COLUMNS,), LATENTS),
            *stay(f"{unet}input_blocks.0.0", (ROWS,), STREAM),
            *stay(f"{unet}out.2", (ROWS,), LATENTS),
            Kept(f"{unet}out.2.weight", (COLUMNS,), STREAM),
            *stay(f"{unet}out.0", (ROWS,), STREAM),
            Kept(f"{unet}time_embed.0.weight", (COLUMNS,), WAVES),
            Kept(f"{unet}label_emb.0.0.weight", (COLUMNS,), LABELS),
            Kept(f"{unet}label_emb.weight", (ROWS,), LABELS),
            *stay(f"{anywhere}.attn2.to_k", (COLUMNS,), TEXT),
            *stay(f"{anywhere}.attn2.to_v", (COLUMNS,), TEXT),
            *stay(f"{anywhere}.in_layers.0", (ROWS,), STREAM),
            *stay(f"{anywhere}.in_layers.2", (COLUMNS,), STREAM),
            *stay(f"{anywhere}.out_layers.3", (ROWS,), STREAM),
            *stay(f"{anywhere}.skip_connection", (ROWS, COLUMNS), STREAM),
            *stay(f"{anywhere}.op", (ROWS, COLUMNS), STREAM),
            *stay(f"{anywhere}.conv", (ROWS, COLUMNS), STREAM),
            *stay(f"{anywhere}.norm", (ROWS,), STREAM),
            *stay(f"{anywhere}.proj_in", (COLUMNS,), STREAM),
            *stay(f"{anywhere}.proj_out", (ROWS,), STREAM),
        ),
    )


def stay(layer: str, axes: tuple[int, ...], reason: str) -> tuple[Kept, ...]:
    """A layer's weight on these axes, and its bias where the rows are among them."""
    bias = (Kept(f"{layer}.bias", (ROWS,), reason),) if ROWS in axes else ()
    return (Kept(f"{layer}.weight", axes, reason), *bias)


def clip_symmetries(encoder: str) -> Symmetries:
    """Of a CLIP text encoder in Hugging Face's naming: twelve heads, whatever its width."""
    layer, attention = f"{encoder}**.layers.*", "self_attn."
    queries = (*pair(f"{attention}q_proj"), *pair(f"{attention}k_proj"))
    values = (*pair(f"{attention}v_proj"), columns(f"{attention}out_proj"))
    return Symmetries(
        (
            Symmetry("heads", layer, queries, Heads(count=12), values),
            hidden("mlp", layer, "mlp.fc1", "mlp.fc2"),
        ),
        (
            *(Kept(f"{layer}.self_attn.{each}_proj.weight", (COLUMNS,), RESIDUAL) for each in "qkv"),
            *stay(f"{layer}.self_attn.out_proj", (ROWS,), RESIDUAL),
            *stay(f"{layer}.layer_norm1", (ROWS,), RESIDUAL),
            *stay(f"{layer}.layer_norm2", (ROWS,), RESIDUAL),
            Kept(f"{layer}.mlp.fc1.weight", (COLUMNS,), RESIDUAL),
            *stay(f"{layer}.mlp.fc2", (ROWS,), RESIDUAL),
            *stay(f"{encoder}**.final_layer_norm", (ROWS,), RESIDUAL),
            Kept(f"{encoder}**.token_embedding.weight", (ROWS, COLUMNS), RESIDUAL),
            Kept(f"{encoder}**.position_embedding.weight", (ROWS, COLUMNS), RESIDUAL),
        ),
    )


def open_clip_symmetries(encoder: str) -> Symmetries:
    """Of a CLIP text encoder in OpenCLIP's naming: heads of 64 channels; query, key, value in one matrix."""
    layer = f"{encoder}transformer.resblocks.*"

    def rows(*taken: int) -> tuple[Axis, Axis]:
        weight, bias = Axis("attn.in_proj_weight", segments=3), Axis("attn.in_proj_bias", segments=3)
        return replace(weight, taken=taken), replace(bias, taken=taken)

    values = (*rows(2), columns("attn.out_proj"))
    return Symmetries(
        (
            Symmetry("heads", layer, rows(0, 1), Heads(width=64), values),
            hidden("mlp", layer, "mlp.c_fc", "mlp.c_proj"),
        ),
        (
            Kept(f"{layer}.attn.in_proj_weight", (COLUMNS,), RESIDUAL),
            *stay(f"{layer}.attn.out_proj", (ROWS,), RESIDUAL),
            *stay(f"{layer}.ln_1", (ROWS,), RESIDUAL),
            *stay(f"{layer}.ln_2", (ROWS,), RESIDUAL),
            Kept(f"{layer}.mlp.c_fc.weight", (COLUMNS,), RESIDUAL),
            *stay(f"{layer}.mlp.c_proj", (ROWS,), RESIDUAL),
            *stay(f"{encoder}ln_final", (ROWS,), RESIDUAL),
            Kept(f"{encoder}token_embedding.weight", (ROWS, COLUMNS), RESIDUAL),
            Kept(f"{encoder}positional_embedding", (ROWS, COLUMNS), RESIDUAL),
            Kept(f"{encoder}text_projection", (ROWS, COLUMNS), RESIDUAL),
            Kept(f"{encoder}logit_scale", (), "it is one number"),
        ),
    )


def vae_symmetries(vae: str) -> Symmetries:
    """Of an LDM autoencoder; its one attention has one head."""
    anywhere = f"{vae}**"
    inside = (*pair("conv1"), *pair("norm2"), columns("conv2"))
    values = (*pair("v"), columns("proj_out"))
    half = f"{vae}*"
    return Symmetries(
        (
            Symmetry("resblocks", anywhere, inside, InGroups()),
            Symmetry("heads", f"{anywhere}.attn_1", (*pair("q"), *pair("k")), Heads(count=1), values),
        ),
        (
            *stay(f"{vae}quant_conv", (ROWS, COLUMNS), LATENTS),
            *stay(f"{vae}post_quant_conv", (ROWS, COLUMNS), LATENTS),
            Kept(f"{vae}encoder.conv_in.weight", (COLUMNS,), PIXELS),
            Kept(f"{vae}decoder.conv_in.weight", (COLUMNS,), LATENTS),
            *stay(f"{half}.conv_in", (ROWS,), STREAM),
            *stay(f"{half}.norm_out", (ROWS,), STREAM),
            Kept(f"{half}.conv_out.weight", (COLUMNS,), STREAM),
            *stay(f"{vae}encoder.conv_out", (ROWS,), LATENTS),
            *stay(f"{vae}decoder.conv_out", (ROWS,), PIXELS),
            *stay(f"{anywhere}.norm1", (ROWS,), STREAM),
            *stay(f"{anywhere}.conv1", (COLUMNS,), STREAM),
            *stay(f"{anywhere}.conv2", (ROWS,), STREAM),
            *stay(f"{anywhere}.nin_shortcut", (ROWS, COLUMNS), STREAM),
            *stay(f"{anywhere}.conv", (ROWS, COLUMNS), STREAM),
            *stay(f"{anywhere}.norm", (ROWS,), STREAM),
            *(Kept(f"{anywhere}.attn_1.{each}.weight", (COLUMNS,), STREAM) for each in "qkv"),
            *stay(f"{anywhere}.attn_1.proj_out", (ROWS,), STREAM),
        ),
    )


def together(*parts: Symmetries) -> Symmetries:
    """Those of all parts of a model."""
    return Symmetries(
        tuple(move for part in parts for move in part.moves),
        tuple(kept for part in parts for kept in part.stays),
    )
