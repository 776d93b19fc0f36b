"""Chunks of a merge arrive in the tensors of a model, however the model cuts, turns and stores a key."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lib_merge.dtypes import F16
from lib_merge.errors import MergeError
from lib_merge.live import MergeIdent, Place
from lib_merge.live.sink import LiveSink
from lib_merge.plan import KeyPlan
from tests.support.examples import examples

KEY = "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight"


class Parameters:
    """A model of one key, which its places hold."""

    def __init__(self, *places: Place) -> None:
        self._places = places

    def token(self) -> object:
        return self

    def keys(self) -> Collection[str]:
        return {KEY}

    def prepare(self, keys: Collection[str]) -> None:
        """Nothing is added to the weights."""

    def places(self, key: str) -> Sequence[Place]:
        return self._places

    def commit(self, ident: MergeIdent | None, keys: Collection[str]) -> None:
        """The model has no name."""


def entry(*shape: int) -> KeyPlan:
    return KeyPlan(KEY, "BASE", F16, shape, None)


def write(sink: LiveSink, plan: KeyPlan, values: Tensor, cuts: Sequence[int]) -> int:
    """Write the values in chunks, as a run does; returns how many were computed in the model's own memory."""
    flat, direct = values.reshape(-1), 0
    for start, end in zip((0, *cuts), (*cuts, flat.numel()), strict=True):
        chunk = flat[start:end]
        own = sink.buffer(plan, start, end - start)
        if own is not None:
            own.copy_(chunk)
            chunk, direct = own, direct + 1
        sink.accept(plan, start, chunk)
    return direct


def parameter(shape: Sequence[int], dtype: torch.dtype, *, inference: bool) -> Tensor:
    with torch.inference_mode(inference):
        return torch.zeros(*shape, dtype=dtype)


@examples(60)
@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.lists(st.integers(1, 59), max_size=4, unique=True),
    st.sampled_from([torch.float16, torch.float32, torch.bfloat16]),
    st.booleans(),
    st.booleans(),
)
def test_rows_that_a_model_holds_in_three_tensors_arrive_whatever_the_chunks(
    rows: int, columns: int, cuts: list[int], dtype: torch.dtype, inference: bool, transposed: bool
) -> None:
    values = torch.arange(3 * rows * columns).half().view(3 * rows, columns)
    shape = (columns, rows) if transposed else (rows, columns)
    stored = [parameter(shape, dtype, inference=inference) for _ in range(3)]
    thirds = [tensor.t() if transposed else tensor for tensor in stored]
    model = Parameters(*(Place(third, n * rows * columns) for n, third in enumerate(thirds)))
    touched: set[str] = set()
    sink = LiveSink(model, "cpu", touched)
    write(sink, entry(*values.shape), values, sorted(cut for cut in cuts if cut < values.numel()))
    with torch.inference_mode():
        assert torch.equal(torch.cat([third.float() for third in thirds]), values.float())
    assert touched == {KEY}


@pytest.mark.parametrize("inference", [False, True])
def test_a_parameter_in_the_plans_dtype_is_computed_in_its_own_memory(inference: bool) -> None:
    values = torch.arange(12).half().view(4, 3)
    held = parameter((4, 3), torch.float16, inference=inference)
    assert write(LiveSink(Parameters(Place(held)), "cpu", set()), entry(4, 3), values, [5]) == 2
    with torch.inference_mode():
        assert torch.equal(held, values)


def test_each_third_alone_is_computed_in_its_own_memory_and_a_chunk_across_two_is_not() -> None:
    values = torch.arange(18).half().view(6, 3)
    thirds = [parameter((2, 3), torch.float16, inference=True) for _ in range(3)]
    sink = LiveSink(Parameters(*(Place(third, 6 * n) for n, third in enumerate(thirds))), "cpu", set())
    assert write(sink, entry(6, 3), values, [6, 12]) == 3
    assert write(sink, entry(6, 3), values, [3, 9]) == 1
    with torch.inference_mode():
        assert torch.equal(torch.cat(thirds), values)


def test_a_key_that_a_model_holds_twice_is_written_to_both_and_computed_in_neither() -> None:
    values = torch.arange(6).half().view(2, 3)
    weight, copy = torch.zeros(2, 3), torch.zeros(2, 3).half()
    sink = LiveSink(Parameters(Place(weight), Place(copy)), "cpu", set())
    assert write(sink, entry(2, 3), values, [4]) == 0
    assert torch.equal(weight, values.float())
    assert torch.equal(copy, values)


@pytest.mark.parametrize(
    "places",
    [
        [Place(torch.zeros(2, 3), 6)],
        [Place(torch.zeros(2, 3)), Place(torch.zeros(2, 3), 12)],
        [Place(torch.zeros(2, 3)), Place(torch.zeros(2, 3), 6)],
        [Place(torch.zeros(8, 3))],
    ],
    ids=["no beginning", "a gap", "no end", "too long"],
)
def test_places_that_do_not_hold_the_key_exactly_are_refused_and_not_written(places: list[Place]) -> None:
    sink = LiveSink(Parameters(*places), "cpu", touched := set[str]())
    with pytest.raises(MergeError, match="where the file has"):
        sink.accept(entry(6, 3), 0, torch.ones(18).half())
    assert not touched
    assert all(not place.tensor.any() for place in places)


def test_a_key_whose_place_another_file_has_taken_is_skipped() -> None:
    sink = LiveSink(Parameters(), "cpu", touched := set[str]())
    assert write(sink, entry(6, 3), torch.ones(6, 3).half(), [4]) == 0
    assert not touched
