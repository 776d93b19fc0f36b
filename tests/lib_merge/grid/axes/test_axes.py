"""Axes: what each does to a cell, and how wrong ones are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lib_merge.architectures import family_by_id
from lib_merge.errors import MergeError, PlanError, RecipeError
from lib_merge.grid import GridPlan, axis_kinds, parse_axis_spec, plan_grid
from lib_merge.grid.axes.blocks import fill_value, is_open_value
from lib_merge.grid.axes.image import with_lora
from lib_merge.grid.axes.merge import one_line, recipe_label
from lib_merge.grid.axes.read import find_axis_kind
from lib_merge.grid.blocks import read_slot_numbers
from lib_merge.limits import MAX_SEED
from lib_merge.live import ident_of
from lib_merge.plan import Expression, Source, make_plan
from lib_merge.recipe import Numbers, Slots, Step, overlay_rules, parse_recipe, parse_rules, with_adjust
from tests.support.grid_host import Bench

pytestmark = pytest.mark.newest_only

SD1 = family_by_id("sd1")


def alphas(plan: GridPlan) -> dict[int, object]:
    """By column: what alpha is."""
    return {work.position[0]: dict(work.cell.recipe.steps[0].settings)["alpha"] for work in plan.jobs}


def test_alpha_is_one_number_for_the_model(bench: Bench) -> None:
    assert alphas(bench.plan(x="alpha: 0-1 [3]")) == {0: 0.0, 1: 0.5, 2: 1.0}


def test_one_block_leaves_the_others_as_they_are(bench: Bench) -> None:
    plan = bench.plan(bench.recipe(alpha=0.25), x="OUT05: 0, 1")
    assert alphas(plan) == {0: Slots((("OUT05", 0.0),), 0.25), 1: Slots((("OUT05", 1.0),), 0.25)}


def test_one_block_of_a_pasted_list_keeps_the_list(bench: Bench) -> None:
    ramp = tuple(n / 25 for n in range(26))
    plan = bench.plan(bench.recipe(alpha=Numbers("supermerger", ramp)), x="M00: 0.9")
    setting = alphas(plan)[0]
    assert isinstance(setting, Slots)
    values = dict(setting.values)
    assert (values["M00"], values["BASE"], values["OUT11"], values["TIME"]) == (0.9, 0.0, 1.0, 1 / 25)
    assert "VAE" not in values


def test_pinned_blocks_take_their_number_from_the_axis_of_alpha(bench: Bench) -> None:
    plan = bench.plan(bench.recipe(alpha=0.1), x="alpha: 0.2, 0.9", y="blocks: IN05, OUT10 OUT11")
    alpha_at = {work.position[:2]: dict(work.cell.recipe.steps[0].settings)["alpha"] for work in plan.jobs}
    assert alpha_at[1, 0] == Slots((("IN05", 0.9),), 0.1)
    assert alpha_at[0, 1] == Slots((("OUT10", 0.2), ("OUT11", 0.2)), 0.1)


# what is typed into SuperMerger's fields -> alpha, beside an axis of alpha at 0.4 where it has no ratio
PINPOINT = {
    ("pinpoint element", "OUT05:attn2"): "OUT05:attn2:0.4",
    ("pinpoint element", ":attn1 ff.net"): ":attn1 ff.net:0.4",
    ("pinpoint element", "NOT IN00-IN03:NOT to_out"): "NOT IN00-IN03:NOT to_out:0.4",
    ("pinpoint element", "OUT:0.bias"): "OUT:0.bias:0.4",
    ("pinpoint element", "IN04-IN08:"): "IN04-IN08::0.4",
    ("pinpoint element ext", "OUT00:attn1"): "XL OUT00:attn1:0.4",
    ("pinpoint element ext", "IN40"): "XL IN40::0.4",
}


@pytest.mark.parametrize(("name", "text"), PINPOINT)
def test_elements_without_a_ratio_take_it_from_the_axis_of_alpha(bench: Bench, name: str, text: str) -> None:
    axis = find_axis_kind(name, bench.base())
    (value,) = axis.read(text, bench.base())
    assert is_open_value(value.value)
    assert fill_value(value.value, 0.4) == parse_rules(PINPOINT[name, text])


def test_a_pinpointed_element_is_a_cell_of_its_own(bench: Bench) -> None:
    plan = bench.plan(
        bench.recipe(alpha=0.1), x="alpha: 0.2, 0.9", y="pinpoint element: OUT05:attn2, IN04:ff"
    )
    alpha_at = {work.position[:2]: dict(work.cell.recipe.steps[0].settings)["alpha"] for work in plan.jobs}
    assert alpha_at[1, 0] == overlay_rules(0.1, parse_rules("OUT05:attn2:0.9"))
    assert alpha_at[0, 1] == overlay_rules(0.1, parse_rules("IN04:ff:0.2"))


def test_pinpoint_adjust_sets_one_number_after_the_other_and_leaves_alpha(bench: Bench) -> None:
    recipe = bench.recipe(alpha=0.1)
    plan = bench.plan(recipe, x="alpha: 0.5, 2", y="pinpoint adjust: CONT, COL1")
    recipe_at = {work.position[:2]: work.cell.recipe for work in plan.jobs}
    assert recipe_at[1, 0] == with_adjust(recipe, "0 0 0 2")
    assert recipe_at[0, 1] == with_adjust(recipe, "0 0 0 0 0 0.5")
    brighter = bench.plan(with_adjust(recipe, "1 0 0 0 3"), x="alpha: 0.5", y="pinpoint adjust: brightness")
    assert brighter.jobs[0].cell.recipe == with_adjust(recipe, "1 0 0 0 0.5")
    assert len(find_axis_kind("pinpoint adjust", bench.base()).read("ALL", bench.base())) == 8
    with pytest.raises(PlanError, match="has no number"):
        bench.plan(recipe, x="pinpoint adjust: IN")
    with pytest.raises(PlanError, match="no 'CON'"):
        bench.plan(recipe, x="alpha: 1", y="pinpoint adjust: CON")


def test_every_extended_name_in_turn(bench: Bench) -> None:
    values = find_axis_kind("XL blocks", bench.base()).read("ALL", bench.base())
    assert (len(values), values[0].label, values[-1].label) == (108, "CLIPL", "LABEL")


@pytest.mark.parametrize(
    ("name", "text", "sets"),
    [
        ("elements", "OUT: 0.5\nIN: 0.3", ["OUT: 0.5", "IN: 0.3"]),
        ("elements", "OUT: 0.5\nIN: 0.3\n\nff: 1", ["OUT: 0.5; IN: 0.3", "ff: 1"]),
        ("add elemental", "IN01:attn1:1,\nIN02:ff:0\n\n\nM00::1", ["IN01:attn1:1; IN02:ff:0", "M00::1"]),
        ("elemental", "IN01:attn1:1\nIN02:ff:0", ["IN01:attn1:1; IN02:ff:0"]),
    ],
)
def test_sets_of_elements_stand_between_empty_lines(
    bench: Bench, name: str, text: str, sets: list[str]
) -> None:
    values = find_axis_kind(name, bench.base()).read(text, bench.base())
    assert [value.value for value in values] == [parse_rules(rules) for rules in sets]
    assert all("\n" not in value.label for value in values)


def test_lists_of_alpha_and_of_beta_stand_on_two_lines_or_on_one(bench: Bench) -> None:
    base = bench.base(replace(bench.recipe(), steps=(Step("M", "tensor_sum", ("A", "B")),)))
    axis = find_axis_kind("mbw alpha and beta", base)
    lists = [", ".join([number] * 26) for number in ("0.1", "0.2", "0.3", "0.4")]
    two = axis.read("\n".join(lists), base)
    one = axis.read(f"{lists[0]} | {lists[1]}\n{lists[2]} | {lists[3]}", base)
    assert [value.value for value in two] == [value.value for value in one]
    with pytest.raises(PlanError, match="only one list"):
        axis.read("\n".join(lists[:3]), base)


def test_one_number_for_alpha_and_beta_is_that_of_both(bench: Bench) -> None:
    values = find_axis_kind("alpha and beta", bench.base()).read("0.2 0.4, 0.3", bench.base())
    assert [value.value for value in values] == [(0.2, 0.4), (0.3, 0.3)]


def test_calcmodes_are_read_by_supermergers_names(bench: Bench) -> None:
    base = bench.base(replace(bench.recipe(), steps=(Step("M", "add_difference", ("A", "B", "A")),)))
    values = find_axis_kind("calcmode", base).read("normal, cosineA, smoothAdd MT, self, ties", base)
    methods = ["add_difference", "supermerger_cosine_a", "smooth_add", "self", "ties"]
    assert [value.value for value in values] == methods
    special = bench.base(replace(bench.recipe(), steps=(Step("M", "self", ("A",)),)))
    assert find_axis_kind("calcmode", special).read("normal", special)[0].value == "weighted_sum"


def test_the_map_of_blocks_is_named_to_who_asks_for_the_effective_ones(bench: Bench) -> None:
    with pytest.raises(RecipeError, match="map of effective blocks"):
        find_axis_kind("effective", bench.base())


def test_pins_are_read_as_supermerger_reads_them() -> None:
    assert set(read_slot_numbers("OUT03-OUT06", SD1)) == {"OUT03", "OUT04", "OUT05", "OUT06"}
    assert read_slot_numbers("OUT06-OUT03", SD1) == read_slot_numbers("OUT03-OUT06", SD1)
    assert set(read_slot_numbers("IN05=0.3 M00=0.5", SD1).items()) == {("IN05", 0.3), ("M00", 0.5)}
    rest = set(read_slot_numbers("NOT M00 OUT03-OUT06", SD1))
    assert rest == {s.id for s in SD1.slots} - {"M00", "OUT03", "OUT04", "OUT05", "OUT06", "VAE"}


@pytest.mark.parametrize("pins", ["", "IN99", "OUT06-OUT99", "NOT M00=0.5", "IN05=x"])
def test_pins_that_are_none_are_refused(pins: str) -> None:
    with pytest.raises(RecipeError):
        read_slot_numbers(pins, SD1)


def test_all_is_every_block_in_turn(bench: Bench) -> None:
    assert len(bench.plan(x="blocks: ALL", y="alpha: 1").axes["x"].values) == 28  # 26, TIME and OUT


def test_exclude_leaves_blocks_as_a_has_them_and_include_the_others(bench: Bench) -> None:
    out = slots(bench, bench.plan(bench.recipe(alpha=0.5), x="exclude: M00"))
    only = slots(bench, bench.plan(bench.recipe(alpha=0.5), x="include: M00"))
    assert {slot for slot, does in out.items() if does == Source(0)} == {"M00", "VAE"}
    assert {slot for slot, does in only.items() if does != Source(0)} == {"M00"}


def slots(bench: Bench, plan: GridPlan) -> Mapping[str, Expression]:
    """What every slot of the first cell comes down to."""
    recipe = plan.jobs[0].cell.recipe
    return make_plan(recipe, {file: bench.backend.header(file) for file in recipe.files}).slots


def test_elements_are_rules_and_pinned_ones_take_their_number_too(bench: Bench) -> None:
    plan = bench.plan(bench.recipe(alpha=0.1), x="alpha: 0.2, 0.9", y="blocks: OUT03-OUT05 attn2")
    rules = overlay_rules(0.1, parse_rules("OUT03-OUT05 attn2: 0.9"))
    assert alphas(plan)[1] == rules
    written = bench.plan(bench.recipe(alpha=0.1), x="elements: OUT03-OUT05 attn2: 0.9\nM00: 1")
    assert alphas(written)[0] == rules
    assert written.num_merges == 2


def test_rules_keep_what_they_say_when_a_block_or_the_amount_changes(bench: Bench) -> None:
    rules = parse_rules("IN: 0.4; attn1: 0.2")
    block = slots(bench, bench.plan(bench.recipe(alpha=rules), x="IN05: 1"))
    assert block["IN05"] == Source(1)
    scaled = alphas(bench.plan(bench.recipe(alpha=rules), x="amount: 0.5"))[0]
    assert scaled == parse_rules("IN: 0.2; attn1: 0.1")


def test_adjust_comes_after_the_merge(bench: Bench) -> None:
    plan = bench.plan(x="adjust: 0 0 0 0.5")
    assert plan.jobs[0].cell.recipe == with_adjust(bench.recipe(), "0 0 0 0.5")
    one = bench.plan(x="adjust contrast: 0, 0.5", y="alpha: 0.5", z="method: weighted_sum")
    assert one.jobs[0].cell.recipe.steps[0].method == "weighted_sum"
    assert {work.cell.recipe.steps[-1].method for work in one.jobs} == {"weighted_sum", "adjust"}


def test_random_weights_are_seeded_and_recorded(bench: Bench) -> None:
    plan = bench.plan(x="random: 1, 2")
    assert alphas(plan)[0] == parse_rules("uniform(0, 1, seed = 1)")
    assert plan.num_merges == 2


def test_presets_and_lists_are_weights_and_amount_scales_them(bench: Bench) -> None:
    plan = bench.plan(x="preset: GRAD_V, ALL_B", y="amount: 0.5, 1")
    alpha_at = {work.position[:2]: dict(work.cell.recipe.steps[0].settings)["alpha"] for work in plan.jobs}
    full, half = alpha_at[1, 1], alpha_at[1, 0]
    assert isinstance(full, Slots)
    assert isinstance(half, Slots)
    assert dict(full.values)["M00"] == 1
    assert dict(half.values)["M00"] == 0.5
    numbers = " ".join(["0.5"] + ["0"] * 25)
    lists = alphas(bench.plan(x=f"weights: {numbers}\n0.5*GRAD_V + 0.1"))
    assert lists[0] == Numbers("supermerger", (0.5, *[0.0] * 25))
    assert lists[1] == parse_rules("0.5*GRAD_V + 0.1")


def test_models_methods_vaes_and_formats(bench: Bench) -> None:
    plan = bench.plan(x="model B: b, c", y="method: weighted_sum, cosine_a", z="dtype: source, fp32")
    files = {work.position[0]: work.cell.recipe.ingredients[1].file for work in plan.jobs}
    methods = {work.position[1]: work.cell.recipe.steps[0].method for work in plan.jobs}
    assert files == {0: "b.safetensors", 1: "c.safetensors"}
    assert methods == {0: "weighted_sum", 1: "cosine_a"}
    assert {work.cell.recipe.vae for work in bench.plan(x="VAE: a, b").jobs} == {"a", "b"}


def test_checkpoints_and_recipes_stand_side_by_side(bench: Bench, tmp_path: Path) -> None:
    line = 'A = "a"; B = "c"; M = weighted_sum(A, B, alpha = 0.5)'
    plan = bench.plan(x=f"recipe: {line}", y="prompts: a cat\na dog")
    assert plan.jobs[0].cell.recipe == parse_recipe(one_line(line))
    assert plan.axes["x"].labels == ("a + c, alpha 0.5",)
    assert [work.cell.drawing.prompt for work in plan.jobs] == ["a cat", "a dog"]
    alone = bench.plan(x="checkpoint: a, b, c")
    assert alone.jobs[0].cell.recipe.ingredients[0].file == "a.safetensors"
    assert all(not work.cell.recipe.steps for work in alone.jobs)


def test_prompts_are_searched_and_replaced_as_the_webui_does(bench: Bench) -> None:
    plan = bench.plan(prompt="a cat", x="prompt: cat, dog")
    assert [work.cell.drawing.prompt for work in plan.jobs] == ["a cat", "a dog"]


@pytest.mark.parametrize(
    ("prompt", "weight", "expected"),
    [
        ("a cat", 0.5, "a cat <lora:ink:0.5>"),
        ("a <lora:ink:1> cat", 0.5, "a <lora:ink:0.5> cat"),
        ("a <lora:ink:1:te=0> cat", 0.5, "a <lora:ink:0.5:te=0> cat"),
        ("a <lora:other:1> cat", 0.25, "a <lora:other:1> cat <lora:ink:0.25>"),
        ("a cat <lora:ink:1>", 0, "a cat "),
    ],
)
def test_the_weight_of_a_lora_is_in_the_prompt(prompt: str, weight: float, expected: str) -> None:
    assert with_lora(prompt, "ink", weight) == expected


@pytest.mark.parametrize("axis", ["lora inkk: 1", "prompts: a <lora:inkk:1>"])
@pytest.mark.parametrize(
    ("available", "hint"),
    [(("ink", "pastel"), "did you mean 'ink'?"), ((), "this program draws without LoRAs: leave them out")],
)
def test_a_lora_that_is_not_there_is_refused_with_a_similar_name(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, axis: str, available: tuple[str, ...], hint: str
) -> None:
    monkeypatch.setattr(type(bench.base().catalog), "loras", lambda _: available)
    with pytest.raises(PlanError) as refused:
        bench.plan(x=axis)
    assert refused.value.problems[0].hint.startswith(hint)


def test_everything_that_is_wrong_is_reported_at_once_and_nothing_runs(bench: Bench) -> None:
    with pytest.raises(PlanError) as refused:
        bench.plan(x="model B: b, nothing, none", y="seed: x", z="weihgts: 1")
    message = str(refused.value)
    assert len(refused.value.problems) == 4
    assert "Y, seed" in message
    assert "'nothing'" in message
    assert "weights" in message
    assert bench.host.drawn == 0


@pytest.mark.parametrize(
    ("axes", "what"),
    [
        ({"x": "alpha: 0, 1", "y": "preset: GRAD_V"}, "both set alpha"),
        ({"x": "gamma: 1"}, "takes no gamma"),
        ({"x": "model C: c"}, "no model C"),
        ({"x": "method: triple_sum"}, "takes 3 models"),
        ({"x": "blocks: IN05"}, "no number"),
        ({"x": "prompt: dog, cow"}, "not in the prompt"),
        ({"x": "sampler: Euler a"}, "no sampler"),
        ({"x": "lora ink: 1"}, "no LoRA"),
        ({"x": "prompts: a <lora:ink:1>"}, "no LoRA"),
        ({"x": "seed: -5"}, "not negative"),
        ({"x": "size: 10x10"}, "width cannot be 10"),
        ({"x": "size: 10"}, "no size"),
        ({"x": "IN99: 1"}, "no axis"),
        ({"x": "alpha:"}, "no values"),
    ],
)
def test_what_cannot_be_is_said(bench: Bench, axes: dict[str, str], what: str) -> None:
    with pytest.raises(MergeError, match=what):
        bench.plan(**axes)


def test_a_random_seed_is_drawn_once_and_shown(bench: Bench) -> None:
    plan = bench.plan(x="seed: -1, 7", y="alpha: 0, 1")
    seeds = {work.position: work.cell.drawing.seed for work in plan.jobs}
    assert seeds[0, 0, 0] == seeds[0, 1, 0] == int(plan.axes["x"].labels[0])
    assert seeds[1, 0, 0] == 7


def test_a_random_seed_of_the_picture_is_drawn_once_for_all_cells(bench: Bench) -> None:
    base = bench.base()
    base = replace(base, cell=replace(base.cell, drawing=replace(base.cell.drawing, seed=-1)))
    plan = plan_grid(base, {"x": parse_axis_spec("alpha: 0, 0.5, 1")})
    (seed,) = {work.cell.drawing.seed for work in plan.jobs}
    assert 0 <= seed <= MAX_SEED
    assert plan.base.cell.drawing.seed == seed  # and so it is kept with the grid, for a restart


def test_every_kind_of_axis_has_a_name_of_its_own_and_says_what_it_takes() -> None:
    names = [kind.id for kind in axis_kinds()]
    assert len(names) == len(set(names))
    assert all(kind.help for kind in axis_kinds())


@pytest.mark.parametrize(
    ("line", "label"),
    [
        ('A = "ink.safetensors"', "ink"),
        ('A = "ink"; B = "pastel"; M = cosine_a(A, B, alpha = 0.3)', "ink + pastel, cosine_a, alpha 0.3"),
        ('A = "a"; B = "b"; N = weighted_sum(A, B); M = weighted_sum(N, A)', "a + b in 2 steps"),
        ('A = "a"; B = "b"; N = weighted_sum(A, B); M = adjust(N, contrast = 1)', "a + b, adjusted"),
    ],
)
def test_the_label_of_a_recipe_comes_from_the_recipe(line: str, label: str) -> None:
    assert recipe_label(parse_recipe(one_line(line))) == label


def test_long_lists_are_distinguished() -> None:
    lists = [", ".join([str(first), *["0"] * 25]) for first in (0, 1)]
    lines = [f'A = "a"; B = "b"; M = weighted_sum(A, B, alpha = supermerger[{numbers}])' for numbers in lists]
    labels = [recipe_label(parse_recipe(one_line(line))) for line in lines]
    assert all(label.startswith("a + b, alpha by block (") for label in labels)
    assert labels[0] != labels[1]


def test_merges_of_the_history_by_number_id_and_name(bench: Bench) -> None:
    recipe = bench.recipe(alpha=0.25)
    number = bench.service.history.add(recipe)
    bench.service.history.rename(number, "quarter")
    plan = bench.plan(x=f"merge ID: {number}, quarter, {ident_of(recipe).id}")
    assert [work.cell.recipe for work in plan.jobs] == [recipe] * 3
    assert plan.num_merges == 1
    with pytest.raises(PlanError, match="no merge 'half'"):
        bench.plan(x="merge ID: half")


def test_a_sheet_that_no_memory_holds_is_refused_before_anything_is_merged(bench: Bench) -> None:
    sizes = "size: 8192x8192, 8192x4096"
    with pytest.raises(MergeError, match="1208 megapixels"):
        bench.plan(x=sizes, y="seed: 1-12")
    assert bench.plan(x=sizes, y="seed: 1-9").num_cells == 18
