"""Files as they circulate: each is read right, or refused in a sentence.

The project's own smaller copies of the cases that use in the real world has found.
"""

from __future__ import annotations

import pytest
import torch

from tests.cases.kit import (
    BLOCK,
    CLIP_G,
    CLIP_L,
    TEXT,
    TEXT_FLAT,
    UNET,
    VAE,
    Case,
    Tensors,
    is_sum,
    numbers,
    sd1,
    sdxl,
)

MARKERS = {"v_pred": torch.tensor([]), "ztsnr": torch.tensor([])}
XL_BLOCK = UNET + "input_blocks.8.0.in_layers.0.weight"


# --- 01: the markers of v-prediction ---


@pytest.mark.parametrize("words", [("--alpha", 1), ("--alpha", 0.7), ("--method", "replace")])
def test_the_markers_of_v_prediction_go_with_the_u_net_that_dominates(
    case: Case, words: tuple[object]
) -> None:
    a, b = case.put("eps", sdxl(1)), case.put("vpred", {**sdxl(2), **MARKERS})
    assert set(MARKERS) <= set(case.merge(a, b, *words))
    assert not set(MARKERS) & set(case.merge(b, a, *words))


def test_a_mixture_of_noise_prediction_and_v_prediction_is_reported_before_it_is_merged(case: Case) -> None:
    a, b = case.put("eps", sdxl(1)), case.put("vpred", {**sdxl(2), **MARKERS})
    assert "--prediction" in case.run("plan", a, b, "--alpha", 0.5).out
    assert "--prediction" not in case.run("plan", a, case.put("other", sdxl(3)), "--alpha", 0.5).out


def test_the_prediction_type_can_be_set(case: Case) -> None:
    a, b = case.put("eps", sdxl(1)), case.put("vpred", {**sdxl(2), **MARKERS})
    assert "v_pred" not in case.merge(a, b, "--alpha", 0.9, "--prediction", "eps")
    assert "v_pred" in case.merge(a, case.put("other", sdxl(3)), "--alpha", 0.5, "--prediction", "v")


# --- 02, 04: text encoders of other sizes ---


def long_clip(seed: int) -> Tensors:
    """An SD1 checkpoint with 248 positions (LongCLIP) in place of 77."""
    found = sd1(seed)
    found[TEXT + "embeddings.position_embedding.weight"] = numbers(seed)(248, 768)
    found[TEXT + "embeddings.position_ids"] = torch.arange(248)[None]
    return found


def added_tokens(seed: int) -> Tensors:
    """An SD1 checkpoint to whose vocabulary two tokens were added."""
    return {**sd1(seed), TEXT + "embeddings.token_embedding.weight": numbers(seed)(66, 768)}


def test_two_long_clips_keep_all_their_positions(case: Case) -> None:
    merged = case.merge(case.put("a", long_clip(1)), case.put("b", long_clip(2)), "--alpha", 0.5)
    assert torch.equal(merged[TEXT + "embeddings.position_ids"].flatten(), torch.arange(248))
    assert case.run("check", "a.safetensors").status == 0


@pytest.mark.parametrize("odd", [long_clip, added_tokens])
def test_where_only_the_text_encoder_differs_the_hint_names_the_flag_that_helps(
    case: Case, odd: object
) -> None:
    make = long_clip if odd is long_clip else added_tokens
    a, b = case.put("a", sd1(1)), case.put("b", make(2))
    assert "--text-encoder a" in case.refused(a, b, "--alpha", 0.5)
    assert is_sum(case.merge(a, b, "--alpha", 0.5, "--text-encoder", "a"), sd1(1), make(2), 0.5)


# --- 03, 05, 06, 07: spellings ---


def test_both_spellings_of_one_text_encoder_in_one_file_are_one_text_encoder(case: Case) -> None:
    flat = {key: each for key, each in sd1(1, text=TEXT_FLAT).items() if key.startswith(TEXT_FLAT)}
    a, b = case.put("a", {**sd1(1), **flat}), case.put("b", sd1(2))
    assert case.run("inspect", a).status == 0
    assert case.run("check", a).status in (0, 1)
    assert is_sum(case.merge(a, b, "--alpha", 0.5), sd1(1), sd1(2), 0.5, TEXT + "final_layer_norm.weight")


def test_the_names_that_forge_gave_text_encoders_and_vae_are_read(case: Case) -> None:
    whole = sdxl(1)
    forge = {
        key.replace(CLIP_L, "text_encoders.clip_l.transformer.text_model.").replace(VAE, "vae."): each
        for key, each in whole.items()
        if not key.startswith(CLIP_G)
    }
    forge["text_encoders.clip_g.transformer.text_model.encoder.layers.0.layer_norm1.weight"] = numbers(1)(
        1280
    )
    clip_g = "conditioner.embedders.1.model.transformer.resblocks.0.ln_1.weight"
    merged = case.merge(
        case.put("a", forge), case.put("b", {**sdxl(2), clip_g: numbers(2)(1280)}), "--alpha", 0.5
    )
    lacking = {key for key in whole if key.startswith(CLIP_G)}
    assert merged.keys() == {clip_g, *whole} - lacking
    assert torch.equal(merged[clip_g], ((numbers(1)(1280).float() + numbers(2)(1280).float()) / 2).half())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("model.diffusion_model.", "model.model.diffusion_model."),
        ("model.diffusion_model.", "diffusion_model."),
        ("model.diffusion_model.", "model.diffusion_model._orig_mod."),
        ("model.diffusion_model.", "_orig_mod.model.diffusion_model."),
        ("", "module."),
        ("", "state_dict."),
        ("", "nobody.has.seen."),
    ],
)
def test_a_prefix_that_a_wrapper_left_is_read(case: Case, old: str, new: str) -> None:
    wrapped = {
        new + key.removeprefix(old) if key.startswith(old) else key: each for key, each in sd1(1).items()
    }
    a, b = case.put("a", wrapped), case.put("b", sd1(2))
    assert is_sum(case.merge(a, b, "--alpha", 0.5), sd1(1), sd1(2), 0.5)


