"""Every format of a saved merge, and what each leaves out, rounds or clamps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_merge.architectures import (
    Component,
    component_of,
    ema_key,
    family_by_id,
    open_checkpoint,
    read_header,
)
from lib_merge.dtypes import SAVEABLE, to_torch
from lib_merge.errors import MergeError, NumericalError
from lib_merge.execute import MergeOptions
from lib_merge.plan import make_plan
from lib_merge.recipe import Ingredient, Recipe, Step
from lib_merge.save.saving import format_of, save_merge, saving_problems
from tests.support.full_size import write_tiny
from tests.support.merging import rewrite, same_bits

SD1 = family_by_id("sd1")
IN05 = "model.diffusion_model.input_blocks.5.1.transformer_blocks.0.attn1.to_q.weight"
NORM = "model.diffusion_model.input_blocks.5.1.norm.weight"
TIME = "model.diffusion_model.time_embed.0.weight"
TEXT_MODEL = "cond_stage_model.transformer.text_model."
TEXT = f"{TEXT_MODEL}final_layer_norm.weight"
VAE = "first_stage_model.decoder.conv_in.weight"

Save = Callable[..., Path]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return write_tiny(tmp_path / "a.safetensors", seed=1), write_tiny(tmp_path / "b.safetensors", seed=2)


def save(folder: Path, name: str = "m.safetensors", alpha: float = 0.25, **choices: object) -> Path:
    """The half-way merge of a and b in `folder`, saved as the choices say."""
    recipe = Recipe(
        (Ingredient("A", "a.safetensors"), Ingredient("B", "b.safetensors")),
        (Step("M", "weighted_sum", ("A", "B"), (("alpha", alpha),)),),
        "M",
        **choices,  # type: ignore[arg-type]
    )
    plan = make_plan(recipe, {file: read_header(folder / file) for file in recipe.files})
    target = folder / name.rstrip("/")
    save_merge(plan, target, format_of(name), MergeOptions(overwrite=True))
    return target


@pytest.mark.parametrize("label", SAVEABLE)
def test_eight_bits_are_for_the_matrices_of_the_unet_and_every_other_format_for_all(
    pair: tuple[Path, Path], tmp_path: Path, label: str
) -> None:
    saved = load_file(save(tmp_path, dtype=SAVEABLE[label]))
    wanted = to_torch(SAVEABLE[label])
    rest = torch.float16 if label.startswith("fp8") else wanted
    assert saved[IN05].dtype == wanted
    assert {saved[key].dtype for key in (NORM, TIME, TEXT, VAE)} == {rest}
    a, b = (load_file(file)[IN05].float() for file in pair)
    assert same_bits(saved[IN05], (0.75 * a + 0.25 * b).to(wanted))


def test_a_vae_is_kept_taken_baked_or_left_out(pair: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = map(load_file, pair)
    vae = {key.removeprefix("first_stage_model."): -value for key, value in a.items() if "first_stage" in key}
    save_file(vae, tmp_path / "own.vae.safetensors")
    assert same_bits(load_file(save(tmp_path))[VAE], a[VAE])
    assert same_bits(load_file(save(tmp_path, vae="b"))[VAE], b[VAE])
    assert same_bits(load_file(save(tmp_path, vae="own.vae.safetensors"))[VAE], -a[VAE])
    without = load_file(save(tmp_path, vae="none"))
    assert {component_of(SD1, key) for key in without} == {Component.UNET, Component.TEXT}


def test_a_text_encoder_is_merged_kept_taken_or_left_out(pair: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = map(load_file, pair)
    merged = load_file(save(tmp_path))
    assert not same_bits(merged[TEXT], a[TEXT])
    for choice, whole in (("a", a), ("b", b)):
        saved = load_file(save(tmp_path, text_encoder=choice))
        assert same_bits(saved[TEXT], whole[TEXT])
        assert same_bits(saved[IN05], merged[IN05])
    without = load_file(save(tmp_path, text_encoder="none"))
    assert {component_of(SD1, key) for key in without} == {Component.UNET, Component.VAE}


@pytest.mark.parametrize("ending", ["safetensors", "ckpt"])
def test_ema_weights_are_dropped_or_used_in_the_place_of_the_weights(tmp_path: Path, ending: str) -> None:
    whole = load_file(write_tiny(tmp_path / "raw.safetensors", seed=1, ema=True))
    if ending == "ckpt":  # what they are found in: v1-5-pruned.ckpt
        torch.save({"state_dict": whole}, tmp_path / "a.safetensors")
    else:
        save_file(whole, tmp_path / "a.safetensors")
    b = load_file(write_tiny(tmp_path / "b.safetensors", seed=2))
    for use, key in ((False, IN05), (True, ema_key(IN05))):
        saved = load_file(save(tmp_path, ema=use))
        exact = 0.75 * whole[key].float() + 0.25 * b[IN05].float()
        assert same_bits(saved[IN05], exact.half())
        assert not [name for name in saved if name.startswith("model_ema")]


def test_what_uses_ema_weights_says_of_whom(tmp_path: Path) -> None:
    write_tiny(tmp_path / "a.safetensors", seed=1, ema=True), write_tiny(tmp_path / "b.safetensors", seed=2)
    recipe = Recipe(
        (Ingredient("A", "a.safetensors"), Ingredient("B", "b.safetensors")),
        (Step("M", "weighted_sum", ("A", "B")),),
        "M",
        ema=True,
    )
    notes = make_plan(recipe, {file: read_header(tmp_path / file) for file in recipe.files}).notes
    assert "the U-Net of A is read from the EMA weights" in notes
    assert "B contains no EMA weights" in notes


def test_numbers_beyond_fp16_are_counted_in_all_keys_and_refused_or_cut(tmp_path: Path) -> None:
    large = torch.tensor([[70_000.0, -70_000.0], [1.0, 2.0]])
    shape = load_file(write_tiny(tmp_path / "b.safetensors", seed=2, dtype="F32"))[IN05].shape
    spread = torch.zeros(shape).flatten()
    spread[:4] = large.flatten()
    for name in "ab":
        tiny = write_tiny(tmp_path / f"{name}0.safetensors", seed=1, dtype="F32")
        rewrite(tiny, {IN05: spread.view(shape)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(NumericalError) as caught:
        save(tmp_path, dtype=SAVEABLE["fp16"])
    assert caught.value.where == f"2 values overflow fp16: in {IN05}"
    assert not (tmp_path / "m.safetensors").exists()
    saved = load_file(save(tmp_path, dtype=SAVEABLE["fp16"], clip=True))[IN05].flatten()
    assert saved[:4].tolist() == [65504, -65504, 1, 2]
    eight = load_file(save(tmp_path, dtype=SAVEABLE["fp8-e4m3"], clip=True))[IN05].flatten()
    assert eight[:4].float().tolist() == [448, -448, 1, 2]


def test_a_ckpt_holds_what_the_safetensors_file_holds(pair: tuple[Path, Path], tmp_path: Path) -> None:
    saved, old = load_file(save(tmp_path)), torch.load(save(tmp_path, "m.ckpt"), weights_only=True)
    assert old["state_dict"].keys() == saved.keys()
    assert all(same_bits(old["state_dict"][key], value) for key, value in saved.items())
    assert old["metadata"] == dict(read_header(tmp_path / "m.safetensors").metadata)


@pytest.mark.slow
def test_a_diffusers_folder_loads_as_a_pipeline_with_the_numbers_of_the_file(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    from lib_merge.architectures.diffusers_names import UNET_PREFIX, VAE_PREFIX, diffusers_state_dict
    from samples.assemble import assemble

    assemble()
    folder = Path(__file__).parents[3] / "samples" / "models"
    recipe = Recipe(
        (Ingredient("A", "ink.safetensors"), Ingredient("B", "pastel.safetensors")),
        (Step("M", "weighted_sum", ("A", "B"), (("alpha", 0.25),)),),
        "M",
    )
    plan = make_plan(recipe, {file: read_header(folder / file) for file in recipe.files})
    for name in ("m.safetensors", "m/", "m/"):  # a second time over the first
        save_merge(plan, tmp_path / name.rstrip("/"), format_of(name), MergeOptions(overwrite=True))
    saved = load_file(tmp_path / "m.safetensors")
    for kind, part, prefix in (
        (UNet2DConditionModel, "unet", UNET_PREFIX),
        (AutoencoderKL, "vae", VAE_PREFIX),
    ):
        loaded = kind.from_pretrained(tmp_path / "m", subfolder=part, torch_dtype=torch.float16).state_dict()
        wanted = diffusers_state_dict(prefix, saved)
        assert loaded.keys() == wanted.keys()
        assert all(same_bits(loaded[key], value) for key, value in wanted.items())
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "model_index.json",
        "scheduler",
        "text_encoder",
        "tokenizer",
        "unet",
        "vae",
    ]
    encoder = CLIPTextModel.from_pretrained(
        tmp_path / "m", subfolder="text_encoder", torch_dtype=torch.float16
    )
    learnt = encoder.get_input_embeddings().weight
    assert same_bits(learnt.detach(), saved[f"{TEXT_MODEL}embeddings.token_embedding.weight"])
    CLIPTokenizer.from_pretrained(tmp_path / "m", subfolder="tokenizer")
    assert not list(tmp_path.glob(".m.*"))


def test_what_prevents_a_folder_is_reported_before(pair: tuple[Path, Path], tmp_path: Path) -> None:
    recipe = Recipe((Ingredient("A", "a.safetensors"),), (), "A")
    plan = make_plan(recipe, {"a.safetensors": read_header(pair[0])})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    (problem,) = saving_problems(plan, tmp_path / "mine", "diffusers", overwrite=True)
    assert "no diffusers folder" in problem.what
    with pytest.raises(MergeError):
        save_merge(plan, tmp_path / "mine", "diffusers", MergeOptions(overwrite=True))
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    xl = write_tiny(tmp_path / "xl.safetensors", family="sdxl")
    plan = make_plan(Recipe((Ingredient("A", "xl"),), (), "A"), {"xl": read_header(xl)})
    (problem,) = saving_problems(plan, tmp_path / "folder", "diffusers")
    assert "of an SD1 model" in problem.what


def test_a_checkpoint_that_reads_averages_says_so_of_its_bytes(tmp_path: Path) -> None:
    from lib_merge.architectures import open_from_header
    from lib_merge.plan.parts import with_ema_weights

    header = with_ema_weights(read_header(write_tiny(tmp_path / "a.safetensors", ema=True)))
    with open_from_header(header) as averaged, open_checkpoint(header.path) as plain:
        assert bytes(averaged.bytes(IN05)) == bytes(plain.bytes(ema_key(IN05)))
        assert bytes(averaged.bytes(VAE)) == bytes(plain.bytes(VAE))
