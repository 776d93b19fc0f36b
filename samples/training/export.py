"""Writes what was trained as parts under the names of an SD1 file, in half precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from lib_merge.architectures import diffusers_names as names
from samples.fetch import PARTS, fetch_parts

TRANSFORMER = (
    "norm",
    "proj_in",
    "proj_out",
    *(f"transformer_blocks.0.norm{n}" for n in (1, 2, 3)),
    *(
        f"transformer_blocks.0.attn{n}.{inner}"
        for n in (1, 2)
        for inner in ("to_q", "to_k", "to_v", "to_out.0")
    ),
    "transformer_blocks.0.ff.net.0.proj",
    "transformer_blocks.0.ff.net.2",
)


def _unet_modules() -> Iterator[str]:
    """Every module that an SD1 U-Net could have; some (a transformer on the last level) it has not."""
    yield from names.UNET_OUTER_MODULES
    resnet = tuple(names.RESNET)
    for block in range(12):
        yield from (f"input_blocks.{block}.0.{inner}" for inner in resnet if block % 3)
        yield from (f"input_blocks.{block}.1.{inner}" for inner in TRANSFORMER if block % 3)
        yield from (f"output_blocks.{block}.0.{inner}" for inner in resnet)
        yield from (f"output_blocks.{block}.1.{inner}" for inner in TRANSFORMER)
    yield from (f"input_blocks.{block}.0.op" for block in (3, 6, 9))
    yield from ("output_blocks.2.1.conv", "output_blocks.5.2.conv", "output_blocks.8.2.conv")
    yield from (f"middle_block.{block}.{inner}" for block in (0, 2) for inner in resnet)
    yield from (f"middle_block.1.{inner}" for inner in TRANSFORMER)


def _vae_modules() -> Iterator[str]:
    """Every module that an SD1 VAE could have."""
    yield from ("quant_conv", "post_quant_conv")
    inners = ("norm1", "conv1", "norm2", "conv2", "nin_shortcut")
    for half, way, change in (("encoder", "down", "downsample"), ("decoder", "up", "upsample")):
        yield from (f"{half}.{end}" for end in ("conv_in", "norm_out", "conv_out"))
        yield from (f"{half}.mid.block_{n}.{inner}" for n, inner in product((1, 2), inners))
        yield from (f"{half}.mid.attn_1.{inner}" for inner in names.VAE_ATTENTION)
        yield from (
            f"{half}.{way}.{n}.block.{m}.{inner}" for n, m, inner in product(range(4), range(3), inners)
        )
        yield from (f"{half}.{way}.{n}.{change}.conv" for n in range(4))


def in_ldm_names(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A diffusers U-Net or VAE under LDM names; every tensor must find its place."""
    modules = _unet_modules() if prefix == names.UNET_PREFIX else _vae_modules()
    keys = [f"{prefix}{module}.{kind}" for module in modules for kind in ("weight", "bias")]
    table = {key: name for key, name in names.diffusers_names_of(keys).items() if name in state}
    missed = set(state) - set(table.values())
    if missed or len(table) != len(state):
        raise ValueError(f"{len(missed)} tensors have no LDM name, such as {sorted(missed)[:3]}")
    return {key: names.to_ldm(name, state[name]) for key, name in table.items()}


def text_in_ldm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A transformers text encoder, of either generation's names, under LDM names."""
    bare = {name.removeprefix("text_model."): value for name, value in state.items()}
    bare["embeddings.position_ids"] = names.position_ids()
    return {f"{names.CLIP_PREFIX}text_model.{name}": value for name, value in bare.items()}


def write_part(name: str, state: Mapping[str, Tensor], folder: Path = PARTS) -> Path:
    """One part: half precision, keys in order, nothing else in the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    halved = {key: _half(state[key]) for key in sorted(state)}
    partial = path.with_suffix(".partial")
    save_file(halved, partial)
    partial.replace(path)
    return path


def _half(value: Tensor) -> Tensor:
    return (value.half() if value.is_floating_point() else value).contiguous()


def read_part(name: str, folder: Path = PARTS) -> dict[str, Tensor]:
    """The tensors of a part; those of the repository are fetched where they are missing."""
    if folder == PARTS:
        fetch_parts()
    return load_file(folder / f"{name}.safetensors")
