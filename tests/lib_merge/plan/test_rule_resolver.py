"""Rules laid over a model: what they hit, which of them wins, and what comes out of the merge."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.architectures import family_by_id, read_header, slot_of
from lib_merge.errors import PlanError
from lib_merge.plan import Combination, Plan, Source, make_plan, replan
from lib_merge.plan.explain import explain_for_header
from lib_merge.plan.rule_resolver import RuleResolver
from lib_merge.recipe import Recipe, Rules, Slots, parse_rules, print_rules, read_weights
from tests.support.elementals import Entry, entries, given_by, written
from tests.support.examples import examples
from tests.support.full_size import write_tiny
from tests.support.merging import plan_of, simple_recipe
from tests.support.strategies import rules

pytestmark = pytest.mark.newest_only

SD1, SDXL = family_by_id("sd1"), family_by_id("sdxl")
KEYS = {family.id: tuple(family.shapes) for family in (SD1, SDXL)}
UNET = "model.diffusion_model."
TO_K = UNET + "output_blocks.5.1.transformer_blocks.0.attn2.to_k.weight"

Pair = tuple[Path, Path]


def ruler(text: str, family: str = "sd1") -> RuleResolver:
    return RuleResolver(parse_rules(text), family_by_id(family), KEYS[family])


def at(text: str, key: str, family: str = "sd1") -> float:
    """The amount that a tensor ends with."""
    return ruler(text, family).amount(slot_of(family_by_id(family), key) or "", key)


def ends(any_rules: Rules, family: str = "sd1") -> dict[str, float]:
    """What every tensor of a family ends with."""
    known_family = family_by_id(family)
    laid = RuleResolver(any_rules, known_family, KEYS[family])
    return {key: laid.amount(slot_of(known_family, key) or "", key) for key in KEYS[family]}


# --- which rule wins ---

LADDER = ["*", "UNET", "OUT", "OUT05", "attn2", "OUT attn2", "OUT05 attn2", "attn2.to_k"]


@pytest.mark.parametrize("lower", range(len(LADDER)))
def test_the_more_specific_wins_wherever_it_stands(lower: int) -> None:
    for upper in LADDER[lower + 1 :]:
        weaker, stronger = f"{LADDER[lower]}: 0", f"{upper}: 1"
        assert at(f"{weaker}\n{stronger}", TO_K) == at(f"{stronger}\n{weaker}", TO_K) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("OUT", "IN11-OUT05"),
        ("OUT", "OUT05 OUT06"),
        ("OUT", "NOT IN"),
        ("attn2", "to_k"),
        ("NOT attn1", "attn2"),
    ],
)
def test_of_equally_specific_rules_the_later_wins(one: str, other: str) -> None:
    assert at(f"{one}: 0.1\n{other}: 0.2", TO_K) == 0.2
    assert at(f"{other}: 0.2\n{one}: 0.1", TO_K) == 0.1


def test_what_stands_below_a_line_wins_over_what_stands_above() -> None:
    assert at("OUT05 attn2.to_k: 0.1\n---\n*: 0.7", TO_K) == 0.7
    assert at("OUT05 attn2.to_k: 0.1\n---\nattn1: 0.7", TO_K) == 0.1


@examples(15)
@given(rules())
def test_rules_twice_are_rules_once(any_rules: Rules) -> None:
    doubled = Rules((*any_rules.lines, *parse_rules("---").lines, *any_rules.lines))
    assert ends(doubled) == ends(any_rules)


@examples(15)
@given(st.permutations(LADDER))
def test_the_order_of_rules_decides_nothing_where_they_differ_in_rank(order: list[str]) -> None:
    """One rule of every rung of the ladder, in any order."""
    amounts = {target: index / 10 for index, target in enumerate(LADDER)}
    text = "\n".join(f"{target}: {amounts[target]}" for target in order)
    assert ends(parse_rules(text)) == ends(parse_rules("\n".join(f"{t}: {a}" for t, a in amounts.items())))


@examples(15)
@given(rules())
def test_a_tensor_ends_with_the_amount_of_one_rule_that_hits_it_or_with_nothing(any_rules: Rules) -> None:
    laid = RuleResolver(any_rules, SD1, KEYS["sd1"])
    for key in KEYS["sd1"][::41]:
        slot = slot_of(SD1, key) or ""
        assert (laid.winning_rule(slot, key) is None) == (laid.amount_or_none(slot, key) is None)
        assert slot in laid.per_key_slots or laid.amount_or_none(slot, key) == laid.amount_or_none(slot)


# --- what is hit ---


@pytest.mark.parametrize(
    ("target", "blocks"),
    [
        ("IN04-IN08", {f"IN{n:02}" for n in range(4, 9)}),
        ("IN08-IN04", {f"IN{n:02}" for n in range(4, 9)}),
        ("IN11-OUT00", {"IN11", "M00", "OUT00"}),
        ("OUT", {"OUT", *(f"OUT{n:02}" for n in range(12))}),
        ("FINAL", {"OUT"}),
        ("MID TIME", {"M00", "TIME"}),
        ("TEXT", {"BASE"}),
        ("NOT UNET", {"BASE"}),
        ("BASE VAE", {"BASE", "VAE"}),
    ],
)
def test_words_for_blocks_mean_slots(target: str, blocks: set[str]) -> None:
    laid = ruler(f"{target}: 1")
    assert {slot.id for slot in SD1.slots if laid.amount(slot.id)} == blocks


def test_base_on_sdxl_means_both_text_encoders() -> None:
    laid = ruler("BASE: 0.5, CLIP_G: 1", "sdxl")
    assert (laid.amount("CLIP_L"), laid.amount("CLIP_G"), laid.amount("IN00")) == (0.5, 1, 0)
    assert ruler("CLIP_G: 1, BASE: 0.5", "sdxl").amount("CLIP_G") == 1, "there BASE is a group"
    assert ruler("MID: 1, IN11-OUT00: 0.5").amount("M00") == 1, "and MID is one block"


@pytest.mark.parametrize(
    ("word", "matching", "other"),
    [
        ("attn2.to_k", TO_K, TO_K.replace("attn2", "attn1")),
        ("blocks.1", UNET + "input_blocks.1.1.norm.weight", UNET + "input_blocks.11.0.in_layers.0.weight"),
        ("*.attn2.*", TO_K, UNET + "out.2.weight"),
        ("*attn2", "", TO_K),
        (TO_K, TO_K, UNET + "out.2.weight"),
    ],
)
def test_words_for_names_hit_parts_of_names(word: str, matching: str, other: str) -> None:
    assert at(f"{word}: 1", other) == 0
    assert not matching or at(f"{word}: 1", matching) == 1


def test_the_vae_is_hit_by_what_names_it_and_by_nothing_else() -> None:
    key = "first_stage_model.decoder.conv_out.weight"
    for text in ("1", "NOT UNET: 1", "conv_out: 1", "ALL_B", ":conv_out:1", "all: 1", "*decoder*: 1"):
        assert at(text, key) == 0, text
    assert at("VAE conv_out: 1", key) == at("first_stage_model.decoder: 1", key) == 1


@pytest.mark.parametrize(
    "text", ["IN40: 1", "atn1: 1", "OUT05 ff.nets: 1", "out05: 1", "exclude CLIP_G", "OUT12"]
)
def test_rules_that_mean_nothing_on_a_model_are_refused(text: str) -> None:
    family = "sdxl" if text == "OUT12" else "sd1"
    (problem,) = ruler(text, family).problems("alpha")
    assert "alpha" in problem.where


def test_blocks_in_lowercase_are_distinguished_from_names() -> None:
    (problem,) = ruler("out05: 1").problems("alpha")
    assert "'OUT05'" in problem.hint


# --- other tools ---


@examples(25)
@given(entries(["BASE", "IN00", "IN05", "M00", "OUT05", "OUT11"], 2))
def test_supermergers_elements_are_read_as_it_reads_them(drawn: list[Entry]) -> None:
    text = "\n".join(written(drawn))
    laid = ruler(text)
    for key in KEYS["sd1"][::7]:
        slot = slot_of(SD1, key) or ""
        block = {"TIME": "IN00", "OUT": "OUT11"}.get(slot, slot)
        assert laid.amount(slot, key) == (0 if slot == "VAE" else given_by(drawn, block, key)), (text, key)


def test_supermergers_blocks_carry_their_own_names_on_sdxl() -> None:
    """It looks them up in SD1's list there, so that M00 means IN09 (its issue 468); we do not."""
    middle = UNET + "middle_block.1.transformer_blocks.0.attn1.to_q.weight"
    assert at("M00:attn1:0.5", middle, "sdxl") == 0.5
    assert at("IN00::0.5", UNET + "label_emb.0.0.weight", "sdxl") == 0.5


