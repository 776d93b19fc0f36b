"""The language of block weights: it prints in one form, reads back equal, and refuses what is unclear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.architectures import FAMILIES, family_by_id
from lib_merge.errors import RecipeError
from lib_merge.plan.rule_resolver import RuleResolver
from lib_merge.recipe import Numbers, Rules, Slots, overlay_rules, parse_rules, print_rules, read_weights
from lib_merge.recipe.weights.presets import (
    ALIASES,
    PURPOSE_PRESETS,
    describe_preset,
    family_presets,
    preset_amounts,
    preset_names,
)
from lib_merge.recipe.weights.rules import (
    Divider,
    Preset,
    Rule,
    Target,
    WordSet,
    constant,
    pattern_of,
    rules_of_slots,
)
from tests.support.strategies import rules


@given(rules(sdxl=True))
def test_rules_read_back_as_they_were_printed(any_rules: Rules) -> None:
    assert parse_rules(print_rules(any_rules)) == any_rules


@given(rules(sdxl=True))
def test_printing_is_canonical_and_repeats_itself(any_rules: Rules) -> None:
    text = print_rules(any_rules)
    assert print_rules(parse_rules(text)) == text


def test_lines_semicolons_and_commas_part_rules_and_numbers_signs_comment() -> None:
    apart = parse_rules("GRAD_V\nOUT: 0.7\nattn1: 0.2")
    assert parse_rules("GRAD_V; OUT: 0.7, attn1: 0.2  # as on a command line") == apart


def test_what_is_written_is_what_is_meant() -> None:
    assert parse_rules("IN04-IN08 M00 NOT attn1 norm: 0.3").lines == (
        Rule(Target(WordSet(("IN04-IN08", "M00")), WordSet(("attn1", "norm"), True)), constant(0.3)),
    )
    assert parse_rules("*: -.5").lines == (Rule(Target(), constant(-0.5)),)
    assert parse_rules("0.5").lines == parse_rules("*: 0.5").lines


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("GRAD_V*0.5 + COSINE*0.5", "*: 0.5*GRAD_V + 0.5*COSINE"),
        ("SMOOTHSTEP*2", "*: 2SMOOTHSTEP"),
        ("SMOOTHSTEP*2.5", "*: 2.5*SMOOTHSTEP"),
        ("R_SMOOTHSTEP/3 - 0.1", "*: ONE_THIRDR_SMOOTHSTEP - 0.1"),
        ("REVERSE_SMOOTHSTEP", "*: REVERSE-SMOOTHSTEP"),
        ("2*2SMOOTHSTEP", "*: 2*2SMOOTHSTEP"),
        ("1, 0.5,.25", "*: supermerger[1, 0.5, 0.25]"),
        ("OUT: uniform( 0,1 ,seed=7)", "OUT: uniform(0, 1, seed = 7)"),
        (
            "normal(GRAD_V, .2, low=0, seed=1, each=key)",
            "*: normal(GRAD_V, 0.2, low = 0, seed = 1, each = key)",
        ),
        ("IN01-IN03 M00 : attn1 ff : 0.5", "IN01-IN03 M00:attn1 ff:0.5"),
        ("OUT.3-7,9.Attn : 0.50", "out.3-7,9.attn: 0.5"),
    ],
)
def test_spellings_of_people_and_of_other_tools_have_one_form(written: str, canonical: str) -> None:
    assert print_rules(parse_rules(written)) == canonical


MISTAKES = {
    "": ("there is no rule", "OUT: 0.5"),
    "# nothing": ("there is no rule", ""),
    "OUT": ("'OUT' is no preset", ""),
    "OUT: GRAD_Q": ("'GRAD_Q' is no preset", "'GRAD_V'"),
    "OUT: 0.5 0.3": ("'0.3' is not understood", "0.5*GRAD_V"),
    "OUT: 1e999": ("1e999 is too large", ""),
    "OUT: 0.5*": ("an amount is expected", "GRAD_V"),
    ": 0.5": ("it is not said what the amount is for", "*"),
    "* OUT: 0.5": ("'*' stands alone", ""),
    "NOT: 0.5": ("NOT stands before nothing", ""),
    "IN00 NOT IN01: 0.5": ("NOT stands before the first word of its kind", ""),
    "exclude OUT: 0.5": ("'exclude' takes no amount", "exclude OUT"),
    "a:b:c:d": ("there are too many ':'", "TARGET"),
    "in01:attn1:0.5": ("'in01' is no block", "IN01"),
    "in.1: slider_a": ("it is not said what slider_a stands at", "slider_a: 0.5"),
    "in.1: 0.5, 0.3": ("there is more than one number", "beta"),
    "uniform(0, 1)": ("uniform takes two numbers and a seed", "seed = 1"),
    "uniform(0, 1, seed = 1, low = 0)": ("and no low", ""),
    "normal(0, -1, seed = 1)": ("deviation", ""),
    "uniform(0, 1, seed = 1": ("')' is missing", ""),
    "uniform(0, 1, seed = 1, each = sample)": ("each = sample", "each = key"),
}


@pytest.mark.parametrize("text", MISTAKES, ids=repr)
def test_a_mistake_is_reported_with_its_line_and_a_way_out(text: str) -> None:
    what, hint = MISTAKES[text]
    with pytest.raises(RecipeError) as caught:
        parse_rules(text)
    assert what in caught.value.what
    assert hint in caught.value.hint
    assert caught.value.where.startswith("line 1") or not text.partition("#")[0]


def test_a_text_of_numbers_is_a_list_and_any_other_is_rules() -> None:
    assert read_weights("[1, 0.5]", layout="mbw") == Numbers("mbw", (1.0, 0.5))
    assert read_weights("GRAD_V", layout="mbw") == Rules(
        (Rule(Target(), parse_rules("GRAD_V").lines[0].amount),)
    )


def test_an_amount_that_was_set_besides_lies_below_the_rules() -> None:
    upper = parse_rules("attn1: 0.2")
    assert overlay_rules(0.5, upper) == parse_rules("*: 0.5\n---\nattn1: 0.2")
    assert overlay_rules(Slots((("OUT", 0.1), ("OUT05", 0.3)), rest=0.4), upper).lines[:4] == (
        *parse_rules("*: 0.4\nFINAL: 0.1\nOUT05: 0.3").lines,
        Divider(),
    )
    assert read_weights("attn1: 0.2", layout="mbw", plain=0.5) == overlay_rules(0.5, upper)


# --- presets ---


def test_every_name_that_other_tools_give_a_preset_is_read() -> None:
    for spelling, name in {**ALIASES, "GRAD_V": "GRAD_V", "OUT09_5": "OUT09_5"}.items():
        assert preset_names()[spelling] == name
        (line,) = parse_rules(spelling).lines
        assert isinstance(line, Rule)
        assert line.amount.terms == ((1.0, Preset(name)),)


def test_presets_lie_between_a_and_b_but_for_the_overshooting_hermites() -> None:
    for family in FAMILIES:
        for name, values in family_presets(family).items():
            low, high = (-0.5, 1.5) if "HERMITE" in name else (0, 1)
            assert low <= min(values.values()) <= max(values.values()) <= high, (family.id, name)
            assert values.get("VAE", 0) == 0


def test_role_presets_say_what_they_are_for_and_on_what_evidence() -> None:
    sd1 = family_by_id("sd1")
    for role in PURPOSE_PRESETS:
        assert "guides disagree" in describe_preset(role.name)
        assert set(preset_amounts(role.name, sd1)) == {slot.id for slot in sd1.slots}
    assert describe_preset("GRAD_V") == ""
    composition, texture = preset_amounts("COMPOSITION", sd1), preset_amounts("TEXTURE", sd1)
    assert (composition["IN01"], composition["OUT11"]) == (1, 0)
    assert (texture["IN01"], texture["OUT11"]) == (0, 1)


def test_a_family_without_such_a_preset_says_so() -> None:
    with pytest.raises(RecipeError, match="Flux"):
        preset_amounts("GRAD_V", family_by_id("flux"))
    with pytest.raises(RecipeError, match="no preset 'OUT12'"):
        preset_amounts("OUT12", family_by_id("sdxl"))


def test_a_word_with_many_stars_is_fitted_in_one_pass() -> None:
    word = pattern_of("*".join(["model", *("a" * 200), "weight"]))
    assert not word.search("model." + "a" * 190 + ".weight")
    assert word.search("model." + "a" * 210 + ".weight")


def test_a_block_number_that_no_model_has_is_refused_and_not_counted_up_to() -> None:
    with pytest.raises(RecipeError, match="no model has a block"):
        parse_rules("in.0-999999999: 0.5")


@given(st.data())
def test_slots_as_rules_give_each_slot_its_amount(data: st.DataObject) -> None:
    family = family_by_id(data.draw(st.sampled_from(["sd1", "sd2", "sdxl"])))
    slots = data.draw(st.lists(st.sampled_from([slot.id for slot in family.slots]), unique=True, min_size=1))
    amounts = {slot: data.draw(st.sampled_from([0.0, 0.25, 1.0, -0.3])) for slot in slots}
    rules = read_weights(print_rules(rules_of_slots(amounts)) or "0", layout="supermerger")
    resolver = RuleResolver(rules, family, tuple(family.shapes))
    for slot, amount in amounts.items():
        assert resolver.amount(slot) == amount, print_rules(rules)
