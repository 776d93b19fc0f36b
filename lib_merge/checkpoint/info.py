"""A tensor's entry in a checkpoint's header: dtype, shape and offset."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lib_merge.dtypes import Dtype


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of a checkpoint, without its values.

    shape  lengths of its axes; () for a scalar
    start  byte offset of its data from the beginning of the file (0 for a legacy file)
    """

    dtype: Dtype
    shape: tuple[int, ...]
    start: int = 0

    @property
    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The size of its data in bytes."""
        return self.numel * self.dtype.itemsize