# groinge/sd-webui-untitledmerger 18f2d40: target -> what its target_to_regex makes of it
SELECTORS = {
    "all": "^",
    "in.2-5": r"^model\.diffusion_model\.input_blocks\D*\.(?:2|3|4|5)\.",
    "clip.4.attn": r"^cond\D*\.(?:4)\..*attn",
    "unet.attn2.to_k": r"^model\.diffusion_model.*attn2.*to_k",
    "out.3,7-8.proj": r"^model\.diffusion_model\.output_blocks\D*\.(?:3|7|8)\..*proj",
    "mid": r"^model\.diffusion_model\.middle_block",
}


@pytest.mark.parametrize("selector", SELECTORS)
def test_untitledmergers_targets_hit_what_they_hit_there(selector: str) -> None:
    laid, wanted = ruler(f"{selector}: 1"), re.compile(SELECTORS[selector])
    for key in KEYS["sd1"]:
        slot = slot_of(SD1, key) or ""
        assert bool(laid.amount(slot, key)) == (slot != "VAE" and bool(wanted.search(key))), key


def test_of_untitledmergers_targets_the_one_with_the_fewest_tensors_wins() -> None:
    both = "unet.attn2.to_k: 0.1\nout.5: 0.2"  # 16 and 39 tensors
    assert at(both, TO_K) == at("\n".join(reversed(both.splitlines())), TO_K) == 0.1
    assert at("out.5: 0.1\nOUT.5.: 0.2", TO_K) == 0.1, "of equals the first, as it sorts them"
    assert at(f"{both}\nOUT05: 0.3", TO_K) == 0.3, "our rule below is a section of its own"


