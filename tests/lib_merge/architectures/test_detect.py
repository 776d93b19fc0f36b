"""What a file is recognised as, from its keys and shapes."""

from __future__ import annotations

import pytest

from lib_merge.architectures import (
    FAMILIES,
    Component,
    Family,
    Identity,
    canonical_names,
    family_by_id,
    identify,
    require_same_family,
)
from lib_merge.checkpoint import TensorInfo
from lib_merge.dtypes import F16
from lib_merge.errors import FamilyError
from tests.support.full_size import PARTS, tiny_shapes

pytestmark = pytest.mark.newest_only

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


def test_ema_weights_are_noticed() -> None:
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
def test_the_prediction_is_read_from_markers_then_metadata(
    extra: Shapes, metadata: dict[str, str], prediction: str
) -> None:
    assert seen(tiny_shapes("sdxl") | extra, **metadata).prediction == prediction


def test_a_v_model_of_sd2_has_its_own_modelspec_name() -> None:
    shapes = tiny_shapes("sd2")
    assert seen(shapes).modelspec == "stable-diffusion-v2-512"
    assert seen(shapes, modelspec_prediction_type="v").modelspec == "stable-diffusion-v2-768-v"
    assert seen(tiny_shapes("sdxl") | {"v_pred": (0,)}).modelspec == "stable-diffusion-xl-v1-base"


def test_a_vae_of_sixteen_channels_is_distinguished_from_one_of_four() -> None:
    assert seen(tiny_shapes("vae")).variant == ""
    assert seen(tiny_shapes("sd3", parts=["vae"])).variant == "16 latent channels"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight",
            "this is a LoRA (sd-scripts), not a checkpoint",
        ),
        (
            "transformer.single_blocks.0.attn.to_q.lora_A.weight",
            "this is a LoRA (PEFT, diffusers), not a checkpoint",
        ),
        (
            "lora_te1_text_model_encoder_layers_0_mlp_fc1.hada_w1_a",
            "this is a LoRA (LyCORIS, LoHa), not a checkpoint",
        ),
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
            "transformer_blocks.0.attn.to_k.weight",
            "this is one part of a model in diffusers layout, not a checkpoint",
        ),
        ("text_model.embeddings.token_embedding.weight", "this is a text encoder alone, not a checkpoint"),
    ],
)
def test_a_file_of_another_kind_is_called_by_its_name(key: str, message: str) -> None:
    with pytest.raises(FamilyError) as raised:
        identify(infos({key: (4, 4)}), where="models/thing.safetensors")
    assert raised.value.what == f"{message}: it has '{key}'"
    assert raised.value.where == "models/thing.safetensors"
    assert raised.value.hint


QWEN_BLOCK = "transformer_blocks.0.attn.to_q.weight"
# kind, keys after the prefix with the shapes that tell it
NATIVE_FILES = [
    (
        "a Flux.2 model",
        {"img_in.weight": (3072, 128), "double_stream_modulation_img.lin.weight": (18432, 3072)},
    ),
    ("a Chroma model", {"img_in.weight": (3072, 64), "distilled_guidance_layer.norms.0.scale": (5120,)}),
    ("a HunyuanVideo model", {"txt_in.individual_token_refiner.blocks.0.norm1.weight": (3072,)}),
    ("an AuraFlow model (Pony V7 is one)", {"double_layers.0.attn.w1q.weight": (3072, 3072)}),
    ("a Qwen-Image model", {"txt_norm.weight": (3584,), "proj_out.weight": (64, 3072), QWEN_BLOCK: (8, 8)}),
    ("a Mage-Flow model", {"txt_norm.weight": (2560,), QWEN_BLOCK: (8, 8)}),
    ("an LTX-Video model", {"patchify_proj.weight": (2048, 128), QWEN_BLOCK: (8, 8)}),
    ("a Z-Image model", {"cap_embedder.1.weight": (3840, 2560)}),
    ("a Lumina 2 model", {"cap_embedder.1.weight": (2304, 2304)}),
    ("a Wan model", {"head.modulation": (1, 2, 5120), "blocks.0.self_attn.q.weight": (8, 8)}),
    (
        "an Anima model",
        {"blocks.0.mlp.layer1.weight": (8, 8), "llm_adapter.blocks.0.cross_attn.q_proj.weight": (8, 8)},
    ),
    ("a Cosmos-Predict2 model", {"blocks.0.mlp.layer1.weight": (8, 8)}),
    ("a Krea 2 model", {"txtfusion.projector.weight": (8, 8)}),
    ("a HiDream model", {"caption_projection.0.linear.weight": (8, 8)}),
    ("a PixArt model", {"t_block.1.weight": (8, 8)}),
]


