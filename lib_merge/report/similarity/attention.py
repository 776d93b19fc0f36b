"""Attention similarity: the outputs of two models' self-attention for the same noise, block by block.

The community's measure (ASimilarity, by Nyanko Lepsoni and RcINS), for the weights Wq, Wk, Wv (d x d) of
a block's first self-attention and noise X (d x d, the same for both models):

    S      = softmax over rows of (X Wq^T)(X Wk^T)^T          neither heads nor 1/sqrt(d)
    O[i,k] = S[i,k] * sum over j of (X Wv^T)[j,k]             not S times V: einsum "ik,jk->ik"
    value  = mean over rows i of cos(O_A[i], O_B[i])

It depends on the seed (by 0.005 to 0.03) and on the width: logits grow with d and softmax saturates, so
that the same change of the weights lowers the value of a wide block more. Compare a block with itself across
models.

To repeat published numbers, the noise must come from the generator in the same state, and every
`nn.Linear` that a script builds draws d*d numbers to initialise itself: they are drawn here too.

    form         blocks                            stream of noise           source
    sdsim        OUT03..OUT10                      3 Linears a block         PyPI sdsim 0.1.0
    supermerger  IN01..IN08, M00, OUT03..OUT11     6 Linears a block         SuperMerger, asimilarity
    attention    the same 16                       3 a block; outputs begin  the script derived from
                                                   with the seed again       ASimilarity, -i -m and -o
    asim2        the same, every layer of a block  one generator a layer     this project

`attention` is the form of the chillyMixBase page (four decimals, totals of inputs and of outputs), whose
own code is not known; its OUT03..OUT10 are those of `sdsim`. On a U-Net with other blocks (SDXL) every
form takes the blocks that have self-attention; `sdsim` the output blocks alone.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lib_merge.architectures import Family, SelfAttention, open_from_header, slot_of
from lib_merge.checkpoint import Checkpoint, Header
from lib_merge.errors import FamilyError, StoppedError
from lib_merge.progress import NoProgress, Progress
from lib_merge.report.similarity.weights import common_family
from lib_merge.report.stream import READER_THREADS
from lib_merge.tensors import torch, torch_single_threaded

if TYPE_CHECKING:
    from torch import Tensor

SDSIM_LAST = "OUT10"  # its range(3, 11) leaves OUT11 out
TOKENS = 256  # of asim2: enough that the seed moves a value by less than 0.001

CHECK = "merge-desk check FILE tells more"

Matrices = Mapping[str, "Tensor"]


@dataclass(frozen=True)
class AttentionMethod:
    """One way to compute attention similarity.

    burn  number of nn.Linear that the original script initialises per block, which consume random numbers
    """

    id: str
    burn: int = 0


ATTENTION_METHODS = {
    form.id: form
    for form in (
        AttentionMethod("attention", 3),
        AttentionMethod("sdsim", 3),
        AttentionMethod("supermerger", 6),
        AttentionMethod("asim2"),
    )
}


@dataclass(frozen=True)
class Layer:
    """One self-attention layer: its slot, the prefix of its keys, and its index within the block."""

    slot: str
    prefix: str
    depth: int


def attention_similarity(
    a: Header, b: Header, form: str, seed: int, progress: Progress | None = None
) -> dict[str, float]:
    """The similarity of every block with self-attention, -1..1, under the block's slot.

    form  attention, sdsim, supermerger or asim2
    The global random state is not changed. Raises FamilyError where the models are of different families or
    have no such blocks, and StoppedError when `progress` is stopped.
    """
    chosen = ATTENTION_METHODS[form]
    family = common_family([a, b])
    attention = family.attention
    layers = _layers(family, attention, a, b, chosen) if attention else []
    if attention is None or not layers:
        raise FamilyError(
            f"'{a.name}' has no blocks with self-attention: it is no U-Net that this report knows",
            where=str(a.path),
            hint="--kind weights compares models of every kind",
        )
    values_by_slot: dict[str, list[float]] = {}
    with open_from_header(a, mapped=False) as file_a, open_from_header(b, mapped=False) as file_b:
        inputs = _Inputs(chosen, seed, attention, (file_a, file_b))
        for slot, value in _values(layers, inputs, progress or NoProgress()):
            values_by_slot.setdefault(slot, []).append(value)
    return {slot: math.fsum(values) / len(values) for slot, values in values_by_slot.items()}


@dataclass(frozen=True)
class _Inputs:
    """The arguments that are the same for all layers."""

    form: AttentionMethod
    seed: int
    attention: SelfAttention
    files: tuple[Checkpoint, Checkpoint]


def _layers(
    family: Family, attention: SelfAttention, a: Header, b: Header, form: AttentionMethod
) -> list[Layer]:
    """The self-attention layers that the method compares, in the order in which it draws noise for them."""
    layers: list[Layer] = []
    pattern = re.compile(attention.layer)
    for key in a.tensors:
        match = pattern.fullmatch(key)
        slot = slot_of(family, key) if match else None
        if match and slot:
            layers.append(Layer(slot, match["layer"], int(match["depth"])))
    if form.id == "sdsim":
        layers = [layer for layer in layers if layer.slot.startswith("OUT") and layer.slot <= SDSIM_LAST]
    if form.id != "asim2":
        layers = [layer for layer in layers if layer.depth == 0]
    for layer in layers:
        _require_same_shapes(layer, attention, a, b)
    order = [slot.id for slot in family.slots]
    return sorted(layers, key=lambda layer: (order.index(layer.slot), layer.depth))


def _require_same_shapes(layer: Layer, attention: SelfAttention, a: Header, b: Header) -> None:
    for name in attention.matrices.values():
        key = layer.prefix + name
        one, other = (header.tensors.get(key) for header in (a, b))
        if one is None or other is None:
            lacking = a if one is None else b
            raise FamilyError(f"'{lacking.name}' lacks a self-attention weight", where=key, hint=CHECK)
        if one.shape != other.shape:
            shapes = f"{one.shape} in '{a.name}', {other.shape} in '{b.name}'"
            raise FamilyError(f"the models differ in width: {shapes}", where=key, hint=CHECK)


def _values(layers: Sequence[Layer], inputs: _Inputs, progress: Progress) -> Iterator[tuple[str, float]]:
    """Each layer's slot and value; two layers are computed at a time, which does not change the values."""
    first, _ = inputs.files
    progress.start(sum(_nbytes(first, layer, inputs) for layer in layers), "comparing attention")
    with torch_single_threaded(), ThreadPoolExecutor(READER_THREADS) as pool:
        work = [pool.submit(task) for task in _tasks(layers, inputs)]
        try:
            for layer, value in zip(layers, work, strict=True):
                if progress.stopped():
                    raise StoppedError("comparing attention: stopped; there is no report")
                yield layer.slot, value.result()
                progress.advance(_nbytes(first, layer, inputs))
        finally:
            for value in work:
                value.cancel()


