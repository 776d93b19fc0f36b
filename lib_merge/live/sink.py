"""Writes the chunks of a live merge into the parameters of the model."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lib_merge.dtypes import to_torch
from lib_merge.errors import MergeError
from lib_merge.live.model import LiveModel, Place
from lib_merge.plan import KeyPlan
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor


class LiveSink:
    """Copies each chunk into every place of its key; `copy_` converts dtype and device.

    touched  is filled with the keys that were written
    """

    def __init__(self, model: LiveModel, device: str, touched: set[str]) -> None:
        self.keeps_device = device != "cpu"
        self._touched = touched
        self._model = model
        self._whole: dict[tuple[str, int], tuple[Tensor, int]] = {}
        self._lock = threading.Lock()

    def buffer(self, entry: KeyPlan, start: int, count: int) -> Tensor | None:
        """The parameter's own memory, where one place alone holds these elements, in their dtype: saves a
        copy.
        """
        places = [place for place in self._model.places(entry.key) if _overlap(place, start, count)]
        if len(places) != 1:
            return None
        (place,) = places
        tensor = place.tensor
        inside = place.start <= start and start + count <= place.end <= entry.numel
        if not inside or tensor.dtype != to_torch(entry.dtype) or not tensor.is_contiguous():
            return None
        self._touched.add(entry.key)
        return _memory(tensor)[start - place.start :][:count]

    def accept(self, entry: KeyPlan, start: int, chunk: Tensor) -> None:
        """Called from several threads; inference mode is each thread's own, and works for all parameters."""
        places = self._model.places(entry.key)
        _check_places(entry, places)
        with torch.inference_mode():
            for place in places:
                if not _overlap(place, start, chunk.numel()):
                    continue
                self._touched.add(entry.key)
                first, last = max(start, place.start), min(start + chunk.numel(), place.end)
                values = chunk[first - start : last - start]
                if place.tensor.is_contiguous():
                    target = place.tensor.view(-1)[first - place.start : last - place.start]
                    if target.data_ptr() != values.data_ptr():  # it was computed there
                        target.copy_(values)
                else:
                    self._gather(entry.key, place, first - place.start, values)

    def _gather(self, key: str, place: Place, start: int, values: Tensor) -> None:
        """Collect the chunks of a tensor that is not contiguous (channels_last, transposed); write it when
        complete.
        """
        numel = place.tensor.numel()
        with self._lock:
            whole, left = self._whole.pop(
                (key, place.start), (torch.empty(numel, dtype=values.dtype, device=values.device), numel)
            )
            whole[start : start + values.numel()].copy_(values)
            left -= values.numel()
            if left:
                self._whole[key, place.start] = whole, left
                return
        place.tensor.copy_(whole.view(place.tensor.shape))


def _overlap(place: Place, start: int, count: int) -> bool:
    return place.start < start + count and start < place.end


def _memory(tensor: Tensor) -> Tensor:
    """The elements of a contiguous tensor as a flat tensor on the same memory, which may be written anywhere.

    A tensor that was created in inference mode, as all of Forge's parameters are, may be written only in that
    mode, which kernels do not use; a new tensor on its storage is an ordinary one.
    """
    if not tensor.is_inference():
        return tensor.detach().view(-1)
    flat = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
    return flat.set_(tensor.untyped_storage(), tensor.storage_offset(), (tensor.numel(),), (1,))


def _check_places(entry: KeyPlan, places: Sequence[Place]) -> None:
    """Raise MergeError where the model has tensors of another size than the file."""
    starts, ends = {place.start for place in places}, {place.end for place in places}
    if places and (0 not in starts or entry.numel not in ends or not ends <= {*starts, entry.numel}):
        raise MergeError(
            f"the model in memory has {[tuple(place.tensor.shape) for place in places]} where the file has "
            f"{entry.shape}",
            where=entry.key,
            hint="choose this checkpoint in the WebUI first",
        )
