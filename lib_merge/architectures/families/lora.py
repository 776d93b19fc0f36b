"""The formats of LoRA files, by which they are recognised.

Merging a LoRA into a checkpoint is not supported yet; where a LoRA is chosen as a model, the error says so.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LoraFormat:
    """One format of LoRA files.

    name     as in "a LoRA (LyCORIS, LoHa)"
    example  a key of such a file, used by the tests
    prefixes, suffixes, substrings  of keys that only such files have
    """

    name: str
    example: str
    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    substrings: tuple[str, ...] = ()


# The first that matches applies: the other formats use the module names of sd-scripts too.
LORA_FORMATS = (
    LoraFormat("DoRA", "lora_unet_mid_block_attentions_0_proj_in.dora_scale", suffixes=(".dora_scale",)),
    LoraFormat(
        "LyCORIS, LoHa", "lora_te1_text_model_encoder_layers_0_mlp_fc1.hada_w1_a", substrings=(".hada_w",)
    ),
    LoraFormat("LyCORIS, LoKr", "lycoris_mid_block_attentions_0_proj_in.lokr_w1", substrings=(".lokr_w",)),
    LoraFormat("OFT", "lora_unet_mid_block_attentions_0_proj_in.oft_blocks", substrings=(".oft_blocks",)),
    LoraFormat(
        "PEFT, diffusers",
        "transformer.single_blocks.0.attn.to_q.lora_A.weight",
        suffixes=(".lora_A.weight", ".lora_B.weight"),
        substrings=(".lora_A.", ".lora_B."),
    ),
    LoraFormat(
        "diffusers of 2023",
        "unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.lora.up.weight",
        substrings=(".lora.up.",),
    ),
    LoraFormat("LyCORIS", "lycoris_mid_block_attentions_0_proj_in.alpha", prefixes=("lycoris_",)),
    LoraFormat(
        "sd-scripts",
        "lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight",
        prefixes=("lora_unet_", "lora_te", "lora_transformer_"),
        suffixes=(".lora_up.weight", ".lora_down.weight"),
    ),
)
