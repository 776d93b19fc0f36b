"""Turning one model's channels towards another's: orthogonal Procrustes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, cast

from lib_merge.registry import Knob, end, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

FLAT = 1e-9  # sine of an angle of a plane that counts as not turned, or as turned half way round


@merge_method(
    "rotate",
    title="Rotate (Procrustes)",
    source="Schoenemann 1966, doi:10.1007/BF02289451; ljleb sd-mecha 1.1.8, merge_methods/svd.py, rotate",
    purpose="spherical",
    elementwise=False,
    ends=[end(0, alignment=0, alpha=0), end(1, alignment=1, alpha=1)],
    exempt={
        "changes nothing": "a turn of equal models is found to be none but for rounding errors of many sums",
        "float64": "where A and B leave directions open, rounding errors choose the turn",
    },
)
def rotate(
    a: Tensor,
    b: Tensor,
    *,
    alignment: Annotated[
        float, Knob(0, 1, help="how far A is turned towards B: 0 not, 1 as near as it goes")
    ] = 1.0,
    alpha: Annotated[float, Knob(0, 1, help="how much of B's own shape goes in, turned towards A")] = 0.0,
    centralization: Annotated[
        float, Knob(0, 1, help="how much of the rows' mean is left out of the turn")
    ] = 1.0,
) -> Tensor:
    """Turn A's rows as a whole until they lie nearest to B's, without stretching them.

        out = (A' + alpha (B' Q^T - A')) Q^alignment + lerp(mean A, mean B, alignment)
        Q = the orthogonal matrix for which norm(A' Q - B') is least; A', B' = A, B less their rows' mean

    A row is an output channel's inputs; of a 3x3 convolution it is one kernel. alignment and alpha (0, 0)
    are A and (1, 1) are B, to the bit. Directions in which neither has anything are not turned; a fraction of
    a turn that is a mirror leaves the weakest direction out. Slow: minutes for a model with alignment 0 or 1,
    far longer between them. Biases and other single rows are the weighted sum at alpha. sd-mecha completes
    Q in other ways where rows are fewer than columns, and so differs from this between 0 and 1.
    """
    if a.ndim < 2 or a.numel() < 2 or torch.equal(a, b):
        return torch.lerp(a, b, alpha)
    kernel = a.ndim == 4 and a.shape[2] * a.shape[3] > 1
    rows = a.shape[0] * a.shape[1] if kernel else a.shape[0]
    one, two = (tensor.reshape(rows, -1).double() for tensor in (a, b))
    mean_one, mean_two = (tensor.mean(0) * centralization for tensor in (one, two))
    one, two = one - mean_one, two - mean_two
    space = _joint_space(one, two)
    inner_one, inner_two = one @ space, two @ space
    turn = _procrustes(inner_one, inner_two, proper=alignment not in (0, 1))
    mixed = torch.lerp(inner_one, inner_two @ turn.T, alpha)
    turned = (mixed @ _power(turn, alignment)) @ space.T
    return (turned + torch.lerp(mean_one, mean_two, alignment)).view(a.shape).to(a.dtype)


def _joint_space(one: Tensor, two: Tensor) -> Tensor:
    """An orthonormal basis that holds the rows of both, as columns."""
    width = one.shape[1]
    if 2 * one.shape[0] >= width:
        return torch.eye(width, dtype=one.dtype, device=one.device)
    return _linalg("qr", torch.cat([one, two]).T)[0]


def _procrustes(one: Tensor, two: Tensor, *, proper: bool) -> Tensor:
    """The orthogonal matrix nearest to carrying one to the other.

    proper  a rotation: without mirroring
    """
    left, sizes, right = _linalg("svd", one.T @ two)
    used = int((sizes > sizes[:1] * 1e-12).sum()) if sizes.numel() else 0
    free_left, free_right = left[:, used:], right[used:]
    if free_left.shape[1]:
        # directions that the models leave open stay as nearly as they can where they are
        first, _, second = _linalg("svd", free_left.T @ free_right.T)
        left = torch.cat([left[:, :used], free_left @ (first @ second)], 1)
    turn = left @ right
    if proper and float(torch.det(turn)) < 0:
        weakest = used - 1 if used else 0
        turn = turn - 2 * torch.outer(left[:, weakest], right[weakest])
    return turn


def _power(turn: Tensor, exponent: float) -> Tensor:
    """A fraction of a rotation: every one of its planes turned by that fraction of its angle."""
    if exponent == 1:
        return turn
    if exponent == 0:
        return torch.eye(len(turn), dtype=turn.dtype, device=turn.device)
    blocks, basis = _planes(turn)
    power = torch.eye(len(turn), dtype=turn.dtype)
    place = 0
    turned_back: list[int] = []
    while place < len(turn):
        if place + 1 < len(turn) and abs(float(blocks[place + 1, place])) > FLAT:
            angle = math.atan2(float(blocks[place + 1, place]), float(blocks[place, place]))
            _turn_plane(power, place, place + 1, exponent * angle)
            place += 2
            continue
        if float(blocks[place, place]) < 0:
            turned_back.append(place)
        place += 1
    for one, two in zip(turned_back[::2], turned_back[1::2], strict=False):
        _turn_plane(power, one, two, exponent * math.pi)  # two axes turned back are one plane's half turn
    return (basis @ power @ basis.T).to(turn.device)


def _turn_plane(matrix: Tensor, one: int, two: int, angle: float) -> None:
    matrix[one, one] = matrix[two, two] = math.cos(angle)
    matrix[two, one], matrix[one, two] = math.sin(angle), -math.sin(angle)


def _planes(turn: Tensor) -> tuple[Tensor, Tensor]:
    """The real Schur form: a rotation's planes one after the other, and the basis in which they are that."""
    import scipy.linalg

    schur = cast("Callable[..., tuple[Any, Any]]", scipy.linalg.schur)
    form = schur(turn.cpu().numpy(), output="real")
    return torch.from_numpy(form[0]), torch.from_numpy(form[1])


def _linalg(name: str, matrix: Tensor) -> tuple[Tensor, ...]:
    """A decomposition, of which torch tells no types."""
    return cast("Callable[[Tensor], tuple[Tensor, ...]]", getattr(torch.linalg, name))(matrix)
