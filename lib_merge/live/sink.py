"""Where the pieces of a live merge go: straight into the parameters of the model."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lib_merge.dtypes import to_torch
from lib_merge.errors import MergeError
from lib_merge.live.model import LiveModel
from lib_merge.plan import KeyPlan
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor


class LiveSink:
    """Copies each piece into every tensor that holds its key; `copy_` sees to format and device.

    touched  gets the keys that are no longer what they were
    """

    def __init__(self, model: LiveModel, device: str, touched: set[str]) -> None:
        self.keeps_device = device != "cpu"
        self._touched = touched
        self._model = model
        self._whole: dict[str, tuple[Tensor, int]] = {}
        self._lock = threading.Lock()

    def room(self, entry: KeyPlan, start: int, count: int) -> Tensor | None:
        """The parameter itself, where it is the only place and nothing stands between: no second copy."""
        places = self._model.tensors(entry.key)
        if len(places) != 1:
            return None
        (place,) = places
        fits = place.dtype == to_torch(entry.dtype) and place.numel() == entry.numel
        if not fits or not place.is_contiguous() or place.is_inference():
            return None
        self._touched.add(entry.key)
        return place.detach().view(-1)[start : start + count]

    def accept(self, entry: KeyPlan, start: int, piece: Tensor) -> None:
        """Called from several threads; inference mode is each thread's own, and works for all parameters."""
        with torch.inference_mode():
            for place in self._model.tensors(entry.key):
                if place.numel() != entry.numel:
                    raise MergeError(
                        f"the model in memory has {tuple(place.shape)} where the file has {entry.shape}",
                        where=entry.key,
                        hint="choose this checkpoint in the WebUI first",
                    )
                self._touched.add(entry.key)
                if place.is_contiguous():
                    part = place.view(-1)[start : start + piece.numel()]
                    if part.data_ptr() != piece.data_ptr():  # it was computed there
                        part.copy_(piece)
                else:
                    self._gather(entry, start, piece, place)

    def _gather(self, entry: KeyPlan, start: int, piece: Tensor, place: Tensor) -> None:
        """Strided memory (channels_last) is written in one go, when all of its pieces are there."""
        with self._lock:
            whole, left = self._whole.pop(
                entry.key, (torch.empty(entry.numel, dtype=piece.dtype, device=piece.device), entry.numel)
            )
            whole[start : start + piece.numel()].copy_(piece)
            left -= piece.numel()
            if left:
                self._whole[entry.key] = whole, left
                return
        place.copy_(whole.view(place.shape))
