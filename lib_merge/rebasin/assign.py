"""The best arrangement for a matrix of gains, exactly, for each structure that a group may have.

gains[i, j] is what the objective gets from putting B's channel j into A's place i; an arrangement's gain
is the sum over its places. Linear assignment problems are solved by scipy (Crouse's variant of
Jonker-Volgenant); ties go to staying, for every diagonal element gets a little more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from lib_merge.architectures import Free, Heads, InGroups, Structure
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
    size    the norm of A's channels times that of B's, over the whole part: what gains are measured by
    """

    matrix: Tensor
    size: float

    def of(self, arrangement: Arrangement | None) -> float:
        """What an arrangement gains; None stands for staying."""
        if arrangement is None:
            return float(self.matrix.diagonal().double().sum())
        places = torch.arange(len(arrangement.order))
        if arrangement.turns is None:
            return float(self.matrix[places, arrangement.order].double().sum())
        heads, width = arrangement.turns.shape[:2]
        inside = places.view(heads, width, 1), arrangement.order.view(heads, 1, width)
        return float((self.matrix[inside].double() * arrangement.turns).sum())


def best(
    structure: Structure, heads: int, parts: tuple[Gains, ...], *, procrustes: bool
) -> list[Arrangement]:
    """The arrangement of greatest gain of each part, of all that the structure allows."""
    matrices = [_favoured(part) for part in parts]
    if isinstance(structure, Heads):
        return _heads(matrices, heads, [TIE * part.size for part in parts], procrustes=procrustes)
    if isinstance(structure, InGroups):
        return [Arrangement(torch.from_numpy(_in_groups(matrix, structure.count))) for matrix in matrices]
    assert isinstance(structure, Free)
    return [Arrangement(torch.from_numpy(assign(matrix)[0])) for matrix in matrices]


def _favoured(part: Gains) -> Array:
    """The gains in float64, with a little more for staying."""
    import numpy as np

    gains: Array = np.array(part.matrix.numpy(), np.float64)  # a copy
    n = len(gains)
    gains[np.arange(n), np.arange(n)] += TIE * part.size / n
    return gains


def assign(gains: Array) -> tuple[Order, float]:
    """The permutation of greatest gain, and that gain: order[i] is the column that row i gets.

    Uses up `gains`, which is as large as all else together for the widest layers.
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


def _each(blocks: Array) -> tuple[Array, Order]:
    """For every pair of blocks, the best gain of one in the other's place, and how."""
    import numpy as np

    count, _, width, _ = blocks.shape
    values = np.empty((count, count))
    orders = np.empty((count, count, width), np.int64)
    for place in range(count):
        for block in range(count):
            orders[place, block], values[place, block] = assign(blocks[place, block])
    return values, orders


def _joined(chosen: Order, orders: Order) -> Order:
    """Whole blocks in their new places, each in its inner order."""
    import numpy as np

    count, _, width = orders.shape
    inner = orders[np.arange(count), chosen]
    return (chosen[:, None] * width + inner).reshape(-1)


def _in_groups(gains: Array, count: int) -> Order:
    """Exact for the wreath product: every pair of groups is solved, and then which group goes where."""
    values, orders = _each(_blocks(gains, count))
    chosen, _ = assign(values)
    return _joined(chosen, orders)


def _heads(matrices: list[Array], heads: int, ties: list[float], *, procrustes: bool) -> list[Arrangement]:
    """Exact likewise: a pair of heads is worth what its parts are worth at their best."""
    blocks = [_blocks(matrix, heads) for matrix in matrices]
    if procrustes:
        return _turned(blocks, ties)
    solved = [_each(part) for part in blocks]
    chosen, _ = assign(sum((values for values, _ in solved[1:]), start=solved[0][0]))
    return [Arrangement(torch.from_numpy(_joined(chosen, orders))) for _, orders in solved]


def _turned(blocks: list[Array], ties: list[float]) -> list[Arrangement]:
    """Orthogonal Procrustes for each pair of heads: max over R of <gains, R> is the sum of singular values,
    at R = U V^T (Schönemann, 1966). A head that stays and gains next to nothing by turning is not turned."""
    import numpy as np

    values: list[Array] = [np.linalg.svd(part, compute_uv=False).sum(-1) for part in blocks]
    chosen, _ = assign(sum(values[1:], start=np.array(values[0])))
    heads, width = len(chosen), blocks[0].shape[-1]
    order = torch.arange(heads * width).view(heads, width)[torch.from_numpy(chosen)].reshape(-1)
    found: list[Arrangement] = []
    for part, value, tie in zip(blocks, values, ties, strict=True):
        turns: Array = np.stack([_turn(part[place, chosen[place]]) for place in range(heads)])
        for place in range(heads):
            won = value[place, place] - np.trace(part[place, place])
            if chosen[place] == place and won <= tie / heads:
                turns[place] = np.eye(width)
        found.append(Arrangement(order, torch.tensor(turns)))
    return found


def _turn(block: Array) -> Array:
    import numpy as np

    left, _, right = np.linalg.svd(block)
    return cast("Array", left @ right)