def test_untitledmergers_sliders_stand_where_the_text_says() -> None:
    text = "slider_a: 0.3\nSLIDER_B = .1  # upper or lower case\nall: slider_a\nout.5: slider_b"
    assert (at(text, TO_K), at(text, UNET + "out.2.weight")) == (0.1, 0.3)
    assert print_rules(parse_rules(text)) == "all: 0.3\nout.5: 0.1", "what they stood at is recorded"


def test_its_first_slider_is_the_amount_that_was_set_besides() -> None:
    assert read_weights("in.1: slider_a", layout="mbw", plain=0.4) == read_weights(
        "in.1: 0.4", layout="mbw", plain=0.4
    )


# --- drawn at random ---


def test_what_is_drawn_depends_on_the_seed_and_the_block_alone() -> None:
    one, two = ruler("uniform(0, 1, seed = 1)"), ruler("uniform(0, 1, seed = 2)")
    again = ruler("OUT05: uniform(0, 1, seed = 1), attn1: 0.5")
    assert again.amount("OUT05") == one.amount("OUT05") != two.amount("OUT05")
    assert len({one.amount(slot.id) for slot in SD1.slots}) == len(SD1.slots), "VAE 0 and the others apart"


@examples(20)
@given(st.integers(0, 10**6), st.sampled_from(["uniform(-0.5, 1.5", "normal(0.5, 0.8, low = 0, high = 0.9"]))
def test_what_is_drawn_keeps_within_its_bounds(seed: int, start: str) -> None:
    laid = ruler(f"{start}, seed = {seed})")
    low, high = (-0.5, 1.5) if start.startswith("uniform") else (0, 0.9)
    drawn = [laid.amount(slot.id) for slot in SD1.slots if slot.id != "VAE"]
    assert low <= min(drawn) <= max(drawn) <= high


def test_bounds_may_be_curves() -> None:
    laid = ruler("uniform(GRAD_V - 0.1, GRAD_V + 0.1, seed = 4)")
    assert abs(laid.amount("IN00") - 1) <= 0.1
    assert abs(laid.amount("M00")) <= 0.1


def test_a_draw_for_each_key_has_the_distribution_that_was_asked_for() -> None:
    laid = ruler("normal(0.5, 0.1, seed = 3, each = key)")
    drawn = [
        laid.amount(slot, key) for key in KEYS["sd1"] if (slot := slot_of(SD1, key)) not in (None, "VAE")
    ]
    mean = sum(drawn) / len(drawn)
    spread = (sum((x - mean) ** 2 for x in drawn) / len(drawn)) ** 0.5
    assert abs(mean - 0.5) < 0.02
    assert abs(spread - 0.1) < 0.02
    assert len(set(drawn)) > len(drawn) * 0.8


# --- in a plan ---


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("rules")
    return write_tiny(folder / "a.safetensors", seed=1), write_tiny(folder / "b.safetensors", seed=2)


def planned(pair: Pair, text: str, **more: str) -> Plan:
    return plan_of(recipe(pair, text, **more), pair[0].parent)


