"""A plan tells every key's fate from headers alone, and everything that is wrong at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from lib_merge.dtypes import BF16, F16, F32, I64
from lib_merge.errors import MergeError, PlanError
from lib_merge.plan import Combination, KeyPlan, Plan, Source, render_plan, slot_summaries
from lib_merge.recipe import (
    Amount,
    Ingredient,
    Numbers,
    Recipe,
    Setting,
    Slots,
    Step,
    parse_recipe,
    parse_rules,
    read_weights,
)
from tests.support.full_size import write_tiny
from tests.support.merging import plan_of, simple_recipe

RAMP = tuple(n / 100 for n in range(26))
CONV_IN = "model.diffusion_model.input_blocks.0.0.weight"
IDS = "cond_stage_model.transformer.text_model.embeddings.position_ids"

Tiny = Callable[..., Path]


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """Writes `NAME.safetensors` with all the keys of a real file and hardly any numbers."""
    return lambda name, **options: write_tiny(
        tmp_path / f"{name}.safetensors", **{"seed": ord(name[0]), **options}
    )


def entry(plan: Plan, key: str) -> KeyPlan:
    return next(entry for entry in plan.keys if entry.key == key)


def amounts(plan: Plan) -> dict[str, float]:
    """How much of B each slot takes."""
    shares = {}
    for slot, expression in plan.slots.items():
        terms = expression.terms if isinstance(expression, Combination) else ((expression, Fraction(1)),)
        shares[slot] = float(dict(terms).get(Source(1), 0))
    return shares


def problems(recipe: Recipe, folder: Path) -> list[MergeError]:
    with pytest.raises(PlanError) as caught:
        plan_of(recipe, folder)
    return list(caught.value.problems)


def test_26_numbers_reach_their_slots_and_the_vae_stays(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a"), tiny("b")]
    plan = plan_of(simple_recipe(files, alpha=Numbers("supermerger", RAMP)), tmp_path)
    share = amounts(plan)
    blocks = ["BASE", *(f"IN{n:02}" for n in range(12)), "M00", *(f"OUT{n:02}" for n in range(12))]
    assert [share[slot] for slot in blocks] == list(RAMP)
    assert (share["TIME"], share["OUT"], share["VAE"]) == (RAMP[1], RAMP[25], 0.0)
    assert len(plan.keys) == 1131


def test_20_numbers_reach_the_slots_of_sdxl(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a", family="sdxl"), tiny("b", family="sdxl")]
    share = amounts(plan_of(simple_recipe(files, alpha=Numbers("supermerger", RAMP[:20])), tmp_path))
    assert (share["CLIP_L"], share["CLIP_G"]) == (RAMP[0], RAMP[0])
    assert (share["IN00"], share["M00"], share["OUT08"]) == (RAMP[1], RAMP[10], RAMP[19])
    assert (share["TIME"], share["LABEL"], share["OUT"], share["VAE"]) == (RAMP[1], RAMP[1], RAMP[19], 0.0)


def test_slots_by_name_beat_their_group_and_the_rest_takes_the_star(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a", family="sdxl"), tiny("b", family="sdxl")]
    amount = Slots((("BASE", 0.2), ("CLIP_G", 0.9), ("OUT05", 1.0)), rest=0.4)
    share = amounts(plan_of(simple_recipe(files, alpha=amount), tmp_path))
    assert (share["CLIP_L"], share["CLIP_G"], share["OUT05"], share["IN00"]) == (0.2, 0.9, 1.0, 0.4)


@pytest.mark.parametrize(
    ("vae", "share"), [("", 0.0), ("a", 0.0), ("b", 1.0), ("blend", 0.25)], ids=["unsaid", "a", "b", "blend"]
)
def test_the_vae_comes_from_where_it_is_asked_to(vae: str, share: float, tiny: Tiny, tmp_path: Path) -> None:
    plan = plan_of(simple_recipe([tiny("a"), tiny("b")], vae=vae, alpha=0.25), tmp_path)
    assert amounts(plan)["VAE"] == share
    assert amounts(plan)["IN05"] == 0.25


def test_a_vae_that_a_rule_names_is_blended_by_that_rule(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a"), tiny("b")]
    assert amounts(plan_of(simple_recipe(files, alpha=Slots((("VAE", 0.75),))), tmp_path))["VAE"] == 0.75


def test_a_vae_file_is_baked_in(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a", parts=("unet", "text")), tiny("b")]
    tiny("v", parts=("vae",))
    plan = plan_of(simple_recipe(files, vae="v.safetensors"), tmp_path)
    vae = [entry for entry in plan.keys if entry.slot == "VAE"]
    assert len(vae) == 248
    assert {entry.expression for entry in vae} == {Source(2)}


def test_a_model_without_vae_stays_without(tiny: Tiny, tmp_path: Path) -> None:
    plan = plan_of(simple_recipe([tiny("a", parts=("unet", "text")), tiny("b")]), tmp_path)
    assert len(plan.keys) == 1131 - 248
    assert any("in B and not in A, so left out" in note for note in plan.notes)


def test_what_another_model_lacks_stays_as_in_a_and_is_noted(tiny: Tiny, tmp_path: Path) -> None:
    missing = "model.diffusion_model.out.2.bias"
    plan = plan_of(simple_recipe([tiny("a"), tiny("b", without=[missing])], alpha=0.5), tmp_path)
    assert entry(plan, missing).expression == Source(0)
    assert f"missing in B, so they stay A's: {missing}" in plan.notes


def test_ema_weights_and_schedules_are_left_out_and_noted(tiny: Tiny, tmp_path: Path) -> None:
    extra = {"state_dict_leftover": (1,)}
    plan = plan_of(simple_recipe([tiny("a", ema=True, schedule=True, extra=extra), tiny("b")]), tmp_path)
    assert len(plan.keys) == 1131
    assert sum("left out" in note for note in plan.notes) == 3


def test_position_ids_are_written_as_integers_whatever_the_input(tiny: Tiny, tmp_path: Path) -> None:
    plan = plan_of(simple_recipe([tiny("a"), tiny("b")], dtype=BF16, alpha=0.5), tmp_path)
    assert entry(plan, IDS) == KeyPlan(IDS, "BASE", I64, (1, 77), None)


def test_formats_follow_a_unless_one_is_chosen(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a", dtype="F16"), tiny("b", dtype="F32")]
    assert entry(plan_of(simple_recipe(files), tmp_path), CONV_IN).dtype == F16
    assert entry(plan_of(simple_recipe(files, dtype=F32), tmp_path), CONV_IN).dtype == F32


def test_an_inpainting_a_takes_a_plain_b_into_its_first_channels(tiny: Tiny, tmp_path: Path) -> None:
    plan = plan_of(simple_recipe([tiny("a", variant="inpaint"), tiny("b")], alpha=0.5), tmp_path)
    assert (entry(plan, CONV_IN).channels, entry(plan, CONV_IN).shape[1]) == (4, 9)
    assert "A has 9 input channels: the first 4 are merged, the others stay A's" in plan.notes


def test_an_inpainting_b_is_refused_with_a_way_out(tiny: Tiny, tmp_path: Path) -> None:
    (problem,) = problems(simple_recipe([tiny("a"), tiny("b", variant="inpaint")], alpha=0.5), tmp_path)
    assert "A (a) has (2, 4, 3, 3), B (b) has (2, 9, 3, 3)" in problem.what
    assert (problem.where, problem.hint) == (CONV_IN, "B is an inpaint model: make it A")


def test_linear_layers_and_1x1_convolutions_are_the_same_to_a_merge(tiny: Tiny, tmp_path: Path) -> None:
    key = "model.diffusion_model.input_blocks.1.1.proj_in.weight"
    flat = tiny("b", misshape={key: (2, 2)})
    plan = plan_of(simple_recipe([tiny("a"), flat], alpha=0.5), tmp_path)
    assert entry(plan, key).shape == (2, 2, 1, 1)


def test_models_of_two_families_are_refused_in_one_sentence(tiny: Tiny, tmp_path: Path) -> None:
    (problem,) = problems(simple_recipe([tiny("a"), tiny("b", family="sdxl")]), tmp_path)
    assert "Stable Diffusion 1" in problem.what
    assert "Stable Diffusion XL" in problem.what
    assert "\n" not in problem.what


def test_a_vae_file_is_no_model(tiny: Tiny, tmp_path: Path) -> None:
    (problem,) = problems(simple_recipe([tiny("a"), tiny("b", parts=("vae",))]), tmp_path)
    assert problem.what == "B contains a VAE and no model"


def test_all_problems_are_reported_at_once(tiny: Tiny, tmp_path: Path) -> None:
    keys = ["model.diffusion_model.out.2.bias", "model.diffusion_model.out.0.bias"]
    files = [tiny("a"), tiny("b", misshape=dict.fromkeys(keys, (9, 9)))]
    all_problems = problems(simple_recipe(files, alpha=0.5), tmp_path)
    assert sorted(problem.where for problem in all_problems) == sorted(keys)


def test_wrong_lists_and_slots_are_refused_with_what_would_fit(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a"), tiny("b"), tiny("c")]
    amount = {"alpha": Numbers("supermerger", RAMP[:24]), "beta": Slots((("IN12", 0.5),))}
    first, second = problems(simple_recipe(files, "triple_sum", **amount), tmp_path)
    assert "the list has 24 numbers, but Stable Diffusion 1 takes 26" in first.what
    assert (second.what, "IN11" in second.hint) == ("Stable Diffusion 1 has no slot 'IN12'", True)


CHAIN = """merge-desk recipe 1
P = "p.safetensors"
Q = "q.safetensors"
A = "a.safetensors"
V = "v.safetensors"
F = "f.safetensors"
R = "r.safetensors"
PQ = weighted_sum(P, Q, alpha = 0.5)
M1 = weighted_sum(A, PQ, alpha = 0.15)
M1Fix = weighted_sum(M1, V, alpha = 0.05)
M2 = add_difference(M1Fix, F, V, alpha = 1)
BASE = weighted_sum(M2, R, alpha = 0.25)
save BASE
"""


def test_a_chain_of_five_steps_is_one_sum_with_exact_coefficients(tiny: Tiny, tmp_path: Path) -> None:
    for name in "pqavfr":
        tiny(name)
    plan = plan_of(parse_recipe(CHAIN), tmp_path)
    expression = plan.slots["IN05"]
    assert isinstance(expression, Combination)
    shares = [share for _, share in expression.terms]
    # P and Q: .5 * .15 * .95 * .75; A: .85 * .95 * .75; V: (.05 - 1) * .75; F: .75; R: .25
    want = ["0.0534375", "0.0534375", "0.605625", "-0.7125", "0.75", "0.25"]
    assert shares == [Fraction(number) for number in want]
    assert sum(shares) == 1
    assert plan.base == 2


def test_a_coefficient_that_cancels_is_gone(tiny: Tiny, tmp_path: Path) -> None:
    tiny("a"), tiny("b")
    text = 'merge-desk recipe 1\nA = "a.safetensors"\nB = "b.safetensors"\n'
    plan = plan_of(parse_recipe(text + "M = add_difference(A, B, A, alpha = 1)\n"), tmp_path)
    assert plan.slots["IN00"] == Source(1)


def test_a_difference_of_models_is_not_saved(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a"), tiny("b")]
    (problem,) = problems(simple_recipe(files, "weighted_models", model_weights=(1.0, -1.0)), tmp_path)
    assert problem.what == "'M' is a difference of models, not a model"


@pytest.mark.parametrize(
    ("alpha", "where", "hint"),
    [
        (
            read_weights("OUT05: 0.03", layout="supermerger"),
            "slots BASE, IN00",
            '1 keeps them: --weights "*: 1; OUT05: 0.03"',
        ),
        (Slots((("IN03", 0.0),), rest=1.0), "slots IN03", "1 keeps it"),
        (0.0, "", "1 keeps it"),
    ],
    ids=["rules", "one slider", "one number"],
)
def test_what_scaling_by_0_removes_is_named_with_the_amount_that_keeps_it(
    tiny: Tiny, tmp_path: Path, alpha: Setting, where: str, hint: str
) -> None:
    (problem,) = problems(simple_recipe([tiny("a")], "self", alpha=alpha), tmp_path)
    removed = {"": "the model", "slots IN03": "this block"}.get(where, "these blocks")
    assert (problem.what, problem.hint) == (f"with alpha 0, self removes {removed} entirely", hint)
    assert problem.where.startswith(where)
    assert bool(problem.where) == bool(where)


def test_models_whose_amounts_are_all_0_leave_nothing(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a"), tiny("b")]
    (problem,) = problems(simple_recipe(files, "weighted_models", model_weights=(0.0, 0.0)), tmp_path)
    assert problem.what == "nothing is left of the model: the amounts sum to 0"


def test_shares_that_do_not_sum_to_one_are_taken_as_they_are_and_noted(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny("a"), tiny("b")]
    plan = plan_of(simple_recipe(files, "weighted_models", model_weights=(0.5, 0.3)), tmp_path)
    assert any("sum to 0.8 and not to 1" in note for note in plan.notes)
    even = plan_of(
        simple_recipe(files, "weighted_models", model_weights=(0.5, 0.3), normalize=True), tmp_path
    )
    assert not even.notes
    assert amounts(even)["M00"] == 0.375


def test_a_plan_is_readable(tiny: Tiny, tmp_path: Path) -> None:
    plan = plan_of(simple_recipe([tiny("a"), tiny("b")], alpha=Slots((("OUT05", 0.3),))), tmp_path)
    text = render_plan(plan, threads=2)
    assert "0.7 A + 0.3 B" in text
    assert "1131 keys, 1130 fp16, 1 int64" in text
    assert sum(count for _, _, count, _ in slot_summaries(plan)) == 1131


@pytest.mark.parametrize("command", ["plan", "inspect", "methods"])
def test_headers_and_plans_need_no_tensor_library(command: str, tiny: Tiny) -> None:
    options = {"plan": [tiny("a"), tiny("b"), "--alpha", "0.3"], "inspect": [tiny("a")], "methods": []}[
        command
    ]
    arguments = [command, *map(str, options)]
    probe = f"import sys; from lib_merge.cli import main; main({arguments!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_ingredients_may_be_one_file_twice(tiny: Tiny, tmp_path: Path) -> None:
    file = tiny("a").name
    recipe = Recipe(
        (Ingredient("A", file), Ingredient("B", file)), (Step("M", "weighted_sum", ("A", "B")),), "M"
    )
    assert len(plan_of(recipe, tmp_path).keys) == 1131


@pytest.mark.parametrize(
    ("amount", "note"),
    [
        (2.0, "alpha 2 is outside of the usual 0 to 1"),
        (-1.0, "alpha -1 is outside of the usual 0 to 1"),
        (Numbers("supermerger", (*RAMP[:25], 1.5)), "alpha 1.5 is outside of the usual 0 to 1"),
        (Slots((("OUT05", 30.0),), rest=1.2), "alpha 30 is outside of the usual 0 to 1"),
        (parse_rules("OUT: 0.5; attn1: -3"), "alpha -3 is outside of the usual 0 to 1"),
        (1.0, ""),
    ],
    ids=["2", "-1", "list", "slots", "rules", "1"],
)
def test_a_number_outside_of_the_usual_range_is_noted(
    amount: Amount, note: str, tiny: Tiny, tmp_path: Path
) -> None:
    plan = plan_of(simple_recipe([tiny("a"), tiny("b")], alpha=amount), tmp_path)
    assert [text for text in plan.notes if "usual" in text] == ([note] if note else [])


def test_a_note_on_an_unusual_number_names_its_step_where_there_are_several(
    tiny: Tiny, tmp_path: Path
) -> None:
    tiny("a"), tiny("b")
    text = 'A = "a.safetensors"\nB = "b.safetensors"\nM = weighted_sum(A, B, alpha = 0.5)\n'
    plan = plan_of(parse_recipe(f"{text}N = weighted_sum(M, B, alpha = 2)\n"), tmp_path)
    assert "alpha 2 is outside of the usual 0 to 1 (step 'N')" in plan.notes
