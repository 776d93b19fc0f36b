"""A part that is asked for is taken whole, or refused where no file holds it, with a way that works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from lib_merge.architectures import ema_key, family_by_id
from lib_merge.errors import MergeError, PlanError
from lib_merge.execute import merge_to_file
from lib_merge.plan import Plan, Source
from lib_merge.recipe import Setting, Slots
from tests.support.full_size import tiny_shapes, write_file, write_tiny
from tests.support.merging import plan_of, same_bits, simple_recipe

pytestmark = pytest.mark.newest_only

CLIP = "cond_stage_model.transformer.text_model."
TOKENS = f"{CLIP}embeddings.token_embedding.weight"
POSITIONS = {
    f"{CLIP}embeddings.position_embedding.weight": (248, 3),
    f"{CLIP}embeddings.position_ids": (1, 248),
}
UNET_ONLY, NO_VAE, NO_TEXT = ("unet",), ("unet", "text"), ("unet", "vae")
Tiny = Callable[..., Path]


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """Writes `NAME.safetensors` with all the keys of a real file and hardly any numbers."""
    return lambda name, family="sd1", **options: write_tiny(
        tmp_path / f"{name}.safetensors", family, **{"seed": ord(name[0]), **options}
    )


def planned(
    files: list[Path], *, text: str = "", vae: str = "", ema: bool = False, alpha: Setting = 0.5
) -> Plan:
    recipe = simple_recipe(files, vae=vae, alpha=alpha)
    return plan_of(replace(recipe, text_encoder=text, ema=ema), files[0].parent)


def problem(files: list[Path], **options: object) -> MergeError:
    with pytest.raises(PlanError) as caught:
        planned(files, **options)  # type: ignore[arg-type]
    (only,) = caught.value.problems
    return only


def sources(plan: Plan, *slots: str) -> set[object]:
    return {entry.expression for entry in plan.keys if entry.slot in slots and entry.expression is not None}


def test_a_text_encoder_and_a_vae_that_a_lacks_come_whole_from_b(tiny: Tiny) -> None:
    plan = planned([tiny("a", parts=UNET_ONLY), tiny("b")], text="b", vae="b")
    assert sources(plan, "BASE", "VAE") == {Source(1)}
    assert len(plan.keys) == 1131
    assert not any("not in A, so left out" in note for note in plan.notes)


def test_both_come_from_a_b_that_holds_nothing_else(tiny: Tiny) -> None:
    files = [tiny("a", parts=UNET_ONLY), tiny("b", parts=("text", "vae"))]
    assert len(planned(files, text="b", vae="b").keys) == 1131
    error = problem(files)
    assert error.what.startswith("B has no tensor in common with A, so nothing of it can be merged")
    assert error.hint == "--text-encoder b --vae b"


@pytest.mark.parametrize(
    ("parts", "choice", "hint", "way_out"),
    [
        ((NO_TEXT, NO_TEXT), {"text": "b"}, "leave out --text-encoder", {}),
        ((("unet", "text"), UNET_ONLY), {"text": "b"}, "use --text-encoder a for that of A", {"text": "a"}),
        ((UNET_ONLY, NO_VAE), {"text": "a"}, "use --text-encoder b for that of B", {"text": "b"}),
        ((NO_TEXT, NO_TEXT), {"text": "a"}, "leave out --text-encoder", {}),
        ((NO_TEXT, NO_VAE), {"vae": "b"}, "use --vae a for that of A", {"vae": "a"}),
        ((NO_VAE, NO_TEXT), {"vae": "a"}, "use --vae b for that of B", {"vae": "b"}),
        ((NO_VAE, NO_VAE), {"vae": "b"}, "leave out --vae", {}),
        ((NO_VAE, NO_TEXT), {"vae": "blend"}, "use --vae b for that of B", {"vae": "b"}),
        ((NO_TEXT, NO_VAE), {"vae": "blend"}, "use --vae a for that of A", {"vae": "a"}),
    ],
)
def test_a_part_that_nobody_holds_is_refused_with_a_way_that_works(
    tiny: Tiny,
    parts: tuple[tuple[str, ...], tuple[str, ...]],
    choice: dict[str, str],
    hint: str,
    way_out: dict[str, str],
) -> None:
    files = [tiny("a", parts=parts[0]), tiny("b", parts=parts[1])]
    error = problem(files, **choice)
    assert " contains no " in error.what
    assert error.hint.startswith(hint)
    assert planned(files, **way_out).keys  # type: ignore[arg-type]


def test_averages_that_no_model_holds_are_refused(tiny: Tiny) -> None:
    plain, averaged = tiny("a"), tiny("b", ema=True)
    assert "no model contains any" in problem([plain, plain], ema=True).what
    assert planned([plain, averaged], ema=True).keys


def test_weights_of_which_a_file_holds_no_average_are_reported(tiny: Tiny) -> None:
    averaged, plain = tiny("a", ema=True), tiny("b")
    whole = planned([averaged, plain], ema=True)
    assert not any("no EMA weights of" in note for note in whole.notes)
    tensors = load_file(averaged)
    last, middle = (f"model.diffusion_model.{name}.weight" for name in ("out.2", "middle_block.1.norm"))
    for key in (last, middle):
        del tensors[ema_key(key)]
    save_file(tensors, averaged)
    notes = planned([averaged, plain], ema=True).notes
    assert f"A contains no EMA weights of {middle} and 1 more: the plain weights are read" in notes


@pytest.mark.parametrize("family", ["sd1", "sdxl", "sd3", "flux"])
@pytest.mark.parametrize("prefix", ["", "vae.", "first_stage_model.", "module.", "_orig_mod."])
def test_a_vae_file_is_read_whatever_its_prefix(tiny: Tiny, tmp_path: Path, family: str, prefix: str) -> None:
    own = "vae." if family == "flux" else "first_stage_model."
    shapes = tiny_shapes(family, parts=["vae"])
    spelled = {prefix + key.removeprefix(own): shape for key, shape in shapes.items()}
    write_file(tmp_path / "v.safetensors", spelled, family_by_id("vae"), seed=9)
    for parts in (("unet", "text", "vae"), ("unet",)):
        files = [tiny("a", family, parts=parts), tiny("b", family, parts=parts)]
        plan = planned(files, vae="v.safetensors")
        assert {entry.key for entry in plan.keys if entry.slot == "VAE"} == set(shapes)
        assert sources(plan, "VAE") == {Source(2)}


def test_a_vae_of_other_names_is_merged_into_a_flux_file(tiny: Tiny, tmp_path: Path) -> None:
    shapes = tiny_shapes("flux", parts=["vae"])
    bare = {key.removeprefix("vae."): shape for key, shape in shapes.items()}
    file = write_file(tmp_path / "v.safetensors", bare, family_by_id("vae"), seed=9)
    plan = planned([tiny("a", "flux"), tiny("b", "flux")], vae="v.safetensors")
    merge_to_file(plan, tmp_path / "m.safetensors")
    merged, vae_weights = load_file(tmp_path / "m.safetensors"), load_file(file)
    assert {key for key in merged if "first_stage_model" in key} == set()
    assert all(same_bits(merged[key], vae_weights[key.removeprefix("vae.")]) for key in shapes)


@pytest.mark.parametrize(
    ("shapes", "description"),
    [
        ({"decoder.1.weight": (3, 3)}, "contains no usable VAE: this is a tiny approximate VAE"),
        ({"lora_unet_x.lora_up.weight": (4, 4)}, "contains no usable VAE: this is a LoRA"),
        ({"hello": (1,)}, "contains no usable VAE: this is a model of no known family"),
        (tiny_shapes("sd1", parts=["unet"]), "contains no VAE: it is Stable Diffusion 1"),
        (tiny_shapes("sdxl"), "is Stable Diffusion XL, whose VAE does not fit Stable Diffusion 1"),
        (tiny_shapes("sd3", parts=["vae"]), "has 16 latent channels, and Stable Diffusion 1 has 4"),
        (tiny_shapes("flux"), "is Flux.1, whose VAE does not fit Stable Diffusion 1"),
    ],
    ids=["taesd", "lora", "no model", "a U-Net", "SDXL", "SD3's VAE", "Flux"],
)
def test_a_vae_file_without_a_vae_that_fits_is_refused_by_what_it_is(
    tiny: Tiny, tmp_path: Path, shapes: dict[str, tuple[int, ...]], description: str
) -> None:
    write_file(tmp_path / "v.safetensors", shapes, family_by_id("vae"))
    for parts in (("unet", "text", "vae"), NO_VAE):
        files = [tiny("a", parts=parts), tiny("b")]
        error = problem(files, vae="v.safetensors")
        assert error.what.startswith(f"the VAE file {description}")
        assert error.hint == "choose a VAE made for Stable Diffusion 1, or leave out --vae to keep A's"
        assert planned(files).keys


def test_the_vae_of_a_family_with_the_same_latents_is_taken(tiny: Tiny, tmp_path: Path) -> None:
    tiny("v", "sd2")
    assert sources(planned([tiny("a"), tiny("b")], vae="v.safetensors"), "VAE") == {Source(2)}


@pytest.mark.parametrize("misshape", [{TOKENS: (8, 3)}, POSITIONS], ids=["added tokens", "LongCLIP"])
@pytest.mark.parametrize("turned", [False, True])
def test_where_only_the_text_encoder_differs_the_hint_keeps_as(
    tiny: Tiny, misshape: dict[str, tuple[int, ...]], turned: bool
) -> None:
    files = [tiny("a"), tiny("b", misshape=misshape)]
    files = files[::-1] if turned else files
    error = problem(files)
    assert error.hint == "--text-encoder a, or BASE at 0, keeps A's text encoder"
    assert planned(files, text="a").keys
    assert planned(files, alpha=Slots((("BASE", 0.0),), rest=0.5)).keys


@pytest.mark.parametrize("misshape", [{TOKENS: (8, 3)}, POSITIONS], ids=["added tokens", "LongCLIP"])
def test_a_text_encoder_of_another_shape_comes_whole_from_b(
    tiny: Tiny, misshape: dict[str, tuple[int, ...]]
) -> None:
    plan = planned([tiny("a"), tiny("b", misshape=misshape)], text="b")
    assert {e.key: e.shape for e in plan.keys if e.key in misshape} == misshape


def test_where_the_u_net_differs_too_nothing_of_the_text_encoder_is_hinted(tiny: Tiny) -> None:
    files = [tiny("a"), tiny("b", misshape={TOKENS: (8, 3), "model.diffusion_model.out.0.bias": (9, 9)})]
    with pytest.raises(PlanError) as caught:
        planned(files)
    assert [error.hint for error in caught.value.problems] == ["", ""]


def test_a_blended_vae_of_another_shape_names_the_way_to_keep_as(tiny: Tiny) -> None:
    files = [tiny("a"), tiny("b", misshape={"first_stage_model.decoder.conv_in.weight": (8, 9, 3, 3)})]
    assert problem(files, vae="blend").hint == "--vae a keeps A's VAE"
    assert planned(files, vae="a").keys
