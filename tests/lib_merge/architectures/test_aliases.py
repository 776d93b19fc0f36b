"""Old spellings of names, and the files that are refused for what their names say."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lib_merge.architectures import canonical_names
from lib_merge.errors import CheckpointError

pytestmark = pytest.mark.newest_only

CLIP = "cond_stage_model.transformer."
SIGN = {
    "unet": {"input_blocks.0.0.weight": (320, 4, 3, 3)},
    "vae": {"decoder.conv_in.weight": (512, 4, 3, 3)},
    "flux": {"double_blocks.0.img_attn.norm.key_norm.scale": (128,)},
    "sd3": {"joint_blocks.0.context_block.attn.qkv.weight": (4608, 1536)},
    "turbo": {"conditioner.embedders.0.model.ln_final.weight": (1024,)},
    "vae file": {"vae.decoder.conv_in.weight": (512, 4, 3, 3)},
    "comfy flux": {"diffusion_model.double_blocks.0.img_attn.norm.key_norm.weight": (128,)},
    "net": {"net.input_blocks.0.0.weight": (320, 4, 3, 3)},
    "control": {"control_model.input_blocks.0.0.weight": (320, 4, 3, 3)},
}

# what else is in the file, the name, what becomes of it
TABLE = [
    ("", "model.diffusion_model.out.2.bias", "model.diffusion_model.out.2.bias"),
    ("", "state_dict.first_stage_model.quant_conv.bias", "first_stage_model.quant_conv.bias"),
    ("", f"{CLIP}embeddings.position_ids", f"{CLIP}text_model.embeddings.position_ids"),
    ("", f"{CLIP}encoder.layers.0.mlp.fc1.bias", f"{CLIP}text_model.encoder.layers.0.mlp.fc1.bias"),
    ("", f"{CLIP}final_layer_norm.bias", f"{CLIP}text_model.final_layer_norm.bias"),
    ("", f"state_dict.{CLIP}final_layer_norm.bias", f"{CLIP}text_model.final_layer_norm.bias"),
    ("", f"{CLIP}text_model.final_layer_norm.bias", f"{CLIP}text_model.final_layer_norm.bias"),
    ("", "conditioner.embedders.0.model.ln_final.bias", "conditioner.embedders.0.model.ln_final.bias"),
    ("turbo", "conditioner.embedders.0.model.ln_final.bias", "cond_stage_model.model.ln_final.bias"),
    (
        "unet",
        "middle_block.0.out_layers.3.weight",
        "model.diffusion_model.middle_block.0.out_layers.3.weight",
    ),
    (
        "unet",
        "output_blocks.11.0.skip_connection.bias",
        "model.diffusion_model.output_blocks.11.0.skip_connection.bias",
    ),
    ("unet", "time_embed.0.weight", "model.diffusion_model.time_embed.0.weight"),
    ("unet", "label_emb.0.0.weight", "model.diffusion_model.label_emb.0.0.weight"),
    ("unet", "out.0.weight", "model.diffusion_model.out.0.weight"),
    ("unet", "v_pred", "v_pred"),
    ("vae", "encoder.mid.block_1.norm1.weight", "first_stage_model.encoder.mid.block_1.norm1.weight"),
    ("vae", "quant_conv.weight", "first_stage_model.quant_conv.weight"),
    ("vae", "post_quant_conv.bias", "first_stage_model.post_quant_conv.bias"),
    ("vae", "loss.logvar", "loss.logvar"),
    ("flux", "img_in.weight", "model.diffusion_model.img_in.weight"),
    ("flux", "guidance_in.in_layer.bias", "model.diffusion_model.guidance_in.in_layer.bias"),
    ("sd3", "pos_embed", "model.diffusion_model.pos_embed"),
    ("sd3", "x_embedder.proj.weight", "model.diffusion_model.x_embedder.proj.weight"),
    # a text encoder without `text_model.` or `transformer.`, whatever the family
    (
        "",
        "conditioner.embedders.0.transformer.encoder.layers.0.mlp.fc1.bias",
        "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.bias",
    ),
    (
        "flux",
        "text_encoders.clip_l.transformer.final_layer_norm.bias",
        "text_encoders.clip_l.transformer.text_model.final_layer_norm.bias",
    ),
    (
        "sd3",
        "text_encoders.clip_g.text_model.final_layer_norm.bias",
        "text_encoders.clip_g.transformer.text_model.final_layer_norm.bias",
    ),
    # what torch.compile, DataParallel and FSDP put in between
    ("", "model.diffusion_model._orig_mod.out.2.bias", "model.diffusion_model.out.2.bias"),
    ("", "_orig_mod.model.diffusion_model.out.2.bias", "model.diffusion_model.out.2.bias"),
    ("", "module.first_stage_model.quant_conv.bias", "first_stage_model.quant_conv.bias"),
    ("", "model.diffusion_model._fsdp_wrapped_module.out.2.bias", "model.diffusion_model.out.2.bias"),
    # what a trainer's class puts before the parts
    ("", "model.model.diffusion_model.out.2.bias", "model.diffusion_model.out.2.bias"),
    ("", "model.first_stage_model.quant_conv.bias", "first_stage_model.quant_conv.bias"),
    ("", "pipe.conditioner.embedders.1.model.ln_final.bias", "conditioner.embedders.1.model.ln_final.bias"),
    # a VAE and a network below another prefix
    ("vae file", "vae.quant_conv.bias", "first_stage_model.quant_conv.bias"),
    ("flux", "first_stage_model.quant_conv.bias", "vae.quant_conv.bias"),
    ("comfy flux", "diffusion_model.img_in.weight", "model.diffusion_model.img_in.weight"),
    (
        "comfy flux",
        "diffusion_model.single_blocks.37.norm.query_norm.weight",
        "model.diffusion_model.single_blocks.37.norm.query_norm.scale",
    ),
    (
        "net",
        "net.middle_block.0.out_layers.3.weight",
        "model.diffusion_model.middle_block.0.out_layers.3.weight",
    ),
    ("control", "control_model.input_blocks.1.0.weight", "control_model.input_blocks.1.0.weight"),
    # not what they look like: a T5 encoder, a Flux LoRA, a LoRA in kohya's names
    ("", "encoder.block.0.layer.0.SelfAttention.q.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"),
    ("", "double_blocks.0.img_attn.proj.lora_A.weight", "double_blocks.0.img_attn.proj.lora_A.weight"),
    ("", "lora_unet_down_blocks_0_attentions_0.alpha", "lora_unet_down_blocks_0_attentions_0.alpha"),
    ("", "unet.down_blocks.0.attn.to_k.lora_A.weight", "unet.down_blocks.0.attn.to_k.lora_A.weight"),
]


@pytest.mark.parametrize(("beside", "stored", "canonical"), TABLE)
def test_an_old_spelling_becomes_the_canonical_one(beside: str, stored: str, canonical: str) -> None:
    assert canonical_names({**SIGN.get(beside, {}), stored: (1,)})[stored] == canonical


def test_the_refiner_is_not_taken_for_sd2_in_its_layout() -> None:
    name = "conditioner.embedders.0.model.ln_final.weight"
    assert canonical_names({name: (1280,)}) == {name: name}
    base = {name: (1024,), "conditioner.embedders.1.model.ln_final.weight": (1280,)}
    assert canonical_names(base) == {key: key for key in base}


def test_two_networks_in_one_file_are_both_left_where_they_are() -> None:
    names = {f"{prefix}input_blocks.0.0.weight": (320, 4, 3, 3) for prefix in ("first.", "second.")}
    assert canonical_names(names) == {key: key for key in names}


def test_two_vaes_in_one_file_are_both_left_where_they_are() -> None:
    names = {
        "model.diffusion_model.double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        "vae.quant_conv.bias": (8,),
        "model.first_stage_model.quant_conv.bias": (8,),
    }
    assert canonical_names(names) == {key: key for key in names}


def test_of_two_nested_prefixes_the_longer_one_is_removed() -> None:
    names = {
        "pipe.model.diffusion_model.out.2.bias": (4,),
        "pipe.model.first_stage_model.quant_conv.bias": (8,),
    }
    assert list(canonical_names(names).values()) == [
        "model.diffusion_model.out.2.bias",
        "first_stage_model.quant_conv.bias",
    ]


def test_a_native_file_of_qwen_image_is_no_part_of_a_diffusers_model() -> None:
    names = {"txt_norm.weight": (3584,), "transformer_blocks.0.attn.to_q.weight": (3072, 3072)}
    assert canonical_names(names) == {key: key for key in names}


def test_a_diffusers_vae_under_a_prefix_is_refused() -> None:
    names = {
        "vae.decoder.conv_in.weight": (512, 4, 3, 3),
        "vae.decoder.up_blocks.0.resnets.0.conv1.bias": (4,),
    }
    with pytest.raises(CheckpointError, match="Diffusers layout"):
        canonical_names(names)


def test_a_control_net_is_not_taken_for_a_unet() -> None:
    names = {**SIGN["unet"], "zero_convs.0.0.weight": (320, 320, 1, 1)}
    assert canonical_names(names) == {key: key for key in names}


@given(
    st.lists(st.sampled_from([stored for _, stored, _ in TABLE]), unique=True), st.sampled_from(list(SIGN))
)
@example(["first_stage_model.quant_conv.bias", "model.first_stage_model.quant_conv.bias"], "flux")
@example(["pipe.conditioner.embedders.0.model.ln_final.bias"], "turbo")
@example(["pipe.model.diffusion_model.out.2.bias", "pipe.model.first_stage_model.quant_conv.bias"], "unet")
def test_canonical_names_are_canonical(names: list[str], beside: str) -> None:
    shapes = {**SIGN[beside], **dict.fromkeys(names, (1,))}
    try:
        once = canonical_names(shapes)
    except CheckpointError:  # both spellings of one name were drawn
        return
    assert len(set(once.values())) == len(once)
    again = canonical_names({name: shapes[stored] for stored, name in once.items()})
    assert all(stored == name for stored, name in again.items())


def test_of_two_spellings_of_equal_tensors_one_is_read() -> None:
    names = {f"{CLIP}final_layer_norm.bias": (768,), f"{CLIP}text_model.final_layer_norm.bias": (768,)}
    names_read = canonical_names(names, same=lambda one, other: True)
    assert names_read == {
        f"{CLIP}text_model.final_layer_norm.bias": f"{CLIP}text_model.final_layer_norm.bias"
    }


def test_two_spellings_of_tensors_that_differ_are_an_error() -> None:
    with pytest.raises(CheckpointError) as caught:
        canonical_names(
            {f"{CLIP}final_layer_norm.bias": (768,), f"{CLIP}text_model.final_layer_norm.bias": (768,)},
            where="m.ckpt",
            same=lambda one, other: False,
        )
    assert str(caught.value) == (
        "two tensors of this file stand for the same one: "
        "'cond_stage_model.transformer.final_layer_norm.bias' and "
        "'cond_stage_model.transformer.text_model.final_layer_norm.bias'\n"
        "  at   m.ckpt\n"
        "  try  the file mixes two naming schemes; create it again, or use another copy"
    )


@pytest.mark.parametrize(
    "name",
    [
        "down_blocks.0.resnets.0.conv1.weight",
        "mid_block.attentions.0.proj_in.weight",
        "up_blocks.3.resnets.0.conv1.bias",
        "encoder.down_blocks.0.resnets.0.conv1.weight",
        "decoder.up_blocks.0.resnets.0.conv1.weight",
        "transformer_blocks.0.attn.to_q.weight",
        "single_transformer_blocks.0.attn.to_q.weight",
    ],
)
def test_a_part_in_diffusers_layout_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        canonical_names({name: (1,), "conv_in.weight": (320, 4, 3, 3)})
    assert (
        caught.value.what
        == f"this is one part of a model in Diffusers layout, not a checkpoint: it has '{name}'"
    )
    assert caught.value.hint == "use the single-file checkpoint of the same model"
