"""Files that are no checkpoints, and how each kind is told: so that a refusal says what the file is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BASE_CHECKPOINT = "choose a checkpoint (a model of 2 GB and more)"


@dataclass(frozen=True)
class Foreign:
    """One kind of file that a merge cannot take as a model.

    what      the kind, as it stands in "this is ..."
    hint      what to try instead
    starts    beginnings, `ends` endings and `parts` pieces of keys that only this kind has
    exactly   keys that only this kind has
    """

    what: str
    hint: str = BASE_CHECKPOINT
    starts: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    exactly: frozenset[str] = frozenset()

    def sign(self, keys: Iterable[str]) -> str | None:
        """The first key that gives the kind away."""
        return next((key for key in keys if self._tells(key)), None)

    def _tells(self, key: str) -> bool:
        return (
            key in self.exactly
            or key.startswith(self.starts)
            or key.endswith(self.ends)
            or any(part in key for part in self.parts)
        )


# The first kind that fits counts, so the special stand before the general.
FOREIGN = (
    Foreign(
        "a ControlNet LoRA, not a checkpoint",
        exactly=frozenset({"lora_controlnet"}),
    ),
    Foreign(
        "a LoRA, not a checkpoint",
        hint="choose a checkpoint, and bring the LoRA in as a LoRA",
        starts=("lora_unet_", "lora_te", "lora_transformer_", "lycoris_"),
        ends=(".lora_up.weight", ".lora_down.weight", ".lora_A.weight", ".lora_B.weight", ".dora_scale"),
        parts=(".hada_w", ".lokr_w", ".oft_blocks", ".lora_A.", ".lora_B.", ".lora.up."),
    ),
    Foreign(
        "a textual inversion embedding, not a checkpoint",
        exactly=frozenset({"emb_params", "string_to_param", "string_to_token", "clip_l", "clip_g", "<*>"}),
        starts=("string_to_param.",),
    ),
    Foreign(
        "a ControlNet, not a checkpoint",
        starts=(
            "control_model.",
            "zero_convs.",
            "input_hint_block.",
            "controlnet_cond_embedding.",
            "controlnet_blocks.",
            "control_add_embedding.",
            "lllite_",
        ),
    ),
    Foreign("an IP-Adapter, not a checkpoint", starts=("ip_adapter.", "image_proj.")),
    Foreign("a T2I adapter, not a checkpoint", starts=("adapter.body.", "body.0.block1.", "body.0.resnets.")),
    Foreign("a motion module, not a checkpoint", parts=("motion_modules.",)),
    Foreign("a video model, which is not supported", parts=(".time_stack.", ".time_mixer.")),
    Foreign(
        "an upscaler, not a checkpoint",
        starts=("RRDB_trunk.", "model.1.sub.", "params_ema.", "conv_first.", "body.0.rdb1.", "upsampler."),
    ),
    Foreign(
        "a tiny approximate VAE, not a checkpoint",
        starts=("decoder.layers.", "decoder.1.weight", "taesd_"),
    ),
    Foreign(
        "one part of a model in diffusers layout, not a checkpoint",
        hint="use the single-file checkpoint of the same model",
        starts=(
            "down_blocks.",
            "mid_block.",
            "up_blocks.",
            "encoder.down_blocks.",
            "decoder.up_blocks.",
            "transformer_blocks.",
            "single_transformer_blocks.",
            "unet.down_blocks.",
        ),
    ),
    Foreign(
        "a text encoder alone, not a checkpoint",
        starts=("text_model.", "text_projection.", "encoder.block.", "shared.weight"),
    ),
    Foreign("CLIP's image encoder, not a checkpoint", starts=("vision_model.", "visual.")),
    Foreign("a Chroma model, which is not supported", parts=("distilled_guidance_layer.",)),
    Foreign("a Stable Cascade model, which is not supported", parts=("clip_txt_mapper.", "clip_txt_pooled_")),
    Foreign("a PixArt model, which is not supported", parts=("cross_attn.kv_linear.",)),
    Foreign("an AuraFlow model, which is not supported", parts=("joint_transformer_blocks.",)),
    Foreign(
        "a hypernetwork, not a checkpoint",
        exactly=frozenset({"320", "640", "768", "1024", "1280", "sd_checkpoint", "sd_checkpoint_name"}),
    ),
)
