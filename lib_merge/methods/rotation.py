"""Rotates one model's channels towards another's: orthogonal Procrustes.

A whole rotation needs Q from one singular value decomposition, in float64, of the smaller side: of A'^T B'
where columns are few, and of Ra Rb^T where rows are, for A'^T = Va Ra and B'^T = Vb Rb give

    A'^T B' = Va (Ra Rb^T) Vb^T,   Ra Rb^T = U S W,   A' Q = Ra^T U W Vb^T

That is nearly all of the time that is left: at 1280 columns as long as fourteen products of such matrices,
and iterations (Newton's, QDWH) or eigenvalues of the square take as long or lose the weak directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, cast

from lib_merge.methods.numerics import CHUNK, DEVICE_CHUNK
from lib_merge.parameters import Range
from lib_merge.registry import exact_at, merge_method
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

FLAT = 1e-9  # sine of an angle of a plane that counts as not turned, or as turned half way round
HALF_WAY = -1 + 1e-6  # cosine below which a plane is looked at by itself
SAME_PLANE = 1e-12  # between the two cosines of one plane
OPEN = 1e-9  # share of A in a direction that B has nothing in
FEWEST_ROWS = 512  # multiplied together


@merge_method(
    "rotate",
    title="Rotate (Procrustes)",
    source="Schoenemann 1966, doi:10.1007/BF02289451; ljleb sd-mecha 1.1.8, merge_methods/svd.py, rotate",
    purpose="spherical",
    elementwise=False,
    exact=[exact_at(0, alignment=0, alpha=0), exact_at(1, alignment=1, alpha=1)],
    exempt={
        "changes nothing": "a turn of equal models is found to be none but for rounding errors of many sums",
        "float64": "where A and B leave directions open, rounding errors choose the turn",
        "neutral amount": "alpha 0 keeps A only where alignment is 0 too",
    },
)
def rotate(
    a: Tensor,
    b: Tensor,
    *,
    alignment: Annotated[
        float, Range(0, 1, help="how far A is turned towards B: 0 not, 1 as near as it goes")
    ] = 1.0,
    alpha: Annotated[float, Range(0, 1, help="how much of B's own shape goes in, turned towards A")] = 0.0,
    centralization: Annotated[
        float, Range(0, 1, help="how much of the rows' mean is left out of the turn", min=0, max=1)
    ] = 1.0,
) -> Tensor:
    """Turn A's rows as a whole until they lie nearest to B's, without stretching them.

        out = (A' + alpha (B' Q^T - A')) Q^alignment + lerp(mean A, mean B, alignment)
        Q = the orthogonal matrix for which norm(A' Q - B') is least; A', B' = A, B less their rows' mean

    A row is an output channel's inputs; of a 3x3 convolution it is one kernel. alignment and alpha (0, 0)
    are A and (1, 1) are B, to the bit. Directions in which neither has anything are not turned; a fraction of
    a turn that is a mirror leaves the weakest direction out. Slow: a decomposition for each tensor, and
    between alignment 0 and 1 several. Biases and other single rows are the weighted sum at alpha. sd-mecha
    completes Q in other ways where rows are fewer than columns, and so differs from this between 0 and 1.
    """
    if a.ndim < 2 or a.numel() < 2 or torch.equal(a, b):
        return torch.lerp(a, b, alpha)
    kernel = a.ndim == 4 and a.shape[2] * a.shape[3] > 1
    rows = a.shape[0] * a.shape[1] if kernel else a.shape[0]
    pair = a.reshape(rows, -1), b.reshape(rows, -1)
    if alignment not in (0, 1):
        return _part_of_a_turn(*pair, alignment, alpha, centralization).view(a.shape)
    # Q's other way round is its transpose, so that at 0 B is turned to A as at 1 A is to B
    one, two = pair if alignment else (pair[1], pair[0])
    share = 1 - alpha if alignment else alpha
    if not share:
        return two.clone().view(a.shape)
    return torch.lerp(two, _turned(one, two, centralization), share).view(a.shape)


def _mean(tensor: Tensor, centralization: float) -> Tensor:
    """The mean of the rows, which is not rotated."""
    return tensor.mean(0, dtype=torch.float64) * centralization


def _turned(one: Tensor, two: Tensor, centralization: float) -> Tensor:
    """A' Q + mean B."""
    means = _mean(one, centralization), _mean(two, centralization)
    if len(one) < one.shape[1]:
        wide = one.double() - means[0], two.double() - means[1]
        turned = _turned_few(*wide, one.dtype)
        if turned is None:
            turned = wide[0] @ _procrustes(wide[0].T @ wide[1], proper=False)
        return (turned + means[1]).to(one.dtype)
    turn = _procrustes(_products(one, two, *means, centralization), proper=False)
    return torch.addmm((means[1] - means[0] @ turn).to(one.dtype), one, turn.to(one.dtype))


def _products(one: Tensor, two: Tensor, mean_one: Tensor, mean_two: Tensor, centralization: float) -> Tensor:
    """A'^T B' of many rows, some at a time, in float64.

    Of A' = A - c m, with m the mean of n rows, it is A^T B - n (2 / c - 1) (c m_A)^T (c m_B).
    """
    width = one.shape[1]
    total = torch.zeros(width, width, dtype=torch.float64, device=one.device)
    step = max(FEWEST_ROWS, (CHUNK if one.device.type == "cpu" else DEVICE_CHUNK) // width)
    for start in range(0, len(one), step):
        total.addmm_(one[start : start + step].double().T, two[start : start + step].double())
    if centralization:
        total.addr_(mean_one, mean_two, alpha=-len(one) * (2 / centralization - 1))
    return total


def _turned_few(one: Tensor, two: Tensor, dtype: torch.dtype) -> Tensor | None:
    """A' Q of few rows; None where the models leave Q undetermined in a direction in which A is not 0."""
    right_one = _linalg("qr", one.T, "r")[1]
    space, right_two = _linalg("qr", two.T)
    left, sizes, right = _linalg("svd", right_one @ right_two.T)
    used = _used(sizes)
    open_part = (left[:, used:].T @ right_one).square().sum()
    if float(open_part) > OPEN**2 * float(right_one.square().sum()):
        return None
    return (right_one.T @ left[:, :used] @ right[:used]).to(dtype) @ space.to(dtype).T


def _part_of_a_turn(a: Tensor, b: Tensor, alignment: float, alpha: float, centralization: float) -> Tensor:
    """The formula of `rotate`, for an alignment between 0 and 1."""
    means = _mean(a, centralization), _mean(b, centralization)
    one, two = a.double() - means[0], b.double() - means[1]
    space = _joint_space(one, two)
    if space is not None:
        one, two = one @ space, two @ space
    turn = _procrustes(one.T @ two, proper=True)
    part = power(turn, alignment)
    turned = one @ part.mul(1 - alpha)
    if alpha:
        turned.addmm_(two, turn.T @ part, alpha=alpha)
    if space is not None:
        turned = turned @ space.T
    return (turned + torch.lerp(*means, alignment)).to(a.dtype)


def _joint_space(one: Tensor, two: Tensor) -> Tensor | None:
    """An orthonormal basis of the rows of both, as columns; None where it would be no smaller."""
    return _linalg("qr", torch.cat([one, two]).T)[0] if 2 * len(one) < one.shape[1] else None


def _used(sizes: Tensor) -> int:
    """The number of singular values that are not rounding errors."""
    return int((sizes > sizes[:1] * 1e-12).sum()) if sizes.numel() else 0


def _procrustes(products: Tensor, *, proper: bool) -> Tensor:
    """The orthogonal matrix Q that minimises norm(A Q - B).

    products  A^T B
    proper    only rotations, without reflections
    """
    left, sizes, right = _linalg("svd", products)
    used = _used(sizes)
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


def power(turn: Tensor, exponent: float) -> Tensor:
    """A fraction of a rotation: every one of its planes turned by that fraction of its angle.

    Q = S + K with S symmetric and K skew. In a plane turned by w S is cos w and K is sin w times a quarter
    turn, so that what turns it by t w is cos(t w) + K sin(t w) / sin w: functions of S, whose eigenvectors
    are found far sooner than a Schur form. Where w is nearly a half turn K says nothing of the plane.
    """
    cosines, basis = _linalg("eigh", (turn + turn.T) / 2)
    cosines = cosines.clamp(-1, 1)
    back = _half_way(cosines)
    if back == len(turn):
        return _power_of_planes(turn, exponent)
    kept, some = basis[:, back:], basis[:, :back]
    cosines = cosines[back:, None]
    sines = ((1 - cosines) * (1 + cosines)).sqrt()
    angles = torch.atan2(sines, cosines)
    ratio = torch.where(sines > FLAT, (angles * exponent).sin() / sines, exponent)
    skew = (turn - turn.T) / 2
    power = kept @ ((angles * exponent).cos() * kept.T + ratio * (kept.T @ skew))
    return power + some @ _power_of_planes(some.T @ turn @ some, exponent) @ some.T if back else power


def _half_way(cosines: Tensor) -> int:
    """The number of cosines, in ascending order, of planes rotated by nearly a half turn; a plane has two."""
    values: list[float] = [float(cosine) for cosine in cosines.cpu()]
    back = sum(value < HALF_WAY for value in values)
    while 0 < back < len(values) and values[back] - values[back - 1] < SAME_PLANE:
        back += 1
    return back


def _power_of_planes(turn: Tensor, exponent: float) -> Tensor:
    """A fraction of a rotation, computed plane by plane from its Schur form."""
    blocks, basis = _planes(turn)
    part = torch.eye(len(turn), dtype=turn.dtype)
    index = 0
    turned_back: list[int] = []
    while index < len(turn):
        if index + 1 < len(turn) and abs(float(blocks[index + 1, index])) > FLAT:
            angle = math.atan2(float(blocks[index + 1, index]), float(blocks[index, index]))
            _turn_plane(part, index, index + 1, exponent * angle)
            index += 2
            continue
        if float(blocks[index, index]) < 0:
            turned_back.append(index)
        index += 1
    for one, two in zip(turned_back[::2], turned_back[1::2], strict=False):
        _turn_plane(part, one, two, exponent * math.pi)  # two axes turned back are one plane's half turn
    return (basis @ part @ basis.T).to(turn.device)


def _turn_plane(matrix: Tensor, one: int, two: int, angle: float) -> None:
    matrix[one, one] = matrix[two, two] = math.cos(angle)
    matrix[two, one], matrix[one, two] = math.sin(angle), -math.sin(angle)


def _planes(turn: Tensor) -> tuple[Tensor, Tensor]:
    """The real Schur form of a rotation, with its planes as blocks of the diagonal, and the basis of it."""
    import scipy.linalg

    schur = cast("Callable[..., tuple[Any, Any]]", scipy.linalg.schur)
    form = schur(turn.cpu().numpy(), output="real")
    return torch.from_numpy(form[0]), torch.from_numpy(form[1])


def _linalg(name: str, matrix: Tensor, *mode: str) -> tuple[Tensor, ...]:
    """A decomposition of torch.linalg, which is not typed."""
    return cast("Callable[..., tuple[Tensor, ...]]", getattr(torch.linalg, name))(matrix, *mode)
