"""Attention similarity: what two models' self-attention makes of the same noise, block by block.

The community's number (ASimilarity, by Nyanko Lepsoni and RcINS), for the weights Wq, Wk, Wv (d x d) of
a block's first self-attention and noise X (d x d, the same for both models):

    S      = softmax over rows of (X Wq^T)(X Wk^T)^T          neither heads nor 1/sqrt(d)
    O[i,k] = S[i,k] * sum over j of (X Wv^T)[j,k]             not S times V: einsum "ik,jk->ik"
    value  = mean over rows i of cos(O_A[i], O_B[i])

It depends on the seed (by 0.005 to 0.03) and on the width: logits grow with d and softmax saturates, so
that the same change of the weights lowers a wide block more. Compare a block with itself across models.

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

from lib_merge.architectures import Family, slot_of
from lib_merge.checkpoint import Checkpoint, Header, open_planned
from lib_merge.errors import FamilyError, StoppedError
from lib_merge.progress import Progress, Silent
from lib_merge.report.stream import THREADS
from lib_merge.report.weights import family_of
from lib_merge.tensors import one_thread_each, torch

if TYPE_CHECKING:
    from torch import Tensor

SDSIM_LAST = "OUT10"  # its range(3, 11) leaves OUT11 out
TOKENS = 256  # of asim2: enough that the seed moves a value by less than 0.001
SD1_HEADS = 8  # CompVis/stable-diffusion 21f890f9, configs/stable-diffusion/v1-inference.yaml, num_heads
HEAD_WIDTH = 64  # Stability-AI/stablediffusion, configs/*/v2-*.yaml, and SDXL's: num_head_channels
LAYER = re.compile(r"(?P<layer>.*\.transformer_blocks\.(?P<depth>\d+)\.attn1\.)to_q\.weight")

CHECK = "merge-desk check FILE tells more"

Matrices = Mapping[str, "Tensor"]


@dataclass(frozen=True)
class Form:
    """One way of computing the number.

    seed  its default
    burn  nn.Linear that the form's script builds for a block beside drawing the noise
    """

    id: str
    seed: int
    burn: int = 0


FORMS = {
    form.id: form
    for form in (
        Form("attention", 114514, 3),
        Form("sdsim", 114514, 3),
        Form("supermerger", 2244096, 6),
        Form("asim2", 114514),
    )
}


@dataclass(frozen=True)
class Layer:
    """One self-attention: the beginning of its keys and the slot that it lies in."""

    slot: str
    prefix: str
    depth: int


def attention_similarity(
    a: Header, b: Header, form: str = "attention", seed: int | None = None, progress: Progress | None = None
) -> dict[str, float]:
    """The similarity of every block with self-attention, -1..1, under the block's slot.

    form  attention, sdsim, supermerger or asim2;  seed  None for the form's own
    The caller's random state is left alone. Raises FamilyError where the models do not fit together or have
    no such blocks, and StoppedError when `progress` says so.
    """
    chosen = FORMS[form]
    family = family_of([a, b])
    layers = _layers(family, a, b, chosen)
    found: dict[str, list[float]] = {}
    with open_planned(a, mapped=False) as file_a, open_planned(b, mapped=False) as file_b:
        asked = _Asked(chosen, chosen.seed if seed is None else seed, family, (file_a, file_b))
        for slot, value in _values(layers, asked, progress or Silent()):
            found.setdefault(slot, []).append(value)
    return {slot: math.fsum(values) / len(values) for slot, values in found.items()}


@dataclass(frozen=True)
class _Asked:
    """What stays the same over all layers."""

    form: Form
    seed: int
    family: Family
    files: tuple[Checkpoint, Checkpoint]


def _layers(family: Family, a: Header, b: Header, form: Form) -> list[Layer]:
    """The self-attention layers that the form looks at, in the order in which it draws noise for them."""
    found: list[Layer] = []
    for key in a.tensors:
        match = LAYER.fullmatch(key)
        slot = slot_of(family, key) if match else None
        if match and slot:
            found.append(Layer(slot, match["layer"], int(match["depth"])))
    if form.id == "sdsim":
        found = [layer for layer in found if layer.slot.startswith("OUT") and layer.slot <= SDSIM_LAST]
    if form.id != "asim2":
        found = [layer for layer in found if layer.depth == 0]
    if not found:
        raise FamilyError(
            f"'{a.name}' has no blocks with self-attention: it is no U-Net that this report knows",
            where=str(a.path),
            hint="--kind weights compares models of every kind",
        )
    for layer in found:
        _require_same_shapes(layer, a, b)
    order = [slot.id for slot in family.slots]
    return sorted(found, key=lambda layer: (order.index(layer.slot), layer.depth))


def _require_same_shapes(layer: Layer, a: Header, b: Header) -> None:
    for name in ("to_q", "to_k", "to_v", "to_out.0"):
        key = f"{layer.prefix}{name}.weight"
        one, other = (header.tensors.get(key) for header in (a, b))
        if one is None or other is None:
            lacking = a if one is None else b
            raise FamilyError(f"'{lacking.name}' lacks a self-attention weight", where=key, hint=CHECK)
        if one.shape != other.shape:
            told = f"{one.shape} in '{a.name}', {other.shape} in '{b.name}'"
            raise FamilyError(f"the models differ in width: {told}", where=key, hint=CHECK)


def _values(layers: Sequence[Layer], asked: _Asked, progress: Progress) -> Iterator[tuple[str, float]]:
    """Each layer's slot and value; two layers are worked on at a time, which changes no digit."""
    first, _ = asked.files
    progress.start(sum(_nbytes(first, layer) for layer in layers), "comparing attention")
    with one_thread_each(), ThreadPoolExecutor(THREADS) as pool:
        work = [pool.submit(task) for task in _tasks(layers, asked)]
        try:
            for layer, value in zip(layers, work, strict=True):
                if progress.stopped():
                    raise StoppedError("comparing attention: stopped; there is no report")
                yield layer.slot, value.result()
                progress.advance(_nbytes(first, layer))
        finally:
            for value in work:
                value.cancel()


