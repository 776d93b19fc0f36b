"""Every method over whole files: the method's own numbers, whatever the threads, pieces and keys."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file as load_anew

from lib_merge.dtypes import BF16
from lib_merge.execute import MergeOptions, merge_to_memory
from lib_merge.methods import METHODS
from lib_merge.methods.cosine import cosine_range
from lib_merge.parameters import seed_for
from lib_merge.plan import METHOD_CHUNK
from lib_merge.recipe import Ingredient, Recipe, Slots, Step
from tests.support.full_size import write_tiny
from tests.support.merging import merge_files, plan_of, rewrite, same_bits, simple_recipe

IN05 = "model.diffusion_model.input_blocks.5.1.transformer_blocks.0.attn1.to_q.weight"
OUT05 = "model.diffusion_model.output_blocks.5.0.in_layers.2.weight"
NOT_LINEAR = [method for method in METHODS.all() if method.coefficients is None]
EACH = pytest.mark.parametrize("method", NOT_LINEAR, ids=lambda method: method.id)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four files that have something in common."""
    folder = tmp_path_factory.mktemp("files")
    paths = [write_tiny(folder / f"{name}.safetensors", seed=ord(name)) for name in "abcd"]
    base = load_file(paths[0])
    for file in paths[1:]:
        tensors = load_anew(file)
        near = {
            key: (base[key].float() + 0.3 * value.float()).to(value.dtype)
            for key, value in tensors.items()
            if value.is_floating_point()
        }
        rewrite(file, near, file)
    return paths


@functools.cache
def load_file(path: Path) -> dict[str, torch.Tensor]:
    """A file's tensors, read once."""
    return load_anew(path)


def merged_slots(
    chosen: list[Path],
    method: Any,
    *,
    threads: int | None = None,
    slots: str = "IN00 IN05 OUT05",
    **options: Any,
) -> dict[str, torch.Tensor]:
    """What the method makes of the keys of a few slots; surveys see all keys as ever."""
    plan = plan_of(simple_recipe(chosen, method.id, **options), chosen[0].parent)
    part = replace(plan, keys=tuple(entry for entry in plan.keys if entry.slot in slots.split()))
    return merge_to_memory(part, MergeOptions(threads=threads))


def some(method: Any, files: list[Path]) -> list[Path]:
    return files[: method.max_models or 4]


def settings_of(method: Any) -> dict[str, Any]:
    return {p.name: 0.3 for p in method.parameters if p.name == "alpha"}


@EACH
def test_a_file_holds_the_methods_own_numbers(method: Any, files: list[Path]) -> None:
    chosen, settings = some(method, files), settings_of(method)
    merged = merged_slots(chosen, method, dtype=BF16, **settings)
    for key in (IN05, OUT05):
        tensors = [load_file(file)[key].float() for file in chosen]
        extra = {"seed": seed_for(0, key)} if any(p.name == "seed" for p in method.parameters) else {}
        surveys = {name: survey for name, survey in method.reductions.items() if survey.reduce}
        if surveys:
            continue  # looks at the other keys as well
        assert same_bits(merged[key], method(*tensors, **settings, **extra).bfloat16()), key


@EACH
def test_threads_and_the_choice_of_keys_change_nothing(method: Any, files: list[Path]) -> None:
    chosen = some(method, files)
    settings = settings_of(method)
    whole = merged_slots(chosen, method, threads=1, **settings)
    for threads, slots in ((3, "IN00 IN05 OUT05"), (2, "IN05")):
        other = merged_slots(chosen, method, threads=threads, slots=slots, **settings)
        assert other
        assert all(same_bits(value, whole[key]) for key, value in other.items())


