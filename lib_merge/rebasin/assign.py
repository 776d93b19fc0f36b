"""The best arrangement for a matrix of gains, exactly, for each structure that a group may have.

gains[i, j] is what moving B's channel j to A's channel i adds to the objective; an arrangement's gain is the
sum over its channels. Linear assignment problems are solved by scipy (Crouse's variant of
Jonker-Volgenant); on a tie a channel stays, since a little is added to every diagonal element.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from lib_merge.architectures import AnyPermutation, GroupPermutation, Heads, Structure
from lib_merge.rebasin.arrange import Arrangement
from lib_merge.tensors import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[np.float64]
    Order = NDArray[np.int64]

    class Solver(Protocol):
        def __call__(self, cost: Array) -> tuple[Order, Order]: ...


TIE = 1e-6  # of a channel's own size: far above what float32 sums lose, far below what a real match gains


@dataclass(frozen=True)
class Gains:
    """One part's gains.

    matrix  [n, n] float32 or float64, on the CPU
    size    the norm of A's channels times that of B's, over the whole part: the scale of the gains
    """

    matrix: Tensor
    size: float

    def of(self, arrangement: Arrangement | None) -> float:
        """The gain of an arrangement; None for the identity."""
        if arrangement is None:
            return float(self.matrix.diagonal().double().sum())
        rows = torch.arange(len(arrangement.order))
        if arrangement.rotations is None:
            return float(self.matrix[rows, arrangement.order].double().sum())
        heads, width = arrangement.rotations.shape[:2]
        inside = rows.view(heads, width, 1), arrangement.order.view(heads, 1, width)
        return float((self.matrix[inside].double() * arrangement.rotations).sum())


def best(
    structure: Structure, heads: int, parts: tuple[Gains, ...], *, procrustes: bool
) -> list[Arrangement]:
    """For each part the arrangement of greatest gain among those that the structure allows."""
    matrices = [_favoured(part) for part in parts]
    if isinstance(structure, Heads):
        return _heads(matrices, heads, [TIE * part.size for part in parts], procrustes=procrustes)
    if isinstance(structure, GroupPermutation):
        return [Arrangement(torch.from_numpy(_in_groups(matrix, structure.count))) for matrix in matrices]
    assert isinstance(structure, AnyPermutation)
    return [Arrangement(torch.from_numpy(assign(matrix)[0])) for matrix in matrices]


def _favoured(part: Gains) -> Array:
    """The gains in float64, with TIE added to the diagonal, so that a channel stays on a tie."""
    import numpy as np

    gains: Array = np.array(part.matrix.numpy(), np.float64)  # a copy
    n = len(gains)
    gains[np.arange(n), np.arange(n)] += TIE * part.size / n
    return gains


def assign(gains: Array) -> tuple[Order, float]:
    """The permutation of greatest gain, and that gain: order[i] is the column that row i gets.

    Overwrites `gains`: a copy would double the memory for the widest layers.
    """
    import numpy as np
    from scipy.optimize import linear_sum_assignment  # pyright: ignore[reportUnknownVariableType]

    solve = cast("Solver", linear_sum_assignment)
    costs = np.negative(gains, out=gains)
    rows, columns = solve(costs)
    return columns, -float(costs[rows, columns].sum())


def _blocks(gains: Array, count: int) -> Array:
    """[n, n] as [count, count, width, width]."""
    width = len(gains) // count
    return cast("Array", gains.reshape(count, width, count, width).swapaxes(1, 2))


def _assign_blocks(blocks: Array) -> tuple[Array, Order]:
    """For every pair of blocks the greatest gain of moving one to the other, and the order within."""
    import numpy as np

    count, _, width, _ = blocks.shape
    values = np.empty((count, count))
    orders = np.empty((count, count, width), np.int64)
    for target in range(count):
        for block in range(count):
            orders[target, block], values[target, block] = assign(blocks[target, block])
    return values, orders


def _joined(chosen: Order, orders: Order) -> Order:
    """The order of all channels from the order of the blocks and the order within each."""
    import numpy as np

    count, _, width = orders.shape
    inner = orders[np.arange(count), chosen]
    return (chosen[:, None] * width + inner).reshape(-1)


def _in_groups(gains: Array, count: int) -> Order:
    """Exact for the wreath product: every pair of groups is solved, and then which group goes where."""
    values, orders = _assign_blocks(_blocks(gains, count))
    chosen, _ = assign(values)
    return _joined(chosen, orders)


def _heads(matrices: list[Array], heads: int, ties: list[float], *, procrustes: bool) -> list[Arrangement]:
    """Exact: the gain of a pair of heads is the gain of its parts at their best."""
    blocks = [_blocks(matrix, heads) for matrix in matrices]
    if procrustes:
        return _rotated(blocks, ties)
    solved = [_assign_blocks(part) for part in blocks]
    chosen, _ = assign(sum((values for values, _ in solved[1:]), start=solved[0][0]))
    return [Arrangement(torch.from_numpy(_joined(chosen, orders))) for _, orders in solved]


def _rotated(blocks: list[Array], ties: list[float]) -> list[Arrangement]:
    """Orthogonal Procrustes for each pair of heads: max over R of <gains, R> is the sum of singular values,
    at R = U V^T (Schönemann, 1966). A head that stays is rotated only where that gains something."""
    import numpy as np

    values: list[Array] = [np.linalg.svd(part, compute_uv=False).sum(-1) for part in blocks]
    chosen, _ = assign(sum(values[1:], start=np.array(values[0])))
    heads, width = len(chosen), blocks[0].shape[-1]
    order = torch.arange(heads * width).view(heads, width)[torch.from_numpy(chosen)].reshape(-1)
    arrangements: list[Arrangement] = []
    for part, value, tie in zip(blocks, values, ties, strict=True):
        rotations: Array = np.stack([_rotation(part[head, chosen[head]]) for head in range(heads)])
        for head in range(heads):
            won = value[head, head] - np.trace(part[head, head])
            if chosen[head] == head and won <= tie / heads:
                rotations[head] = np.eye(width)
        arrangements.append(Arrangement(order, torch.tensor(rotations)))
    return arrangements


def _rotation(block: Array) -> Array:
    import numpy as np

    left, _, right = np.linalg.svd(block)
    return cast("Array", left @ right)
