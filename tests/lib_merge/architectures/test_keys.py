"""Roles, slots and parts of keys."""

from __future__ import annotations

import time

import pytest

from lib_merge.architectures import (
    FAMILIES,
    LAYOUTS,
    Component,
    Family,
    Role,
    component_of,
    ema_key,
    family_by_id,
    role_of,
    slot_of,
)

pytestmark = pytest.mark.newest_only

UNET = "model.diffusion_model."
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)


@every_family
def test_every_weight_of_a_full_size_model_has_a_slot(family: Family) -> None:
    roles = {key: role_of(family, key) for key in family.shapes}
    assert set(roles.values()) <= {Role.WEIGHT, Role.IDS}
    assert {slot_of(family, key) for key in family.shapes} <= {slot.id for slot in family.slots}
    assert None not in {slot_of(family, key) for key in family.shapes}


@every_family
def test_every_slot_has_a_number_in_a_list_or_is_unlisted(family: Family) -> None:
    listed = [slot for name in family.listed_names for slot in family.groups.get(name, (name,))]
    assert sorted([*listed, *family.unlisted_slots]) == sorted(slot.id for slot in family.slots)


@every_family
def test_every_layout_says_what_the_unlisted_slots_follow(family: Family) -> None:
    for layout in LAYOUTS:
        assert set(family.unlisted_slots) <= layout.fallback_for.keys()


@pytest.mark.parametrize(
    ("family", "slots"),
    [
        ("sd1", 26 + len(("TIME", "OUT", "VAE"))),
        ("sd2", 26 + len(("TIME", "LABEL", "OUT", "VAE"))),
        ("sdxl", 19 + len(("CLIP_L", "CLIP_G", "TIME", "LABEL", "OUT", "VAE"))),
    ],
)
def test_a_family_has_a_slot_for_each_number_and_each_unlisted_part(family: str, slots: int) -> None:
    assert len(family_by_id(family).slots) == slots


@pytest.mark.parametrize(
    ("family", "key", "slot"),
    [
        ("sd1", f"{UNET}input_blocks.1.0.in_layers.0.weight", "IN01"),
        ("sd1", f"{UNET}input_blocks.11.0.in_layers.0.weight", "IN11"),
        ("sd1", f"{UNET}middle_block.1.proj_in.weight", "M00"),
        ("sd1", f"{UNET}output_blocks.5.2.conv.weight", "OUT05"),
        ("sd1", f"{UNET}output_blocks.3.1.transformer_blocks.0.attn1.to_out.0.weight", "OUT03"),
        ("sd1", f"{UNET}time_embed.0.weight", "TIME"),
        ("sd1", f"{UNET}out.2.bias", "OUT"),
        ("sd1", "cond_stage_model.transformer.text_model.final_layer_norm.weight", "BASE"),
        ("sd1", "first_stage_model.quant_conv.weight", "VAE"),
        ("sd1", "betas", None),
        ("sd1", "first_stage_modelling.weight", None),
        ("sd2", "cond_stage_model.model.text_projection", "BASE"),
        ("sd2", "conditioner.embedders.0.model.ln_final.bias", "BASE"),
        ("sdxl", f"{UNET}label_emb.0.0.weight", "LABEL"),
        ("sdxl", "conditioner.embedders.0.transformer.text_model.final_layer_norm.bias", "CLIP_L"),
        ("sdxl", "conditioner.embedders.1.model.logit_scale", "CLIP_G"),
        ("sd3", f"{UNET}pos_embed", "IN"),
        ("sd3", f"{UNET}joint_blocks.23.x_block.mlp.fc1.bias", "J23"),
        ("flux", f"{UNET}single_blocks.37.linear1.weight", "S37"),
        ("flux", f"{UNET}guidance_in.in_layer.weight", "IN"),
        ("flux", "text_encoders.t5xxl.transformer.shared.weight", "T5"),
        ("vae", "first_stage_model.decoder.conv_in.weight", "VAE"),
    ],
)
def test_a_key_belongs_to_the_slot_of_its_longest_prefix(family: str, key: str, slot: str | None) -> None:
    assert slot_of(family_by_id(family), key) == slot


@pytest.mark.parametrize(
    ("family", "key", "role"),
    [
        ("sd1", "cond_stage_model.transformer.text_model.embeddings.position_ids", Role.IDS),
        ("sdxl", "conditioner.embedders.0.transformer.text_model.embeddings.position_ids", Role.IDS),
        ("sd1", "betas", Role.SCHEDULE),
        ("sd1", "posterior_log_variance_clipped", Role.SCHEDULE),
        ("sdxl", "denoiser.sigmas", Role.SCHEDULE),
        ("sd3", "model.model_sampling.sigmas", Role.SCHEDULE),
        ("sd1", "model_ema.diffusion_modelinput_blocks00weight", Role.EMA),
        ("sd1", "model_ema.decay", Role.EMA),
        ("sd1", "model_ema.num_updates", Role.EMA),
        ("vae", "first_stage_model.model_ema.decay", Role.EMA),
        ("sdxl", "v_pred", Role.MARKER),
        ("sdxl", "ztsnr", Role.MARKER),
        ("sdxl", "edm_vpred.sigma_max", Role.MARKER),
        ("sdxl", "edm_mean", Role.MARKER),
        ("sd2", "depth_model.model.pretrained.cls_token", Role.MARKER),
        ("sd3", "text_encoders.t5xxl.spiece_model", Role.MARKER),
        ("sd2", "cond_stage_model.model.text_projection", Role.WEIGHT),
        ("sdxl", "conditioner.embedders.1.model.logit_scale", Role.WEIGHT),
        ("sd1", "first_stage_model.loss.logvar", Role.UNKNOWN),
        ("sd1", "optimizer_states.0.weight", Role.UNKNOWN),
        ("sd1", "depth_model.model.pretrained.cls_token", Role.UNKNOWN),
    ],
)
def test_a_key_has_the_role_that_loaders_give_it(family: str, key: str, role: Role) -> None:
    assert role_of(family_by_id(family), key) is role


def test_a_key_belongs_to_the_part_of_its_slot() -> None:
    sdxl = family_by_id("sdxl")
    assert component_of(sdxl, f"{UNET}out.2.bias") is Component.UNET
    assert component_of(sdxl, "conditioner.embedders.1.model.logit_scale") is Component.TEXT
    assert component_of(sdxl, "first_stage_model.quant_conv.weight") is Component.VAE
    assert component_of(sdxl, "betas") is None


def test_ema_weights_are_named_without_dots() -> None:
    assert ema_key(f"{UNET}input_blocks.0.0.weight") == "model_ema.diffusion_modelinput_blocks00weight"
    with pytest.raises(ValueError, match="only the U-Net"):
        ema_key("first_stage_model.quant_conv.weight")


def test_every_key_of_sdxl_finds_its_slot_in_a_few_milliseconds() -> None:
    sdxl = family_by_id("sdxl")
    keys = list(sdxl.shapes)
    best = min(_seconds(sdxl, keys) for _ in range(5))
    assert best < 0.05  # some 3 ms of a processor


def _seconds(family: Family, keys: list[str]) -> float:
    start = time.thread_time()
    for key in keys:
        slot_of(family, key)
    return time.thread_time() - start