def _tasks(layers: Sequence[Layer], inputs: _Inputs) -> Iterator[Callable[[], float]]:
    """The computations, with noise that is drawn in the order of the layers."""
    generator = torch.Generator().manual_seed(inputs.seed)
    before = ""
    for layer in layers:
        if inputs.form.id == "asim2":
            yield partial(_asim2, layer, inputs)
            continue
        if inputs.form.id == "attention" and layer.slot.startswith("OUT") > before.startswith("OUT"):
            generator.manual_seed(inputs.seed)
        width, _ = inputs.files[0].info(layer.prefix + inputs.attention.query).shape
        noise = torch.randn(width, width, generator=generator)
        for _ in range(inputs.form.burn):
            torch.empty(width, width).uniform_(-1, 1, generator=generator)
        yield partial(_asim, layer, inputs, noise)
        before = layer.slot


def _nbytes(file: Checkpoint, layer: Layer, inputs: _Inputs) -> int:
    return 3 * file.info(layer.prefix + inputs.attention.query).nbytes


def _asim(layer: Layer, inputs: _Inputs, noise: Tensor) -> float:
    """The community's measure for one layer, with the operations of its scripts."""
    outputs: list[Tensor] = []
    names = inputs.attention.matrices
    for file in inputs.files:
        q, k, v = (noise @ file.tensor(layer.prefix + names[letter]).float().T for letter in "qkv")
        scores = torch.softmax(torch.einsum("ij,kj->ik", q, k), dim=-1)
        outputs.append(torch.einsum("ik,jk->ik", scores, v))
    return torch.cosine_similarity(outputs[0], outputs[1]).mean().item()


def _asim2(layer: Layer, inputs: _Inputs) -> float:
    """One layer's similarity that does not depend on the width; computed in float64.

        L = (X Wq^T)(X Wk^T)^T / sqrt(d_head), a head at a time, divided by t
        O = [softmax(L) (X Wv^T) of every head] Wo^T
        value = mean over tokens of cos(O_A, O_B)

    X is 256 tokens of noise whatever the width. t is the geometric mean of the standard deviations of both
    models' logits, so that softmax is as soft in a wide block as in a narrow one: with weights of spread
    0.03 and 5 % of noise on them the value is 0.995 at widths of 320, 640 and 1280 (without t: 0.997, 0.997,
    0.994; the community's form: 0.98, 0.93, 0.89).
    """
    digest = hashlib.sha256(f"{inputs.seed} {layer.prefix}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
    weights = [_matrices(file, layer, inputs.attention) for file in inputs.files]
    width = weights[0]["q"].shape[0]
    heads = inputs.attention.heads.count_for(width) or 1
    noise = torch.randn(TOKENS, width, generator=generator, dtype=torch.float64)
    logits = [_logits(noise, matrices, heads) for matrices in weights]
    softness = math.sqrt(logits[0].std().item() * logits[1].std().item()) or 1.0
    outputs: list[Tensor] = []
    for matrices, score in zip(weights, logits, strict=True):
        values = _by_head(noise @ matrices["v"].T, heads)
        mixed = torch.softmax(score / softness, dim=-1) @ values
        outputs.append(mixed.transpose(0, 1).reshape(TOKENS, width) @ matrices["out"].T)
    return torch.cosine_similarity(outputs[0], outputs[1]).mean().item()


def _matrices(file: Checkpoint, layer: Layer, attention: SelfAttention) -> Matrices:
    return {short: file.tensor(layer.prefix + name).double() for short, name in attention.matrices.items()}


def _logits(noise: Tensor, matrices: Matrices, heads: int) -> Tensor:
    q, k = (_by_head(noise @ matrices[name].T, heads) for name in "qk")
    return q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])


def _by_head(x: Tensor, heads: int) -> Tensor:
    return x.view(TOKENS, heads, -1).transpose(0, 1)