def test_clip_l_of_sdxl_without_text_model_in_its_names_is_merged(case: Case) -> None:
    flat = {key.replace(CLIP_L, CLIP_L.removesuffix("text_model.")): each for key, each in sdxl(2).items()}
    merged = case.merge(case.put("a", sdxl(1)), case.put("b", flat), "--alpha", 0.5)
    assert is_sum(merged, sdxl(1), sdxl(2), 0.5, CLIP_L + "encoder.layers.0.layer_norm1.weight")


# --- 23, 32: parts that are asked for and are not there ---


@pytest.mark.parametrize(
    "tensors",
    [
        {"decoder.1.weight": torch.zeros(3, 3), "decoder.3.conv.0.weight": torch.ones(3, 3)},
        {"lora_unet_x.lora_up.weight": torch.zeros(4, 4), "lora_unet_x.lora_down.weight": torch.zeros(4, 4)},
        {key: each for key, each in sd1(9).items() if key.startswith(UNET)},
        {"hello": torch.zeros(1)},
    ],
    ids=["taesd", "lora", "unet", "hello"],
)
def test_a_vae_is_not_taken_from_a_file_that_has_none(case: Case, tensors: Tensors) -> None:
    a, b, vae = case.put("a", sd1(1)), case.put("b", sd1(2)), case.put("vae", tensors)
    assert "vae.safetensors" in case.refused(a, b, "--alpha", 0.5, "--vae", vae)


@pytest.mark.parametrize("prefix", ["vae.", "", VAE])
def test_a_vae_is_read_under_each_of_its_spellings(case: Case, prefix: str) -> None:
    vae = {prefix + key.removeprefix(VAE): each for key, each in sd1(9).items() if key.startswith(VAE)}
    merged = case.merge(
        case.put("a", sd1(1)), case.put("b", sd1(2)), "--alpha", 0.5, "--vae", case.put("vae", vae)
    )
    assert torch.equal(merged[VAE + "quant_conv.weight"], sd1(9)[VAE + "quant_conv.weight"])


def test_a_whole_model_is_put_together_from_parts(case: Case) -> None:
    unet = {key: each for key, each in sd1(1).items() if key.startswith(UNET)}
    parts, whole = case.put("unet", unet), case.put("whole", sd1(2))
    merged = case.merge(parts, whole, "--text-encoder", "b", "--vae", "b", "--alpha", 0)
    assert torch.equal(merged[TEXT + "final_layer_norm.weight"], sd1(2)[TEXT + "final_layer_norm.weight"])
    assert torch.equal(merged[BLOCK], sd1(1)[BLOCK])


def test_a_text_encoder_that_b_has_not_is_not_taken_from_b(case: Case) -> None:
    unet = {key: each for key, each in sd1(1).items() if key.startswith(UNET)}
    message = case.refused(case.put("a", sd1(2)), case.put("b", unet), "--alpha", 0.5, "--text-encoder", "b")
    assert "text encoder" in message


# --- 31: quantised numbers ---


def int8(tensors: Tensors, scale: str) -> Tensors:
    """The U-Net's matrices as int8 with a companion tensor each, named by `scale`."""
    found: Tensors = {}
    for key, each in tensors.items():
        if key.startswith(UNET) and each.dim() > 1:
            found[key] = (each.float() / each.float().abs().max() * 127).round().to(torch.int8)
            found[key.removesuffix("weight") + scale] = each.float().abs().max() / 127
        else:
            found[key] = each
    return found


@pytest.mark.parametrize("scale", ["scales", "weight_scale", "scale", "SCB", "nobody_knows_it"])
@pytest.mark.parametrize("place", ["A", "B", "C"])
def test_integers_in_place_of_weights_are_refused_in_every_ingredient(
    case: Case, place: str, scale: str
) -> None:
    quantised, one, two = case.put("q", int8(sd1(1), scale)), case.put("x", sd1(2)), case.put("y", sd1(3))
    models = {"A": [quantised, one, two], "B": [one, quantised, two], "C": [one, two, quantised]}[place]
    message = case.refused(*models, "--method", "add_difference", "--alpha", 0.5)
    assert "q.safetensors" in message
    assert "quanti" in message or "int8" in message.lower()


@pytest.mark.parametrize("place", ["A", "B"])
def test_fp8_with_a_companion_that_scales_it_is_refused(case: Case, place: str) -> None:
    key = UNET + "middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    fp8 = {**sd1(1), key: sd1(1)[key].to(torch.float8_e4m3fn)}
    fp8[key.removesuffix("weight") + "input_scale_inv"] = torch.tensor(0.5)
    models = [case.put("q", fp8), case.put("x", sd1(2))]
    message = case.refused(*(models if place == "A" else models[::-1]), "--alpha", 0.5)
    assert "q.safetensors" in message
