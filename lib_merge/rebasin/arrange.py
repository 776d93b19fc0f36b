"""Arrangements of channels, and a model seen through them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_merge.checkpoint import Checkpoint, tensor_bytes
from lib_merge.rebasin.groups import Group, Member
from lib_merge.tensors import picked, torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Arrangement:
    """Where the channels of one part come from.

        out[i] = in[order[i]], and then in each head h: out_h = turns[h] out_h

    order  int64 [n], a permutation
    turns  float64 [heads, n / heads, n / heads], orthogonal; None where nothing is turned
    """

    order: Tensor
    turns: Tensor | None = None

    @property
    def moved(self) -> int:
        """How many channels are not what they were."""
        changed = self.order != torch.arange(len(self.order))
        if self.turns is not None:
            straight = torch.eye(self.turns.shape[-1], dtype=self.turns.dtype)
            turned = (self.turns != straight).flatten(1).any(1)
            changed |= turned.repeat_interleave(self.turns.shape[-1])
        return int(changed.sum())


Arrangements = Mapping[str, Arrangement]  # by the id of the part; what is not in it stays


class Arranger:
    """Rearranges tensors as the arrangements of the parts that they belong to say."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._of: dict[str, list[tuple[str, Member]]] = {}
        for part in (part for group in groups for part in group.parts):
            for member in part.members:
                self._of.setdefault(member.key, []).append((part.id, member))

    def arranged(
        self, key: str, tensor: Tensor, arrangements: Arrangements, but: Container[str] = ()
    ) -> Tensor:
        """The tensor under its arrangements, those of the parts `but` aside.

        A permuted tensor keeps its number format; a turned one comes in float32 (float64 from float64), to
        be rounded by whoever stores it. One that nothing moves is returned as it is.
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
        """Whether any of these arrangements concerns the tensor."""
        return any(id in arrangements for id, _ in self._of.get(key, ()))


def _along(tensor: Tensor, axis: int, wanted: list[tuple[Member, Arrangement]]) -> Tensor:
    index = torch.arange(tensor.shape[axis])
    for member, arrangement in wanted:
        size = len(arrangement.order)
        for segment in member.taken:
            index[segment * size : (segment + 1) * size] = segment * size + arrangement.order
    tensor = picked(tensor, axis, index.to(tensor.device))
    for member, arrangement in wanted:
        if arrangement.turns is not None:
            if tensor.dtype not in (torch.float32, torch.float64):
                tensor = tensor.float()
            for segment in member.taken:
                size = len(arrangement.order)
                _turn(tensor.narrow(axis, segment * size, size), axis, arrangement.turns)
    return tensor


def _turn(channels: Tensor, axis: int, turns: Tensor) -> None:
    """Turns each head's channels, in place; `channels` is a view of a tensor of ours."""
    heads = channels.movedim(axis, 0)
    flat = heads.reshape(turns.shape[0], turns.shape[-1], -1)
    turned = torch.bmm(turns.to(flat.device, flat.dtype), flat)
    heads.copy_(turned.view(heads.shape))


class ArrangedCheckpoint(Checkpoint):
    """A checkpoint whose tensors come rearranged; the file behind it is not changed, nor closed with it."""

    def __init__(self, file: Checkpoint, groups: Iterable[Group], arrangements: Arrangements) -> None:
        super().__init__(file.header)
        self._file, self._arrangements = file, arrangements
        self._arranger = Arranger(groups)

    def tensor(self, key: str) -> Tensor:
        """The tensor under its arrangement; the file's own where it has none."""
        return self._arranger.arranged(key, self._file.tensor(key), self._arrangements)

    def bytes(self, key: str) -> memoryview:
        """The same tensor's bytes."""
        return tensor_bytes(self.tensor(key)).toreadonly()

    def check(self) -> None:
        """Of the file."""
        self._file.check()

    def close(self) -> None:
        """Nothing: the file is its opener's."""
