"""Rearranging changes nothing but the arrangement: every network computes what it computed before."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.rebasin import Arrangement
from tests.lib_merge.rebasin.models import (
    MODELS,
    arranged,
    at_random,
    change,
    every_group,
    outputs,
    shapes_of,
)
from tests.lib_merge.rebasin.networks import random_state
from tests.support.examples import examples

EXACT = 1e-10
FAMILIES = sorted(MODELS)


@cache
def state_of(family: str) -> dict[str, torch.Tensor]:
    return random_state(shapes_of(family), seed=1)


@cache
def outputs_of(family: str) -> dict[str, torch.Tensor]:
    return outputs(family, state_of(family))


@pytest.mark.parametrize("turned", [False, True], ids=["permuted", "permuted and turned"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_group_at_once_moves_the_weights_far_and_the_output_not_at_all(
    family: str, turned: bool
) -> None:
    state = state_of(family)
    groups = every_group(family, state)
    moved = arranged(state, groups, at_random(groups, seed=2, turned=turned))
    touched = sorted(frozenset().union(*(group.keys for group in groups)))
    far = sum(float((moved[key] - state[key]).norm() ** 2) for key in touched)
    whole = sum(float(state[key].norm() ** 2) for key in touched)
    assert far / whole > 1  # further than from nothing at all
    assert all(
        difference < EXACT for difference in change(outputs_of(family), outputs(family, moved)).values()
    )


@examples(5)
@given(seed=st.integers(0, 2**31), turned=st.booleans(), picks=st.sets(st.integers(0, 200), min_size=1))
def test_so_does_any_choice_of_groups(seed: int, turned: bool, picks: set[int]) -> None:
    state = state_of("sd1")
    every = every_group("sd1", state)
    groups = [every[number % len(every)] for number in sorted(picks)]
    moved = arranged(state, every, at_random(groups, seed, turned=turned))
    assert all(difference < EXACT for difference in change(outputs_of("sd1"), outputs("sd1", moved)).values())


def _breaking(kind: str) -> dict[str, Arrangement]:
    """For every group of a kind, channels 0 and n / 2 changed round against its structure."""
    state = state_of("sd1")
    arrangements: dict[str, Arrangement] = {}
    for group in every_group("sd1", state, groups=(kind,)):
        part = group.parts[0]
        order = torch.arange(part.size)
        order[[0, part.size // 2]] = order[[part.size // 2, 0]]
        arrangements[part.id] = Arrangement(order)
    return arrangements


@pytest.mark.parametrize("kind", ["resblocks", "heads"])
def test_a_permutation_across_the_groups_of_a_norm_or_across_heads_would_be_noticed(kind: str) -> None:
    state = state_of("sd1")
    broken = arranged(state, every_group("sd1", state), _breaking(kind))
    assert max(change(outputs_of("sd1"), outputs("sd1", broken)).values()) > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_a_group_with_one_member_forgotten_would_be_noticed(family: str) -> None:
    """The test of the output is a test of every member: each matters."""
    state = state_of(family)
    seen: set[tuple[str, int]] = set()
    for group in every_group(family, state):
        for half, part in enumerate(group.parts):
            if (group.kind, half) in seen or part.size < 2:
                continue
            seen.add((group.kind, half))
            member = part.members[-1]
            less = replace(part, members=part.members[:-1])
            parts = tuple(less if other is part else other for other in group.parts)
            moved = arranged(state, [replace(group, parts=parts)], {part.id: at_random([group], 3)[part.id]})
            assert max(change(outputs_of(family), outputs(family, moved)).values()) > 1e-6, member
    assert len(seen) >= 6
