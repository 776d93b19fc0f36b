"""The five published mixes, run on samples in the place of their ingredients (recipes/INGREDIENTS.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib_merge.architectures import family_by_id, read_header, slot_of
from lib_merge.cli import main
from lib_merge.hosts.pictures import png_text
from lib_merge.plan import Plan, is_linear, make_plan
from lib_merge.plan.amounts import Amounts
from lib_merge.recipe import RECIPE_KEY, Recipe, Step, infotext_entry, parse_recipe, print_recipe
from samples.assemble import assemble

ROOT = Path(__file__).parents[2]
RECIPES = {path.stem: path for path in sorted((ROOT / "recipes").glob("*.recipe"))}
LINEAR = [name for name in RECIPES if name != "DunkMash"]
ROW = re.compile(r"^\| `([^`]+)` \| (\w+) \| ([^|]+) \|$", re.MULTILINE)
SD1 = family_by_id("sd1")
VAE = "first_stage_model."
HALF_STEP = 2.0**-11  # of fp16: half of the distance between neighbours, relative to the number
SMALLEST = 2.0**-25  # half of the distance below fp16's normal numbers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Tensors = Mapping[str, Tensor]


def stand_ins() -> dict[str, tuple[str, str]]:
    """The table: file of a recipe -> sample, format."""
    table = (ROOT / "recipes" / "INGREDIENTS.md").read_text(encoding="utf-8")
    return {file: (sample, form.strip()) for file, sample, form in ROW.findall(table)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every ingredient of the table, under its own name."""
    assemble()
    folder = tmp_path_factory.mktemp("ingredients")
    samples = {name: load_file(ROOT / "samples" / "models" / f"{name}.safetensors") for name in SAMPLES}
    for file, (sample, form) in stand_ins().items():
        save_file(_made(samples[sample], form), folder / f"{file}.safetensors")
    return folder


SAMPLES = ("base", "ink", "pastel", "other")


def _made(sample: Tensors, form: str) -> dict[str, Tensor]:
    if form == "VAE alone":
        return {key.removeprefix(VAE): value for key, value in sample.items() if key.startswith(VAE)}
    kept = {key: value for key, value in sample.items() if "no VAE" not in form or not key.startswith(VAE)}
    wide = form.startswith("fp32")
    return {
        key: value.float() if wide and value.is_floating_point() else value for key, value in kept.items()
    }


def recipe_called(name: str) -> Recipe:
    return parse_recipe(RECIPES[name].read_text(encoding="utf-8"))


def file_of(models: Path, name: str) -> Path:
    return models / f"{name}.safetensors"


def plan_of(recipe: Recipe, models: Path) -> Plan:
    return make_plan(recipe, {file: read_header(file_of(models, file)) for file in recipe.files})


def merge(recipe: str, models: Path, target: Path, *more: str) -> Tensors:
    words = ("merge", "--recipe", recipe, "--models", str(models), "-o", str(target), "--no-hashes", *more)
    assert main(words) == 0
    return load_file(target)


def replay(recipe: Recipe, models: Path, key: str) -> dict[str, Tensor]:
    """Every intermediate of one tensor in float64, one step after the other, as the formulas say."""
    files = {each.name: load(models, each.file) for each in recipe.ingredients}
    made = {name: tensors[key].double() for name, tensors in files.items() if key in tensors}
    slot = slot_of(SD1, key) or ""
    amounts = Amounts(SD1, tuple(files[recipe.ingredients[0].name]))
    for step in recipe.steps:
        made[step.name] = _step(step, made, lambda amount: amounts.amount(amount, slot, key))
    return made


def _step(step: Step, made: Mapping[str, Tensor], at: Callable[..., float]) -> Tensor:
    inputs = [made[name] for name in step.inputs]
    settings = dict(step.settings)
    if step.method == "weighted_models":
        shares = settings["model_weights"]
        assert isinstance(shares, tuple)
        return sum((at(share) * each for share, each in zip(shares, inputs, strict=True)), torch.zeros(()))
    alpha = at(settings["alpha"])
    if step.method == "weighted_sum":
        return (1 - alpha) * inputs[0] + alpha * inputs[1]
    assert step.method == "add_difference"
    return inputs[0] + alpha * (inputs[1] - inputs[2])


