"""The best arrangement is the best of all that the structure allows: held against trying every one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.architectures import AnyPermutation, GroupPermutation, Heads
from lib_merge.rebasin import Arrangement
from lib_merge.rebasin.assign import Gains, best

SEEDS = st.integers(0, 2**31)


def gains(seed: int, n: int) -> Gains:
    chance = torch.Generator().manual_seed(seed)
    return Gains(torch.randn(n, n, generator=chance, dtype=torch.float64), size=1.0)


def in_blocks(count: int, width: int) -> Iterator[list[int]]:
    """Every permutation of whole blocks and within each."""
    for blocks in permutations(range(count)):
        for inner in product(permutations(range(width)), repeat=count):
            yield [
                block * width + channel
                for block, order in zip(blocks, inner, strict=True)
                for channel in order
            ]


def worth(part: Gains, order: list[int]) -> float:
    return sum(float(part.matrix[row, channel]) for row, channel in enumerate(order))


@given(SEEDS)
def test_free_channels(seed: int) -> None:
    part = gains(seed, 5)
    (arrangement,) = best(AnyPermutation(), 0, (part,), procrustes=False)
    assert part.of(arrangement) == pytest.approx(
        max(worth(part, list(order)) for order in permutations(range(5))), abs=1e-5
    )


@given(SEEDS)
def test_channels_in_groups(seed: int) -> None:
    part = gains(seed, 6)
    (arrangement,) = best(GroupPermutation(3), 0, (part,), procrustes=False)
    allowed = list(in_blocks(3, 2))
    assert arrangement.order.tolist() in allowed
    assert part.of(arrangement) == pytest.approx(max(worth(part, order) for order in allowed), abs=1e-5)


@given(SEEDS)
def test_heads(seed: int) -> None:
    parts = gains(seed, 4), gains(seed + 1, 4)
    queries, values = best(Heads(count=2), 2, parts, procrustes=False)
    assert queries.order[0] // 2 == values.order[0] // 2  # heads move as a whole
    most = max(
        worth(parts[0], left) + worth(parts[1], right)
        for left, right in product(in_blocks(2, 2), repeat=2)
        if left[0] // 2 == right[0] // 2
    )
    assert parts[0].of(queries) + parts[1].of(values) == pytest.approx(most, abs=1e-5)


@given(SEEDS)
def test_rotated_heads_are_worth_at_least_as_much_as_permuted_ones(seed: int) -> None:
    parts = gains(seed, 6), gains(seed + 1, 6)
    permuted = best(Heads(count=2), 2, parts, procrustes=False)
    turned = best(Heads(count=2), 2, parts, procrustes=True)
    assert sum(map(Gains.of, parts, turned)) >= sum(map(Gains.of, parts, permuted)) - 1e-5
    for arrangement in turned:
        assert arrangement.rotations is not None
        unit = arrangement.rotations @ arrangement.rotations.mT
        assert torch.allclose(unit, torch.eye(3, dtype=torch.float64).expand_as(unit), atol=1e-12)


@given(SEEDS)
def test_no_small_turn_beats_the_best_one(seed: int) -> None:
    part = gains(seed, 4)
    rotated = best(Heads(count=1), 1, (part, part), procrustes=True)[0]
    assert rotated.rotations is not None
    chance = torch.Generator().manual_seed(seed)
    skew = 0.1 * torch.randn(4, 4, generator=chance, dtype=torch.float64)
    nearby = Arrangement(rotated.order, torch.matrix_exp(skew - skew.mT) @ rotated.rotations)
    assert part.of(nearby) <= part.of(rotated) + 1e-9


@given(
    seed=SEEDS,
    structure=st.sampled_from([(AnyPermutation(), 0), (GroupPermutation(3), 0), (Heads(count=3), 3)]),
)
def test_where_all_places_are_worth_the_same_nothing_moves(seed: int, structure: tuple) -> None:
    flat = Gains(torch.full((6, 6), float(seed % 7)), size=6.0)
    for arrangement in best(structure[0], structure[1], (flat, flat), procrustes=False):
        assert arrangement.order.tolist() == list(range(6))
        assert arrangement.moved == 0