def recipe(pair: Pair, text: str, **more: str) -> Recipe:
    return simple_recipe(list(pair), alpha=parse_rules(text), **more)


def shares(plan: Plan) -> dict[str, float]:
    share_by_key: dict[str, float] = {}
    for entry in plan.keys:
        e = entry.expression
        terms = dict(e.terms) if isinstance(e, Combination) else {e: Fraction(1)}
        share_by_key[entry.key] = float(terms.get(Source(1), 0))
    return share_by_key


def test_a_plan_follows_the_rules_tensor_by_tensor(pair: Pair) -> None:
    share = shares(planned(pair, "0.5; OUT: 0.7; attn2.to_k: 0.2; exclude OUT proj_out"))
    assert share[TO_K] == 0.2
    assert share[TO_K.replace("attn2", "attn1")] == 0.7
    assert share[UNET + "input_blocks.1.0.in_layers.0.weight"] == 0.5
    assert share[UNET + "out.2.weight"] == 0.7, "both words of a target have to fit"
    assert share[UNET + "output_blocks.5.1.proj_out.weight"] == 0
    assert share["first_stage_model.decoder.conv_out.weight"] == 0


def test_what_include_and_exclude_leave_is_as_a_has_it_whatever_the_method(pair: Pair) -> None:
    plan = plan_of(
        simple_recipe(
            [*pair, pair[1]], method="extract", beta=0.5, alpha=parse_rules("0.5; include OUT; exclude attn1")
        ),
        pair[0].parent,
    )
    untouched = {entry.key for entry in plan.keys if entry.expression == Source(0)}
    assert TO_K not in untouched
    assert TO_K.replace("attn2", "attn1") in untouched
    assert UNET + "middle_block.0.in_layers.0.weight" in untouched


def test_slots_by_name_and_rules_with_the_same_words_plan_alike(pair: Pair) -> None:
    folder = pair[0].parent
    slots = plan_of(simple_recipe(list(pair), alpha=Slots((("IN05", 0.3), ("TIME", 1.0)), rest=0.2)), folder)
    assert planned(pair, "0.2; IN05: 0.3; TIME: 1").slots == slots.slots


def test_plain_rules_cost_one_expression_for_each_slot(pair: Pair) -> None:
    assert planned(pair, "GRAD_V; OUT: 0.7").per_key_slots == frozenset()


def test_a_named_vae_is_blended_where_it_is_named_and_as_base_where_all_is_asked(pair: Pair) -> None:
    decoder, encoder = "first_stage_model.decoder.conv_out.weight", "first_stage_model.encoder.conv_in.weight"
    some = shares(planned(pair, "0.5; first_stage_model.decoder: 0.3"))
    assert (some[decoder], some[encoder]) == (0.3, 0)
    blended = shares(planned(pair, "0.5; VAE conv_out: 0.3", vae="blend"))
    assert (blended[decoder], blended[encoder]) == (0.3, 0.5)


def test_replanning_keeps_the_entries_of_tensors_that_a_change_of_rules_leaves_alone(pair: Pair) -> None:
    headers = {path.name: read_header(path) for path in pair}
    first = make_plan(recipe(pair, "0.5; attn2.to_k: 0.2"), headers)
    second = replan(first, recipe(pair, "0.5; attn2.to_k: 0.3"), headers)
    assert second is not None
    changed = {new.key for new, old in zip(second.keys, first.keys, strict=True) if new is not old}
    assert changed == {entry.key for entry in first.keys if "attn2.to_k" in entry.key}
    whole = make_plan(recipe(pair, "0.5; attn2.to_k: 0.3"), headers)
    assert second.keys == whole.keys


def test_everything_wrong_with_rules_is_reported_at_once(pair: Pair) -> None:
    with pytest.raises(PlanError) as caught:
        planned(pair, "IN40: 1; OUT77: 0.5")
    assert len(caught.value.problems) == 2


def test_the_tester_tells_hits_and_endings(pair: Pair) -> None:
    report = explain_for_header(parse_rules("0.5; attn2.to_k: 0.2; exclude FINAL"), read_header(pair[0]))
    assert [(hit.hits, hit.wins) for hit in report.hits[1:]] == [(16, 16), (4, 4)]
    assert report.hits[0].wins == report.hits[0].hits - 16
    endings = {ending.key: ending for ending in report.endings}
    assert (endings[TO_K].amount, endings[TO_K].line) == (0.2, 2)
    assert endings[UNET + "out.2.weight"].excluded
    assert endings["first_stage_model.decoder.conv_out.weight"].amount is None
