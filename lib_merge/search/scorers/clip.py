"""CLIP's agreement of prompt and picture, and aesthetic heads on its embedding, from the user's files.

Nothing is downloaded. The file of CLIP is a safetensors file of transformers' CLIPModel (its
`model.safetensors`); the sizes of the network are read off its tensors. A head is a safetensors file with
one linear layer after the other, as the LAION aesthetic predictors have them, for the embedding of that
CLIP.
"""

# pyright: reportPrivateImportUsage=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.checkpoint.suffixes import SAFETENSORS, has_suffix
from lib_merge.clip_tokenizer import load_tokenizer
from lib_merge.errors import CheckpointError, ExtraError, RecipeError
from lib_merge.search.scorers.scorer import Scorer, ScorerContext, ScorerKind

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

CLIP_ID, AESTHETIC_ID = "clip", "aesthetic"
WEIGHTS = "weights"  # the setting with the path of a scorer's file
HEAD_WIDTH = 64  # of an attention head, except in the vision models of these widths
HEADS_OF_WIDTH: Mapping[int, int] = {1280: 16, 1664: 16}  # OpenCLIP's ViT-H and ViT-bigG
OPENAI_PROJECTIONS = (512, 768)  # whose activation is quick_gelu; OpenCLIP's larger ones have gelu
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
LAYER = re.compile(r"\.layers\.(\d+)\.")
LINEAR = re.compile(r"(?:.*?(?P<number>\d+)\.)?weight")


@dataclass(frozen=True)
class ClipNetwork:
    """CLIP in memory: prompts and pictures as vectors of length 1."""

    model: Any
    tokenizer: Any
    side: int

    def image_vectors(self, images: Sequence[Image]) -> Tensor:
        """One vector for each picture."""
        import torch

        with torch.inference_mode():
            pixels = torch.stack([_prepared(image, self.side) for image in images])
            pooled = self.model.vision_model(pixel_values=pixels).pooler_output
            return torch.nn.functional.normalize(self.model.visual_projection(pooled), dim=-1)

    def text_vectors(self, prompts: Sequence[str]) -> Tensor:
        """One vector for each prompt, of which the first 75 tokens count."""
        import torch

        tokens = self.tokenizer(
            list(prompts),
            padding="max_length",
            truncation=True,
            max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        )
        with torch.inference_mode():
            pooled = self.model.text_model(input_ids=tokens["input_ids"]).pooler_output
            return torch.nn.functional.normalize(self.model.text_projection(pooled), dim=-1)


@dataclass(frozen=True)
class ClipScorer:
    """The mean cosine of prompt and picture."""

    network: ClipNetwork

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> float:
        """The mean, -1 to 1."""
        products = self.network.image_vectors(images) * self.network.text_vectors(prompts)
        return float(products.double().sum(dim=-1).mean())


@dataclass(frozen=True)
class AestheticScorer:
    """The mean of a head on the vectors of the pictures."""

    network: ClipNetwork
    layers: tuple[tuple[Tensor, Tensor], ...]

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> float:
        """The mean; prompts do not matter."""
        values = self.network.image_vectors(images)
        for weight, bias in self.layers:
            values = values @ weight.T + bias
        return float(values.double().mean())


def _prepared(image: Image, side: int) -> Tensor:
    """A picture as CLIP takes it: its middle, resized and with its colours normalized."""
    import numpy as np
    import torch
    from PIL import Image as Pillow

    width, height = image.size
    edge = min(width, height)
    left, top = (width - edge) // 2, (height - edge) // 2
    square = image.convert("RGB").crop((left, top, left + edge, top + edge))
    pixels = np.asarray(square.resize((side, side), Pillow.Resampling.BICUBIC), dtype=np.float32) / 255.0
    normalized = (pixels - np.array(PIXEL_MEAN, np.float32)) / np.array(PIXEL_DEVIATION, np.float32)
    return torch.from_numpy(normalized.transpose(2, 0, 1).copy())


# --- files ---


def _path(argument: str, context: ScorerContext, scorer: str) -> Path:
    """The file of a scorer: of the brackets, else of the settings."""
    text = argument or context.setting(scorer, WEIGHTS)
    if not text:
        what = f"the scorer '{scorer}' has no weights: nothing is downloaded"
        hint = f'{scorer}(model.safetensors), or "{scorer}": {{"{WEIGHTS}": PATH}} in scorers.json'
        raise RecipeError(what, hint=hint)
    path = context.folder / text
    if not has_suffix(path, SAFETENSORS):
        raise RecipeError(f"the weights of '{scorer}' are no safetensors file", where=text)
    if not path.is_file():
        raise CheckpointError(f"the weights of '{scorer}' are missing", where=str(path))
    return path


def _read_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {name: tensor.float() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError, ValueError) as cause:
        raise CheckpointError("these weights cannot be read", where=str(path)) from cause