@pytest.mark.parametrize("method", ["ties", "dare", "train_difference", "add_noise"])
def test_large_tensors_are_worked_on_in_steps_that_do_not_show(method: str, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    paths = []
    for name in "abc":
        wide = torch.randn(5 * METHOD_CHUNK + 7, 1, generator=generator).half()
        paths.append(write_tiny(tmp_path / f"{name}.safetensors"))
        rewrite(paths[-1], {OUT05: wide}, paths[-1])
    chosen = some(METHODS.get(method), paths)[:3]
    merged = merge_files(chosen, tmp_path / "m.safetensors", method, **settings_of(METHODS.get(method)))
    tensors = [load_file(file)[OUT05].float() for file in chosen]
    extra = {"seed": seed_for(0, OUT05)} if method in ("dare", "add_noise") else {}
    want = METHODS.get(method)(*tensors, **settings_of(METHODS.get(method)), **extra)
    assert same_bits(merged[OUT05], want.half())


def test_a_reduction_over_the_model_sees_every_key_but_the_vaes_and_no_other_blocks_amount(
    files: list[Path], tmp_path: Path
) -> None:
    method = METHODS.get("cosine_a")
    a, b = (load_file(file) for file in files[:2])
    keys = sorted(k for k, v in a.items() if v.is_floating_point() and not k.startswith("first_stage_model."))
    look = method.reductions["limits"].map
    spread = cosine_range([look(a[key], b[key], dtype=torch.float32) for key in keys])
    want = method(a[IN05].float(), b[IN05].float(), alpha=0.3, limits=spread).half()
    everywhere = merge_files(files[:2], tmp_path / "m.safetensors", "cosine_a", alpha=0.3)
    alone = merge_files(
        files[:2], tmp_path / "n.safetensors", "cosine_a", alpha=Slots((("IN05", 0.3), ("OUT05", 1.0)))
    )
    assert same_bits(everywhere[IN05], want)
    assert same_bits(alone[IN05], want)
    assert same_bits(alone[OUT05], b[OUT05])


@pytest.mark.parametrize("method", [m for m in NOT_LINEAR if m.exact], ids=lambda method: method.id)
def test_an_end_is_the_files_own_bytes(method: Any, files: list[Path]) -> None:
    for end in method.exact:
        chosen = some(method, files)
        settings = {name: float(value) for name, value in end.at.items()}
        merged, want = merged_slots(chosen, method, slots="IN05", **settings), load_file(chosen[end.model])
        assert merged
        assert all(same_bits(value, want[key]) for key, value in merged.items())


def test_steps_that_are_not_linear_go_into_one_another(files: list[Path]) -> None:
    ingredients = tuple(Ingredient(name, file.name) for name, file in zip("ABCD", files, strict=True))
    steps = (
        Step("S", "slerp", ("A", "B"), (("alpha", 0.3),)),
        Step("M", "weighted_sum", ("S", "C"), (("alpha", 0.25),)),
        Step("T", "train_difference", ("M", "C", "D"), (("alpha", 0.7),)),
        Step("K", "clamp", ("T", "A", "B", "C")),
    )
    merged = merge_to_memory(plan_of(Recipe(ingredients, steps, "K"), files[0].parent))
    a, b, c, d = (load_file(file)[IN05].float() for file in files)
    mixed = torch.lerp(METHODS.get("slerp")(a, b, alpha=0.3), c, 0.25)
    trained = METHODS.get("train_difference")(mixed, c, d, alpha=0.7)
    want = METHODS.get("clamp")(trained, a, b, c).half()
    torch.testing.assert_close(merged[IN05], want, rtol=2e-3, atol=1e-6)  # the last bit of fp16


def test_fourteen_models_in_one_recipe(files: list[Path]) -> None:
    names = [f"M{n}" for n in range(14)]
    ingredients = tuple(Ingredient(name, files[n % 4].name) for n, name in enumerate(names))
    for method in ("weighted_models", "ties", "karcher_mean"):
        shares = (1 / 14,) * (13 if method == "ties" else 14)
        step = Step("R", method, tuple(names), (("model_weights", shares),))
        plan = plan_of(Recipe(ingredients, (step,), "R"), files[0].parent)
        part = replace(plan, keys=tuple(entry for entry in plan.keys if entry.slot == "IN05"))
        assert all(torch.isfinite(value).all() for value in merge_to_memory(part).values())


def test_an_inpainting_model_takes_part_in_any_method(files: list[Path], tmp_path: Path) -> None:
    conv_in = "model.diffusion_model.input_blocks.0.0.weight"
    for file in files[1:3]:
        (tmp_path / file.name).symlink_to(file)
    inpaint = write_tiny(tmp_path / "inpaint.safetensors", variant="inpaint")
    chosen = [inpaint, tmp_path / files[1].name, tmp_path / files[2].name]
    for method in ("train_difference", "ties", "smooth_add"):
        merged = merge_files(chosen, tmp_path / "m.safetensors", method)[conv_in]
        a, b, c = (load_file(file)[conv_in] for file in chosen)
        want = METHODS.get(method)(a[:, :4].float(), b.float(), c.float()).half()
        assert same_bits(merged[:, :4].contiguous(), want)
        assert same_bits(merged[:, 4:], a[:, 4:])


def test_the_memory_that_is_predicted_grows_with_what_a_method_needs(files: list[Path]) -> None:
    def memory(method: str) -> int:
        chosen = some(METHODS.get(method), files)
        return plan_of(
            simple_recipe(chosen, method, **settings_of(METHODS.get(method))), files[0].parent
        ).memory(2)

    assert memory("add_difference") < memory("smooth_add")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@EACH
def test_a_cuda_device_gives_the_numbers_of_the_processor(method: Any, files: list[Path]) -> None:
    plan = plan_of(simple_recipe(some(method, files), method.id, **settings_of(method)), files[0].parent)
    here, there = merge_to_memory(plan), merge_to_memory(plan, MergeOptions(device="cuda"))
    for key, value in here.items():
        near = (there[key].float() - value.float()).abs() <= 2e-3 * value.float().abs() + 1e-5
        assert float(near.float().mean()) > 0.98, key  # a rank or a sign may turn on the last bit
