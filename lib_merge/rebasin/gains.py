"""The gains of the arrangements of one part while all other parts stay as they are.

    gains = sum over the part's axes of unfold(A) unfold(B')^T,   B' = B under the other arrangements

A tensor unfolded along an axis has a row for each channel. Each quarter of the rows is computed by one
thread: the sums are the same with any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from lib_merge.checkpoint import Checkpoint
from lib_merge.errors import NumericalError
from lib_merge.rebasin.arrange import Arrangements, Arranger
from lib_merge.rebasin.assign import Gains
from lib_merge.rebasin.groups import Group, Member, Part
from lib_merge.tensors import equal, torch

if TYPE_CHECKING:
    from torch import Tensor

SHARES = 4  # of the rows of a product, for the threads to take
CHUNK_ROWS = 1 << 20  # elements of a dot product at a time


class Pair:
    """Two models, and their products with B under given arrangements."""

    def __init__(
        self, a: Checkpoint, b: Checkpoint, groups: Sequence[Group], pool: ThreadPoolExecutor, device: str
    ) -> None:
        self.a, self.b, self.pool, self.device = a, b, pool, torch.device(device)
        self.arranger = Arranger(groups)
        self.keys: list[str] = sorted({key for group in groups for key in group.keys})

    def gains(self, part: Part, group: Group, arrangements: Arrangements) -> Gains:
        """The gain of moving each of B's channels to each of A's."""
        part_gains = self._gains(part, group, arrangements, torch.float32)
        if not math.isfinite(part_gains.size):  # squares beyond float32
            part_gains = self._gains(part, group, arrangements, torch.float64)
        return part_gains

    def _gains(self, part: Part, group: Group, arrangements: Arrangements, least: torch.dtype) -> Gains:
        """The gains, computed in the dtype `least` or a wider one."""
        own = {sibling.id for sibling in group.parts}
        total: Tensor | None = None
        sizes = [0.0, 0.0]
        for member in part.members:
            b = self.arranger.arranged(member.key, self.b.tensor(member.key), arrangements, own)
            for rows in zip(
                self._unfold(self.a.tensor(member.key), member, least),
                self._unfold(b, member, least),
                strict=True,
            ):
                for side, matrix in enumerate(rows):
                    sizes[side] += float(torch.dot(matrix.reshape(-1), matrix.reshape(-1)))
                total = self._add(total, *rows)
        assert total is not None
        return Gains(total.cpu(), math.sqrt(sizes[0] * sizes[1]))

    def _unfold(self, tensor: Tensor, member: Member, least: torch.dtype) -> list[Tensor]:
        """Each taken segment as [n, the rest], in the dtype `least` or a wider one, on the device."""
        wide = tensor.dtype if tensor.dtype == torch.float64 else least
        size = tensor.shape[member.axis] // member.segments
        rows = [tensor.narrow(member.axis, segment * size, size) for segment in member.taken]
        return [narrowed.movedim(member.axis, 0).reshape(size, -1).to(self.device, wide) for narrowed in rows]

    def _add(self, total: Tensor | None, a: Tensor, b: Tensor) -> Tensor:
        wide = torch.promote_types(a.dtype, b.dtype)
        a, b = a.to(wide), b.to(wide)
        if total is None:
            total = torch.zeros(len(a), len(b), dtype=wide, device=self.device)
        if self.device.type != "cpu":
            return total.to(wide).addmm_(a, b.T)
        into = total.to(wide)

        size = -(-len(a) // SHARES)

        def rows(start: int) -> None:
            into[start : start + size].addmm_(a[start : start + size], b.T)

        list(self.pool.map(rows, range(0, len(a), size)))
        return into

    def same(self, group: Group, arrangements: Arrangements) -> bool:
        """Whether both models are equal in the group, with nothing arranged there: then nothing can gain."""
        return not any(self.arranger.touches(key, arrangements) for key in group.keys) and all(
            _equal(self.a.tensor(key), self.b.tensor(key)) for key in sorted(group.keys)
        )

    def products(self, arrangements: Arrangements) -> tuple[float, float, float]:
        """<A, A>, <B, B> and <A, B'> over the tensors of all groups, in float64."""
        products = list(self.pool.map(partial(self._product, arrangements), self.keys))
        return (
            math.fsum(product[0] for product in products),
            math.fsum(product[1] for product in products),
            math.fsum(product[2] for product in products),
        )

    def _product(self, arrangements: Arrangements, key: str) -> tuple[float, float, float]:
        a, b = self.a.tensor(key), self.arranger.arranged(key, self.b.tensor(key), arrangements)
        products = (_dot(a, a), _dot(b, b), _dot(a, b))
        for checkpoint, value in zip((self.a, self.b), products, strict=False):
            if not math.isfinite(value):
                raise NumericalError(
                    f"{checkpoint.header.name} holds NaN or infinity",
                    where=key,
                    hint="merge-desk check shows what else is broken in it",
                )
        return products


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and equal(a.reshape(-1), b.reshape(-1))


def _dot(a: Tensor, b: Tensor) -> float:
    a, b = a.reshape(-1), b.reshape(-1)
    return math.fsum(
        float(torch.dot(a[start : start + CHUNK_ROWS].double(), b[start : start + CHUNK_ROWS].double()))
        for start in range(0, a.numel(), CHUNK_ROWS)
    )
