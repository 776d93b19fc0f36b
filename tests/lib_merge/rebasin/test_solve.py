"""The search: what was hidden is found, the objective never falls, and what is aligned stays untouched."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from lib_merge.architectures import family_by_id
from lib_merge.errors import NumericalError
from lib_merge.progress import NoProgress
from lib_merge.rebasin import ArrangedCheckpoint, Options, Solution, align
from tests.lib_merge.rebasin.models import SHALLOW, arranged, at_random, checkpoint, every_group
from tests.lib_merge.rebasin.networks import random_state

State = dict[str, Tensor]
FAMILIES = ("sd1", "sd2", "sdxl")


@cache
def model(family: str, seed: int = 1) -> State:
    return {
        key: value.float() if value.is_floating_point() else value
        for key, value in random_state(SHALLOW[family].shapes(), seed).items()
    }


def solve(
    b: State, a: State, family: str = "sd1", progress: NoProgress | None = None, **options: object
) -> Solution:
    settings = Options(**options)
    return align(family_by_id(family), checkpoint(b), checkpoint(a), settings, progress or NoProgress())


def after(solution: Solution, b: State) -> State:
    seen = ArrangedCheckpoint(checkpoint(b), solution.groups, solution.arrangements)
    return {key: seen.tensor(key) for key in b}


def product(a: State, b: State) -> float:
    """The objective over the whole model, in float64; what no group touches adds a constant."""
    return math.fsum(
        float((a[key].double() * b[key].double()).sum()) for key in a if a[key].is_floating_point()
    )


def shaken(state: State, amount: float, seed: int) -> State:
    chance = torch.Generator().manual_seed(seed)
    noise = {key: torch.randn(value.shape, generator=chance) for key, value in state.items()}
    return {
        key: value + amount * value.std() * noise[key]
        if value.is_floating_point() and value.numel() > 1
        else value
        for key, value in state.items()
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_hidden_arrangement_of_all_groups_is_found_to_the_bit(family: str) -> None:
    a = model(family)
    groups = every_group(family, a)
    hidden = arranged(a, groups, at_random(groups, seed=4))
    solution = solve(hidden, a, family)
    assert len(solution.moved) == len(groups)
    assert solution.settled
    assert solution.similarity[0] < 0.5
    assert solution.similarity[-1] == pytest.approx(1, abs=1e-12)
    assert solution.distance[1] == pytest.approx(0, abs=1e-5)
    back = after(solution, hidden)
    assert [key for key in a if not torch.equal(back[key], a[key])] == []


def test_so_it_is_under_noise() -> None:
    a = model("sd1")
    groups = every_group("sd1", a)
    hidden = arranged(shaken(a, 0.1, seed=8), groups, at_random(groups, seed=4))
    back = after(solve(hidden, a), hidden)
    plain = shaken(a, 0.1, seed=8)
    assert [key for key in a if not torch.equal(back[key], plain[key])] == []


def test_so_it_is_of_numbers_whose_squares_float32_does_not_hold() -> None:
    a = {key: value * 2.0**83 if value.is_floating_point() else value for key, value in model("sd1").items()}
    groups = every_group("sd1", a)
    hidden = arranged(a, groups, at_random(groups, seed=4))
    back = after(solve(hidden, a), hidden)
    assert [key for key in a if not torch.equal(back[key], a[key])] == []


def test_turns_of_heads_are_found_as_well() -> None:
    a = model("sd1")
    groups = every_group("sd1", a)
    hidden = arranged(a, groups, at_random(groups, seed=4, turned=True))
    permuted, turned = solve(hidden, a), solve(hidden, a, procrustes=True)
    assert turned.similarity[-1] == pytest.approx(1, abs=1e-6)
    assert permuted.similarity[-1] < 0.95  # no permutation undoes a turn
    assert turned.distance[1] < 1e-4


@pytest.mark.parametrize("procrustes", [False, True])
def test_the_objective_never_falls_and_is_what_is_reported(procrustes: bool) -> None:
    a, b = model("sd1", 1), model("sd1", 2)
    objectives: list[float] = [product(a, b)]
    for limit in (1, 5, 20, 0):
        solution = solve(b, a, limit=limit, procrustes=procrustes)
        objectives.append(product(a, after(solution, b)))
    assert objectives == sorted(objectives)
    assert objectives[0] < objectives[1]
    assert list(solution.similarity) == sorted(solution.similarity)
    keys = {key for group in solution.groups for key in group.keys}
    part = [{key: state[key] for key in keys} for state in (a, b, after(solution, b))]
    sizes = math.sqrt(product(part[0], part[0]) * product(part[1], part[1]))
    assert solution.similarity[0] == pytest.approx(product(part[0], part[1]) / sizes, abs=1e-9)
    assert solution.similarity[-1] == pytest.approx(product(part[0], part[2]) / sizes, abs=1e-6)


@pytest.mark.parametrize("procrustes", [False, True])
def test_equal_models_come_back_untouched(procrustes: bool) -> None:
    solution = solve(model("sd1"), dict(model("sd1")), procrustes=procrustes)
    assert (solution.moved, solution.similarity, solution.distance) == ((), (1.0,), (0.0, 0.0))
    assert solution.settled


@pytest.mark.parametrize(
    "kind", ["a touch of noise", "two channels alike", "channels of zeros", "nothing but zeros"]
)
@pytest.mark.parametrize("procrustes", [False, True])
def test_ties_go_to_staying(kind: str, procrustes: bool) -> None:
    """Where no channel fits better elsewhere, none moves, though B is not A to the bit."""
    a = {key: value.clone() for key, value in model("sd1").items()}
    for group in every_group("sd1", a) if kind != "a touch of noise" else ():
        for member in (member for part in group.parts for member in part.members):
            channels = a[member.key].movedim(member.axis, 0)
            if kind == "two channels alike":
                channels[1] = channels[0]
            else:
                channels[1 : 3 if kind == "channels of zeros" else None] = 0
    b = (
        shaken(a, 1e-4, seed=3)
        if kind == "a touch of noise"
        else {key: 2 * value for key, value in a.items()}
    )
    solution = solve(b, a, procrustes=procrustes)
    assert solution.moved == () or (procrustes and kind == "a touch of noise")
    if solution.moved:  # a turn fits noise a little better; no channel changes its place
        assert all(torch.equal(x.order, x.order.sort().values) for x in solution.arrangements.values())


def test_the_same_models_and_options_give_the_same_arrangement() -> None:
    a, b = model("sd1", 1), model("sd1", 2)
    first, second = (solve(b, a, sweeps=2) for _ in range(2))
    assert first.similarity == second.similarity
    assert first.arrangements.keys() == second.arrangements.keys()
    assert all(
        torch.equal(first.arrangements[id].order, second.arrangements[id].order) for id in first.arrangements
    )


def test_sweeps_and_a_limit_end_it_early_and_say_so() -> None:
    a, b = model("sd1", 1), model("sd1", 2)
    whole, short, limited = solve(b, a), solve(b, a, sweeps=1), solve(b, a, limit=7)
    assert whole.settled
    assert not short.settled
    assert short.visits == len(short.groups)
    assert (limited.visits, limited.settled) == (7, False)
    assert len(limited.moved) <= 7
    assert whole.similarity[-1] >= short.similarity[-1] > limited.similarity[-1]


def test_another_seed_takes_another_way() -> None:
    a, b = model("sd1", 1), model("sd1", 2)
    first, second = (solve(b, a, limit=5, seed=seed) for seed in (1, 2))
    assert {group.id for group in first.moved} != {group.id for group in second.moved}


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ({"groups": ("geglu", "mlp")}, lambda group: group.kind in ("geglu", "mlp")),
        ({"layers": ("IN03", "VAE")}, lambda group: group.layer in ("IN03", "VAE")),
        ({"layers": ("BASE",), "groups": ("heads",)}, lambda g: g.layer == "BASE" and g.kind == "heads"),
    ],
)
def test_only_what_is_selected_moves(options: dict, fits: object) -> None:
    a = model("sd1")
    groups = every_group("sd1", a)
    solution = solve(arranged(a, groups, at_random(groups, seed=4)), a, sweeps=1, **options)
    assert solution.groups == tuple(group for group in groups if fits(group))  # type: ignore[operator]
    assert {id.partition(":")[0] for id in solution.arrangements} <= {
        g.id.partition(":")[0] for g in solution.groups
    }


class StopAfter(NoProgress):
    """Asks to stop after so many groups."""

    def __init__(self, count: int) -> None:
        self.left = count

    def advance(self, amount: int) -> None:
        self.left -= 1

    def stopped(self) -> bool:
        return self.left <= 0


def test_whoever_stops_has_the_best_so_far_and_can_repeat_it_by_its_limit() -> None:
    a, b = model("sd1", 1), model("sd1", 2)
    stopped = solve(b, a, progress=StopAfter(9))
    assert (stopped.stopped, stopped.settled, stopped.visits) == (True, False, 9)
    assert stopped.similarity[-1] > stopped.similarity[0]
    again = solve(b, a, limit=9)
    assert not again.stopped
    assert again.similarity == stopped.similarity
    left, right = after(stopped, b), after(again, b)
    assert all(torch.equal(left[key], right[key]) for key in b)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_and_infinity_are_refused_by_name(value: float) -> None:
    b = dict(model("sd1"))
    key = "model.diffusion_model.middle_block.0.in_layers.2.weight"
    b[key] = b[key].clone()
    b[key][3, 2, 1, 0] = value
    with pytest.raises(NumericalError, match="holds NaN or infinity") as caught:
        solve(b, model("sd1"))
    assert caught.value.where == key


def test_dtypes_may_differ_between_the_two_files() -> None:
    a = model("sd1")
    groups = every_group("sd1", a)
    hidden = arranged(a, groups, at_random(groups, seed=4))
    half = {key: value.half() if value.is_floating_point() else value for key, value in hidden.items()}
    back = after(solve(half, a), half)
    assert all(torch.equal(back[key], a[key].half()) for key in a if a[key].is_floating_point())


def test_what_has_no_group_is_an_answer_too() -> None:
    a = model("sd1")
    solution = solve(a, a, layers=("IN02",))
    assert (solution.groups, solution.moved, solution.settled) == ((), (), True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_finds_the_same() -> None:
    a = model("sd1")
    groups = every_group("sd1", a)
    hidden = arranged(a, groups, at_random(groups, seed=4))
    solution = align(
        family_by_id("sd1"), checkpoint(hidden), checkpoint(a), Options(), NoProgress(), device="cuda"
    )
    back = after(solution, hidden)
    assert all(torch.equal(back[key], a[key]) for key in a)
