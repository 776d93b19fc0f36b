"""Small files in the layouts of SD1 and SDXL as other tools write them, and the command line over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib_merge.cli import main

UNET = "model.diffusion_model."
VAE = "first_stage_model."
TEXT = "cond_stage_model.transformer.text_model."
TEXT_FLAT = "cond_stage_model.transformer."
CLIP_L = "conditioner.embedders.0.transformer.text_model."
CLIP_G = "conditioner.embedders.1.model."
BLOCK = UNET + "output_blocks.5.0.in_layers.0.weight"

Tensors = dict[str, Tensor]


def numbers(seed: int) -> Callable[..., Tensor]:
    """Draws half-precision tensors of a shape, seeded."""
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator).half()


def sd1(seed: int, *, text: str = TEXT) -> Tensors:
    """The keys by which an SD1 checkpoint is known, and one of several blocks."""
    draw = numbers(seed)
    return {
        UNET + "input_blocks.0.0.weight": draw(8, 4, 3, 3),
        UNET + "input_blocks.0.0.bias": draw(8),
        UNET + "input_blocks.1.0.in_layers.0.weight": draw(8),
        UNET + "input_blocks.11.0.in_layers.0.weight": draw(8),
        UNET + "middle_block.1.proj_in.weight": draw(8, 8, 1, 1),
        UNET + "middle_block.1.transformer_blocks.0.attn2.to_k.weight": draw(8, 768),
        BLOCK: draw(8),
        UNET + "out.0.weight": draw(8),
        UNET + "out.2.weight": draw(4, 8, 3, 3),
        UNET + "time_embed.0.weight": draw(8, 8),
        text + "encoder.layers.0.layer_norm1.weight": draw(768),
        text + "final_layer_norm.weight": draw(768),
        text + "embeddings.token_embedding.weight": draw(64, 768),
        text + "embeddings.position_embedding.weight": draw(77, 768),
        text + "embeddings.position_ids": torch.arange(77)[None],
        VAE + "encoder.conv_in.weight": draw(8, 3, 3, 3),
        VAE + "decoder.conv_in.weight": draw(8, 4, 3, 3),
        VAE + "quant_conv.weight": draw(8, 8, 1, 1),
        VAE + "decoder.mid.attn_1.q.weight": draw(8, 8, 1, 1),
    }


def sdxl(seed: int) -> Tensors:
    """The keys by which an SDXL checkpoint is known, and one of several blocks."""
    draw = numbers(seed)
    return {
        UNET + "input_blocks.0.0.weight": draw(8, 4, 3, 3),
        UNET + "label_emb.0.0.weight": draw(8, 8),
        UNET + "input_blocks.8.0.in_layers.0.weight": draw(8),
        UNET + "middle_block.0.in_layers.0.weight": draw(8),
        UNET + "output_blocks.8.0.in_layers.0.weight": draw(8),
        UNET + "out.2.weight": draw(4, 8, 3, 3),
        CLIP_L + "encoder.layers.0.layer_norm1.weight": draw(768),
        CLIP_L + "embeddings.position_ids": torch.arange(77)[None],
        CLIP_G + "ln_final.weight": draw(1280),
        CLIP_G + "positional_embedding": draw(77, 16),
        CLIP_G + "logit_scale": draw(1)[0],
        CLIP_G + "text_projection": draw(16, 16),
        VAE + "decoder.conv_in.weight": draw(8, 4, 3, 3),
        VAE + "encoder.conv_in.weight": draw(8, 3, 3, 3),
    }


@dataclass(frozen=True)
class Done:
    """What a command answered."""

    status: int
    out: str
    err: str

    def refused(self) -> str:
        """The one message of a command that must refuse: status 2, no traceback, a way out."""
        assert self.status == 2, (self.out, self.err)
        assert self.err.startswith("merge-desk: ")
        assert "Traceback" not in self.err
        return self.err


class Case:
    """A folder of files, and the command line in it."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capture = folder, capture

    def put(self, name: str, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
        """Writes NAME.safetensors."""
        path = self.folder / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: each.contiguous().clone() for key, each in tensors.items()}, path, metadata=metadata)
        return path

    def run(self, *words: object) -> Done:
        """One command of merge-desk."""
        self._capture.readouterr()
        status = main([str(word) for word in words])
        return Done(status, *self._capture.readouterr())

    def merge(self, *words: object) -> Tensors:
        """`merge-desk merge ...`, which must succeed; the tensors that it wrote."""
        target = self.folder / "merged.safetensors"
        done = self.run("merge", *words, "-o", target, "--overwrite")
        assert done.status == 0, done.err
        return load_file(target)

    def refused(self, *words: object) -> str:
        """`merge-desk merge ...`, which must refuse and write nothing; its message."""
        target = self.folder / "refused.safetensors"
        message = self.run("merge", *words, "-o", target).refused()
        assert not target.exists()
        return message


def is_sum(merged: Tensors, a: Tensors, b: Tensors, alpha: float, key: str = BLOCK) -> bool:
    """Whether a tensor is the weighted sum in float64, rounded once."""
    wanted = ((1 - alpha) * a[key].double() + alpha * b[key].double()).to(merged[key].dtype)
    return torch.allclose(merged[key].double(), wanted.double(), rtol=2e-3, atol=1e-6)
