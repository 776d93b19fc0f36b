"""Radix sorts of floating-point tensors.

The bits of a float, read as an integer, have its order once those of negative values are inverted. Values
that fp16 can represent, as those of most files, are sorted by their 16 bits in two passes of 256 buckets;
other float32 values in two such sorts, the low half first. numpy's stable sort of 16-bit integers is this
radix sort. On a GPU, and for values that need float64, torch sorts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

ALL_BUT_SIGN = {2: 0x7FFF, 4: 0x7FFFFFFF}  # of a float of so many bytes
BITS_OF_A_HALF = 16


def stable_argsort(values: Tensor) -> Tensor:
    """`values.argsort(stable=True)` of a flat tensor, several times as fast."""
    narrow = _narrowest(values)
    if narrow is None:
        return values.argsort(stable=True)
    bits = _sortable_bits(narrow + 0.0)  # -0 and 0 are equal
    if narrow.element_size() == 2:
        return _argsort_16_bits(bits)
    low, high = bits.to(torch.int16) ^ -32768, (bits >> BITS_OF_A_HALF).to(torch.int16)
    first = _argsort_16_bits(low)
    return first[_argsort_16_bits(high.index_select(0, first))]


def sort_values(values: Tensor) -> Tensor:
    """The values of a flat tensor in ascending order."""
    import numpy as np

    narrow = _narrowest(values)
    if narrow is None:
        return values.sort().values
    if narrow.element_size() == 4:
        return torch.from_numpy(np.sort(narrow.numpy())).to(values.dtype)
    bits = torch.from_numpy(np.sort(_sortable_bits(narrow).numpy(), kind="stable"))
    return _flip_negative(bits).view(narrow.dtype).to(values.dtype)


def argsort_rows(sizes: Tensor) -> Tensor:
    """`sizes.argsort(dim=1, stable=True)` of values that are not negative.

    A value's bits and its index, as one 64-bit integer, are unique, so that any sort of them is stable.
    """
    import numpy as np

    if sizes.device.type != "cpu" or sizes.dtype != torch.float32:
        return sizes.argsort(dim=1, stable=True)
    bits = (sizes + 0.0).view(torch.int32).to(torch.int64).bitwise_left_shift_(32)
    packed = bits.bitwise_or_(torch.arange(sizes.shape[1]))
    packed.numpy().sort(axis=1)
    return packed.bitwise_and_(np.iinfo(np.uint32).max)


def _narrowest(values: Tensor) -> Tensor | None:
    """The values in the narrowest dtype, fp16 or float32, that represents them all; None without one."""
    if values.device.type != "cpu":
        return None
    for dtype in (torch.float16, torch.float32):
        narrow = values.to(dtype)
        if torch.equal(narrow.to(values.dtype), values):
            return narrow
    return None


def _sortable_bits(values: Tensor) -> Tensor:
    """Integers with the order of the floats that have these bits."""
    return _flip_negative(values.view(torch.int16 if values.element_size() == 2 else torch.int32))


def _flip_negative(bits: Tensor) -> Tensor:
    """The bits of floats with those of negative ones inverted, which is its own inverse."""
    size = bits.element_size()
    return bits ^ ((bits >> (8 * size - 1)) & ALL_BUT_SIGN[size])


def _argsort_16_bits(bits: Tensor) -> Tensor:
    """The stable argsort of 16-bit integers."""
    import numpy as np

    return torch.from_numpy(cast("Any", np.argsort(bits.numpy(), kind="stable")))
