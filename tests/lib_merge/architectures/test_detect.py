"""What a file is recognised as, from its keys and shapes."""

from __future__ import annotations

import pytest

from lib_merge.architectures import (
    FAMILIES,
    Component,
    Family,
    Identity,
    family_by_id,
    identify,
    require_same_family,
)
from lib_merge.checkpoint.header import TensorInfo
from lib_merge.dtypes import F16
from lib_merge.errors import FamilyError
from tests.full_size import PARTS, tiny_shapes

Shapes = dict[str, tuple[int, ...]]
UNET = "model.diffusion_model."
EVERYTHING = {Component.UNET, Component.TEXT, Component.VAE}
EVERY_PART = [
    (family.id, part) for family in FAMILIES for part in PARTS if tiny_shapes(family.id, parts=[part])
]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)


def infos(shapes: Shapes) -> dict[str, TensorInfo]:
    return {key: TensorInfo(F16, shape) for key, shape in shapes.items()}


def seen(shapes: Shapes, **metadata: str) -> Identity:
    dotted = {key.replace("_", ".", 1): value for key, value in metadata.items()}
    return identify(infos(shapes), metadata=dotted)


@every_family
def test_a_full_size_file_is_recognised(family: Family) -> None:
    identity = seen(dict(family.shapes))
    assert identity.family is family
    assert identity.variant == ""
    assert not identity.ema


@every_family
def test_a_tiny_file_is_recognised_by_its_structure(family: Family) -> None:
    identity = seen(tiny_shapes(family.id))
    assert identity.family is family
    assert identity.variant == ""


@pytest.mark.parametrize(("family", "part"), EVERY_PART)
def test_a_part_alone_is_recognised_as_such(family: str, part: str) -> None:
    identity = seen(tiny_shapes(family, parts=[part]))
    assert identity.components == {Component(part)}
    if part == "vae":
        assert identity.is_vae_only
    else:
        assert identity.family.id == family


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "sdxl-refiner"])
def test_the_parts_of_a_whole_file_are_all_found(family: str) -> None:
    assert seen(tiny_shapes(family)).components == EVERYTHING


def test_a_u_net_and_a_vae_without_text_encoder_are_two_parts() -> None:
    identity = seen(tiny_shapes("sdxl", parts=["unet", "vae"]))
    assert identity.family.id == "sdxl"
    assert identity.components == {Component.UNET, Component.VAE}


@pytest.mark.parametrize(
    ("family", "variant", "title"),
    [
        ("sd1", "inpaint", "Stable Diffusion 1, inpaint"),
        ("sd1", "pix2pix", "Stable Diffusion 1, pix2pix"),
        ("sd2", "inpaint", "Stable Diffusion 2, inpaint"),
        ("sd2", "depth", "Stable Diffusion 2, depth"),
        ("sdxl", "inpaint", "Stable Diffusion XL, inpaint"),
    ],
)
def test_the_input_channels_tell_the_variant(family: str, variant: str, title: str) -> None:
    identity = seen(tiny_shapes(family, variant))
    assert (identity.variant, identity.title) == (variant, title)


def test_an_unheard_of_number_of_input_channels_is_said() -> None:
    shapes = tiny_shapes("sd1") | {f"{UNET}input_blocks.0.0.weight": (2, 13, 3, 3)}
    assert seen(shapes).variant == "13 input channels"


def test_unclip_is_sd2_with_a_label() -> None:
    shapes = tiny_shapes("sd2") | {f"{UNET}label_emb.0.0.weight": (8, 5)}
    assert (seen(shapes).family.id, seen(shapes).variant) == ("sd2", "unclip")


def test_the_x4_upscaler_is_sd2() -> None:
    shapes = tiny_shapes("sd2") | {f"{UNET}input_blocks.0.0.weight": (2, 7, 3, 3)}
    shapes[f"{UNET}label_emb.weight"] = (1000, 8)
    assert (seen(shapes).family.id, seen(shapes).variant) == ("sd2", "upscaler")


