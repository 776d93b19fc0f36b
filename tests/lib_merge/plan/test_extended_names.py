"""SuperMerger's extended names of SDXL: its entries and its list of 110 numbers mean here what they do there.

The tables tell what blockfromkey and elementals do in hako-mikan/sd-webui-supermerger 0b1c491,
scripts/mergers/mergers.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from lib_merge.architectures import EXTENDED_NAMES, extended_name, family_by_id, slot_of
from lib_merge.errors import MergeError, PlanError
from lib_merge.plan import Combination
from lib_merge.plan.rule_resolver import RuleResolver
from lib_merge.recipe import Rules, parse_recipe, parse_rules, print_recipe, print_rules, read_weights
from lib_merge.recipe.weights.rules import EXTENDED, SUPERMERGER, Rule
from tests.support.elementals import Entry, entries, given_by, written
from tests.support.examples import examples
from tests.support.full_size import write_tiny
from tests.support.merging import plan_of, simple_recipe

pytestmark = pytest.mark.newest_only

SDXL = family_by_id("sdxl")
KEYS = tuple(SDXL.shapes)
UNET = "model.diffusion_model."
NAMED = {
    f"{UNET}input_blocks.0.0.weight": "IN00",
    f"{UNET}input_blocks.3.0.op.weight": "IN30",
    f"{UNET}input_blocks.4.0.in_layers.2.weight": "IN40",
    f"{UNET}input_blocks.4.1.proj_in.weight": "IN41",
    f"{UNET}input_blocks.4.1.transformer_blocks.1.attn1.to_q.weight": "IN411",
    f"{UNET}input_blocks.8.1.transformer_blocks.9.ff.net.2.bias": "IN819",
    f"{UNET}middle_block.0.out_layers.3.weight": "MID00",
    f"{UNET}middle_block.1.norm.weight": "MID10",
    f"{UNET}middle_block.1.transformer_blocks.9.norm3.weight": "MID109",
    f"{UNET}middle_block.2.in_layers.0.weight": "MID20",
    f"{UNET}output_blocks.0.1.transformer_blocks.0.attn2.to_k.weight": "OUT010",
    f"{UNET}output_blocks.1.1.transformer_blocks.1.attn2.to_k.weight": "OUT111",
    f"{UNET}output_blocks.2.2.conv.weight": "OUT22",
    f"{UNET}output_blocks.8.0.skip_connection.weight": "OUT80",
    f"{UNET}out.2.weight": "OUT9",
    f"{UNET}time_embed.0.weight": "TIME",
    f"{UNET}label_emb.0.0.weight": "LABEL",
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": "CLIPL",
    "conditioner.embedders.1.model.ln_final.weight": "CLIPG",
    "first_stage_model.decoder.conv_out.weight": "VAE",
}


def at(rules: Rules, key: str) -> float:
    """The amount that a tensor ends with."""
    return RuleResolver(rules, SDXL, KEYS).amount(slot_of(SDXL, key) or "", key)


@pytest.mark.parametrize("key", NAMED)
def test_a_tensor_is_called_what_supermerger_calls_it(key: str) -> None:
    assert key in SDXL.shapes
    assert extended_name(key) == NAMED[key]


def test_every_tensor_of_sdxl_has_one_of_the_110_names_and_no_tensor_the_third() -> None:
    assert len(EXTENDED_NAMES) == len(set(EXTENDED_NAMES)) == 110
    assert {extended_name(key) for key in KEYS} == set(EXTENDED_NAMES) - {"IN0"}
    assert EXTENDED_NAMES[:5] == ("CLIPL", "CLIPG", "IN0", "IN00", "IN10")
    index_of_name = {name: index for index, name in enumerate(EXTENDED_NAMES)}
    assert [index_of_name[name] for name in ("IN819", "MID20", "OUT22", "OUT52", "OUT9", "VAE")] == [
        39,
        52,
        89,
        102,
        106,
        109,
    ]


@examples(20)
@given(entries([*EXTENDED_NAMES[:-1:7], "CLIPG", "OUT00", "OUT9", "TIME"], 3))
def test_entries_of_extended_names_are_read_as_supermerger_reads_them(drawn: list[Entry]) -> None:
    lines = written(drawn)
    laid = RuleResolver(parse_rules("\n".join(["use extended XL", *lines])), SDXL, KEYS)
    for key in KEYS[::11]:
        slot = slot_of(SDXL, key) or ""
        expected = 0 if slot == "VAE" else given_by(drawn, extended_name(key), key)
        assert laid.amount(slot, key) == expected, (lines, key)
        assert slot in laid.per_key_slots or laid.amount(slot, key) == laid.amount(slot)


def test_a_range_goes_through_the_order_of_the_110() -> None:
    parsed = parse_rules("MID10-MID102 OUT22-OUT30::1")
    laid = RuleResolver(parsed, SDXL, KEYS)
    hit = {extended_name(key) for key in KEYS if laid.amount(slot_of(SDXL, key) or "", key)}
    assert hit == {"MID10", "MID100", "MID101", "MID102", "OUT22", "OUT30"}
    assert print_rules(parsed) == "XL MID10-MID102 OUT22-OUT30::1"


@pytest.mark.parametrize(
    ("text", "tools"),
    [
        ("OUT00:attn1:0.5", [SUPERMERGER]),
        ("OUT00:attn1:0.5, IN40::1", [EXTENDED, EXTENDED]),
        ("use extended XL\nOUT00:attn1:0.5\nOUT10::1", [EXTENDED, EXTENDED]),
        ("XL OUT00:attn1:0.5\nOUT00::1", [EXTENDED, SUPERMERGER]),
        ("TIME::1\nIN00-M00::0.5", [SUPERMERGER, SUPERMERGER]),
        ("IN00-IN411::0.5", [EXTENDED]),
    ],
)
def test_one_name_that_is_no_block_decides_for_all_entries(text: str, tools: list[str]) -> None:
    parsed = parse_rules(text)
    assert [line.tool for line in parsed.lines if isinstance(line, Rule)] == tools
    assert parse_rules(print_rules(parsed)) == parsed


def test_the_vae_is_hit_by_its_own_name_alone() -> None:
    key = "first_stage_model.decoder.conv_out.weight"
    assert at(parse_rules("XL ::1\nXL NOT IN40::1"), key) == 0
    assert at(parse_rules("XL VAE::0.4"), key) == 0.4


@pytest.mark.parametrize(
    ("text", "family", "what"),
    [
        ("XL IN09::1", "sdxl", "no extended name 'IN09'"),
        ("XL IN40-IN49::1", "sdxl", "no extended name 'IN49'"),
        ("IN40::1", "sd1", "Stable Diffusion 1"),
        ("XL IN0::1", "sdxl", "matches no tensor"),
        (", ".join(["0.5"] * 110), "sd1", "the list has 110 numbers"),
    ],
)
def test_names_that_mean_nothing_are_refused(text: str, family: str, what: str) -> None:
    known_family = family_by_id(family)
    parsed = read_weights(text, layout="supermerger")
    assert isinstance(parsed, Rules)
    problems: list[MergeError] = list(
        RuleResolver(parsed, known_family, tuple(known_family.shapes)).problems("alpha")
    )
    assert what in problems[0].what


def test_a_list_of_110_numbers_gives_every_part_its_own() -> None:
    numbers = [index / 1000 for index in range(110)]
    parsed = read_weights(", ".join(map(str, numbers)), layout="supermerger")
    assert isinstance(parsed, Rules)
    for key, name in NAMED.items():
        assert at(parsed, key) == (0 if name == "VAE" else numbers[EXTENDED_NAMES.index(name)])


def test_a_list_of_110_numbers_is_merged_tensor_by_tensor(tmp_path: Path) -> None:
    pair = [write_tiny(tmp_path / f"{name}.safetensors", "sdxl", seed) for seed, name in enumerate("ab")]
    numbers = [index / 1000 for index in range(110)]
    recipe = simple_recipe(pair, alpha=read_weights(str(numbers), layout="supermerger"))
    assert parse_recipe(print_recipe(recipe)) == recipe
    ends: dict[str, float] = {}
    for entry in plan_of(recipe, tmp_path).keys:
        if isinstance(entry.expression, Combination):
            ends[entry.key] = float(dict(entry.expression.terms).popitem()[1])
    key = f"{UNET}input_blocks.4.1.transformer_blocks.1.attn1.to_q.weight"
    assert ends[key] in (numbers[10], 1 - numbers[10])
    small = [write_tiny(tmp_path / f"{name}1.safetensors", seed=seed) for seed, name in enumerate("ab")]
    refused = simple_recipe(small, alpha=recipe.steps[0].settings[0][1])
    with pytest.raises(PlanError, match="110 numbers"):
        plan_of(refused, tmp_path)
