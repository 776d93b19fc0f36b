"""Trials whose values are settled come in an order in which neighbours share blocks; they stay the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

from lib_merge.search import neighbours
from lib_merge.search.neighbours import changed_blocks, neighbour_order
from lib_merge.search.study import StartPoint
from tests.support.grid_host import Bench
from tests.support.search_bench import SearchBench, points, sqlite

SPACE = "IN00-IN05: tied 0..1 step 0.5; M00: 0..1 step 0.5; OUT00-OUT02: 0..1 step 1"


def sorted_points(found: list[Mapping[str, float | str]]) -> list[str]:
    """Points as a set that can be compared."""
    return sorted(str(sorted(point.items())) for point in found)


def without_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every trial makes the point of its own number, as it is without an order."""
    monkeypatch.setattr(neighbours, "BATCHES", {})


def made(bench: Bench, address: Path, sampler: str, trials: int) -> SearchBench:
    """A search that has ended; the first of its points is the recipe."""
    search = SearchBench(bench, str(address), SPACE)
    study = search.study(sampler=sampler, seed=5)
    study.enqueue([StartPoint(search.space.point_of(search.space.base.cell.recipe), "the recipe")])
    search.run(study, trials, lambda images, prompts: 0.0)
    return search


@pytest.mark.parametrize(("sampler", "trials"), [("tpe", 10), ("random", 30)])
def test_the_random_points_of_a_batch_stay_the_same_and_merge_fewer_blocks(
    sampler: str, trials: int, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered = made(bench, tmp_path / "ordered.db", sampler, trials)
    without_order(monkeypatch)
    plain = made(bench, tmp_path / "plain.db", sampler, trials)
    now, before = points(ordered.again()), points(plain.again())
    assert now != before
    assert sorted_points(now) == sorted_points(before)
    assert changed_blocks(now, ordered.space) <= 0.9 * changed_blocks(before, plain.space)


def test_a_search_that_was_interrupted_makes_the_points_that_it_would_have_made(
    bench: Bench, tmp_path: Path
) -> None:
    whole = made(bench, tmp_path / "whole.db", "tpe", 10)
    part = made(bench, tmp_path / "part.db", "tpe", 4)
    part.run(part.again(), 10, lambda images, prompts: 0.0)
    assert points(part.again()) == points(whole.again())


def test_points_that_share_nothing_keep_their_order(bench: Bench, tmp_path: Path) -> None:
    search = SearchBench(bench, sqlite(tmp_path), "IN00: 0..1; M00: 0..1")
    apart = [{"IN00": number / 7, "M00": number / 9} for number in range(5)]
    assert neighbour_order(apart, search.space) == (0, 1, 2, 3, 4)


def test_starting_points_are_ordered_behind_the_first(bench: Bench, tmp_path: Path) -> None:
    search = SearchBench(bench, sqlite(tmp_path), SPACE)
    low, high = {"IN00-IN05": 0.0, "M00": 0.0}, {"IN00-IN05": 1.0, "M00": 1.0}
    near = {"IN00-IN05": 0.0, "M00": 0.5}
    assert neighbour_order([low, high, near, {**high, "M00": 0.5}], search.space) == (0, 2, 3, 1)
    assert neighbour_order([], search.space) == ()