LOADED: dict[Path, Tensors] = {}


def load(models: Path, name: str) -> Tensors:
    path = file_of(models, name)
    return LOADED[path] if path in LOADED else LOADED.setdefault(path, load_file(path))


def some_keys(tensors: Tensors) -> list[str]:
    """A twentieth of the weights of the U-Net and the text encoder, every block among them."""
    keys = [key for key in tensors if not key.startswith(VAE) and tensors[key].is_floating_point()]
    first = {slot_of(SD1, key): key for key in reversed(keys)}
    return sorted({*keys[::20], *first.values()})


def test_the_table_names_every_file_of_every_recipe_and_no_other() -> None:
    named = {file for name in RECIPES if name in LINEAR for file in recipe_called(name).files}
    chain = RECIPES["DunkMash"].read_text(encoding="utf-8")
    dunk = {file for file in stand_ins() if re.search(rf"{re.escape(file)}(?![-\w])", chain)}
    assert named | dunk == set(stand_ins())


@pytest.mark.parametrize("name", LINEAR)
def test_a_mix_is_what_a_float64_replay_gives_rounded_once(name: str, models: Path, tmp_path: Path) -> None:
    recipe = recipe_called(name)
    made = merge(str(RECIPES[name]), models, tmp_path / "m.safetensors")
    keys = some_keys(made)
    assert len(keys) > 40
    for key in keys:
        exact = replay(recipe, models, key)[recipe.result]
        error = (made[key].double() - exact).abs()
        # float32 arithmetic below it moves a number across the middle between two neighbours, rarely
        assert bool((error <= HALF_STEP * 1.01 * exact.abs() + SMALLEST).all()), key
        assert made[key].dtype == torch.float16


@pytest.mark.parametrize("name", LINEAR)
def test_a_mix_has_the_vae_that_its_page_states(name: str, models: Path, tmp_path: Path) -> None:
    recipe = recipe_called(name)
    made = merge(str(RECIPES[name]), models, tmp_path / "m.safetensors")
    key = f"{VAE}decoder.conv_in.weight"
    if recipe.vae == "none":
        assert not [each for each in made if each.startswith(VAE)]
        return
    first = load(models, recipe.vae or recipe.ingredients[0].file)
    wanted = first.get(key, first.get(key.removeprefix(VAE)))
    assert wanted is not None
    assert torch.equal(made[key], wanted.half())


def test_the_chain_of_chilly_mix_base_is_folded_into_one_pass(models: Path) -> None:
    plan = plan_of(recipe_called("chillyMixBase"), models)
    assert all(is_linear(expression) for expression in plan.slots.values())
    shares = {plan.names[part.model]: float(share) for part, share in plan.slots["IN05"].terms}  # type: ignore[union-attr]
    assert shares == pytest.approx(
        {
            "pyro_pov_a": 0.75 * 0.95 * 0.15 / 2,
            "pyro_pov_b": 0.75 * 0.95 * 0.15 / 2,
            "analogDiffusion": 0.75 * 0.95 * 0.85,
            "v1-5-pruned-emaonly": 0.75 * (0.05 - 1),
            "F222_v1": 0.75,
            "r34_e4": 0.25,
        },
        abs=1e-15,
    )
    assert sum(shares.values()) == pytest.approx(1, abs=1e-15)


def test_folded_and_step_by_step_differ_by_one_rounding_a_step_at_most(models: Path, tmp_path: Path) -> None:
    recipe = recipe_called("chillyMixBase")
    path = str(RECIPES["chillyMixBase"])
    folded = merge(path, models, tmp_path / "folded.safetensors")
    stepped = merge(path, models, tmp_path / "stepped.safetensors", "--step-by-step")
    differing = 0
    for key in some_keys(folded):
        steps = replay(recipe, models, key)
        # each step's rounding reaches the result with a factor of at most 1; the folded sum has one
        bound = sum((steps[step.name].abs() * HALF_STEP + SMALLEST for step in recipe.steps), torch.zeros(()))
        bound = 1.01 * bound + steps[recipe.result].abs() * HALF_STEP
        assert bool(((folded[key].double() - stepped[key].double()).abs() <= bound).all()), key
        differing += not torch.equal(folded[key], stepped[key])
    assert differing > 0


