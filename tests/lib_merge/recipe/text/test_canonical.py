"""The text form of a recipe: it prints in one form, reads back equal, and points at mistakes."""

from __future__ import annotations

import pytest
from hypothesis import given

from lib_merge.dtypes import F16
from lib_merge.errors import MergeError
from lib_merge.recipe import Ingredient, Numbers, Recipe, Slots, Step, is_recipe, parse_recipe, print_recipe
from tests.support.strategies import recipes

TWO = 'merge-desk recipe 1\nA = "ink.safetensors"\nB = "pastel.safetensors"\n'


@given(recipes())
def test_a_recipe_reads_back_as_it_was_printed(recipe: Recipe) -> None:
    assert parse_recipe(print_recipe(recipe)) == recipe


@given(recipes())
def test_printing_is_canonical(recipe: Recipe) -> None:
    text = print_recipe(recipe)
    assert print_recipe(parse_recipe(text)) == text


def test_a_recipe_holds_what_it_says() -> None:
    text = TWO + (
        "# block weights as they were pasted\n"
        "M = weighted_sum(A, B, alpha = supermerger[0.5, 0,\n    .25,])\n"
        "N = add_difference(M, A, B, alpha = {OUT05: 0.3, BASE: 0, *: 1})\n"
        "save N, dtype = fp16, vae = b\n"
    )
    assert parse_recipe(text) == Recipe(
        ingredients=(Ingredient("A", "ink.safetensors"), Ingredient("B", "pastel.safetensors")),
        steps=(
            Step("M", "weighted_sum", ("A", "B"), (("alpha", Numbers("supermerger", (0.5, 0.0, 0.25))),)),
            Step(
                "N",
                "add_difference",
                ("M", "A", "B"),
                (("alpha", Slots((("BASE", 0.0), ("OUT05", 0.3)), rest=1.0)),),
            ),
        ),
        result="N",
        vae="b",
        dtype=F16,
    )


def test_the_last_thing_made_is_saved_when_no_line_says_so() -> None:
    assert parse_recipe(TWO + "M = weighted_sum(A, B)\n").result == "M"


def test_lines_may_end_as_on_windows() -> None:
    text = TWO + "M = weighted_sum(A, B, alpha = 0.3)\nsave M\n"
    assert parse_recipe(text.replace("\n", "\r\n")) == parse_recipe(text)


def test_a_recipe_of_the_first_version_is_read_and_printed_as_one_of_this() -> None:
    text = TWO + "M = weighted_sum(A, B, alpha = 0.3)\nsave M, dtype = fp16\n"
    assert print_recipe(parse_recipe(text)) == text.replace("recipe 1", "recipe 2")


def test_a_text_is_known_as_a_recipe_by_its_first_words() -> None:
    assert is_recipe("\n" + TWO)
    assert not is_recipe("masterpiece, best quality")


MISTAKES = {
    "merge-desk recipe 9\n": ("this recipe is of another version", "line 1", "merge-desk recipe 1"),
    "merge-desk recipe 1\n": ("the recipe is empty", "", 'A = "model.safetensors"'),
    TWO + "M = wieghted_sum(A, B)": (
        "there is no merge method called 'wieghted_sum'",
        "line 4, column 5: M = wieghted_sum",
        "'weighted_sum'",
    ),
    TWO + "M = weighted_sum(A)": ("weighted_sum takes 2 models (A, B), not 1", "", "methods"),
    TWO + "M = weighted_sum(A, Q)": ("step 'M' uses 'Q'", "line 4, column 5", "one of A, B"),
    TWO + "M = weighted_sum(A, B, alpa = 1)": ("has no parameter 'alpa'", "", "'alpha'"),
    TWO + "M = weighted_sum(alpha = 1, A, B)": (
        "models come before parameters",
        "line 4, column 29",
        "move A",
    ),
    TWO + "M = weighted_sum(A, B, alpha = )": (
        "a number is expected, but there is ')'",
        "line 4, column 32",
        "",
    ),
    TWO + "M = weighted_sum(A, B": (
        "',' or ')' is expected, but the recipe ends",
        "line 4",
        "the '(' of line 4",
    ),
    TWO + "M = weighted_sum(A, B\nsave M": (
        "',' or ')' is expected, but there is 'save'",
        "line 5",
        "the '(' of line 4 is not closed",
    ),
    TWO + "M = weighted_sum(A, B) N": ("'N' is not expected here", "line 4, column 24", ""),
    TWO + "M = weighted_sum(A, B, alpha = 1e999)": ("1e999 is too large", "line 4, column 32", ""),
    TWO + "M = weighted_sum(A, B, alpha = {IN00: 1, IN00: 2})": (
        "IN00 is set twice",
        "line 4, column 42",
        "keep",
    ),
    TWO + "M = weighted_sum(A, B, alpha = true)": ("alpha is a number, not True", "step 'M'", ""),
    TWO + "M = weighted_models(A, B)": ("step 'M' needs model_weights", "", ""),
    TWO + "M = weighted_models(A, B, shares = [1])": (
        "there are 2 models and 1 weights for them",
        "model_weights",
        "",
    ),
    TWO + "A = weighted_sum(A, B)": ("'A' is defined twice in this recipe", "", "rename"),
    TWO + "save C": ("the recipe saves 'C', which it does not define", "", "one of A, B"),
    TWO + "save A, format = ckpt": ("'format' is not a way of saving", "line 4, column 9", "dtype"),
    TWO + "save A, dtype = fp12": ("a merge cannot be saved as 'fp12'", "", "'fp16'"),
    TWO + "M = A ? B": ("'?' means nothing in a sum", "line 4, column 7: M = A ? B", ""),
}


@pytest.mark.parametrize("text", MISTAKES, ids=lambda text: text.splitlines()[-1][:40])
def test_a_mistake_is_reported_with_its_place_and_a_way_out(text: str) -> None:
    what, where, hint = MISTAKES[text]
    with pytest.raises(MergeError) as caught:
        parse_recipe(text)
    assert what in caught.value.what
    assert where in caught.value.where
    assert hint in caught.value.hint
