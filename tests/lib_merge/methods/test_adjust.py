"""Adjust: SuperMerger's own numbers, and that nothing but six tensors is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from lib_merge.errors import PlanError, RecipeError
from lib_merge.execute import merge_to_memory
from lib_merge.methods import METHODS
from lib_merge.methods.adjust import CHANGED_KEYS, adjust
from lib_merge.parameters import TensorRef
from lib_merge.plan import Source
from lib_merge.recipe import Recipe, print_recipe, with_adjust
from tests.support.full_size import write_tiny
from tests.support.merging import plan_of, same_bits, simple_recipe

NAMES = [parameter.name for parameter in METHODS.get("adjust").parameters]
UNET = "model.diffusion_model."

# sd-webui-supermerger 0b1c491, fineman("1,2,3,4,5,6,7,8", isxl), run outside of a WebUI
SUPERMERGER = {
    "": [0.99, 1.02, 0.98, 1.04, 0.97, [0.08, 0.18, 0.0133, 0.0867]],
    "sdxl": [0.99, 1.02, 0.98, 1.04, 0.97, [0.08, -0.18, 0.02, 0.1]],
}


@pytest.mark.parametrize("family", SUPERMERGER)
def test_the_numbers_are_supermergers(family: str) -> None:
    settings = {name: float(n) for n, name in enumerate(NAMES, 1)}
    *factors, shift = SUPERMERGER[family]
    one = torch.ones(4)
    for key, factor in zip(CHANGED_KEYS, factors, strict=False):
        torch.testing.assert_close(adjust(one, **settings, tensor=TensorRef(family, key)), one * factor)
    moved = adjust(torch.zeros(4), **settings, tensor=TensorRef(family, CHANGED_KEYS[-1]))
    torch.testing.assert_close(moved, torch.tensor(shift), rtol=0, atol=5e-5)


@given(st.lists(st.floats(-6, 6), min_size=8, max_size=8), st.sampled_from(CHANGED_KEYS))
def test_an_adjustment_of_the_bias_and_its_opposite_come_back(numbers: list[float], key: str) -> None:
    settings = dict(zip(NAMES, numbers, strict=True))
    back = {name: -number for name, number in settings.items()}
    a = torch.linspace(-1, 1, 4, dtype=torch.float64)
    there = adjust(adjust(a, **settings, tensor=TensorRef("sd1", key)), **back, tensor=TensorRef("sd1", key))
    exact = 1e-12 + (0.02**2 * 6**2 if key != CHANGED_KEYS[-1] else 0)  # (1 + x)(1 - x), and x - x
    assert (there - a).abs().max() <= exact


def test_only_six_tensors_change_and_a_merge_before_it_stays_one_pass(tmp_path: Path) -> None:
    files = [write_tiny(tmp_path / f"{name}.safetensors", seed=n) for n, name in enumerate("ab")]
    plain = simple_recipe(files, alpha=0.3)
    adjusted = plan_of(with_adjust(plain, "1,2,3,4,5,6,7,8"), tmp_path)
    before = {entry.key: entry.expression for entry in plan_of(plain, tmp_path).keys}
    assert {entry.key for entry in adjusted.keys if entry.expression != before[entry.key]} == set(
        CHANGED_KEYS
    )
    out = merge_to_memory(adjusted)
    merged = merge_to_memory(plan_of(plain, tmp_path))
    key = f"{UNET}out.2.bias"
    shift = out[key].float() - merged[key].float()
    torch.testing.assert_close(shift, torch.tensor(SUPERMERGER[""][5]), rtol=0, atol=1e-3)
    assert all(same_bits(out[key], merged[key]) for key in out if key not in CHANGED_KEYS)


def test_a_single_model_is_adjusted_and_zeros_leave_it_alone(tmp_path: Path) -> None:
    file = write_tiny(tmp_path / "a.safetensors", family="sdxl")
    alone = simple_recipe([file], "adjust", contrast=5.0)
    out, a = merge_to_memory(plan_of(alone, tmp_path)), load_file(file)
    key = f"{UNET}out.2.bias"
    torch.testing.assert_close((out[key].float() - a[key].float())[0], torch.tensor(0.1), rtol=0, atol=1e-3)
    nothing = plan_of(simple_recipe([file], "adjust"), tmp_path)
    assert all(entry.expression in (Source(0), None) for entry in nothing.keys)


def test_the_text_of_eight_numbers_is_a_step_of_the_recipe() -> None:
    plain = simple_recipe([Path("a"), Path("b")], alpha=0.3)
    assert with_adjust(plain, "0,0,0,0,0,0,0,0") == with_adjust(plain, " ") == plain
    adjusted = with_adjust(plain, "0,0,0,2,-1")
    assert "ADJUSTED = adjust(M, brightness = -1, contrast = 2)" in print_recipe(adjusted)
    assert isinstance(with_adjust(adjusted, "1"), Recipe), "twice is a second step"
    with pytest.raises(RecipeError, match="takes 8 numbers, not 9"):
        with_adjust(plain, "1,2,3,4,5,6,7,8,9")


def test_a_family_without_these_tensors_is_refused(tmp_path: Path) -> None:
    file = write_tiny(tmp_path / "a.safetensors", family="flux")
    with pytest.raises(PlanError, match="none of the tensors that adjust changes"):
        plan_of(simple_recipe([file], "adjust", contrast=1.0), tmp_path)