@lru_cache(maxsize=2)
def load_clip(path: Path) -> ClipNetwork:
    """CLIP from a file of its weights."""
    try:
        from transformers import CLIPConfig, CLIPModel
    except ImportError as missing:
        raise ExtraError(
            "CLIP needs transformers, which is not installed", hint="pip install transformers"
        ) from missing
    tensors = _read_tensors(path)
    try:
        config = clip_config(tensors)
        model = CLIPModel(CLIPConfig(**config))
        missing_names = model.load_state_dict(tensors, strict=False).missing_keys
    except (KeyError, RuntimeError, ValueError) as cause:
        raise CheckpointError("these are not the weights of a CLIP model", where=str(path)) from cause
    lacking = [name for name in missing_names if not name.endswith("position_ids")]
    if lacking:
        raise CheckpointError(f"this CLIP model lacks {lacking[0]}", where=str(path))
    return ClipNetwork(model.eval(), load_tokenizer(), config["vision_config"]["image_size"])


def clip_config(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The sizes of a CLIP model, read off its tensors; KeyError where it is none."""
    projection = tensors["text_projection.weight"].shape[0]
    activation = "quick_gelu" if projection in OPENAI_PROJECTIONS else "gelu"
    vocabulary = tensors["text_model.embeddings.token_embedding.weight"]
    patches = tensors["vision_model.embeddings.patch_embedding.weight"]
    positions = tensors["vision_model.embeddings.position_embedding.weight"].shape[0]
    text = {
        **_encoder_config(tensors, "text_model", activation),
        "vocab_size": vocabulary.shape[0],
        "max_position_embeddings": tensors["text_model.embeddings.position_embedding.weight"].shape[0],
    }
    vision = {
        **_encoder_config(tensors, "vision_model", activation),
        "patch_size": patches.shape[-1],
        "image_size": isqrt(positions - 1) * patches.shape[-1],
    }
    return {"text_config": text, "vision_config": vision, "projection_dim": projection}


def _encoder_config(tensors: Mapping[str, Tensor], part: str, activation: str) -> dict[str, Any]:
    first = tensors[f"{part}.encoder.layers.0.mlp.fc1.weight"]
    width = first.shape[1]
    numbers = [
        int(match[1]) for name in tensors if name.startswith(f"{part}.") and (match := LAYER.search(name))
    ]
    return {
        "hidden_size": width,
        "intermediate_size": first.shape[0],
        "num_hidden_layers": max(numbers) + 1,
        "num_attention_heads": HEADS_OF_WIDTH.get(width, max(1, width // HEAD_WIDTH)),
        "hidden_act": activation,
    }


def read_head(tensors: Mapping[str, Tensor], width: int) -> tuple[tuple[Tensor, Tensor], ...]:
    """The linear layers of a head in their order; ValueError where they do not lead from `width` to 1."""
    import torch

    numbered = sorted(
        (int(match["number"] or 0), name) for name in tensors if (match := LINEAR.fullmatch(name))
    )
    layers: list[tuple[Tensor, Tensor]] = []
    for _, name in numbered:
        weight = tensors[name]
        bias = tensors.get(name.removesuffix("weight") + "bias", torch.zeros(weight.shape[0]))
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
            raise ValueError(f"{name} does not take {width} numbers")
        layers.append((weight, bias))
        width = weight.shape[0]
    if not layers or width != 1:
        raise ValueError("it does not end in one number")
    return tuple(layers)


def _make_clip(argument: str, context: ScorerContext) -> Scorer:
    return ClipScorer(load_clip(_path(argument, context, CLIP_ID)))


def _make_aesthetic(argument: str, context: ScorerContext) -> Scorer:
    path = _path(argument, context, AESTHETIC_ID)
    network = load_clip(_path("", context, CLIP_ID))
    try:
        layers = read_head(_read_tensors(path), network.model.config.projection_dim)
    except ValueError as cause:
        what = f"this is no head for that CLIP model: {cause}"
        raise CheckpointError(what, where=str(path)) from cause
    return AestheticScorer(network, layers)


def _check_clip(argument: str, context: ScorerContext) -> None:
    _path(argument, context, CLIP_ID)


def _check_aesthetic(argument: str, context: ScorerContext) -> None:
    _path(argument, context, AESTHETIC_ID)
    _path("", context, CLIP_ID)


def clip_kinds() -> tuple[ScorerKind, ...]:
    """The scorers of this module."""
    clip_help = "CLIP's cosine of prompt and picture, about 0.15 to 0.35"
    aesthetic_help = "an aesthetic head on CLIP's embedding, often 1 to 10"
    return (
        ScorerKind(CLIP_ID, clip_help, _make_clip, "FILE", _check_clip),
        ScorerKind(AESTHETIC_ID, aesthetic_help, _make_aesthetic, "FILE", _check_aesthetic),
    )
