"""SuperMerger's letters in a list of block weights: its ranges, and from a seed its very numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.architectures import FAMILIES, family_by_id, slot_of
from lib_merge.errors import RecipeError
from lib_merge.plan.random_amounts import amounts_by_slot
from lib_merge.plan.rule_resolver import RuleResolver
from lib_merge.recipe import Numbers, parse_rules, print_rules, read_weights
from lib_merge.recipe.weights.rules import AmountSum, Rule, Rules
from lib_merge.recipe.weights.supermerger_random import PRESETS, RandomWeights, numpy_random
from tests.support.examples import examples

SD1 = family_by_id("sd1")
KEYS = tuple(SD1.shapes)
# numpy.random.seed(0); numpy.random.rand(4), as NumPy's own documentation prints them
ZERO = (0.5488135, 0.71518937, 0.60276338, 0.54488318)


def dice(text: str) -> RandomWeights:
    """The dice that a text is read as."""
    rules = read_weights(text, layout="supermerger")
    assert isinstance(rules, Rules)
    (line,) = rules.lines
    assert isinstance(line, Rule)
    ((_, curve),) = line.amount.terms
    assert isinstance(curve, RandomWeights)
    return curve


def listed(entries: str, options: str = "") -> RandomWeights:
    """Some entries in front of a list of 26."""
    count = 26 - len(entries.split())
    return dice(f"supermerger[{', '.join([*entries.split(), *['0'] * count])}{options}]")


def test_a_seed_draws_the_numbers_that_numpy_draws_from_it() -> None:
    assert numpy_random(0, 4) == pytest.approx(ZERO)


def test_letters_have_supermergers_ranges_and_are_rounded_and_kept_within_its_limits() -> None:
    weights = listed("R U X R", ", low = 0.2, high = 0.8")
    assert [weights.sample(index) for index in range(4)] == [0.549, 0.07, 0.438, 0.545]
    assert listed("0.25 U U").sample(0) == 0.25
    assert listed("U U", ", digits = 1, least = -0.5, most = 0.3").sample(0) == 0.3
    assert listed("D", ", high = 0.5, low = 0.2").sample(0) == round(0.5 + 0.2 * (ZERO[0] - 0.5), 3)
    later = [listed("R R", ", skip = 2").sample(index) for index in range(2)]
    assert later == [0.603, 0.545], "what is passed over, as beta passes over 50"


@examples(30)
@given(st.integers(0, 2**32 - 1))
def test_numbers_keep_within_the_limits_of_their_place(seed: int) -> None:
    numbers = ", ".join(f"{index / 100}" for index in range(26))
    upper = ", ".join(f"{index / 100 + 0.3}" for index in range(26))
    weights = dice(f"X(seed = {seed}, low = [{numbers}], high = [{upper}])")
    for index in range(26):
        number = weights.sample(index)
        assert number is not None
        assert index / 100 - 1e-9 <= number <= index / 100 + 0.3 + 1e-9
    wide = dice(f"U(seed = {seed}, least = -9, most = 9)")
    assert all(-0.5 <= (wide.sample(index) or 0) <= 1.5 for index in range(26))
    assert all(0 <= (dice(f"U(seed = {seed})").sample(index) or 0) <= 1 for index in range(26))


@pytest.mark.parametrize("family", [family.id for family in FAMILIES if len(family.listed_names) in (20, 26)])
@pytest.mark.parametrize("seed", [0, 7])
def test_letters_mean_what_the_numbers_mean_that_they_draw(family: str, seed: int) -> None:
    known_family = family_by_id(family)
    text = f"{', '.join(['R', '0.5', 'U', 'X'] * 6)}, R, 1, seed = {seed}"
    weights = dice(text)
    numbers = Numbers("supermerger", tuple(weights.sample(index) or 0.0 for index in range(26)))
    laid = RuleResolver(parse_rules(text), known_family, tuple(known_family.shapes))
    for slot in known_family.slots:
        assert laid.amount(slot.id) == (
            0 if slot.id == "VAE" else amounts_by_slot(numbers, known_family)[slot.id]
        )


def test_a_letter_with_e_draws_for_every_tensor_of_its_block() -> None:
    text = f"supermerger[{', '.join(['0'] * 13)}, EU, {', '.join(['0'] * 10)}, ER, 1, seed = 3]"
    laid, again = (RuleResolver(parse_rules(text), SD1, KEYS) for _ in range(2))
    ends = {key: laid.amount(slot_of(SD1, key) or "", key) for key in KEYS if slot_of(SD1, key)}
    assert ends == {key: again.amount(slot_of(SD1, key) or "", key) for key in ends}
    middle = [ends[key] for key in ends if slot_of(SD1, key) == "M00"]
    last = [ends[key] for key in ends if slot_of(SD1, key) == "OUT10"]
    assert -1 <= min(middle) < -0.5 < 0.5 < max(middle) <= 1
    assert 0 <= min(last) < 0.25 < 0.75 < max(last) <= 1
    assert {ends[key] for key in ends if slot_of(SD1, key) == "OUT11"} == {1}


@pytest.mark.parametrize(("letter", "low", "high"), [("R", 0, 1), ("U", -1, 1), ("X", 0, 1)])
def test_a_letter_as_ratio_of_an_element_draws_for_every_tensor(letter: str, low: int, high: int) -> None:
    laid = RuleResolver(parse_rules(f"IN01-IN11:attn:{letter}"), SD1, KEYS)
    drawn = [
        laid.amount(slot_of(SD1, key) or "", key) for key in KEYS if "input_blocks" in key and "attn" in key
    ]
    assert low <= min(drawn) < low + 0.2 < high - 0.2 < max(drawn) <= high
    assert len(set(drawn)) > len(drawn) * 0.9


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        (", ".join("R" * 26), "*: R(seed = 0)"),
        ("ALL_X", "*: X(seed = 0)"),
        ("OUT: R( seed=7 )", "OUT: R(seed = 7)"),
        ("U,0,ER,0.50", "*: supermerger[U, 0, ER, 0.5, seed = 0]"),
        ("R 0 R, seed = 4", "*: supermerger[R, 0, R, seed = 4]"),
        ("0.5*R + 0.5*GRAD_V", "*: 0.5*R(seed = 0) + 0.5*GRAD_V"),
        ("mbw[R, 1, high=.5]", "*: mbw[R, 1, seed = 0, high = 0.5]"),
        ("OUT05:attn2:U", "OUT05:attn2:uniform(-1, 1, seed = 0, each = key)"),
    ],
)
def test_what_was_written_is_recorded_with_its_seed(written: str, canonical: str) -> None:
    assert print_rules(parse_rules(written)) == canonical
    assert parse_rules(canonical) == parse_rules(written)


def test_the_three_presets_that_supermerger_adds_are_its_letters() -> None:
    for name, letter in PRESETS.items():
        assert dice(name) == RandomWeights("supermerger", (letter,) * 26)
    assert AmountSum(((1.0, dice("ER")),)).is_per_key
    assert not AmountSum(((1.0, dice("R")),)).is_per_key


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("R(seed = -1)", "seed is an integer"),
        ("R(seed = 4294967296)", "seed is an integer"),
        ("R(sed = 1)", "random numbers have no 'sed'"),
        ("supermerger[R, 0, low = [1, 2, 3]]", "low has 3 numbers, and the list 2"),
        ("supermerger[R, Q, 0]", "'Q'"),
        ("supermerger[R, 0, low = 0R0.5]", "'0R0.5'"),
    ],
)
def test_a_mistake_with_random_numbers_is_reported(text: str, what: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_rules(text)
    assert what in caught.value.what


def test_a_list_with_letters_of_a_wrong_length_is_refused_by_the_plan() -> None:
    (problem,) = RuleResolver(parse_rules("R, 0, 0.5"), SD1, KEYS).problems("alpha")
    assert "the list has 3 numbers" in problem.what