@pytest.mark.parametrize(
    "prefix", [UNET, "", "net.", "model.", "model.model.", "diffusion_model.", "transformer."]
)
@pytest.mark.parametrize(("kind", "keys"), NATIVE_FILES, ids=[kind for kind, _ in NATIVE_FILES])
def test_a_model_of_another_family_is_refused_by_name_whatever_its_prefix(
    kind: str, keys: Shapes, prefix: str
) -> None:
    with pytest.raises(FamilyError) as raised:
        seen(canonical({prefix + key: shape for key, shape in keys.items()}))
    assert raised.value.what.startswith(f"this is {kind}, which is not supported: it has '")
    assert (
        raised.value.hint
        == "choose models of a family that is supported: SD1, SD2, SDXL, SD3, SD3.5 or Flux.1"
    )


def canonical(shapes: Shapes) -> Shapes:
    """As a file's header is read."""
    return {name: shapes[stored] for stored, name in canonical_names(shapes).items()}


@pytest.mark.parametrize(
    "part", [{}, {"text_encoders.t5xxl.transformer.encoder.final_layer_norm.weight": (8,)}]
)
@pytest.mark.parametrize(("kind", "keys"), NATIVE_FILES, ids=[kind for kind, _ in NATIVE_FILES])
def test_parts_of_a_known_family_in_the_same_file_do_not_make_it_one(
    kind: str, keys: Shapes, part: Shapes
) -> None:
    vae = tiny_shapes("sd3", parts=["vae"])
    with pytest.raises(FamilyError, match="which is not supported"):
        seen(canonical({UNET + key: shape for key, shape in keys.items()} | vae | part))


def flux(**changes: tuple[int, ...] | None) -> Shapes:
    """A Flux transformer with some keys of other shapes, `None` for keys that are missing."""
    changed = {UNET + key.replace("__", "."): shape for key, shape in changes.items()}
    shapes = tiny_shapes("flux", parts=["unet"]) | {k: s for k, s in changed.items() if s is not None}
    return {key: shape for key, shape in shapes.items() if changed.get(key, ()) is not None}


FLUX_KIN = [
    ("a Flux.2 model", flux(img_in__weight=(3072, 128), double_stream_modulation_img__lin__weight=(8, 8))),
    (
        "a Chroma model",
        flux(distilled_guidance_layer__in_proj__weight=(8, 8), vector_in__in_layer__weight=None),
    ),
    ("a LongCat-Image model", flux(txt_in__weight=(3072, 3584), vector_in__in_layer__weight=None)),
    ("an Ovis-Image model", flux(double_blocks__0__img_mlp__gate_proj__weight=(8, 8))),
    (
        "a LongCat-Image, Ovis-Image or another model with the keys of Flux",
        flux(vector_in__in_layer__weight=None),
    ),
]


@pytest.mark.parametrize("norm", ["scale", "weight"])
@pytest.mark.parametrize(("kind", "shapes"), FLUX_KIN, ids=[kind for kind, _ in FLUX_KIN])
def test_models_with_the_names_of_flux_do_not_pass_for_it(kind: str, shapes: Shapes, norm: str) -> None:
    with pytest.raises(FamilyError) as raised:
        seen(canonical({key.replace("_norm.scale", f"_norm.{norm}"): shape for key, shape in shapes.items()}))
    assert raised.value.what.startswith(f"this is {kind}, which is not supported")