def test_flux_without_guidance_is_schnell() -> None:
    shapes = dict(family_by_id("flux").shapes)
    for key in [key for key in shapes if ".guidance_in." in key]:
        del shapes[key]
    assert seen(shapes).variant == "schnell"


def test_an_sd1_u_net_with_matrices_for_convolutions_is_still_sd1() -> None:
    shapes = {
        key: shape[:2] if ".proj_in." in key or ".proj_out." in key else shape
        for key, shape in family_by_id("sd1").shapes.items()
    }
    assert seen(shapes).family.id == "sd1"
    assert seen({key: shape for key, shape in shapes.items() if key.startswith(UNET)}).family.id == "sd1"


def test_sd_turbo_as_published_is_sd2() -> None:
    shapes = {
        key.replace("cond_stage_model.", "conditioner.embedders.0."): shape
        for key, shape in family_by_id("sd2").shapes.items()
    }
    assert seen(shapes).family.id == "sd2"
    assert seen(shapes).components == EVERYTHING


def test_the_old_names_of_the_text_encoder_are_known() -> None:
    shapes = {key.replace(".text_model.", "."): shape for key, shape in tiny_shapes("sd1").items()}
    assert seen(shapes).components == EVERYTHING


def test_training_averages_are_noticed() -> None:
    assert seen(tiny_shapes("sd1", ema=True)).ema


@pytest.mark.parametrize(
    ("extra", "metadata", "prediction"),
    [
        ({}, {}, ""),
        ({"v_pred": (0,)}, {}, "v"),
        ({"edm_vpred.sigma_max": ()}, {}, "v"),
        ({"edm_mean": (1, 4, 1, 1)}, {}, ""),
        ({}, {"modelspec_prediction_type": "v"}, "v"),
        ({}, {"modelspec_prediction_type": "epsilon"}, "eps"),
        ({}, {"modelspec_predict_key": "v"}, "v"),
        ({"v_pred": (0,)}, {"modelspec_prediction_type": "epsilon"}, "v"),
        ({}, {"modelspec_prediction_type": "dreams"}, ""),
    ],
)
def test_the_prediction_is_told_by_markers_then_metadata(
    extra: Shapes, metadata: dict[str, str], prediction: str
) -> None:
    assert seen(tiny_shapes("sdxl") | extra, **metadata).prediction == prediction


def test_a_v_model_of_sd2_has_its_own_modelspec_name() -> None:
    shapes = tiny_shapes("sd2")
    assert seen(shapes).modelspec == "stable-diffusion-v2-512"
    assert seen(shapes, modelspec_prediction_type="v").modelspec == "stable-diffusion-v2-768-v"
    assert seen(tiny_shapes("sdxl") | {"v_pred": (0,)}).modelspec == "stable-diffusion-xl-v1-base"


