"""The fact sheet and the model card: what a page about a model states, and that it is true."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lib_merge.architectures import Component, family_by_id, read_header
from lib_merge.checkpoint import hash_file
from lib_merge.execute import merge_to_file
from lib_merge.plan import make_plan
from lib_merge.plan.shares import ingredient_shares
from lib_merge.recipe import Recipe, parse_recipe
from lib_merge.report.render.sheet import FactSheet, read_fact_sheet, render_model_card
from tests.support.full_size import write_tiny

HEAD = 'merge-desk recipe 1\nA = "a.safetensors"\nB = "b.safetensors"\nC = "c.safetensors"\n'


def sheet(folder: Path, text: str) -> FactSheet:
    recipe = parse_recipe(text)
    for number, file in enumerate(recipe.files):
        write_tiny(folder / file, seed=number)
    plan = make_plan(recipe, {file: read_header(folder / file) for file in recipe.files})
    merge_to_file(plan, folder / "my mix.safetensors")
    path = folder / "my mix.safetensors"
    return read_fact_sheet(read_header(path), hash_file(path))


def unet_shares(text: str, sizes: dict[str, int]) -> dict[str, float]:
    recipe: Recipe = parse_recipe(text)
    return dict(ingredient_shares(recipe, family_by_id("sd1"), sizes)[Component.UNET])


def test_a_sheet_states_type_format_size_hashes_vae_and_shares(tmp_path: Path) -> None:
    text = (
        HEAD + "M = weighted_models(A, B, C, shares = [0.45, 0.4, 0.15])\nsave M, dtype = bf16, vae = none\n"
    )
    rows = dict(sheet(tmp_path, text).rows())
    raw = (tmp_path / "my mix.safetensors").read_bytes()
    assert rows["Type"] == "checkpoint merge"
    assert rows["Format"] == "safetensors"
    assert rows["Size"].endswith(f"({len(raw)} bytes)")
    assert rows["Dtype"] == "U-Net bf16; text encoder bf16"
    assert rows["Embedded VAE"] == "no"
    assert rows["Share of the U-Net"] == "a 45%, b 40%, c 15%"
    assert rows["SHA256"] == hashlib.sha256(raw).hexdigest()
    assert rows["MD5"] == hashlib.md5(raw).hexdigest()
    assert rows["AutoV2"] == rows["SHA256"][:10]
    assert {"AutoV1", "AutoV3"} <= rows.keys()


def test_shares_are_averaged_over_the_numbers_of_the_blocks() -> None:
    sizes = {
        "model.diffusion_model.input_blocks.1.0.a.weight": 30,
        "model.diffusion_model.middle_block.0.a.weight": 10,
    }
    step = "M = weighted_sum(A, B, alpha = {IN01: 0.5, M00: 1})\nsave M\n"
    assert unet_shares(HEAD + step, sizes) == {"b.safetensors": 0.625, "a.safetensors": 0.375}


def test_a_difference_has_a_share_below_nothing_and_a_cancelled_file_has_none() -> None:
    sizes = {"model.diffusion_model.middle_block.0.a.weight": 10}
    step = "M = add_difference(A, B, C, alpha = 0.5)\n"
    shares = unet_shares(HEAD + step + "save M\n", sizes)
    assert shares == {"a.safetensors": 1, "b.safetensors": 0.5, "c.safetensors": -0.5}
    back = step + "N = add_difference(M, C, B, alpha = 0.5)\nsave N\n"
    assert unet_shares(HEAD + back, sizes) == {"a.safetensors": 1}


def test_what_a_method_makes_that_is_not_linear_is_counted_as_the_methods() -> None:
    sizes = {"model.diffusion_model.middle_block.0.a.weight": 10}
    step = "M = slerp(A, B, alpha = 0.5)\nN = weighted_sum(A, M, alpha = 0.25)\nsave N\n"
    assert unet_shares(HEAD + step, sizes) == {"a.safetensors": 0.75, "slerp": 0.25}


def test_a_card_is_ready_to_be_copied(tmp_path: Path) -> None:
    facts = sheet(tmp_path, HEAD + "M = weighted_sum(A, B, alpha = 0.3)\nsave M, dtype = fp16\n")
    card = render_model_card(facts, "My Mix")
    assert card.startswith("# My Mix\n")
    assert "| a | 70% | 70% |" in card
    assert "| Embedded VAE | yes, of a.safetensors |" in card
    assert f"| SHA256 | {facts.hashes.sha256} |" in card
    assert parse_recipe(card.split("```")[1]).result == "M"


@pytest.mark.parametrize("parts", [("unet", "text"), ("unet", "text", "vae")])
def test_a_file_without_a_recipe_has_a_sheet_too(tmp_path: Path, parts: tuple[str, ...]) -> None:
    path = write_tiny(tmp_path / "a.safetensors", parts=parts)
    rows = dict(read_fact_sheet(read_header(path), hash_file(path)).rows())
    assert rows["Embedded VAE"] == ("yes" if "vae" in parts else "no")
    assert "Share of the U-Net" not in rows
