"""Laws of the engine's arithmetic: one rounding, exact ends, whatever the formats."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.execute.kernels import ChunkRef, kernel_of
from lib_merge.plan.fold import Source, combination
from lib_merge.tensors import Scratch, all_finite, decimal_fraction, extremes, lerp_rounds_once
from tests.support.merging import same_bits
from tests.support.strategies import DTYPES, amounts, tensors

SHARES = amounts(-1, 2).map(decimal_fraction)


def merged(models: list[torch.Tensor], shares: list[Fraction], dtype: torch.dtype) -> torch.Tensor:
    """What the engine computes for a sum of files."""
    expression = combination((Source(n), share) for n, share in enumerate(shares))
    out = torch.empty(models[0].shape, dtype=dtype)
    kernel_of(expression)(dict(enumerate(models)), out, Scratch(), ChunkRef())
    return out


def ulp(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The distance from each value to the next one that the format holds."""
    info = torch.finfo(dtype)
    exponent = torch.floor(torch.log2(values.abs().clamp(min=info.smallest_normal)))
    return info.eps * torch.pow(2.0, exponent.double())


@given(data=st.data())
def test_every_element_is_the_float64_result_rounded_once(data: st.DataObject) -> None:
    """Exactly where the output is float32; else within what float32 arithmetic can tell."""
    count = data.draw(st.integers(1, 4))
    models = data.draw(tensors(count, DTYPES))
    dtype = data.draw(st.sampled_from(DTYPES))
    shares = data.draw(st.lists(SHARES, min_size=count, max_size=count))
    if count > 1 and data.draw(st.booleans()):
        shares[0] = 1 - sum(shares[1:], Fraction(0))  # as most merges are
    terms = [float(share) * model.double() for share, model in zip(shares, models, strict=True)]
    want, magnitude = sum(terms), sum(term.abs() for term in terms)
    if want.numel() and want.abs().max() > torch.finfo(dtype).max / 2:
        return
    out = merged(models, shares, dtype).double()
    working = 2**-53 if dtype == torch.float32 and any(m.dtype == torch.float32 for m in models) else 2**-24
    tolerance = 0.5 * ulp(want, dtype) * (1 + 1e-6) + 4 * count * working * magnitude
    assert bool((abs(out - want) <= tolerance).all()), f"off by {(abs(out - want) - tolerance).max()}"


@given(data=st.data())
def test_a_share_of_one_beside_zeros_is_that_model_to_the_bit(data: st.DataObject) -> None:
    models = data.draw(tensors(3, (data.draw(st.sampled_from(DTYPES)),)))
    chosen = data.draw(st.integers(0, 2))
    out = merged(models, [Fraction(n == chosen) for n in range(3)], models[chosen].dtype)
    assert same_bits(out, models[chosen])


@given(data=st.data())
def test_equal_models_come_back_to_the_bit_from_a_weighted_sum(data: st.DataObject) -> None:
    (a,) = data.draw(tensors(1, DTYPES))
    alpha = decimal_fraction(data.draw(amounts(0, 1)))
    assert torch.equal(merged([a, a.clone()], [1 - alpha, alpha], a.dtype), a)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_fast_kernel_is_used_only_where_it_rounds_once(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(5)
    a, b = (torch.randn(100_000, generator=generator).to(dtype) for _ in range(2))
    out = merged([a, b], [Fraction(7, 10), Fraction(3, 10)], dtype)
    in_float32 = torch.lerp(a.float(), b.float(), 0.3).to(dtype)
    if lerp_rounds_once(dtype, "cpu"):
        assert torch.equal(out, in_float32)
    error = (out.double() - (0.7 * a.double() + 0.3 * b.double())).abs()
    assert bool((error <= 0.5 * ulp(out.double(), dtype) + 2**-22 * (a.abs() + b.abs()).double()).all())


@given(
    st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), max_size=20), st.sampled_from(DTYPES)
)
def test_nan_and_infinity_are_always_noticed(values: list[float], dtype: torch.dtype) -> None:
    tensor = torch.tensor(values, dtype=torch.float32).to(dtype)
    assert all_finite(tensor) == bool(torch.isfinite(tensor).all())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_bad_value_is_noticed_at_every_place_of_a_long_tensor(dtype: torch.dtype, value: float) -> None:
    for place in range(150):  # a processor takes several at once, and the rest one by one
        tensor = torch.linspace(-3, 3, 150).to(dtype)
        tensor[place] = value
        assert not all_finite(tensor)
        low, high = extremes(tensor)
        assert math.isnan(value) == (math.isnan(low) and math.isnan(high))
