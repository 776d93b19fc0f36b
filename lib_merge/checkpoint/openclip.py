"""OpenCLIP text encoders (SD2, SDXL, its refiner) whose tensors have transformers' names and shapes.

transformers keeps query, key and value apart where OpenCLIP has one tensor with the rows of all three, and
its `text_projection.weight`, a Linear's, is OpenCLIP's `text_projection` transposed. Forge saved such
checkpoints until February 2025. Source: lllyasviel/huggingface_guess 0c55600, utils.py,
`transformers_convert` and `clip_text_transformers_convert`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lib_merge.errors import CheckpointError

if TYPE_CHECKING:
    from lib_merge.checkpoint.header import TensorInfo

ROOT = r"((?:cond_stage_model|conditioner\.embedders\.\d+)\.model\.)"
INSIDE = ROOT + r"(?:transformer\.)?(?:text_model\.)?"
LAYER = re.compile(INSIDE + r"encoder\.layers\.(\d+)\.([\w.]+)\.(weight|bias)")
OUTSIDE = re.compile(INSIDE + r"((?:embeddings|final_layer_norm|text_projection)\.[\w.]+)")

# transformers' modules of a layer -> OpenCLIP's; q, k and v are its thirds, which it has no names for.
IN_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
    "self_attn.q_proj": "attn.q_proj",
    "self_attn.k_proj": "attn.k_proj",
    "self_attn.v_proj": "attn.v_proj",
}
OUTSIDE_OF_LAYERS = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
    "text_projection.weight": "text_projection.weight",
}

THIRDS = ("q", "k", "v")  # in the order of OpenCLIP's rows
THIRD = re.compile(ROOT + r"(transformer\.resblocks\.\d+\.attn\.)[qkv]_proj\.(weight|bias)")
PROJECTION = re.compile(ROOT + r"text_projection\.weight")


@dataclass(frozen=True)
class Joined:
    """A tensor that a file holds in others.

    parts       key and TensorInfo of each, in the order in which their rows follow each other
    transposed  whether the only part has rows and columns exchanged
    info        of the whole
    """

    parts: Mapping[str, TensorInfo]
    transposed: bool
    info: TensorInfo


def open_clip_name(name: str) -> str:
    """OpenCLIP's name of what transformers calls otherwise; thirds and `text_projection.weight` keep names
    of their own, for `joined_in`."""
    if (found := LAYER.fullmatch(name)) and found[3] in IN_LAYER:
        return f"{found[1]}transformer.resblocks.{found[2]}.{IN_LAYER[found[3]]}.{found[4]}"
    if (found := OUTSIDE.fullmatch(name)) and found[2] in OUTSIDE_OF_LAYERS:
        return found[1] + OUTSIDE_OF_LAYERS[found[2]]
    return name


def joined_in(tensors: Mapping[str, TensorInfo], where: str) -> dict[str, Joined]:
    """The tensors of OpenCLIP that are to be put together, by their keys.

    CheckpointError for thirds of which one is missing, or that differ in format or shape. A transposed
    projection beside OpenCLIP's own is left alone, as every loader does.
    """
    found: dict[str, Joined] = {}
    for key, info in tensors.items():
        if third := THIRD.fullmatch(key):
            module, kind = third[1] + third[2], third[3]
            whole = f"{module}in_proj_{kind}"
            if whole not in found:
                names = [f"{module}{letter}_proj.{kind}" for letter in THIRDS]
                found[whole] = _joined_thirds(tensors, whole, names, where)
        elif (projection := PROJECTION.fullmatch(key)) and f"{projection[1]}text_projection" not in tensors:
            if len(info.shape) != 2:
                raise _refusal(f"'{key}' should be a matrix, and has the shape {list(info.shape)}", where)
            turned = replace(info, shape=info.shape[::-1])
            found[f"{projection[1]}text_projection"] = Joined({key: info}, transposed=True, info=turned)
    return found


def with_joined(tensors: Mapping[str, TensorInfo], joined: Mapping[str, Joined]) -> dict[str, TensorInfo]:
    """The tensors with each joined one at the place of its part that comes first."""
    wholes = {part: key for key, each in joined.items() for part in each.parts}
    found: dict[str, TensorInfo] = {}
    for key, info in tensors.items():
        whole = wholes.get(key, key)
        found.setdefault(whole, joined[whole].info if whole in joined else info)
    return found


def without_joined(tensors: Mapping[str, TensorInfo], joined: Mapping[str, Joined]) -> dict[str, TensorInfo]:
    """The tensors as the file holds them, parts in the place of what they make."""
    return {
        name: info
        for key, own in tensors.items()
        for name, info in (joined[key].parts if key in joined else {key: own}).items()
    }


def _joined_thirds(tensors: Mapping[str, TensorInfo], whole: str, names: list[str], where: str) -> Joined:
    parts = {name: tensors[name] for name in names if name in tensors}
    first = next(iter(parts))
    if whole in tensors:
        what = f"two tensors of this file mean the same one: '{whole}' and '{first}'"
        raise _refusal(what, where, "the file is a mixture of two spellings; use another copy")
    for name in names:
        if name not in parts:
            raise _refusal(f"'{first}' is there without '{name}', which belongs to it", where)
        one, other = parts[first], parts[name]
        if (one.dtype, one.shape) != (other.dtype, other.shape) or not one.shape:
            what = (
                f"'{first}' is {_described(one)}, but '{name}', which belongs to it, is {_described(other)}"
            )
            raise _refusal(what, where)
    one = parts[first]
    info = replace(one, shape=(len(THIRDS) * one.shape[0], *one.shape[1:]))
    return Joined(parts, transposed=False, info=info)


def _described(info: TensorInfo) -> str:
    return f"{info.dtype.label} of the shape {list(info.shape)}"


def _refusal(what: str, where: str, hint: str = "use another copy of the file") -> CheckpointError:
    return CheckpointError(what, where=where, hint=hint)
