"""OpenCLIP text encoders (SD2, SDXL, its refiner) in files with transformers' names and shapes.

transformers has separate query, key and value matrices where OpenCLIP has one matrix with the rows of all
three, and its `text_projection.weight`, of a Linear, is OpenCLIP's `text_projection` transposed. Forge saved
such checkpoints until February 2025. Source: lllyasviel/huggingface_guess 0c55600, utils.py,
`transformers_convert` and `clip_text_transformers_convert`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lib_merge.architectures.keys import SGM_ENCODER_PREFIX, TEXT_PREFIX
from lib_merge.checkpoint import JoinedTensor, TensorInfo
from lib_merge.errors import CheckpointError

ROOT = rf"((?:{re.escape(TEXT_PREFIX)}|{re.escape(SGM_ENCODER_PREFIX)}\d+\.)model\.)"
ENCODER_PREFIX = ROOT + r"(?:transformer\.)?(?:text_model\.)?"
LAYER_KEY = re.compile(ENCODER_PREFIX + r"encoder\.layers\.(\d+)\.([\w.]+)\.(weight|bias)")
OUTER_KEY = re.compile(ENCODER_PREFIX + r"((?:embeddings|final_layer_norm|text_projection)\.[\w.]+)")

# Module of a layer in transformers -> in OpenCLIP; q_proj, k_proj and v_proj are later joined to in_proj.
LAYER_MODULES = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
    "self_attn.q_proj": "attn.q_proj",
    "self_attn.k_proj": "attn.k_proj",
    "self_attn.v_proj": "attn.v_proj",
}
OUTER_NAMES = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
    "text_projection.weight": "text_projection.weight",
}

FIRST_NORM = re.compile(r"(?:.*\.)?(?:layers\.0\.layer_norm1|resblocks\.0\.ln_1)\.bias")

PROJECTIONS = ("q", "k", "v")  # in the order of the rows of OpenCLIP's in_proj
PROJECTION_KEY = re.compile(ROOT + r"(transformer\.resblocks\.\d+\.attn\.)([qkv])_proj\.(weight|bias)")
TEXT_PROJECTION_KEY = re.compile(ROOT + r"text_projection\.weight")


def open_clip_name(name: str) -> str:
    """OpenCLIP's name for a key with transformers' name; other keys are unchanged.

    q_proj, k_proj, v_proj and `text_projection.weight` keep names that OpenCLIP does not have, for
    `joined_tensors`.
    """
    if (match := LAYER_KEY.fullmatch(name)) and match[3] in LAYER_MODULES:
        return f"{match[1]}transformer.resblocks.{match[2]}.{LAYER_MODULES[match[3]]}.{match[4]}"
    if (match := OUTER_KEY.fullmatch(name)) and match[2] in OUTER_NAMES:
        return match[1] + OUTER_NAMES[match[2]]
    return name


@dataclass(frozen=True)
class OpenClipPart:
    """What a tensor with transformers' name and shape is of a tensor with OpenCLIP's.

    key         the key of OpenCLIP's tensor
    third       which third of its rows it holds: query, key or value of in_proj; None for the whole tensor
    transposed  whether it holds the transposed matrix
    """

    key: str
    third: int | None = None
    transposed: bool = False


def open_clip_part(name: str) -> OpenClipPart:
    """Where a tensor with transformers' name belongs; a key that OpenCLIP has too stands for itself."""
    key = open_clip_name(name)
    if match := PROJECTION_KEY.fullmatch(key):
        module, letter, kind = match[1] + match[2], match[3], match[4]
        return OpenClipPart(f"{module}in_proj_{kind}", third=PROJECTIONS.index(letter))
    if match := TEXT_PROJECTION_KEY.fullmatch(key):
        return OpenClipPart(f"{match[1]}text_projection", transposed=True)
    return OpenClipPart(key)


def text_encoder_widths(tensors: Mapping[str, TensorInfo]) -> set[int]:
    """The widths of the CLIP text encoders of a file, whatever prefix and names they have."""
    return {info.shape[0] for key, info in tensors.items() if FIRST_NORM.fullmatch(key) and info.shape}


def joined_tensors(tensors: Mapping[str, TensorInfo], where: str) -> dict[str, JoinedTensor]:
    """The OpenCLIP tensors that the file stores in parts: in_proj_* of every layer and text_projection, by
    their keys.

    Raises CheckpointError where one of q_proj, k_proj and v_proj is missing, or they differ in dtype or
    shape. A `text_projection.weight` in a file that has `text_projection` too is ignored, as by every loader.
    """
    result: dict[str, JoinedTensor] = {}
    for key, info in tensors.items():
        if match := PROJECTION_KEY.fullmatch(key):
            module, kind = match[1] + match[2], match[4]
            joined = f"{module}in_proj_{kind}"
            if joined not in result:
                names = [f"{module}{letter}_proj.{kind}" for letter in PROJECTIONS]
                result[joined] = _join_projections(tensors, joined, names, where)
        elif (
            projection := TEXT_PROJECTION_KEY.fullmatch(key)
        ) and f"{projection[1]}text_projection" not in tensors:
            if len(info.shape) != 2:
                raise _refusal(f"'{key}' should be a matrix, but has the shape {list(info.shape)}", where)
            transposed = replace(info, shape=info.shape[::-1])
            joined = f"{projection[1]}text_projection"
            result[joined] = JoinedTensor({key: info}, transposed=True, info=transposed)
    return result


def _join_projections(
    tensors: Mapping[str, TensorInfo], joined: str, names: list[str], where: str
) -> JoinedTensor:
    parts = {name: tensors[name] for name in names if name in tensors}
    first = next(iter(parts))
    if joined in tensors:
        what = f"two tensors of this file stand for the same one: '{joined}' and '{first}'"
        raise _refusal(what, where, "the file mixes two naming schemes; use another copy")
    for name in names:
        if name not in parts:
            raise _refusal(f"the file has '{first}', but not '{name}', which belongs to it", where)
        one, other = parts[first], parts[name]
        if (one.dtype, one.shape) != (other.dtype, other.shape) or not one.shape:
            what = (
                f"'{first}' is {one.dtype.label} with the shape {list(one.shape)}, but '{name}', which "
                f"belongs to it, is {other.dtype.label} with the shape {list(other.shape)}"
            )
            raise _refusal(what, where)
    one = parts[first]
    info = replace(one, shape=(len(PROJECTIONS) * one.shape[0], *one.shape[1:]))
    return JoinedTensor(parts, transposed=False, info=info)


def _refusal(what: str, where: str, hint: str = "use another copy of the file") -> CheckpointError:
    return CheckpointError(what, where=where, hint=hint)
