"""A small SDXL model with the objects of Forge and its heirs, and the modules of the host around it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from lib_merge.hosts import (
    forge,
    forge_model,
    live_webui,
    patcher_webui,
    pinned,
    reforge,
    webui,
    webui_modules,
)
from tests.support.checkpoint_info import Info


def tree(**parts: nn.Module) -> nn.Module:
    """A module of modules."""
    module = nn.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    return module


def encoder(width: int) -> nn.Module:
    """A text encoder as transformers builds it, with one layer."""
    attention = tree(**{f"{letter}_proj": nn.Linear(width, width) for letter in "qkv"})
    text = tree(
        encoder=tree(layers=nn.ModuleList([tree(self_attn=attention)])), final_layer_norm=nn.LayerNorm(width)
    )
    projection = nn.Linear(width, width + 1, bias=False)
    made = tree(transformer=tree(text_model=text, text_projection=projection))
    made.logit_scale = nn.Parameter(torch.ones(()))
    return made


def t5() -> nn.Module:
    """A T5 text encoder without layers."""
    made = tree(transformer=tree(encoder=tree(final_layer_norm=nn.LayerNorm(4, bias=False))))
    made.logit_scale = nn.Parameter(torch.ones(()))
    return made


class LoraLoader:
    """Forge's: `refresh` without LoRAs puts the backups back."""

    def __init__(self) -> None:
        self.backup: dict[str, object] = {}
        self.online_backup: list[object] = []
        self.refreshed: list[object] = []

    def refresh(self, lora_patches: object, offload_device: object) -> None:
        self.refreshed.append(lora_patches)
        self.backup, self.online_backup = {}, []


class Objects(SimpleNamespace):
    def shallow_copy(self) -> Objects:
        return Objects(**vars(self))


class Engine:
    """An SDXL model as Forge holds it: a patcher for each part."""

    is_sdxl = True

    def __init__(self, info: Info, *, comfy: bool) -> None:
        def patcher(**more: object) -> SimpleNamespace:
            own = {"backup": {}} if comfy else {"lora_loader": LoraLoader(), "offload_device": "cpu"}
            return SimpleNamespace(**own, **more)

        unet = tree(conv=nn.Linear(3, 3), label=nn.Linear(2, 2))
        texts = tree(clip_l=encoder(4), clip_g=encoder(6))
        self.forge_objects_original = Objects(
            unet=patcher(model=tree(diffusion_model=unet)),
            clip=SimpleNamespace(cond_stage_model=texts, patcher=patcher()),
            vae=SimpleNamespace(first_stage_model=tree(decoder=nn.Linear(2, 2)), patcher=patcher()),
        )
        self.forge_objects = self.forge_objects_original.shallow_copy()
        self.forge_objects.unet = SimpleNamespace(**vars(self.forge_objects.unet))  # a clone with a LoRA
        self.forge_objects_after_applying_lora = self.forge_objects.shallow_copy()
        self.current_lora_hash: object = "[tiny]"
        self.sd_checkpoint_info, self.filename, self.sd_model_hash = info, info.filename, info.shorthash

    @property
    def unet(self) -> Any:
        return self.forge_objects_original.unet.model.diffusion_model


class Caches:
    cached_c, cached_uc = ["a", "b", "c"], ["a", "b"]


class HiresCaches:
    cached_hr_c, cached_hr_uc = ["a", "b"], ["a", "b"]


def installed(monkeypatch: pytest.MonkeyPatch, info: Info, model: Engine) -> SimpleNamespace:
    """The host's modules around a model; `loads` notes what was loaded."""
    other = Info(str(Path(info.filename).with_name("pastel.safetensors")))
    loads: list[str] = []
    unloads: list[int] = []
    parameters = {"checkpoint_info": info, "additional_modules": []}
    data = SimpleNamespace(
        sd_model=model,
        forge_hash=str(parameters),
        forge_loading_parameters=parameters,
        loaded_sd_models=[model],
    )
    opts = SimpleNamespace(
        data={"sd_checkpoint_hash": info.sha256},
        data_labels={"sd_model_checkpoint": SimpleNamespace(onchange=None)},
        sd_model_checkpoint=info.title,
    )

    def reload() -> None:
        if data.forge_hash != str(data.forge_loading_parameters):
            loads.append(data.forge_loading_parameters["checkpoint_info"].filename)
            data.forge_hash = str(data.forge_loading_parameters)

    modules = {
        "sd_models": SimpleNamespace(
            model_data=data,
            checkpoints_list={info.title: info, other.title: other},
            checkpoint_aliases={info.title: info, other.title: other},
            CheckpointInfo=Info,
            forge_model_reload=reload,
            load_model=lambda wanted, forced_reload: loads.append(wanted.filename),
            reload_model_weights=lambda: loads.append("selected"),
            get_empty_cond=lambda _: "new",
        ),
        "sd_vae": SimpleNamespace(base_vae=None, loaded_vae_file=None, checkpoint_info=None, vae_dict={}),
        "devices": SimpleNamespace(device=torch.device("cpu"), autocast=nullcontext, torch_gc=lambda: None),
        "shared": SimpleNamespace(opts=opts, state=SimpleNamespace(job="")),
        "processing": SimpleNamespace(
            StableDiffusionProcessing=Caches, StableDiffusionProcessingTxt2Img=HiresCaches
        ),
    }
    for module in (forge, forge_model, live_webui, patcher_webui, pinned, reforge, webui, webui_modules):
        if hasattr(module, "host_module"):
            monkeypatch.setattr(module, "host_module", modules.__getitem__)
    monkeypatch.setattr(forge, "main_entry", lambda: SimpleNamespace(module_list={}))
    management = SimpleNamespace(unload_all_models=lambda: unloads.append(1))
    monkeypatch.setattr(forge_model, "memory_management", lambda: management)
    monkeypatch.setattr(reforge, "empty_prompt", lambda model: setattr(model, "empty", "new"), raising=True)
    return SimpleNamespace(model=model, data=data, opts=opts, loads=loads, unloads=unloads, modules=modules)
