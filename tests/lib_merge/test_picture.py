"""What a picture may be drawn with: one declaration for the page, the API, the command line and the axes."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from lib_merge.errors import RecipeError
from lib_merge.hosts.pictures import default_size
from lib_merge.picture import SETTING_RANGES, DrawSettings, random_seed, read_settings, with_seed
from lib_merge.recipe import parse_rules, print_rules

USUAL = DrawSettings(prompt="a cat", steps=20)


def test_what_was_given_takes_the_place_of_the_usual() -> None:
    read = read_settings({"steps": 30.0, "cfg": 7, "styles": ["film"], "negative": "", "seed": None}, USUAL)
    assert read == DrawSettings(prompt="a cat", steps=30, cfg=7.0, styles=("film",))
    assert [type(read.steps), type(read.cfg)] == [int, float]


@pytest.mark.parametrize("name", list(SETTING_RANGES))
def test_both_ends_of_every_range_are_taken_and_what_lies_beyond_is_refused_with_the_range(name: str) -> None:
    limits = SETTING_RANGES[name]
    for end in (limits.low, limits.high):
        assert getattr(read_settings({name: end}, USUAL), name) == end
    for beyond in (limits.low - limits.step, limits.high + limits.step):
        with pytest.raises(RecipeError, match=f"{name} cannot be") as refused:
            read_settings({name: beyond}, USUAL)
        assert str(limits.high) in refused.value.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", -3),
        ("width", 100),
        ("height", 0),
        ("steps", 1.5),
        ("steps", float("nan")),
        ("cfg", float("inf")),
        pytest.param("cfg", 10**400, id="401 digits"),
        ("seed", 1e300),
        pytest.param("seed", 10**5000, id="5001 digits"),
        ("steps", True),
        ("steps", "20"),
        ("prompt", 5),
        ("prompt", "x" * 1_000_000),
        ("styles", "film"),
        ("styles", [5]),
        ("styles", ["film"] * 100_000),
        ("scheduler", ["Karras"]),
        ("\ud800", 1),
    ],
)
def test_what_cannot_be_drawn_with_is_named_in_one_short_sentence(name: str, value: object) -> None:
    with pytest.raises(RecipeError) as refused:
        read_settings({name: value}, USUAL)
    text = str(refused.value)
    assert len(text) < 300
    text.encode("utf-8")


def test_half_a_surrogate_pair_in_a_prompt_becomes_a_question_mark() -> None:
    assert read_settings({"prompt": "a \ud800 cat"}, USUAL).prompt == "a ? cat"


@pytest.mark.parametrize(
    "text", ["", "5²x512", "9" * 5000 + "x512", "0x0", "100x100", "512", "-512x512", "99999x99999", "٥١٢x٥١٢"]
)
def test_a_resolution_in_the_metadata_that_cannot_be_drawn_counts_as_none(text: str) -> None:
    assert default_size({"modelspec.resolution": text}) == (512, 512)


def test_the_resolution_in_the_metadata_is_the_usual_size() -> None:
    assert default_size({"modelspec.resolution": "832X1216"}) == (832, 1216)


@pytest.mark.parametrize("largest", [False, True], ids=["smallest", "largest"])
def test_a_random_seed_is_one_that_numpy_and_every_host_takes(
    largest: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random.SystemRandom, "randrange", lambda _, stop: stop - 1 if largest else 0)
    seed = random_seed()
    assert seed == (2**32 - 1 if largest else 0)
    assert with_seed(replace(USUAL, seed=-1)).seed == seed
    assert read_settings({"seed": seed}, USUAL).seed == seed
    assert f"seed = {seed}" in print_rules(parse_rules(f"R(seed = {seed})"))
    np.random.RandomState(seed)


def test_a_seed_that_was_chosen_stays() -> None:
    for seed in (0, 7, 2**32, 2**63 - 1):
        assert with_seed(replace(USUAL, seed=seed)).seed == seed
        torch.Generator().manual_seed(seed)