def _tasks(layers: Sequence[Layer], asked: _Asked) -> Iterator[Callable[[], float]]:
    """What there is to compute, with noise that is drawn in the order of the layers."""
    generator = torch.Generator().manual_seed(asked.seed)
    before = ""
    for layer in layers:
        if asked.form.id == "asim2":
            yield partial(_asim2, layer, asked)
            continue
        if asked.form.id == "attention" and layer.slot.startswith("OUT") > before.startswith("OUT"):
            generator.manual_seed(asked.seed)
        width, _ = asked.files[0].info(f"{layer.prefix}to_q.weight").shape
        noise = torch.randn(width, width, generator=generator)
        for _ in range(asked.form.burn):
            torch.empty(width, width).uniform_(-1, 1, generator=generator)
        yield partial(_asim, layer, asked, noise)
        before = layer.slot


def _nbytes(file: Checkpoint, layer: Layer) -> int:
    return 3 * file.info(f"{layer.prefix}to_q.weight").nbytes


def _asim(layer: Layer, asked: _Asked, noise: Tensor) -> float:
    """The community's number for one layer, operation by operation as its scripts have it."""
    outputs: list[Tensor] = []
    for file in asked.files:
        q, k, v = (noise @ file.tensor(f"{layer.prefix}to_{name}.weight").float().T for name in "qkv")
        scores = torch.softmax(torch.einsum("ij,kj->ik", q, k), dim=-1)
        outputs.append(torch.einsum("ik,jk->ik", scores, v))
    return torch.cosine_similarity(outputs[0], outputs[1]).mean().item()


def _asim2(layer: Layer, asked: _Asked) -> float:
    """One layer's similarity that does not depend on the width; computed in float64.

        L = (X Wq^T)(X Wk^T)^T / sqrt(d_head), a head at a time, divided by t
        O = [softmax(L) (X Wv^T) of every head] Wo^T
        value = mean over tokens of cos(O_A, O_B)

    X is 256 tokens of noise whatever the width. t is the geometric mean of the standard deviations of both
    models' logits, so that softmax is as soft in a wide block as in a narrow one: with weights of spread
    0.03 and 5 % of noise on them the value is 0.995 at widths of 320, 640 and 1280 (without t: 0.997, 0.997,
    0.994; the community's form: 0.98, 0.93, 0.89).
    """
    digest = hashlib.sha256(f"{asked.seed} {layer.prefix}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
    weights = [_matrices(file, layer) for file in asked.files]
    width = weights[0]["q"].shape[0]
    heads = _heads(asked.family, width)
    noise = torch.randn(TOKENS, width, generator=generator, dtype=torch.float64)
    logits = [_logits(noise, matrices, heads) for matrices in weights]
    softness = math.sqrt(logits[0].std().item() * logits[1].std().item()) or 1.0
    outputs: list[Tensor] = []
    for matrices, score in zip(weights, logits, strict=True):
        values = _by_head(noise @ matrices["v"].T, heads)
        mixed = torch.softmax(score / softness, dim=-1) @ values
        outputs.append(mixed.transpose(0, 1).reshape(TOKENS, width) @ matrices["out"].T)
    return torch.cosine_similarity(outputs[0], outputs[1]).mean().item()


def _matrices(file: Checkpoint, layer: Layer) -> Matrices:
    names = {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0"}
    return {short: file.tensor(f"{layer.prefix}{name}.weight").double() for short, name in names.items()}


def _logits(noise: Tensor, matrices: Matrices, heads: int) -> Tensor:
    q, k = (_by_head(noise @ matrices[name].T, heads) for name in "qk")
    return q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])


def _by_head(x: Tensor, heads: int) -> Tensor:
    return x.view(TOKENS, heads, -1).transpose(0, 1)


def _heads(family: Family, width: int) -> int:
    """SD1 has eight heads whatever the width, SD2 and SDXL heads of 64; one where that does not divide."""
    heads = SD1_HEADS if family.id == "sd1" else width // HEAD_WIDTH
    return heads if heads and width % heads == 0 else 1
