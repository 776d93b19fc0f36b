"""Orders by counting bits are those that comparing finds, equal numbers and zeros of both signs included."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.methods import METHODS
from lib_merge.methods.orders import argsort_rows, sort_values, stable_argsort
from tests.support.merging import same_bits

FORMATS = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])


@st.composite
def numbers(draw: st.DrawFn) -> torch.Tensor:
    """Flat, in a working format, with all that some narrower one can hold; often equal ones."""
    size, narrow = draw(st.integers(0, 400)), draw(FORMATS)
    working = draw(st.sampled_from([torch.float32, torch.float64]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    values = torch.randn(size, generator=generator, dtype=torch.float64) * 10.0 ** draw(st.integers(-9, 4))
    if draw(st.booleans()):
        values = values.div(values.abs().max() if size else 1).mul(3).round()  # ties, and zeros of both signs
    values = values.to(narrow)
    for odd in draw(st.lists(st.sampled_from([0.0, -0.0, float("inf"), float("-inf")]), max_size=3)):
        values[size // 2 :][:1] = odd
    return values.to(working)


@given(numbers())
def test_the_order_is_the_stable_one(values: torch.Tensor) -> None:
    assert torch.equal(stable_argsort(values), values.argsort(stable=True))
    assert torch.equal(sort_values(values), values.sort().values)


@given(numbers(), st.integers(1, 5))
def test_the_order_of_sizes_is_the_stable_one_of_every_row(values: torch.Tensor, rows: int) -> None:
    sizes = values[: len(values) // rows * rows].view(rows, -1).abs()
    assert torch.equal(argsort_rows(sizes), sizes.argsort(dim=1, stable=True))


def test_what_is_not_a_number_is_sorted_as_torch_does() -> None:
    values = torch.tensor([2.0, float("nan"), -1.0, float("nan"), float("-inf")])
    assert torch.equal(stable_argsort(values), values.argsort(stable=True))


@pytest.mark.parametrize("shape", [(300, 1000), (2, 200_000), (7, 3), (40, 30, 3, 3)], ids=str)
def test_della_of_rows_some_at_a_time_is_that_of_each_row_alone(shape: tuple[int, ...]) -> None:
    """The dice fall by place and ranks are a row's own, so that what stays hangs on nothing else."""
    generator = torch.Generator().manual_seed(4)
    base, one, two = (torch.randn(shape, generator=generator) for _ in range(3))
    della = METHODS.get("della")
    whole, last = della(base, one, two), shape[0] - 1
    changed = [model.clone() for model in (base, one, two)]
    for model in changed:
        model[:last] += torch.randn(model[:last].shape, generator=generator)
    assert same_bits(della(*changed)[last], whole[last])