def test_flux_as_comfyui_saves_it_since_2026_is_flux() -> None:
    shapes = {key.replace("_norm.scale", "_norm.weight"): shape for key, shape in tiny_shapes("flux").items()}
    assert canonical(shapes).keys() == tiny_shapes("flux").keys()
    assert seen(canonical(shapes)).family.id == "flux"


@pytest.mark.parametrize(
    ("kind", "changes", "without"),
    [
        ("a Mugen model", {"input_blocks.0.0.weight": (320, 32, 3, 3), "out.2.weight": (32, 320, 3, 3)}, ()),
        ("a Kolors model", {"label_emb.0.0.weight": (1280, 5632)}, ()),
        ("an SSD-1B model", {}, tuple(f"transformer_blocks.{n}." for n in range(4, 10))),
        ("a Segmind Vega model", {}, tuple(f"transformer_blocks.{n}." for n in range(2, 10))),
        ("a video model", {"input_blocks.1.0.time_stack.in_layers.0.weight": (320,)}, ()),
    ],
)
def test_models_with_the_names_of_sdxl_do_not_pass_for_it(
    kind: str, changes: Shapes, without: tuple[str, ...]
) -> None:
    shapes = tiny_shapes("sdxl") | {UNET + key: shape for key, shape in changes.items()}
    kept = {key: shape for key, shape in shapes.items() if not any(part in key for part in without)}
    with pytest.raises(FamilyError) as raised:
        seen(kept)
    assert raised.value.what.startswith(f"this is {kind}")


PREFIXES = ["", "diffusion_model.", "model.", "model.model.", "net.", "unet.", "_orig_mod.", "module."]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("family", [family.id for family in FAMILIES if family.id != "vae"])
def test_a_network_is_known_below_any_prefix(family: str, prefix: str) -> None:
    shapes = tiny_shapes(family, parts=["unet"])
    assert canonical({prefix + key.removeprefix(UNET): shape for key, shape in shapes.items()}) == shapes


@pytest.mark.parametrize("prefix", ["model.", "module.", "_orig_mod.", "state_dict.", "state_dict.model."])
@every_family
def test_a_whole_file_is_known_below_any_prefix(family: Family, prefix: str) -> None:
    shapes = tiny_shapes(family.id)
    assert canonical({prefix + key: shape for key, shape in shapes.items()}) == shapes


def test_an_sd1_file_that_forge_saved_is_read() -> None:
    shapes = tiny_shapes("sd1")
    renamed = {
        key.replace("cond_stage_model.", "text_encoders.clip_l.").replace("first_stage_model.", "vae."): shape
        for key, shape in shapes.items()
    }
    assert canonical(renamed) == shapes


def test_a_file_most_of_whose_keys_are_unknown_is_refused_with_what_they_begin_with() -> None:
    shapes = tiny_shapes("sd1", parts=["text", "vae"])
    odd = {f"unet.down.{n}.weight": (4,) for n in range(len(shapes) + 1)}
    with pytest.raises(FamilyError) as raised:
        seen(shapes | odd)
    assert raised.value.what == (
        "446 of the 891 tensors of this file have names that Stable Diffusion 1 does not know: "
        "they begin with 'unet.down'"
    )


def test_an_unknown_model_is_refused_with_what_was_seen() -> None:
    with pytest.raises(FamilyError) as raised:
        identify(infos({f"{UNET}strange.{n}.weight": (4,) for n in range(3)}), where="odd.safetensors")
    assert str(raised.value) == (
        "this is a model of no known family: its 3 keys begin with 'model.diffusion_model'\n"
        "  at   odd.safetensors\n"
        "  try  supported are Stable Diffusion 1, Stable Diffusion 2, Stable Diffusion XL, "
        "Stable Diffusion XL refiner, Stable Diffusion 3 medium, Stable Diffusion 3.5 medium, "
        "Stable Diffusion 3.5 large, Flux.1, and a VAE alone"
    )


def test_the_vae_of_an_unknown_model_is_not_taken_for_a_vae_alone() -> None:
    with pytest.raises(FamilyError, match="no known family"):
        seen(tiny_shapes("vae") | {f"{UNET}strange.weight": (4,)})


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(FamilyError, match="contains no tensors"):
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
