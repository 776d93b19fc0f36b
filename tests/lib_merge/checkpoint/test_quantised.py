"""Quantised weights are told by their formats and by what lies beside them; healthy files raise no alarm."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from lib_merge.architectures import FAMILIES, Family, identify, read_header
from lib_merge.architectures.families.common import OPEN_CLIP_OPTIONAL, SCHEDULE
from lib_merge.checkpoint import TensorInfo, quantised
from lib_merge.checkpoint.quantised import HINT, refuse_quantised
from lib_merge.dtypes import BF16, BY_NAME, F8_E4M3, F16, F32, I64, Dtype
from lib_merge.errors import CheckpointError

I8, U8, I32 = BY_NAME["I8"], BY_NAME["U8"], BY_NAME["I32"]
TO_K = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k"
Infos = dict[str, TensorInfo]


def infos(tensors: dict[str, tuple[Dtype, tuple[int, ...]]]) -> Infos:
    return {name: TensorInfo(dtype, shape) for name, (dtype, shape) in tensors.items()}


def refuse_codes(tensors: Infos, where: str = "") -> None:
    quantised.refuse_codes(tensors, learnt=OPEN_CLIP_OPTIONAL, buffers=SCHEDULE, where=where)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.diffusion_model.out.2.weight.absmax", "4 bits of bitsandbytes, nf4 or fp4"),
        ("double_blocks.0.img_mlp.0.weight.quant_map", "4 bits of bitsandbytes, nf4 or fp4"),
        (
            "double_blocks.0.img_mlp.0.weight.quant_state.bitsandbytes__nf4",
            "4 bits of bitsandbytes, nf4 or fp4",
        ),
        ("x.SCB", "int8 of bitsandbytes"),
        ("model.diffusion_model.img_in.scale_weight", "scaled fp8"),
        ("model.diffusion_model.scaled_fp8", "scaled fp8"),
        ("scaled_fp8", "scaled fp8"),
        ("transformer_blocks.0.qkv_proj.qweight", "GPTQ or AWQ"),
        ("model.diffusion_model.img_in.comfy_quant", "ComfyUI's quantised layers"),
    ],
)
def test_names_that_only_quantised_files_have_are_refused_in_one_sentence(name: str, kind: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        refuse_quantised([name], {}, where="q.safetensors")
    message = f"this file contains quantised weights ({kind}), which cannot be merged: it has '{name}'"
    assert caught.value.what == message
    assert (caught.value.where, caught.value.hint) == ("q.safetensors", HINT)


def test_comfyuis_list_of_quantised_layers_in_the_header_is_refused() -> None:
    with pytest.raises(CheckpointError, match="its metadata has"):
        refuse_quantised(["x.weight"], {"_quantization_metadata": "{}"})


@pytest.mark.parametrize(
    ("tensors", "kind"),
    [
        pytest.param({f"{TO_K}.weight": (I8, (8, 8))}, "integers, int8", id="int8 alone"),
        pytest.param(
            {f"{TO_K}.weight": (I8, (8, 8)), f"{TO_K}.scales": (F32, (8, 1))},
            "integers, int8",
            id="int8 with scales of any name",
        ),
        pytest.param(
            {f"{TO_K}.weight._data": (I8, (8, 8)), f"{TO_K}.weight._scale": (F16, (8, 1))},
            "optimum-quanto",
            id="quanto int8",
        ),
        pytest.param(
            {f"{TO_K}.weight._data": (F8_E4M3, (8, 8)), f"{TO_K}.weight._scale": (F16, ())},
            "optimum-quanto",
            id="quanto fp8",
        ),
        pytest.param({f"{TO_K}.weight": (U8, (32, 1))}, "integers, uint8", id="four bits in a column"),
        pytest.param({f"{TO_K}.weight": (U8, (8, 34))}, "integers, uint8", id="GGUF's blocks"),
        pytest.param({f"{TO_K}.packed": (I32, (8, 4))}, "integers, int32", id="packed integers"),
        pytest.param({f"{TO_K}.W_q": (U8, (8, 4)), f"{TO_K}.zero": (F16, (8, 1))}, "HQQ", id="HQQ"),
        pytest.param({f"{TO_K}.weight": (BY_NAME["I16"], (8, 8))}, "integers, int16", id="int16"),
        *(
            pytest.param(
                {f"{TO_K}.weight": (F8_E4M3, (8, 8)), f"{TO_K}{scale}": (F32, ())},
                "fp8-e4m3 with scales",
                id=f"fp8 with {scale}",
            )
            for scale in (
                ".scale",
                ".fp8_scale",
                ".weight.scale",
                ".dequant_scale",
                "_scale",
                ".weight_scale_rows",
                ".Scale",
                ".weight_amax",
                ".weight_s",
                ".weight.codebook",
            )
        ),
    ],
)
def test_codes_are_refused_by_rule(tensors: dict[str, tuple[Dtype, tuple[int, ...]]], kind: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        refuse_codes(infos(tensors), where="q.safetensors")
    assert caught.value.what.startswith(
        f"this file contains quantised weights ({kind}), which cannot be merged"
    )
    assert caught.value.hint == HINT


BUFFERS = infos(
    {
        "cond_stage_model.transformer.text_model.embeddings.position_ids": (I64, (1, 77)),
        "depth_model.bn.num_batches_tracked": (I64, ()),
        "depth_model.relative_position_index": (I64, (49, 49)),
        "cond_stage_model.model.attn_mask": (BY_NAME["BOOL"], (77, 77)),
        "text_encoders.t5xxl.spiece_model": (U8, (791656,)),
        "text_encoders.t5xxl.logit_scale": (F32, ()),
        "model_ema.num_updates": (I32, ()),
        "v_pred": (F32, (0,)),
    }
)


@pytest.mark.parametrize("dtype", [F16, BF16, F32, F8_E4M3], ids=lambda dtype: dtype.label)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
def test_healthy_files_raise_no_alarm(family: Family, dtype: Dtype) -> None:
    tensors = {key: TensorInfo(dtype, shape) for key, shape in family.shapes.items()} | BUFFERS
    refuse_quantised(tensors, {"format": "pt"})
    refuse_codes(tensors)


def test_a_scale_of_the_whole_file_is_reported_with_weights_of_eight_bits() -> None:
    refuse_codes(infos({f"{TO_K}.weight": (F16, (8, 8)), "scale": (F32, ())}))
    with pytest.raises(CheckpointError, match="fp8-e4m3 with scales"):
        refuse_codes(infos({f"{TO_K}.weight": (F8_E4M3, (8, 8)), "scale": (F32, ())}))


def test_scales_that_were_learnt_raise_no_alarm() -> None:
    clip = "conditioner.embedders.1.model."
    refuse_codes(
        infos(
            {
                f"{clip}logit_scale": (F8_E4M3, ()),
                f"{clip}text_projection": (F8_E4M3, (8, 8)),
                "model.diffusion_model.output_blocks.5.skip_scale": (F8_E4M3, (8,)),
                "model.diffusion_model.output_blocks.5.0.in_layers.2.weight": (F8_E4M3, (8, 8, 3, 3)),
                "double_blocks.0.img_attn.norm.query_norm.scale": (F8_E4M3, (128,)),
                "double_blocks.0.img_attn.qkv.weight": (F8_E4M3, (8, 8)),
                "scale_factor": (F32, ()),
            }
        )
    )


def test_a_model_with_codes_is_recognised_as_nothing() -> None:
    with pytest.raises(CheckpointError, match="quantised"):
        identify(infos({f"{TO_K}.weight": (I8, (8, 8))}))


def test_a_dtype_for_codes_is_called_quantised(tmp_path: Path) -> None:
    path = tmp_path / "mx.safetensors"
    text = b'{"x.weight":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}'
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0\0")
    with pytest.raises(CheckpointError, match=r"quantised weights \(F4\)"):
        read_header(path)
