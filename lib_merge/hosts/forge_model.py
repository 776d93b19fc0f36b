"""The model of Forge, Neo, reForge and Classic under the keys of checkpoint files, pinned to its checkpoint.

These WebUIs change weights for LoRAs through patchers, which put new Parameter objects in: parameters are
looked up before each write.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from lib_merge.hosts.detect import has_module
from lib_merge.hosts.engines import HeldParameter, weights_of
from lib_merge.hosts.pinned import Owner, Pinned, forget_conditioning, info_of, pin, pinned_of
from lib_merge.hosts.webui_modules import host_module
from lib_merge.live import MergeIdent, Place
from lib_merge.tensors import torch


class ForgeModel:
    """The host's model under the keys of checkpoint files; used for one job.

    foreign  prefixes of keys in whose places the host holds a file of the user's own (VAE, text encoder)
    """

    def __init__(self, host: Owner, model: Any, foreign: tuple[str, ...] = ()) -> None:
        self._host, self._model, self._foreign = host, model, foreign
        self._parameters: dict[str, list[HeldParameter]] = {}

    def token(self) -> object:
        """See live.model."""
        return self._host.token(self._model)

    def keys(self) -> Collection[str]:
        """Every parameter of the U-Net, the VAE and the text encoders that a checkpoint file has too."""
        if not self._parameters:
            for key, parameter in weights_of(self._model):
                self._parameters.setdefault(key, []).append(parameter)
        return self._parameters.keys()

    def places(self, key: str) -> Sequence[Place]:
        """The parameters as they are now, since LoRAs and memory management replace them; none where a file
        of the user's own was loaded.
        """
        self.keys()
        if key.startswith(self._foreign):
            return ()
        return tuple(parameter.place() for parameter in self._parameters[key])

    def has_lora(self, key: str) -> bool:
        """Whether any patcher has changed weights."""
        return any(_is_patched(patcher) for patcher in patchers_of(self._model))

    def prepare(self, keys: Collection[str]) -> None:
        """Takes LoRAs out of the weights, and has the host apply those of its next job again."""
        with torch.inference_mode():
            take_loras_out(patchers_of(self._model))
        forget_applied_loras(self._model)

    def commit(self, ident: MergeIdent | None, keys: Collection[str]) -> None:
        """Names what is in memory, and drops conditioning that was computed with the old weights."""
        model, pinned = self._model, pinned_of(self._model)
        origin = pinned.origin if pinned else model.sd_checkpoint_info
        model_hash = pinned.hash if pinned else model.sd_model_hash
        path = Path(model.filename)
        if ident is None:
            info = info_of(path, origin)
            self._name(info, info.shorthash or model_hash, info.sha256)
        else:
            self._name(pin(origin, Pinned(ident, origin, model_hash)), ident.id, "")
            self._host.merged_checkpoint = path
        forget_conditioning()
        host_module("devices").torch_gc()

    def _name(self, info: Any, shorthash: str | None, sha256: str | None) -> None:
        self._model.sd_checkpoint_info, self._model.sd_model_hash = info, shorthash
        host_module("shared").opts.data["sd_checkpoint_hash"] = sha256


# --- LoRAs -------------------------------------------------------------------------------------


def patchers_of(model: Any) -> Sequence[Any]:
    """The patchers of the U-Net, the text encoders and the VAE, and the host's copies of them with LoRAs,
    which in Classic alone know what is in the weights (model_patcher.py, clone).
    """
    copies = (model.forge_objects_original, model.forge_objects_after_applying_lora, model.forge_objects)
    patchers = [
        patcher for objects in copies for patcher in (objects.unet, objects.clip.patcher, objects.vae.patcher)
    ]
    return list({id(patcher): patcher for patcher in patchers}.values())


def take_loras_out(patchers: Sequence[Any]) -> None:
    """Restore the weights that LoRAs were added to.

    Forge's patchers have a loader of LoRAs, which restores them when it is given none. ComfyUI's, which Neo,
    reForge and Classic use, restore them when the model is unloaded.
    """
    if all(hasattr(patcher, "lora_loader") for patcher in patchers):
        for patcher in patchers:
            patcher.lora_loader.refresh(lora_patches={}, offload_device=patcher.offload_device)
    elif any(_is_patched(patcher) for patcher in patchers):
        memory_management().unload_all_models()


def forget_applied_loras(model: Any) -> None:
    """Otherwise the host's Lora extension would take the LoRAs of its last job for applied (Forge dfdcbab,
    sd_forge_lora/networks.py:113).
    """
    model.current_lora_hash = None


def _is_patched(patcher: Any) -> bool:
    loader = getattr(patcher, "lora_loader", None)
    if loader is None:
        return bool(patcher.backup)
    return bool(loader.backup or loader.online_backup)


def memory_management() -> Any:
    """The host's memory management: ComfyUI's, under Forge's name or reForge's."""
    forge = "backend.memory_management"
    return importlib.import_module(forge if has_module(forge) else "ldm_patched.modules.model_management")
