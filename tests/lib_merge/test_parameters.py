"""A parameter's range is declared once, and held to wherever its value comes from."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from lib_merge.architectures import read_header
from lib_merge.cli import main
from lib_merge.errors import MergeError
from lib_merge.methods import METHODS
from lib_merge.plan import make_plan
from lib_merge.recipe import Ingredient, Numbers, Recipe, Slots, Step, parse_recipe, parse_rules
from lib_merge.service.request import MergeRequest
from tests.support.full_size import write_tiny

# method, parameter, a number beyond what it takes
BEYOND = [
    ("ties", "density", -1.0),
    ("ties_whole", "density", 1.5),
    ("dare", "seed", 1e300),
    ("dare", "seed", -1.0),
    ("add_noise", "seed", 0.5),
    ("tensor_sum", "alpha", 5.0),
    ("tensor2_sum", "beta", -0.5),
    ("breadcrumbs", "gamma", -1.0),
    ("euclidean_add_difference", "alpha", 1.5),
    ("weighted_sum", "alpha", 1e300),
]


def step(method: str, name: str, value: object) -> Recipe:
    count = METHODS.get(method).max_models or 3
    models = tuple(Ingredient(letter, f"{letter.lower()}.safetensors") for letter in "ABC"[:count])
    settings = ((name, value),)
    return Recipe(models, (Step("M", method, tuple("ABC"[:count]), settings),), "M")  # type: ignore[arg-type]


@pytest.mark.parametrize(("method", "name", "value"), BEYOND)
def test_a_number_out_of_range_is_refused_in_a_recipe(method: str, name: str, value: float) -> None:
    with pytest.raises(MergeError, match=name):
        step(method, name, value)


@pytest.mark.parametrize(("method", "name", "value"), BEYOND)
def test_a_number_out_of_range_is_refused_in_a_recipes_text(method: str, name: str, value: float) -> None:
    count = METHODS.get(method).max_models or 3
    files = "".join(f'{letter} = "{letter}"\n' for letter in "ABC"[:count])
    text = f"merge-desk recipe 2\n{files}M = {method}({', '.join('ABC'[:count])}, {name} = {value!r})\n"
    with pytest.raises(MergeError, match=name):
        parse_recipe(text)


@pytest.mark.parametrize(("method", "name", "value"), BEYOND)
def test_a_number_out_of_range_is_refused_as_a_flag(
    method: str, name: str, value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    count = METHODS.get(method).max_models or 3
    files = [f"{letter}.safetensors" for letter in "abc"[:count]]
    assert main(["plan", *files, "--method", method, f"--{name}", f"{value!r}"]) == 2
    assert name in capsys.readouterr().err


@pytest.mark.parametrize(
    "value",
    [*(value for _, _, value in BEYOND if abs(value) > 1), math.nan, math.inf, True, "0.5", 10**400, [0.5]],
)
def test_what_is_no_share_is_refused_in_json_with_the_range(value: object) -> None:
    body = {"method": "ties", "a": "a", "b": "b", "c": "c", "density": value}
    with pytest.raises(MergeError, match="density") as refused:
        MergeRequest.from_json(body)
    assert "0 to 1" in refused.value.hint


@pytest.mark.parametrize(
    "amount",
    [
        Slots((("OUT05", 5.0),), 0.5),
        Slots((), -1.0),
        Numbers("supermerger", (0.5,) * 25 + (5.0,)),
        parse_rules("OUT05: 5"),
    ],
)
def test_amounts_by_block_are_held_to_the_range(amount: object) -> None:
    with pytest.raises(MergeError, match="alpha cannot be"):
        step("tensor_sum", "alpha", amount)


def test_rules_that_come_to_a_number_out_of_range_are_refused_with_the_plan(tmp_path: Path) -> None:
    headers = {
        f"{name}.safetensors": read_header(write_tiny(tmp_path / f"{name}.safetensors")) for name in "ab"
    }
    make_plan(step("tensor_sum", "alpha", parse_rules("0.5*GRAD_V + 0.5")), headers)
    with pytest.raises(MergeError, match="alpha cannot be"):
        make_plan(step("tensor_sum", "alpha", parse_rules("2*GRAD_V")), headers)


def test_mixers_still_go_beyond_the_slider_where_the_arithmetic_holds() -> None:
    for method, value in (("weighted_sum", -0.2), ("weighted_sum", 1.3), ("add_difference", 3.0)):
        assert step(method, "alpha", value).steps[0].settings == (("alpha", value),)
