"""Detection of quantised weights, by their dtypes and by the names of the tensors stored with them.

Quantised weights are codes (integers or fp8) that have a meaning only together with scales in other tensors.
Averaging the codes of two files gives noise, so such files are refused: `refuse_quantised` when the header is
read, by names that only quantised files have; `refuse_codes` when the model is identified, by general rules.
Plain fp8 without scales is a dtype like others.

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
    from lib_merge.checkpoint.info import TensorInfo

HINT = "use the fp16, bf16 or fp32 checkpoint that it was made from"
METADATA_KEY = "_quantization_metadata"  # ComfyUI's list of quantised layers, in the header's metadata
# Dtypes that are used only for codes and their scales.
CODE_DTYPES = frozenset({"F4", "F6_E2M3", "F6_E3M2", "F8_E8M0"})

# The tensors that each kind of quantisation stores beside the weights, the most specific kind first:
# (kind, suffixes of their names, substrings of their names).
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
# Kinds that the names alone prove; for the others a tensor of codes has to be found too.
PROVEN_BY_NAME = frozenset(
    {
        "4 bits of bitsandbytes, nf4 or fp4",
        "int8 of bitsandbytes",
        "ComfyUI's quantised layers",
        "scaled fp8",
        "GPTQ or AWQ",
        "4 bits of nunchaku, SVDQuant",
    }
)
AMBIGUOUS = (".weight_format", ".smooth_orig", ".proj_down")  # suffixes that other files may have too
SCALES = ("scale", "absmax", "amax", "dequant", "zero_point")


def refuse_quantised(names: Collection[str], metadata: Mapping[str, str], *, where: str = "") -> None:
    """Raise CheckpointError where the names in a file or its metadata show that the weights are quantised."""
    name = next(_proving_names(names), None)
    if name is not None:
        raise _refusal(_kind(names) or "", f"it has '{name}'", where)
    if METADATA_KEY in metadata:
        raise _refusal("ComfyUI's quantised layers", f"its metadata has '{METADATA_KEY}'", where)


def refuse_codes(
    tensors: Mapping[str, TensorInfo],
    *,
    learnt: Collection[str] = (),
    buffers: Collection[str] = (),
    where: str = "",
) -> None:
    """Raise CheckpointError where a tensor is quantised, by its dtype and by the names of other tensors.

    learnt   last parts of names that are learnt parameters, although they contain "scale": logit_scale
    buffers  names of buffers of the model, which are not scales of weights either
    """
    name = next(_codes(tensors, learnt, buffers), None)
    if name is None:
        return
    dtype = tensors[name].dtype
    codes = f"{dtype.label} with scales" if dtype.floating else f"integers, {dtype.label}"
    raise _refusal(_kind(tensors) or codes, f"it has '{name}'", where)


def _refusal(kind: str, evidence: str, where: str) -> CheckpointError:
    what = f"this file contains quantised weights ({kind}), which cannot be merged: {evidence}"
    return CheckpointError(what, where=where, hint=HINT)


def refuse_code_dtype(label: str, name: str, where: str) -> None:
    """Raise CheckpointError for a tensor with a dtype that only quantised files use."""
    if label in CODE_DTYPES:
        raise _refusal(label, f"it has '{name}'", where)


def _kind(names: Collection[str]) -> str | None:
    """The kind of quantisation, by the names of a file's tensors."""
    for kind, suffixes, substrings in KINDS:
        if any(name.endswith(suffixes) or any(text in name for text in substrings) for name in names):
            return kind
    return None


def _proving_names(names: Collection[str]) -> Iterator[str]:
    """Names that only quantised files have."""
    for kind, suffixes, substrings in KINDS:
        unambiguous = tuple(suffix for suffix in suffixes if suffix not in AMBIGUOUS)
        if kind in PROVEN_BY_NAME:
            yield from (n for n in names if n.endswith(unambiguous) or any(s in n for s in substrings))


def _codes(
    tensors: Mapping[str, TensorInfo], learnt: Collection[str], buffers: Collection[str]
) -> Iterator[str]:
    """Tensors of codes: integers as a weight, or a tensor of few bits that has scales."""
    scales = [name for name in tensors if _is_scale(name.rpartition(".")[2], learnt)]
    owners = frozenset(owner for name in scales for owner in _owners(name))
    global_scale = any("." not in name and name not in buffers for name in scales)
    names = sorted(tensors)
    for name, info in tensors.items():
        integer = not info.dtype.floating and _is_integer_weight(name, info)
        scaled = (
            _has_few_bits(info.dtype)
            and len(info.shape)
            and (global_scale or not owners.isdisjoint(_owner_names(name)) or _has_companion(name, names))
        )
        if info.numel and (integer or scaled):
            yield name


def _has_companion(name: str, names: Sequence[str]) -> bool:
    """Whether the name of another tensor extends this one's: `x.weight_s`, `x.weight.anything`."""
    for start in (f"{name}.", f"{name}_"):
        at = bisect_right(names, start)
        if at < len(names) and names[at].startswith(start):
            return True
    return False


def _is_scale(last_part: str, learnt: Collection[str]) -> bool:
    return last_part not in learnt and any(scale in last_part.lower() for scale in SCALES)


def _has_few_bits(dtype: Dtype) -> bool:
    return dtype in EIGHT_BITS or (not dtype.floating and dtype.itemsize < 8 and dtype.name != "BOOL")


def _is_integer_weight(name: str, info: TensorInfo) -> bool:
    """Whether a tensor of integers is a weight, and not a counter or an index.

    Buffers of integers (position_ids, num_batches_tracked, a tokenizer's bytes) are scalars or vectors; a
    matrix of int64 (Swin's relative_position_index) is an index.
    """
    last = name.rpartition(".")[2]
    if last == "bias" or last.endswith("weight"):
        return True
    is_matrix = sum(axis > 1 for axis in info.shape) > 1
    return is_matrix and info.dtype.name not in ("I64", "U64", "BOOL")


def _owner_names(name: str) -> tuple[str, ...]:
    """The names by which a scale may refer to this tensor: its own, and its module's where it is the
    weight."""
    module, _, last = name.rpartition(".")
    return (name, module) if last == "weight" or last.startswith(("weight", "_")) else (name,)


def _owners(name: str) -> Iterator[str]:
    """The names of tensors and modules that a scale with this name may belong to (`x.weight_scale`:
    `x.weight`)."""
    module, dot, last = name.rpartition(".")
    if dot:
        yield module
        outer, _, inner = module.rpartition(".")
        if inner.startswith(("weight", "_")):
            yield outer
    for index, letter in enumerate(last):
        if letter == "_" and index:
            yield f"{module}{dot}{last[:index]}"