def test_step_by_step_is_bit_by_bit_what_saving_every_intermediate_gives(
    models: Path, tmp_path: Path
) -> None:
    recipe = recipe_called("chillyMixBase")
    made = merge(str(RECIPES["chillyMixBase"]), models, tmp_path / "stepped.safetensors", "--step-by-step")
    files = {each.name: file_of(models, each.file) for each in recipe.ingredients}
    for step in recipe.steps:
        target = tmp_path / f"{step.name}.safetensors"
        inputs = [str(files[name]) for name in step.inputs]
        alpha = str(dict(step.settings)["alpha"])
        words = (
            "merge",
            *inputs,
            "--method",
            step.method,
            "--alpha",
            alpha,
            "--dtype",
            "fp16",
            "--no-hashes",
        )
        assert main((*words, "-o", str(target))) == 0
        files[step.name] = target
    old = load_file(files[recipe.result])
    assert made.keys() == old.keys()
    assert [key for key in made if not torch.equal(made[key], old[key])] == []


@pytest.mark.parametrize("source", ["metadata", "png", "text"])
def test_a_mix_is_built_again_byte_for_byte(source: str, models: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.safetensors"
    words = ("merge", "--models", str(models), "--data", str(tmp_path / "data"))
    assert main((*words, "--recipe", str(RECIPES["chillyMixBase-V1-NED"]), "-o", str(first))) == 0
    text = read_header(first).metadata[RECIPE_KEY]
    given = {"metadata": str(first), "png": str(tmp_path / "p.png"), "text": text}[source]
    Image.new("RGB", (8, 8)).save(
        tmp_path / "p.png", pnginfo=png_text(f"a\nSteps: 1, {infotext_entry(text)}")
    )
    second = tmp_path / "second.safetensors"
    assert main((*words, "--recipe", given, "-o", str(second))) == 0
    assert second.read_bytes() == first.read_bytes()


def test_swapping_an_ingredient_is_one_line(models: Path, tmp_path: Path) -> None:
    text = RECIPES["PastelMix-dpep4"].read_text(encoding="utf-8")
    swapped = text.replace('base = "dpep4mkmp"', 'base = "counterfeit"')
    made = merge(swapped, models, tmp_path / "m.safetensors")
    key = "model.diffusion_model.output_blocks.4.0.in_layers.2.weight"  # nobody but base has a say there
    assert torch.equal(made[key], load(models, "counterfeit")[key])


@pytest.mark.parametrize("name", LINEAR)
def test_a_recipe_file_prints_canonically(name: str) -> None:
    recipe = recipe_called(name)
    assert parse_recipe(print_recipe(recipe)) == recipe


def test_dunk_mash_is_the_sum_of_its_models_laid_in_line_first(models: Path, tmp_path: Path) -> None:
    text = RECIPES["DunkMash"].read_text(encoding="utf-8")
    text = text.replace("to = Nothing v2.3)", "to = Nothing v2.3, sweeps = 1)")  # the first round moves most
    recipe = parse_recipe(text)
    made = merge(text, models, tmp_path / "m.safetensors")
    held: dict[str, Tensors] = {}
    for each in recipe.ingredients:
        held[each.name] = load(models, each.file)
        if each.alignment is not None:
            alone = print_recipe(Recipe(recipe.ingredients, (), each.name))
            held[each.name] = merge(alone, models, tmp_path / f"{each.name}.safetensors")
    moved = [key for key in made if not torch.equal(held["D3_part"][key], held["DreamShaper_6"][key])]
    assert len(moved) > 100
    for key in some_keys(made):
        steps = {name: tensors[key].double() for name, tensors in held.items()}
        for step in recipe.steps:
            steps[step.name] = _step(step, steps, float)
        exact = steps[recipe.result]
        error = (made[key].double() - exact).abs()
        assert bool((error <= HALF_STEP * 1.01 * exact.abs() + SMALLEST).all()), key
