"""What mixers write is read as they mean it, prints in one form, and mistakes are pointed at."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.errors import MergeError
from lib_merge.plan.fold import Combination, Source, fold
from lib_merge.recipe import Numbers, Recipe, Rules, parse_recipe, print_recipe

pytestmark = pytest.mark.newest_only

NUMBERS = "1,1,1,1,1,1,1,1,1,1,1,1,1,1,0,0,0,0,0,0,0,0,0,0,0,0"
CHILLY = f"""
pyro_pov_a + pyro_pov_b = pyAB
analogDiffusion x 0.85 + pyAB x 0.15 = MERGE1
MERGE1 x 0.95 + v1-5-pruned-emaonly x 0.05 = MERGE1Fix
MERGE1Fix + (F222_v1 - v1-5-pruned-emaonly) x 1 = MERGE2
MERGE2 x 0.75 + r34_e4 x 0.25 = MERGE_BASE
MERGE_BASE (1-alpha) + NED x alpha = V1, alpha = {NUMBERS}
"""


def shares(recipe: Recipe) -> dict[str, Fraction]:
    """How much of each file is in the result, where every amount is a number."""
    expression = fold(recipe, lambda amount: float(amount))  # type: ignore[arg-type]
    terms = expression.terms if isinstance(expression, Combination) else ((expression, Fraction(1)),)
    return {recipe.ingredients[part.model].file: share for part, share in terms if isinstance(part, Source)}


def exactly(**parts: str) -> dict[str, Fraction]:
    return {name: Fraction(part) for name, part in parts.items()}


def test_a_chain_is_read_as_its_page_writes_it() -> None:
    recipe = parse_recipe(CHILLY)
    assert [step.name for step in recipe.steps] == [
        "pyAB",
        "MERGE1",
        "MERGE1Fix",
        "MERGE2",
        "MERGE_BASE",
        "V1",
    ]
    assert [step.method for step in recipe.steps].count("add_difference") == 1
    last = recipe.steps[-1]
    assert last.inputs == ("MERGE_BASE", "NED")
    alpha = dict(last.settings)["alpha"]
    assert alpha == Numbers("supermerger", tuple(float(number) for number in NUMBERS.split(",")))
    assert recipe.result == "V1"
    assert [ingredient.file for ingredient in recipe.ingredients][:2] == ["pyro_pov_a", "pyro_pov_b"]


SUMS = {
    "A + B = M": exactly(A="1/2", B="1/2"),
    "A + B + C + D = M": exactly(A="1/4", B="1/4", C="1/4", D="1/4"),
    "A x 0.85 + B x 0.15 = M": exactly(A="0.85", B="0.15"),
    "M = A * 0.85 + B * 0.15": exactly(A="0.85", B="0.15"),
    "A × 0.85 + B · 0.15 = M": exactly(A="0.85", B="0.15"),
    "0.85 A + 0.15 B = M": exactly(A="0.85", B="0.15"),
    "75% A : 25% B = M": exactly(A="0.75", B="0.25"),
    "A + B x 0.3 = M": exactly(A="0.7", B="0.3"),
    "A x 0.7 + B = M": exactly(A="0.7", B="0.3"),
    "A x 0.45 + B x 0.4 + C = M": exactly(A="0.45", B="0.4", C="0.15"),
    "A x 0.5 + B x 0.6 = M": exactly(A="0.5", B="0.6"),
    "A + (B - C) x 1 = M": exactly(A="1", B="1", C="-1"),
    "A + (B - C) = M": exactly(A="1", B="1", C="-1"),
    "A + B - C = M": exactly(A="1", B="1", C="-1"),
    "A + B x 0.5 - C x 0.5 = M": exactly(A="1", B="0.5", C="-0.5"),
    "A + (B - C) x 0.5 + (D - C) x 0.25 = M": exactly(A="1", B="0.5", C="-0.75", D="0.25"),
    "A + 1.0(B - C)": exactly(A="1", B="1", C="-1"),
    "0.7(A) + 0.3(B)": exactly(A="0.7", B="0.3"),
    "(A x 0.5 + B x 0.5) x 0.5 + C x 0.5 = M": exactly(A="0.25", B="0.25", C="0.5"),
    "B - C = D\nA + D x 0.5 = M": exactly(A="1", B="0.5", C="-0.5"),
    "A x (1-alpha) + B x alpha, alpha = 0.2": exactly(A="0.8", B="0.2"),
    "(A x (1-alpha) + B x alpha)x(1-beta)+ C x beta\nalpha = 0.5\nbeta = 0.4": exactly(
        A="0.3", B="0.3", C="0.4"
    ),
    "(A * (1 - alpha_0) + B * alpha_0) + (C - A) * alpha_1, alpha_0 = 0.5, alpha_1 = 0.25": exactly(
        A="0.25", B="0.5", C="0.25"
    ),
    "weighted_sum(A, B, alpha = 0.3) = M": exactly(A="0.7", B="0.3"),
    "A x 0.8 + B x 0.2 = X\nX x 0.5 + C x 0.5 = Y": exactly(A="0.4", B="0.1", C="0.5"),
    "A + X x 0.3 = M": exactly(A="0.7", X="0.3"),
    "M = weighted_sum(A, B x 0.5 + C x 0.5, alpha = 0.4)": exactly(A="0.6", B="0.2", C="0.2"),
}


@pytest.mark.parametrize("text", SUMS)
def test_a_sum_means_what_its_numbers_say(text: str) -> None:
    assert shares(parse_recipe(text)) == SUMS[text]


@pytest.mark.parametrize("text", SUMS)
def test_a_sum_prints_canonically_and_reads_back(text: str) -> None:
    printed = print_recipe(parse_recipe(text))
    assert parse_recipe(printed) == parse_recipe(text)
    assert print_recipe(parse_recipe(printed)) == printed


AMOUNTS = {
    f"A x (1-alpha) + B x alpha ({NUMBERS})": NUMBERS,
    f"A (1-alpha) + B x alpha = M, alpha = {NUMBERS}": NUMBERS,
    f"A + B = M\nMBW: {NUMBERS}": NUMBERS,
    f"A + B x ({NUMBERS}) = M": NUMBERS,
    f"A + B x supermerger[{NUMBERS}] = M": NUMBERS,
    f"A + (B - C) x alpha = M\nalpha = [{NUMBERS}]": NUMBERS,
    "A + B x GRAD_V = M": "*: GRAD_V",
    "A + B = M, alpha = 0.5*GRAD_V": "*: 0.5*GRAD_V",
    'A + B x "OUT: 0.3; attn1: 0.2" = M': "OUT: 0.3",
}


@pytest.mark.parametrize("text", AMOUNTS)
def test_numbers_presets_and_rules_stand_behind_an_ingredient(text: str) -> None:
    alpha = dict(parse_recipe(text).steps[-1].settings)["alpha"]
    if AMOUNTS[text] == NUMBERS:
        assert alpha == Numbers("supermerger", tuple(float(number) for number in NUMBERS.split(",")))
    else:
        assert isinstance(alpha, Rules)
        assert AMOUNTS[text] in print_recipe(parse_recipe(text))


def test_names_are_taken_as_they_are_written() -> None:
    text = '75% Nothing v2.3 : 25% MeinaMix 9 = D1\nslerp(D1, "a, b", alpha = 0.4) = D2\nD2 + v1-5 x 0.3 = M'
    recipe = parse_recipe(text)
    assert [ingredient.file for ingredient in recipe.ingredients] == [
        "Nothing v2.3",
        "MeinaMix 9",
        "a, b",
        "v1-5",
    ]
    assert [step.method for step in recipe.steps] == ["weighted_sum", "slerp", "weighted_sum"]


def test_canonical_lines_stand_among_sums_with_choices_and_seeds() -> None:
    text = (
        'merge-desk recipe 2\nA = "ink.safetensors"  # a comment = nothing\n'
        "A + pastel x 0.3 = M\nN = dare(A, M, shares = [1], seed = 7)\n"
        'save N, dtype = bf16, vae = "own.vae", text_encoder = a\n'
    )
    recipe = parse_recipe(text)
    assert (recipe.vae, recipe.text_encoder, recipe.result) == ("own.vae", "a", "N")
    assert dict(recipe.steps[-1].settings)["seed"] == 7
    assert parse_recipe(print_recipe(recipe)) == recipe


NAMES = st.sampled_from(["ink", "Nothing v2.3", "v1-5-pruned", "pyro_pov_a", "MeinaMix 9", "F222"])
CENTS = st.integers(1, 99)


@st.composite
def chains(draw: st.DrawFn) -> tuple[str, dict[str, Fraction]]:
    """A chain of sums as a mixer writes it, and how much of each file is in the end of it."""
    shares_by_name: dict[str, dict[str, Fraction]] = {}
    lines: list[str] = []
    for number in range(draw(st.integers(1, 6))):
        a, b, c = (
            draw(NAMES if not shares_by_name else st.one_of(NAMES, st.sampled_from(sorted(shares_by_name))))
            for _ in "abc"
        )
        cent = Fraction(draw(CENTS), 100)
        forms = {
            f"{a} x {float(1 - cent):g} + {b} x {float(cent):g}": {a: 1 - cent, b: cent},
            f"{a} + {b} * {float(cent):g}": {a: 1 - cent, b: cent},
            f"{float((1 - cent) * 100):g}% {a} : {float(cent * 100):g}% {b}": {a: 1 - cent, b: cent},
            f"{a} + {b}": {a: Fraction(1, 2), b: Fraction(1, 2)},
            f"{a} + ({b} - {c}) x {float(cent):g}": {a: Fraction(1), b: cent, c: -cent},
        }
        form = draw(st.sampled_from(sorted(forms)))
        if len({a, b, c}) < 3:  # a dictionary holds each name once
            continue
        total: dict[str, Fraction] = {}
        for name, share in forms[form].items():
            for file, part in shares_by_name.get(name, {name: Fraction(1)}).items():
                total[file] = total.get(file, Fraction(0)) + share * part
        shares_by_name[f"MERGE{number}"] = total
        lines.append(f"{form} = MERGE{number}" if draw(st.booleans()) else f"MERGE{number} = {form}")
    if not lines:
        return "ink + F222 = M", {"ink": Fraction(1, 2), "F222": Fraction(1, 2)}
    return "\n".join(lines), {
        file: share for file, share in list(shares_by_name.values())[-1].items() if share
    }


@given(chains())
def test_any_chain_has_the_shares_that_its_arithmetic_gives_and_reads_back(
    chain: tuple[str, dict[str, Fraction]],
) -> None:
    text, wanted = chain
    recipe = parse_recipe(text)
    assert shares(recipe) == wanted
    assert parse_recipe(print_recipe(recipe)) == recipe


MISTAKES = {
    "wieghted_sum(A, B, alpha=0.3)": ("'wieghted_sum'", "line 1, column 1", "'weighted_sum'"),
    "A + wieghted_sum(B, C) = M": ("'wieghted_sum'", "line 1, column 5", "'weighted_sum'"),
    "A x 0.5 + = M": ("a model is expected, but the line ends", "line 1, column 11", "A x 0.7"),
    "A x alpha + B = M": ("alpha is used and never set", "line 1", "alpha = 0.3"),
    "A = 1": ("'1' is a number, and a model is expected", "line 1, column 5: A = 1", ""),
    "A + B = M\nM x 0.3 x 0.4 + B = N": (
        "there are two factors for one model",
        "line 2, column 11",
        "multiply",
    ),
    "(A + B = M": ("a bracket is not closed", "line 1, column 1", "bracket is missing"),
    "A + B = M = N": ("there are two = in one line", "line 1, column 11", "one result"),
    "A ? B = M": ("'?' means nothing in a sum of models", "line 1, column 3", "quotes"),
    "A + B x 0.2 + C + D = M": ("3 of 4 models have no share", "line 1", "all but one"),
    "masterpiece, best quality": ("this is not a recipe", "line 1", "merge-desk recipe"),
    "A + B = M, alpha = GRAD_W": ("'GRAD_W' is no preset", "", "GRAD_V"),
    "A + B = M\nweighted_sum(A, M, alpa = 1) = N": ("has no parameter 'alpa'", "", "'alpha'"),
    'A + "B" "C" = M': ("'\"C\"' is not expected here", "line 1, column 9", "quotes"),
}


@pytest.mark.parametrize("text", MISTAKES, ids=lambda text: text.splitlines()[-1][:40])
def test_a_mistake_is_pointed_at(text: str) -> None:
    what, where, hint = MISTAKES[text]
    with pytest.raises(MergeError) as caught:
        parse_recipe(text)
    assert what in caught.value.what
    assert where in caught.value.where
    assert hint in caught.value.hint


def test_a_mistake_in_a_canonical_line_among_sums_is_reported_by_its_own_line() -> None:
    text = "merge-desk recipe 2\nA + B = M\nP + Q x 0.3 = R\nN = slerp(M, R, alpha = )\n"
    with pytest.raises(MergeError) as caught:
        parse_recipe(text)
    assert caught.value.where == "line 4, column 25: N = slerp(M, R, alpha = )"
