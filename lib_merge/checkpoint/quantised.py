"""Quantised storage, told by number formats and by what lies beside a tensor.

Quantised weights are codes: whole numbers, or numbers of eight bits, that mean something only together with
scales that are stored beside them. Averaging the codes of two files gives noise, so such a file is refused:
where its header is read by the names that only such files have, and where a model is recognised by rule.
Plain fp8 (no scales) is a number format like others.

Sources: ComfyUI comfy/ops.py and QUANTIZATION.md (comfy_quant, scaled fp8), bitsandbytes functional.py
(QuantState), optimum-quanto (`_data`, `_scale`), nunchaku (`wscales`), AutoGPTQ (`qweight`, `qzeros`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lib_merge.dtypes import EIGHT_BITS, Dtype
from lib_merge.errors import CheckpointError

if TYPE_CHECKING:
    from lib_merge.checkpoint.header import TensorInfo

HINT = "use the fp16, bf16 or fp32 checkpoint that it was made from"
HEADER_SIGN = "_quantization_metadata"  # ComfyUI's list of quantised layers, in the header's metadata
# Number formats that exist for codes and their scales alone.
CODE_FORMATS = frozenset({"F4", "F6_E2M3", "F6_E3M2", "F8_E8M0"})

# What each kind leaves beside its weights, the most telling first: (kind, endings, pieces of names).
KINDS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("4 bits of bitsandbytes, nf4 or fp4", (".absmax", ".quant_map"), (".quant_state.",)),
    ("int8 of bitsandbytes", (".SCB", ".weight_format"), ()),
    ("4 bits of nunchaku, SVDQuant", (".wscales", ".smooth_orig", ".proj_down"), ()),
    ("GPTQ or AWQ", (".qweight", ".qzeros", ".g_idx"), ()),
    ("ComfyUI's quantised layers", (".comfy_quant", ".weight_scale_2"), ()),
    ("TorchAO", ("weight_qdata",), ()),
    ("optimum-quanto", ("._data", "._scale", "._shift"), ()),
    ("HQQ", (".W_q",), ()),
    (
        "scaled fp8",
        (".scale_weight", ".scale_input", ".weight_scale", ".weight_scale_inv", ".input_scale", "scaled_fp8"),
        (),
    ),
)
# Kinds whose names alone are enough; the rest is told only once a tensor of codes was found.
NAMED = frozenset(
    {
        "4 bits of bitsandbytes, nf4 or fp4",
        "int8 of bitsandbytes",
        "ComfyUI's quantised layers",
        "scaled fp8",
        "GPTQ or AWQ",
        "4 bits of nunchaku, SVDQuant",
    }
)
AMBIGUOUS = (".weight_format", ".smooth_orig", ".proj_down")  # a name that others may have too
SCALES = ("scale", "absmax", "amax", "dequant", "zero_point")
LATENT_SCALE = "scale_factor"  # of LDM: what latents are multiplied by
TRUE_PARAMETERS = frozenset({"logit_scale"})  # of CLIP: a number that was learnt


def refuse_quantised(names: Collection[str], metadata: Mapping[str, str], *, where: str = "") -> None:
    """Raise CheckpointError where a file's names, as they are stored, are those of quantised weights."""
    name = next(_named(names), None)
    if name is not None:
        raise _refusal(_kind(names) or "", f"it has '{name}'", where)
    if HEADER_SIGN in metadata:
        raise _refusal("ComfyUI's quantised layers", f"its header says so ({HEADER_SIGN})", where)


def refuse_codes(tensors: Mapping[str, TensorInfo], *, where: str = "") -> None:
    """Raise CheckpointError where a tensor of a model is codes, by its format and by what lies beside it."""
    name = next(_codes(tensors), None)
    if name is None:
        return
    dtype = tensors[name].dtype
    told = f"{dtype.label} with scales beside it" if dtype.floating else f"whole numbers, {dtype.label}"
    raise _refusal(_kind(tensors) or told, f"it has '{name}'", where)


def _refusal(kind: str, sign: str, where: str) -> CheckpointError:
    what = f"this file holds quantised weights ({kind}), which cannot be merged: {sign}"
    return CheckpointError(what, where=where, hint=HINT)


def refuse_format(label: str, name: str, where: str) -> None:
    """Raise CheckpointError where a number format is one for codes."""
    if label in CODE_FORMATS:
        raise _refusal(label, f"it has '{name}'", where)


def _kind(names: Collection[str]) -> str | None:
    """What the names say about how the weights are quantised."""
    for kind, ends, parts in KINDS:
        if any(name.endswith(ends) or any(part in name for part in parts) for name in names):
            return kind
    return None


def _named(names: Collection[str]) -> Iterator[str]:
    """Names that only the companions of quantised weights have."""
    for kind, ends, parts in KINDS:
        sure = tuple(end for end in ends if end not in AMBIGUOUS)
        if kind in NAMED:
            yield from (n for n in names if n.endswith(sure) or any(part in n for part in parts))


def _codes(tensors: Mapping[str, TensorInfo]) -> Iterator[str]:
    """Tensors of codes: whole numbers where a weight belongs, or few bits with a scale beside them."""
    owners = frozenset(owner for name in tensors for owner in _owners(name))
    everything = any("." not in name and name != LATENT_SCALE and _is_scale(name) for name in tensors)
    names = sorted(tensors)
    for name, info in tensors.items():
        whole = not info.dtype.floating and _is_whole_weight(name, info)
        scaled = (
            _is_small(info.dtype)
            and len(info.shape)
            and (everything or not owners.isdisjoint(_bases(name)) or _has_companion(name, names))
        )
        if info.numel and (whole or scaled):
            yield name


def _has_companion(name: str, names: Sequence[str]) -> bool:
    """Whether another tensor is named after this one: `x.weight_s`, `x.weight.anything`."""
    for start in (f"{name}.", f"{name}_"):
        at = bisect_right(names, start)
        if at < len(names) and names[at].startswith(start):
            return True
    return False


def _is_scale(word: str) -> bool:
    return word not in TRUE_PARAMETERS and any(known in word.lower() for known in SCALES)


def _is_small(dtype: Dtype) -> bool:
    return dtype in EIGHT_BITS or (not dtype.floating and dtype.itemsize < 8 and dtype.name != "BOOL")


def _is_whole_weight(name: str, info: TensorInfo) -> bool:
    """Whether whole numbers stand where a weight belongs, and do not count or point at something.

    True buffers of whole numbers (position_ids, num_batches_tracked, a tokenizer's bytes) are single numbers
    or rows; a table of int64 (Swin's relative_position_index) points at things.
    """
    last = name.rpartition(".")[2]
    if last == "bias" or last.endswith("weight"):
        return True
    is_matrix = sum(axis > 1 for axis in info.shape) > 1
    return is_matrix and info.dtype.name not in ("I64", "U64", "BOOL")


def _bases(name: str) -> tuple[str, ...]:
    """What the name of a scale may begin with: the tensor's own, and its module's where it is the weight."""
    module, _, last = name.rpartition(".")
    return (name, module) if last == "weight" or last.startswith(("weight", "_")) else (name,)


def _owners(name: str) -> Iterator[str]:
    """Tensors and modules beside which a scale of this name may stand: `x.weight_scale`, `x.weight.scale`."""
    module, dot, last = name.rpartition(".")
    if not _is_scale(last):
        return
    if dot:
        yield module
        outer, _, inner = module.rpartition(".")
        if inner.startswith(("weight", "_")):
            yield outer
    for place, letter in enumerate(last):
        if letter == "_" and place:
            yield f"{module}{dot}{last[:place]}"