def test_a_vae_of_sixteen_channels_is_told_from_one_of_four() -> None:
    assert seen(tiny_shapes("vae")).variant == ""
    assert seen(tiny_shapes("sd3", parts=["vae"])).variant == "16 latent channels"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight", "this is a LoRA, not a checkpoint"),
        ("transformer.single_blocks.0.attn.to_q.lora_A.weight", "this is a LoRA, not a checkpoint"),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1.hada_w1_a", "this is a LoRA, not a checkpoint"),
        ("emb_params", "this is a textual inversion embedding, not a checkpoint"),
        ("clip_g", "this is a textual inversion embedding, not a checkpoint"),
        ("control_model.input_blocks.0.0.weight", "this is a ControlNet, not a checkpoint"),
        ("controlnet_cond_embedding.conv_in.weight", "this is a ControlNet, not a checkpoint"),
        ("RRDB_trunk.0.RDB1.conv1.weight", "this is an upscaler, not a checkpoint"),
        ("conv_first.weight", "this is an upscaler, not a checkpoint"),
        ("down_blocks.0.motion_modules.0.pos_encoder.pe", "this is a motion module, not a checkpoint"),
        ("ip_adapter.1.to_k_ip.weight", "this is an IP-Adapter, not a checkpoint"),
        (
            "down_blocks.0.resnets.0.conv1.weight",
            "this is one part of a model in diffusers layout, not a checkpoint",
        ),
        (
            "decoder.up_blocks.0.resnets.0.conv1.weight",
            "this is one part of a model in diffusers layout, not a checkpoint",
        ),
        (
            "transformer_blocks.0.attn.to_q.weight",
            "this is one part of a model in diffusers layout, not a checkpoint",
        ),
        ("text_model.embeddings.token_embedding.weight", "this is a text encoder alone, not a checkpoint"),
        (f"{UNET}distilled_guidance_layer.in_proj.weight", "this is a Chroma model, which is not supported"),
    ],
)
def test_a_file_of_another_kind_is_called_by_its_name(key: str, message: str) -> None:
    with pytest.raises(FamilyError) as raised:
        identify(infos({key: (4, 4)}), where="models/thing.safetensors")
    assert raised.value.what == f"{message}: it has '{key}'"
    assert raised.value.where == "models/thing.safetensors"
    assert raised.value.hint


def test_an_unknown_model_is_refused_with_what_was_seen() -> None:
    with pytest.raises(FamilyError) as raised:
        identify(infos({f"{UNET}strange.{n}.weight": (4,) for n in range(3)}), where="odd.safetensors")
    assert str(raised.value) == (
        "this is a model of no known family: its 3 keys begin with 'model.diffusion_model'\n"
        "  at   odd.safetensors\n"
        "  try  known are Stable Diffusion 1, Stable Diffusion 2, Stable Diffusion XL, Stable Diffusion XL "
        "refiner, Stable Diffusion 3 medium, Stable Diffusion 3.5 medium, Stable Diffusion 3.5 large, "
        "Flux.1, and a VAE alone"
    )


def test_the_vae_of_an_unknown_model_is_not_taken_for_a_vae_alone() -> None:
    with pytest.raises(FamilyError, match="no known family"):
        seen(tiny_shapes("vae") | {f"{UNET}strange.weight": (4,)})


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(FamilyError, match="holds no tensors"):
        identify({})


def test_a_file_that_mixes_families_is_refused() -> None:
    shapes = tiny_shapes("sdxl", parts=["unet"]) | tiny_shapes("sd1", parts=["text"])
    with pytest.raises(
        FamilyError, match="the U-Net is that of Stable Diffusion XL, but the text encoder that"
    ):
        seen(shapes)


def test_models_of_one_family_may_be_merged_whatever_their_variant() -> None:
    plain, inpaint = seen(tiny_shapes("sd1")), seen(tiny_shapes("sd1", "inpaint"))
    assert require_same_family({"a": plain, "b": inpaint}).id == "sd1"


def test_models_of_two_families_are_named_in_the_refusal() -> None:
    with pytest.raises(FamilyError) as raised:
        require_same_family({"photo": seen(tiny_shapes("sd1")), "anime": seen(tiny_shapes("sdxl"))})
    assert raised.value.what == (
        "'photo' is Stable Diffusion 1, but 'anime' is Stable Diffusion XL: they cannot be merged"
    )
    assert raised.value.hint == "choose models of one family"


def test_a_vae_among_models_is_to_be_baked() -> None:
    with pytest.raises(FamilyError) as raised:
        require_same_family({"photo": seen(tiny_shapes("sd1")), "vae": seen(tiny_shapes("vae"))})
    assert raised.value.hint == "a VAE is baked into the result, not merged"


def test_an_unknown_family_id_is_answered_with_the_nearest() -> None:
    with pytest.raises(FamilyError, match="did you mean 'sdxl'"):
        family_by_id("sdx")
