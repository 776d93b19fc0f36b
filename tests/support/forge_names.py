"""Checkpoints as Forge saved them before February 2025: with transformers' names for the text encoders.

Written down from what Forge does to a file that it loads (lllyasviel/huggingface_guess 0c55600, utils.py and
model_list.py), independently of `lib_merge.architectures.openclip`, which goes the other way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

# For each family: where its text encoders lie in a file, and what Forge calls them.
ENCODERS = {
    "sd1": {"cond_stage_model.": "clip_l."},
    "sd2": {"cond_stage_model.model.": "clip_h."},
    "sdxl": {"conditioner.embedders.0.": "clip_l.", "conditioner.embedders.1.model.": "clip_g."},
    "sdxl-refiner": {"conditioner.embedders.0.model.": "clip_g."},
}
OUTSIDE = {
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}
MODULES = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
LAYER = re.compile(r"transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)")


def as_forge_saved(tensors: Mapping[str, Tensor], family: str) -> dict[str, Tensor]:
    """The same model as Forge held it, under the names that it saved."""
    found: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        root = next((root for root in ENCODERS[family] if key.startswith(root)), None)
        if root is None:
            found[key.replace("first_stage_model.", "vae.")] = tensor
            continue
        encoder, name = "text_encoders." + ENCODERS[family][root], key.removeprefix(root)
        own = {name: tensor} if encoder.endswith("clip_l.") else _in_transformers(name, tensor)
        found |= {encoder + theirs: part.contiguous() for theirs, part in own.items()}
    return found


def _in_transformers(name: str, tensor: Tensor) -> dict[str, Tensor]:
    if name == "logit_scale":
        return {name: tensor}
    if name == "text_projection":
        return {"transformer.text_projection.weight": tensor.T}
    if name in OUTSIDE:
        return {f"transformer.{OUTSIDE[name]}": tensor}
    found = LAYER.fullmatch(name)
    assert found is not None, name
    number, module, kind = found.groups()
    layer = f"transformer.text_model.encoder.layers.{number}."
    if module != "attn.in_proj":
        return {f"{layer}{MODULES[module]}.{kind}": tensor}
    return {
        f"{layer}self_attn.{letter}_proj.{kind}": third
        for letter, third in zip("qkv", tensor.chunk(3), strict=True)
    }


def save_as_forge(path: Path, family: str, target: Path) -> Path:
    """A file's model in a file of Forge's."""
    save_file(as_forge_saved(load_file(path), family), target)
    return target
