"""Arrangements of channels, and a checkpoint that applies them when its tensors are read."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.checkpoint import Checkpoint, tensor_bytes
from lib_merge.rebasin.groups import Group, Member
from lib_merge.tensors import index_select, torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Arrangement:
    """Where the channels of one part come from.

        out[i] = in[order[i]], and then in each head h: out_h = rotations[h] out_h

    order      int64 [n], a permutation
    rotations  float64 [heads, n / heads, n / heads], orthogonal; None where nothing is rotated
    """

    order: Tensor
    rotations: Tensor | None = None

    @property
    def moved(self) -> int:
        """The number of channels that are permuted or rotated."""
        changed = self.order != torch.arange(len(self.order))
        if self.rotations is not None:
            straight = torch.eye(self.rotations.shape[-1], dtype=self.rotations.dtype)
            rotated = (self.rotations != straight).flatten(1).any(1)
            changed |= rotated.repeat_interleave(self.rotations.shape[-1])
        return int(changed.sum())


Arrangements = Mapping[str, Arrangement]  # by the id of the part; other parts stay as they are


class Arranger:
    """Applies the arrangements of the parts that tensors belong to."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._of: dict[str, list[tuple[str, Member]]] = {}
        for part in (part for group in groups for part in group.parts):
            for member in part.members:
                self._of.setdefault(member.key, []).append((part.id, member))

    def arranged(
        self, key: str, tensor: Tensor, arrangements: Arrangements, but: Container[str] = ()
    ) -> Tensor:
        """The tensor under its arrangements, except those of the parts `but`.

        A permuted tensor keeps its dtype; a rotated one comes in float32 (float64 from float64), to
        be rounded by whoever stores it. A tensor without an arrangement is returned as it is.
        """
        wanted = [
            (member, arrangements[id])
            for id, member in self._of.get(key, ())
            if id in arrangements and id not in but
        ]
        for axis in sorted({member.axis for member, _ in wanted}):
            tensor = _along(tensor, axis, [pair for pair in wanted if pair[0].axis == axis])
        return tensor

    def touches(self, key: str, arrangements: Arrangements) -> bool:
        """Whether any of these arrangements moves channels of the tensor."""
        return any(id in arrangements for id, _ in self._of.get(key, ()))


def _along(tensor: Tensor, axis: int, wanted: list[tuple[Member, Arrangement]]) -> Tensor:
    index = torch.arange(tensor.shape[axis])
    for member, arrangement in wanted:
        size = len(arrangement.order)
        for segment in member.taken:
            index[segment * size : (segment + 1) * size] = segment * size + arrangement.order
    tensor = index_select(tensor, axis, index.to(tensor.device))
    for member, arrangement in wanted:
        if arrangement.rotations is not None:
            if tensor.dtype not in (torch.float32, torch.float64):
                tensor = tensor.float()
            for segment in member.taken:
                size = len(arrangement.order)
                _rotate(tensor.narrow(axis, segment * size, size), axis, arrangement.rotations)
    return tensor


def _rotate(channels: Tensor, axis: int, rotations: Tensor) -> None:
    """Rotates each head's channels in place; `channels` is a view of a tensor that may be written."""
    heads = channels.movedim(axis, 0)
    flat = heads.reshape(rotations.shape[0], rotations.shape[-1], -1)
    rotated = torch.bmm(rotations.to(flat.device, flat.dtype), flat)
    heads.copy_(rotated.view(heads.shape))


class ArrangedCheckpoint(Checkpoint):
    """A checkpoint whose tensors are rearranged as they are read; its file is neither changed nor closed."""

    def __init__(self, file: Checkpoint, groups: Iterable[Group], arrangements: Arrangements) -> None:
        super().__init__(file.header)
        self._file, self._arrangements = file, arrangements
        self._arranger = Arranger(groups)

    def tensor(self, key: str) -> Tensor:
        """The tensor under its arrangement; the file's own where it has none."""
        return self._arranger.arranged(key, self._file.tensor(key), self._arrangements)

    def bytes(self, key: str) -> memoryview:
        """The bytes of the tensor under its arrangement."""
        return tensor_bytes(self.tensor(key)).toreadonly()

    def check(self) -> None:
        """Checks that the file still has its size."""
        self._file.check_size()

    def close(self) -> None:
        """Does nothing: whoever opened the file closes it."""
