"""The parameters of Forge, Neo, reForge and Classic under the keys of checkpoint files.

These WebUIs store text encoders as transformers does (architectures/openclip.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lib_merge.architectures.aliases import name_in_network
from lib_merge.architectures.keys import (
    AIO_VAE_PREFIX,
    CLIP_G,
    CLIP_H,
    CLIP_L,
    CLIP_L_PREFIX,
    CLIP_WEIGHTS_PREFIX,
    COMFY_TEXT_PREFIX,
    OPEN_CLIP_PREFIX,
    SGM_FIRST_PREFIX,
    SGM_SECOND_PREFIX,
    T5,
    T5_PREFIX,
    TEXT_PREFIX,
    UNET_PREFIX,
    VAE_PREFIX,
)
from lib_merge.architectures.openclip import open_clip_part
from lib_merge.live import Place

WRAPPERS = re.compile(r"\.(?:wrapped|_orig_mod)(?=\.)")  # reForge's embeddings, torch.compile
CLIP_WEIGHTS = CLIP_WEIGHTS_PREFIX.removeprefix(TEXT_PREFIX)  # below the module
OPEN_CLIP = OPEN_CLIP_PREFIX.removeprefix(TEXT_PREFIX)


@dataclass(frozen=True)
class HeldParameter:
    """A parameter of the host's model, by the module that holds it.

    third, transposed  see OpenClipPart
    """

    owner: Any
    leaf: str
    third: int | None = None
    transposed: bool = False

    def place(self) -> Place:
        """The tensor that is there now."""
        tensor = getattr(self.owner, self.leaf)
        start = (self.third or 0) * tensor.numel()
        return Place(tensor.t() if self.transposed else tensor, start)


@dataclass(frozen=True)
class Engine:
    """What the parts of an architecture's models are called, in these hosts and in files.

    encoders  attribute that holds a text encoder in memory -> prefix of its keys in files
    flag      attribute by which the host marks the models, "" where it has none
    vae       prefix of the VAE's keys in files
    """

    encoders: Mapping[str, str]
    flag: str = ""
    vae: str = VAE_PREFIX


UNET_ENGINES = (
    Engine({CLIP_L: TEXT_PREFIX}, "is_sd1"),
    Engine({CLIP_H: OPEN_CLIP_PREFIX}),  # SD2, which reForge marks as SD1; no other has this encoder
    Engine({CLIP_L: SGM_FIRST_PREFIX, CLIP_G: SGM_SECOND_PREFIX + OPEN_CLIP}, "is_sdxl"),
    Engine({CLIP_G: SGM_FIRST_PREFIX + OPEN_CLIP}, "is_sdxl"),  # SDXL's refiner
)
FLUX_ENGINE = Engine({CLIP_L: CLIP_L_PREFIX, T5: T5_PREFIX}, vae=AIO_VAE_PREFIX)


def engine_of(model: Any) -> Engine | None:
    """By the text encoders that a model has; None for other architectures."""
    encoders = model.forge_objects_original.clip.cond_stage_model
    names = {name for name in (CLIP_L, CLIP_G, CLIP_H, T5) if hasattr(encoders, name)}
    for engine in (*UNET_ENGINES, FLUX_ENGINE):
        if names == set(engine.encoders) and (not engine.flag or getattr(model, engine.flag, False)):
            return engine
    return None


def weights_of(model: Any) -> Iterator[tuple[str, HeldParameter]]:
    """File key and parameter, of everything that a checkpoint file has too; none of other architectures."""
    engine, objects = engine_of(model), model.forge_objects_original
    if engine is None:
        return
    for prefix, root in (
        (UNET_PREFIX, objects.unet.model.diffusion_model),
        (engine.vae, objects.vae.first_stage_model),
    ):
        for name, owner, leaf in _named_parameters(root):
            yield name_in_network(prefix + name), HeldParameter(owner, leaf)
    for prefix, root in text_encoders_of(model):
        for name, owner, leaf in _named_parameters(root):
            if prefix.endswith(OPEN_CLIP):
                part = open_clip_part(prefix + name)
                yield part.key, HeldParameter(owner, leaf, part.third, part.transposed)
            elif prefix.startswith(COMFY_TEXT_PREFIX) or name.startswith(CLIP_WEIGHTS):
                yield prefix + name, HeldParameter(owner, leaf)


def text_encoders_of(model: Any) -> Iterator[tuple[str, Any]]:
    """Prefix of the file's keys and module, of each text encoder."""
    engine, encoders = engine_of(model), model.forge_objects_original.clip.cond_stage_model
    for name, prefix in engine.encoders.items() if engine else ():
        yield prefix, getattr(encoders, name)


def _named_parameters(root: Any) -> Iterator[tuple[str, Any, str]]:
    for prefix, module in root.named_modules():
        for leaf, parameter in module._parameters.items():
            if parameter is not None:
                name = f"{prefix}.{leaf}" if prefix else leaf
                yield WRAPPERS.sub("", f".{name}")[1:], module, leaf
